"""An adapter that can't be merged is refused where a stage can't take it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import seeming_model

from llmcycle.config import RecipeErrors, check, compose, locate


def refusals(recipe: str, *overrides: str) -> dict[str, tuple[str, str]]:
    try:
        check(compose(locate(recipe), overrides))
    except RecipeErrors as error:
        return {each.key: (each.reason, each.remedy) for each in error.errors}
    return {}


@pytest.mark.parametrize("peft", ["prompt_tuning", "prefix_tuning", "p_tuning"])
def test_a_siblings_planned_adapter_is_refused_where_it_would_be_trained(here: Path, peft: str) -> None:
    found = refusals("lifecycle", f"peft@finetune.peft={peft}")
    assert set(found) == {"reward.inputs.model", "align.inputs.model"}
    reason, remedy = found["align.inputs.model"]
    assert peft in reason
    assert remedy.startswith("peft@finetune.peft=lora")


def test_and_where_it_would_be_quantised_but_not_where_it_is_prompted_or_served(here: Path) -> None:
    straight = ["lifecycle=[pretrain,finetune,prompt,compress,deploy]", "peft@finetune.peft=prompt_tuning"]
    for stage in ("prompt", "compress", "deploy"):
        straight.append(f"{stage}.inputs.model='${{artifact:finetune}}'")
    assert set(refusals("lifecycle", *straight)) == {"compress.inputs.model"}
    through = [*straight, "compress.inputs.model='${artifact:prompt}'"]
    assert "peft@finetune.peft=lora" in refusals("lifecycle", *through)["compress.inputs.model"][1]


@pytest.mark.parametrize(
    "override",
    ["peft@finetune.peft=lora", "peft@finetune.peft=ia3", "peft@finetune.peft=none", "model@finetune.model=nf4"],
)
def test_what_merges_passes(here: Path, override: str) -> None:
    assert refusals("lifecycle", override) == {}


@pytest.mark.parametrize(
    ("override", "name"),
    [("peft@finetune.peft=alora", "alora"), ("+finetune.model.quantization_config={load_in_8bit: true}", "lora")],
)
def test_lora_that_stays_beside_its_base_is_refused(here: Path, override: str, name: str) -> None:
    assert f"a {name} adapter" in refusals("lifecycle", override)["align.inputs.model"][0]


def test_a_users_method_is_known_by_its_own_file(here: Path) -> None:
    Path("conf/peft").mkdir(parents=True)
    Path("conf/peft/mine.yaml").write_text("_target_: peft.LoraConfig\ntarget_modules: all-linear\n")
    Path("conf/peft/beside.yaml").write_text("defaults: [mine]\n_method_: {merges: false, learning_rate: 2}\n")
    assert refusals("lifecycle", "peft@finetune.peft=mine") == {}
    assert "a beside adapter" in refusals("lifecycle", "peft@finetune.peft=beside")["align.inputs.model"][0]
    for option, factor in (("mine", 1), ("beside", 2)):
        root = compose(locate("finetune"), [f"peft={option}", "inputs.model=x"])
        assert root.optim.lr == 3.0e-3 * factor


def cleared(recipe: str, overrides: list[str], key: str) -> set[str]:
    """What is still refused after the remedy for a key was typed."""
    remedy = refusals(recipe, *overrides)[key][1]
    return set(refusals(recipe, *overrides, *remedy.partition(",")[0].split()))


@pytest.mark.parametrize(
    "more", [[], ["peft@finetune.peft=prompt_tuning"], ["model@finetune.model=int8"]], ids=["lora", "prompt", "int8"]
)
def test_an_adapter_that_is_kept_is_refused_where_plain_weights_are_needed(here: Path, more: list[str]) -> None:
    overrides = ["handoff@finetune.handoff=adapter", *more]
    assert set(refusals("lifecycle", *overrides)) == {"reward.inputs.model", "align.inputs.model"}
    assert cleared("lifecycle", overrides, "align.inputs.model") == set()
    straight = ["lifecycle=[pretrain,finetune,compress,deploy]", "compress.inputs.model='${artifact:finetune}'"]
    assert set(refusals("lifecycle", *overrides, *straight)) == {"compress.inputs.model"}
    assert cleared("lifecycle", [*overrides, *straight], "compress.inputs.model") == set()


def test_a_kept_adapter_is_asked_served_and_merged_by_the_stage_for_that(here: Path) -> None:
    stages = ["+recipes@merge=merge", "handoff@finetune.handoff=adapter", "merge.inputs.model='${artifact:finetune}'"]
    names = "lifecycle=[pretrain,finetune,prompt,merge,align,deploy]"
    asked = [f"{stage}.inputs.model='${{artifact:finetune}}'" for stage in ("prompt", "deploy")]
    merged = [*stages, names, *asked, "align.inputs.model='${artifact:merge}'"]
    assert refusals("lifecycle", *merged) == {}
    assert set(refusals("lifecycle", *merged, "handoff@merge.handoff=adapter")) == {"align.inputs.model"}


@pytest.mark.parametrize(
    ("recipe", "overrides"),
    [
        ("reward", []),
        ("finetune", ["peft=pissa"]),
        ("combine", ["inputs.base=./x", "inputs.a=./x", "inputs.b=./x"]),
        ("merge", []),
    ],
)
def test_where_there_is_no_adapter_to_keep_it_is_not_asked_for(here: Path, recipe: str, overrides: list[str]) -> None:
    seeming_model(Path("x"))
    given = [*([] if recipe == "combine" else ["inputs.model=./x"]), "handoff=adapter", *overrides]
    assert "handoff" in refusals(recipe, *given)
    assert "handoff" not in cleared(recipe, given, "handoff")


@pytest.mark.parametrize("recipe", ["finetune", "align", "reward", "rlvr", "compress"])
def test_a_folder_that_holds_an_adapter_is_refused(here: Path, recipe: str) -> None:
    Path("tuned").mkdir()
    Path("tuned/adapter_config.json").write_text(json.dumps({"peft_type": "PREFIX_TUNING"}))
    Path("asked").mkdir()
    Path("asked/base.json").write_text(json.dumps({"path": str(Path("tuned").resolve())}))
    for folder in ("./tuned", "./asked"):
        assert "PREFIX_TUNING" in refusals(recipe, f"inputs.model={folder}")["inputs.model"][0]
    for taker in ("prompt", "deploy"):
        assert refusals(taker, "inputs.model=./tuned") == {}


@pytest.mark.parametrize(("override", "reason"), [("peft=none", "has none"), ("peft=pissa", "pissa takes")])
def test_an_adapter_is_kept_only_where_there_is_one_that_its_base_can_carry(
    here: Path, override: str, reason: str
) -> None:
    found = refusals("finetune", "inputs.model=openai-community/gpt2", "handoff=adapter", override)
    assert reason in found["handoff"][0]
    assert found["handoff"][1] == "handoff=safetensors"
    assert refusals("finetune", "inputs.model=openai-community/gpt2", "handoff=safetensors", override) == {}


@pytest.mark.parametrize("recipe", ["combine", "pretrain"])
def test_a_whole_model_is_not_kept_as_an_adapter(here: Path, recipe: str) -> None:
    inputs = [f"inputs.{key}=openai-community/gpt2" for key in ("base", "a", "b")] if recipe == "combine" else []
    assert "whole model" in refusals(recipe, *inputs, "handoff=adapter")["handoff"][0]


def test_merged_by_a_stage_between_it_passes(here: Path) -> None:
    stages = "lifecycle=[pretrain,finetune,merge,compress]"
    merged = [stages, "+recipes@merge=merge", "handoff@finetune.handoff=adapter"]
    inputs = ["merge.inputs.model='${artifact:finetune}'", "compress.inputs.model='${artifact:merge}'"]
    assert refusals("lifecycle", *merged, *inputs) == {}
    unmergeable = refusals("lifecycle", *merged, *inputs, "peft@finetune.peft=prompt_tuning")
    assert set(unmergeable) == {"compress.inputs.model"}


@pytest.mark.parametrize("override", ["peft=prompt_tuning", "peft=lily", "peft=shadow", "handoff=adapter"])
def test_nothing_is_kept_beside_a_model_that_lies_in_no_folder(here: Path, override: str) -> None:
    overrides = ["peft=lora", override]
    (key,) = refusals("pretrain", *overrides)
    assert "random weights lies in no folder" in refusals("pretrain", *overrides)[key][0]
    assert cleared("pretrain", overrides, key) == set()
    seeming_model(Path("x"))
    assert key not in refusals("finetune", "inputs.model=./x", override)
