"""Every kind of bad recipe is refused with its key, the reason and what to type, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import seeming_model
from toy import command

from llmcycle.config import ConfigError, RecipeErrors, check, compose, locate, recipe
from llmcycle.config.compose import arms
from llmcycle.config.identity import stage_id
from llmcycle.config.stages import Stage
from llmcycle.config.typed import quoted


def refusal(recipe: str, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        check(compose(locate(f"recipes/{recipe}.yaml"), overrides))
    assert not Path("outputs").exists()
    return caught.value


def edit(recipe: str, old: str, new: str) -> None:
    path = Path("recipes") / f"{recipe}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_good_recipe_passes_alone_and_nested(toys: Path) -> None:
    check(compose(locate("recipes/toy.yaml")))
    check(compose(locate("recipes/first.yaml"), ["data.train=rows.txt"]))
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("override", "key", "remedy"),
    [
        ("second.sed=3", "second.sed", "second.seed=3"),
        ("secnd.seed=3", "secnd.seed", "second.seed=3"),
        ("second.peft.r_=3", "second.peft.r_", "second.peft.r=3"),
        ("second.peft=dora", "second.peft", "peft@second.peft=dora"),
        ("peft@second.peft=dorra", "peft@second.peft=dorra", "peft@second.peft=dora"),
        ("peft@secnd.peft=dora", "peft@secnd.peft", "peft@second.peft=dora"),
        ("recipes@second=thirt", "recipes@second=thirt", "recipes@second=third"),
        ("lifecycle=[first,secnd]", "lifecycle", "second"),
        ("+second.peft.lora_alfa=3", "second.peft.lora_alfa", "lora_alpha"),
        ("+second.inputs.modle=x", "second.inputs.modle", "model"),
        ("+quant@second.quant=eight", "second.quant", ""),
        ("+second.quant={_target_: torchao.quantization.Int8WeightOnlyConfig}", "second.quant", ""),
        ("+thing=3", "thing", "third"),
        ("+world.products=3", "world", ""),
        ("second.inputs.model=./nowhere", "second.inputs.model", ""),
        ("second.inputs.model=???", "second.inputs.model", "second.inputs.model=FOLDER"),
        ("second.inputs.model=${artifact:frst}", "second.inputs.model", "${artifact:first}"),
        ("first.data.train=???", "first.data.train", "first.data.train=FILE"),
        ("second.peft._target_=peft.LoraConfg", "second.peft._target_", "peft.LoraConfig"),
        ("second.seed=many", "second.seed", ""),
        ("second.seed=-1", "second.seed", "second.seed=0"),
        ("seed=4294967296", "seed", "seed=0"),
        ("~seed", "seed", "seed=0"),
        ("second.inputs.model=", "second.inputs.model", "second.inputs.model=FOLDER"),
        ("second.inputs.model=./no(1)", "second.inputs.model", "second.inputs.model="),
        ("lifecycle=[]", "lifecycle", "lifecycle=[first,second,third]"),
        ("lifecycle=[1]", "lifecycle", "lifecycle=[first,second,third]"),
        ("lifecycle=[first,first]", "lifecycle", "lifecycle=[first]"),
        ("+recipes@fourth=third", "fourth", "lifecycle=[first,second,third,fourth]"),
        ("~recipes@third", "lifecycle", "lifecycle=[first,second] in the place of ~recipes@third"),
        ("~third", "lifecycle", "lifecycle=[first,second]"),
        ("~peft@second.peft=dora", "~peft@second.peft", "~peft@second.peft"),
        ("~secnd.peft", "~secnd.peft", "~second.peft"),
    ],
)
def test_overrides(toys: Path, override: str, key: str, remedy: str) -> None:
    error = refusal("toy", override)
    assert error.key == key
    assert remedy in error.remedy
    assert not error.remedy.startswith("+") or "@" in error.remedy, (
        "Hydra's advice to add a dead key must never be passed on"
    )


@pytest.mark.parametrize("name", ["6953", "0012", "7e88", "1_0", "~/models", "/tmp/my (1)/x=2"])
def test_an_input_is_a_text_whatever_it_looks_like(toys: Path, name: str) -> None:
    override = f"second.inputs.model={name}"
    assert compose(locate("recipes/toy.yaml"), [override]).second.inputs.model == name
    assert arms(locate("recipes/toy.yaml"), [f"{override},abc"])[0] == [f"second.inputs.model={quoted(name)}"]


def test_what_hydra_means_by_an_input_stays(toys: Path) -> None:
    toy = locate("recipes/toy.yaml")
    assert [one[0][-1] for one in arms(toy, ["second.inputs.model=choice(a,b)"])] == ["a", "b"]
    assert compose(toy, ["+second.inputs.more='${seed}'"]).second.inputs.more == 0


def test_a_home_folder_is_opened(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(toys))
    (toys / "mine").mkdir()
    (toys / "mine" / "model.txt").write_text("one")
    assert command("recipes/second.yaml", "inputs.model=~/mine") == 0


def test_a_root_key_that_a_stage_reads_is_fine(toys: Path) -> None:
    check(compose(locate("recipes/toy.yaml"), ["+inputs.rows=rows.txt", "first.data.train='${inputs.rows}'"]))


@pytest.mark.parametrize("recipe", ["toy", "second"])
@pytest.mark.parametrize("word", ["peft.LoraConfig", "stage"])
def test_mistyped_keys_inside_a_file_alone_and_nested(toys: Path, recipe: str, word: str) -> None:
    if word == "stage":
        edit("second", "stage: {", "stagee: {")
        expected = "stage"
    else:
        edit("second", "stage: {_target_: toy.write,", "peft: {lora_alfa: 3}\nstage: {_target_: toy.write,")
        expected = "lora_alpha"
    error = refusal(recipe, *([] if recipe == "toy" else ["inputs.model=rows.txt"]))
    assert expected in error.remedy
    assert ("second." in error.key) == (recipe == "toy")


def test_broken_yaml_names_file_and_line(toys: Path) -> None:
    edit("second", '{model: "???"}', "{model: ???}")
    error = refusal("toy")
    assert error.key.endswith("second.yaml:4")
    assert "quote" in error.remedy


@pytest.mark.parametrize(
    "override",
    [
        "second.peft={_target_: os.system}",
        "+second.peft.target_modules=[{_target_: torch.load, f: x}]",
        "+second.peft.target_modules={a: [{_target_: builtins.eval}]}",
        "+second.stage.data={_target_: hydra.utils.get_method, path: os.system}",
        "+second.stage.data={_target_: hydra.utils.get_object, path: torch.optim.optimizer.torch.load}",
        "+second.stage.data={_target_: peft.tuners.lora.model.torch.hub.load}",
        "+second.stage.data='${oc.create:{_target_: os.system}}'",
        "+hydra.callbacks.mine={_target_: os.system}",
        "+hydra.callbacks.mine={_target_: builtins.eval}",
        "hydra.launcher._target_=os.system",
        "+hydra.job_logging.handlers.mine={class: subprocess.Popen}",
    ],
)
def test_dangerous_targets_anywhere(toys: Path, override: str) -> None:
    assert "may not" in refusal("toy", override).reason


def test_a_logging_factory_in_a_file_is_refused(toys: Path) -> None:
    edit("second", "inputs:", "hydra: {job_logging: {formatters: {mine: {'()': os.system}}}}\ninputs:")
    assert "may not" in refusal("second", "inputs.model=rows.txt").reason


def test_an_empty_dataset_is_refused_by_its_preflight(toys: Path) -> None:
    Path("rows.txt").write_text("\n")
    error = refusal("toy")
    assert (error.key, "no rows" in error.reason) == ("first.data", True)


def test_a_stage_that_comes_too_late_is_refused(toys: Path) -> None:
    error = refusal("toy", "lifecycle=[second,first]")
    assert error.key == "second.inputs.model"
    assert "before second" in error.remedy


def test_all_problems_of_a_kind_are_told_at_once(toys: Path) -> None:
    text = str(refusal("toy", "+second.peft.lora_alfa=3", "+third.peft.rr=3"))
    assert "second.peft.lora_alfa" in text
    assert "third.peft.rr" in text


def test_composing_instantiates_nothing(toys: Path) -> None:
    check(compose(locate("recipes/toy.yaml"), ["first.data._target_=toy.NeverBuilt"]))


def test_unknown_recipes_are_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="lifecycle"):
        locate("lifecicle")


def test_a_world_too_small_for_its_questions_is_refused_before_it_runs(here: Path) -> None:
    with pytest.raises(RecipeErrors) as caught:
        check(compose(locate("lifecycle"), ["world.products=4"]))
    found = {error.key: error for error in caught.value.errors}
    assert {"prompt.data.count", "align.evaluate.hhh.count", "compress.data.count", "deploy.data.count"} <= set(found)
    assert all("a larger world.products" in error.reason for error in found.values())
    assert all(error.remedy.lstrip("+").startswith(f"{key}=") for key, error in found.items())
    check(compose(locate("lifecycle"), ["world.products=4", *(error.remedy for error in found.values())]))
    assert not Path("outputs").exists()


def test_a_fault_of_the_world_that_all_stages_share_is_told_once_as_it_is_typed(here: Path) -> None:
    with pytest.raises(RecipeErrors) as caught:
        check(compose(locate("lifecycle"), ["world.products=999"]))
    assert [(error.key, error.remedy) for error in caught.value.errors] == [("world.products", "world.products=576")]


def test_a_setting_that_no_file_has_is_added_to_the_world(here: Path) -> None:
    with pytest.raises(RecipeErrors) as caught:
        check(compose(locate("reward"), ["inputs.model=o/n", "world.text_share=0.9", "+world.phrasings=99"]))
    assert caught.value.remedy == "world.phrasings=12"
    with pytest.raises(RecipeErrors) as caught:
        check(compose(locate("finetune"), ["inputs.model=o/n", "evaluate=hhh", "world.attributes=3", "world.taught=0"]))
    assert (caught.value.key, caught.value.remedy) == ("world.facts", "+world.facts=2")


@pytest.mark.parametrize(
    ("command", "key", "remedy"),
    [
        ("pretrain inputs.model=o/n", "inputs.model", "llmcycle pretrain_continued inputs.model=o/n"),
        ("rlvr inputs.reward=a/b inputs.model=o/n", "inputs.reward", "llmcycle reinforce inputs.reward=a/b"),
        (
            "lifecycle pretrain.inputs.model=o/n",
            "pretrain.inputs.model",
            "recipes@pretrain=pretrain_continued pretrain.inputs.model=o/n",
        ),
    ],
)
def test_an_input_that_another_recipe_has_is_told_by_it(here: Path, command: str, key: str, remedy: str) -> None:
    recipe, *overrides = command.split()
    with pytest.raises(ConfigError) as caught:
        compose(locate(recipe), overrides)
    assert caught.value.key == key
    assert caught.value.remedy.startswith(remedy)


def test_a_world_of_one_part_is_named_by_its_place(here: Path) -> None:
    own = "data.world={_target_: llmcycle.data.storefront.World, products: 999}"
    with pytest.raises(RecipeErrors) as caught:
        check(compose(locate("pretrain"), [own]))
    assert ("data.world.products", "data.world.products=576") in [(e.key, e.remedy) for e in caught.value.errors]


LIFECYCLE = ["pretrain", "prompt", "finetune", "reward", "compress", "deploy"]


@pytest.mark.parametrize(
    ("command", "key", "remedy"),
    [
        (
            "prompt inputs.model=o/n evaluate=hhh",
            "evaluate",
            "llmcycle evaluate evaluate=hhh, which has one",
        ),
        ("pretrain loss=zz", "loss", "llmcycle align, which has one"),
        ("pretrain loss=dpo", "loss", "llmcycle align loss=dpo, which has one"),
        ("pretrain world=tinny", "world=tinny", "world=tiny"),
        ("pretrain world=", "world=", "one of: world=bench, world=storefront, world=tiny"),
        ("pretrain world=tiny,bench", "world=tiny,bench", "llmcycle pretrain -m world=tiny,bench"),
        ("pretrain world=null", "world=null", "one of: world=bench, world=storefront, world=tiny"),
        ("finetune inputs.model=o/n +quant=int8", "quant", "leave it out"),
        ("finetune inputs.model=o/n generate=beam", "generate", "+generate=beam"),
        ("lifecycle peft=dora", "peft", "one of: peft@align.peft=dora, peft@reward.peft=dora, peft@finetune.peft=dora"),
        ("lifecycle peft@finetun.peft=dora", "peft@finetun.peft", "peft@finetune.peft=dora"),
        ("lifecycle finetune.peft.rank=5", "finetune.peft.rank", "finetune.peft.r=5"),
        ("lifecycle align.bta=0.2", "align.bta", "align.loss.beta=0.2"),
        ("lifecycle ~align", "lifecycle", f"lifecycle=[{','.join(LIFECYCLE)}]"),
        ("lifecycle seed=abc", "seed", "seed=0"),
        ("finetune inputs.model=o/n peft=LoRA", "peft=LoRA", "peft=lora"),
        ("finetune inputs.model=o/n peft=null", "peft=null", "peft=none"),
        ("finetune inputs.model=o/n +r=3", "r", "peft.r"),
        ("finetune inputs.model=o/n r=3", "r", "peft.r=3"),
        ("finetune inputs.model=o/n data.train=my.jsonl", "data.train", "data=json data.train=my.jsonl"),
        ("finetune inputs.model=o/n data=json data.train=my.jsonl", "data.train", ""),
        ("finetune inputs.model=o/n trainer.max_steps=ten", "trainer.max_steps", "trainer.max_steps=1"),
        ("finetune inputs.model=o/n optim.lr=fast", "optim.lr", "optim.lr=0.001"),
        ("finetune inputs.model=o/n trainer.max_steps=1.5", "trainer.max_steps", "trainer.max_steps=1"),
        ("finetune inputs.model=o/n trainer.max_steps=0", "trainer.max_steps", "trainer.max_steps=1"),
        ("finetune inputs.model=o/n optim.lr=-1", "optim.lr", "optim.lr=0.001"),
        ("finetune inputs.model=o/n peft.r=abc", "peft.r", "peft.r=8"),
        ("finetune inputs.model=o/n batches.batch_size=x", "batches.batch_size", "batches.batch_size=1"),
        ("finetune inputs.model=o/n batches=streamed", "data", "batches=default"),
        ("finetune inputs.model=o/n +generate=likelihood", "generate", "one of: +generate=beam, +generate=greedy"),
        ("align inputs.model=o/n loss=grpo", "loss", "one of: loss=dpo_nll, loss=aot, loss=aot_unpaired"),
        ("rlvr inputs.model=o/n loss=dpo", "loss", "one of: loss=grpo, loss=bnpo"),
        ("reward inputs.model=o/n loss=dpo", "loss", "loss=bradley_terry"),
        ("lifecycle loss@align.loss=grpo", "align.loss", "one of: loss@align.loss=dpo_nll, loss@align.loss=aot"),
        ("finetune inputs.model=o/n model=gpt2", "model.config.vocab_size", "one of: model=pretrained"),
        ("pretrain_mlm tokenizer=bytes", "tokenizer.vocab_size", "tokenizer.vocab_size=262"),
        (
            "finetune inputs.model=o/n peft.target_modules=[q",
            "peft.target_modules=[q",
            "'peft.target_modules=[q]', or",
        ),
        ("finetune inputs.model=./mdel", "inputs.model", "inputs.model=model"),
        ("lifecycle ~prompt", "~prompt", "lifecycle=[pretrain,finetune,reward,align,compress,deploy]"),
        ("reinforce inputs.model=o/n reward=storefront", "inputs.reward", "~inputs.reward"),
        (
            "lifecycle recipes@align=reinforce reward@align.reward=storefront",
            "align.inputs.reward",
            "~align.inputs.reward",
        ),
    ],
)
def test_what_users_type(here: Path, command: str, key: str, remedy: str) -> None:
    seeming_model(Path("model"))
    recipe, *overrides = command.split()
    with pytest.raises(ConfigError) as caught:
        check(compose(locate(recipe), overrides))
    assert caught.value.key == key
    assert caught.value.remedy.startswith(remedy)
    assert len(caught.value.remedy) < 170
    typed = next((one for one in overrides if one.startswith(key)), "")
    assert caught.value.remedy != typed, "what was refused is no advice"


def test_a_recipe_that_is_like_none_is_answered_with_where_to_look() -> None:
    with pytest.raises(ConfigError) as caught:
        locate("xyzzy")
    assert caught.value.remedy.startswith("llmcycle ls recipes")


@pytest.mark.parametrize("content", ["", "text\n", "- a\n- list\n", "name: a\0b\n"])
def test_a_file_that_is_no_recipe_is_refused_with_where_to_begin(here: Path, content: str) -> None:
    Path("mine.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"mine\.yaml") as caught:
        compose(locate("mine.yaml"))
    assert "llmcycle cp" in caught.value.remedy


@pytest.mark.parametrize(("name", "remedy"), [("a/b", "a-b"), ("../up", "up"), (".hidden", "hidden"), ("a b", "a-b")])
def test_a_name_that_can_be_no_folder_is_refused_with_one_that_can(toys: Path, name: str, remedy: str) -> None:
    error = refusal("toy", f"first.name='{name}'")
    assert (error.key, error.remedy) == ("first.name", f"first.name={remedy}")
    check(compose(locate("recipes/toy.yaml"), [error.remedy]))


def test_names_of_any_alphabet_pass(toys: Path) -> None:
    check(compose(locate("recipes/toy.yaml"), ["first.name='наука_1.2+a'"]))


def test_several_options_without_m_are_refused_with_m(toys: Path) -> None:
    error = refusal("second", "inputs.model=rows.txt", "peft=lora,dora")
    assert "-m inputs.model=rows.txt peft=lora,dora" in error.remedy


def test_a_stage_is_swapped_for_another_recipe(toys: Path) -> None:
    assert refusal("toy", "second=third").remedy == "recipes@second=third"


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("callbacks.checkpoint.every=50", "callbacks.checkpoint.every_n_steps=50"),
        ("data.train=rows.csv", "data=csv data.train=rows.csv"),
        ("data.train=rows.tsv", "data=csv data.train=rows.tsv"),
        ("data.train=rows.parquet", "data=parquet data.train=rows.parquet"),
        ("data.train=rows.jsonl", "data=json data.train=rows.jsonl"),
    ],
)
def test_the_remedy_is_what_was_meant(here: Path, override: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(locate("finetune"), [override])
    assert caught.value.remedy == remedy


def test_epochs_are_a_setting_that_the_recipes_own_steps_do_not_cut_short(here: Path) -> None:
    trainer = compose(locate("finetune"), ["trainer.max_epochs=2"]).trainer
    assert (trainer.max_epochs, trainer.max_steps) == (2, -1)
    both = compose(locate("finetune"), ["trainer.max_epochs=2", "trainer.max_steps=5"]).trainer
    assert (both.max_epochs, both.max_steps) == (2, 5)
    assert compose(locate("finetune"), ["trainer.max_epochs=null"]).trainer.max_steps == 300


def test_several_processes_need_a_strategy(here: Path) -> None:
    seeming_model(Path("model"))
    error = refusal_of("finetune", "inputs.model=model", "trainer.devices=2")
    assert (error.key, error.remedy) == ("trainer.devices", "trainer=ddp trainer.devices=2")
    check(compose(locate("finetune"), ["inputs.model=model", *error.remedy.split()]))


def test_an_id_that_no_artifact_has_is_refused(toys: Path) -> None:
    assert "99ff" in refusal("second", "inputs.model=99ff").reason
    assert "finetune-0123456789ab" in refusal("second", "inputs.model=finetune-0123456789ab").reason


def test_the_seed_is_that_of_training_and_world_seed_that_of_the_world(here: Path) -> None:
    root = compose(locate("finetune"), ["seed=3"])
    assert (root.batches.seed, root.world.seed, root.data.seed, root.evaluate.forgetting.seed) == (3, 0, 0, 0)
    other = compose(locate("finetune"), ["world.seed=4"])
    assert (other.batches.seed, other.data.seed, other.evaluate.forgetting.seed) == (0, 4, 4)


def refusal_of(recipe: str, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        check(compose(locate(recipe), overrides))
    return caught.value


@pytest.mark.parametrize("name", ["pretrain", "evaluate"])
def test_the_recipe_that_a_stage_writes_passes_and_has_its_id(here: Path, name: str) -> None:
    seeming_model(Path("model"))
    given = [] if name == "pretrain" else ["inputs.model=model"]
    stage = Stage(compose(locate(name), [*given, "seed=3"]))
    Path("again.yaml").write_text(recipe.text(recipe.written(stage)))
    check(again := compose(locate("again.yaml")))
    assert stage_id(Stage(again)) == stage_id(stage)


INT4 = ["inputs.model=o/n", "quant=int4"]


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("quant.weight_dtype.path=torchao.quantization.MappingType.ASYMMETRIC", "quant.weight_dtype.path=torch.int4"),
        ("quant.weight_dtype=3", "quant.weight_dtype.path=torch.int4"),
        ("quant.weight_dtype=torch.int2", "quant.weight_dtype.path=torch.int2"),
        ("quant.weight_dtype.path=3", "quant.weight_dtype.path=torch.int4"),
        ("quant.weight_dtype.path=int3", "quant.weight_dtype.path=torch.int3"),
        ("quant.weight_dtype.path=torch.int44", "quant.weight_dtype.path=torch.int4"),
        ("quant.mapping_type.path=torch.int4", "quant.mapping_type.path=torchao.quantization.MappingType.SYMMETRIC"),
        ("quant.mapping_type=1", "quant.mapping_type.path=torchao.quantization.MappingType.SYMMETRIC"),
        (
            "quant._target_=torchao.quantization.IntxWeightOnlyConfg",
            "quant._target_=torchao.quantization.IntxWeightOnlyConfig",
        ),
    ],
)
def test_an_object_that_is_looked_up_is_told_by_its_path(here: Path, typed: str, remedy: str) -> None:
    with pytest.raises(RecipeErrors) as caught:
        check(compose(locate("compress"), [*INT4, typed]))
    assert [error.remedy for error in caught.value.errors] == [remedy]
    check(compose(locate("compress"), [*INT4, remedy]))


def test_a_plus_before_what_is_there_is_left_out(here: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(locate("finetune"), ["inputs.model=o/n", "+trainer.max_steps=3"])
    assert (caught.value.key, caught.value.remedy) == ("+trainer.max_steps", "trainer.max_steps=3")


@pytest.mark.parametrize(
    ("command", "key", "remedy"),
    [
        ("finetune model.dtype=float99", "model.dtype", "model.dtype=float32"),
        ("finetune model.dtype=bf16", "model.dtype", "model.dtype=bfloat16"),
        ("compress stage.dtype=fp16", "stage.dtype", "stage.dtype=float16"),
    ],
)
def test_a_dtype_that_torch_does_not_have_is_refused(here: Path, command: str, key: str, remedy: str) -> None:
    recipe, override = command.split()
    with pytest.raises(RecipeErrors) as caught:
        check(compose(locate(recipe), ["inputs.model=o/n", override]))
    assert (caught.value.key, caught.value.remedy) == (key, remedy)
    for dtype in ("bfloat16", *(["auto"] if recipe == "finetune" else [])):
        check(compose(locate(recipe), ["inputs.model=o/n", f"{key}={dtype}"]))
