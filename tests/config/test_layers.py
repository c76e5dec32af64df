"""Layers that a recipe names are those of the model in the folder, which the check knows by its configuration."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from conftest import save_chatting

from llmcycle.config import RecipeErrors, check, compose, locate
from llmcycle.config.errors import ConfigError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    save_chatting(folder)
    return folder


def refusals(recipe: str, *overrides: str) -> list[ConfigError]:
    try:
        check(compose(locate(recipe), [*overrides]))
    except RecipeErrors as error:
        return error.errors
    return []


WRONG = [
    ("finetune", "peft.target_modules=[q_prj]", "peft.target_modules=[q_proj]"),
    ("finetune", "peft.target_modules=[zzz]", "peft.target_modules=all-linear"),
    ("finetune", "peft.target_modules=q_proj", "peft.target_modules=[q_proj]"),
    ("finetune", 'peft.target_modules="["', "peft.target_modules=all-linear"),
    ("finetune", "+peft.modules_to_save=[embed]", "peft.modules_to_save=[embed_tokens]"),
    ("finetune", "peft=beft", "peft=lora"),
    ("align", "peft=beft", "peft=lora"),
    ("align", "module.frozen=[embed_token]", "module.frozen=[embed_tokens]"),
    ("align", "module.frozen=['*']", "module.frozen=[]"),
    ("finetune", "module.frozen=[embed_tokens]", "module.frozen=["),
    ("align", "module.frozen=['layers.[0-1]',embed_token]", "\"module.frozen=['layers.[0-1]',embed_tokens]\""),
    ("align", "module.frozen=['layers.[0-1]','*']", "\"module.frozen=['layers.[0-1]']\""),
]


@pytest.mark.parametrize(("recipe", "override", "remedy"), WRONG)
def test_what_the_model_has_not_is_refused(here: Path, model: Path, recipe: str, override: str, remedy: str) -> None:
    given = [f"inputs.model={model}", override]
    (error,) = refusals(recipe, *given)
    assert error.remedy.startswith(remedy)
    assert not refusals(recipe, *given, *shlex.split(error.remedy))


@pytest.mark.parametrize(
    "override",
    ["peft.target_modules=[q_proj,v_proj]", "peft.target_modules='.*q_proj'", "module.frozen=[lora_A]", "peft=none"],
)
def test_what_it_has_passes(here: Path, model: Path, override: str) -> None:
    assert not refusals("finetune", f"inputs.model={model}", override)


def test_a_model_from_scratch_has_layers_too(here: Path) -> None:
    (error,) = refusals("pretrain", "module.frozen=[layers.7]")
    assert error.key == "module.frozen"
    assert "layers.0" in error.reason


NEW = [
    ("nanogpt", "peft=oft", "Conv1D"),
    ("nanogpt", "peft=olora", "multiplied"),
    ("pretrain_mlm", "peft=ln_tuning", "target_modules"),
]


@pytest.mark.parametrize(("recipe", "override", "reason"), NEW)
def test_a_method_that_an_architecture_can_not_take_is_refused(
    here: Path, recipe: str, override: str, reason: str
) -> None:
    Path("text.txt").write_text("A text. " * 40, "utf-8")
    given = ["data.train=text.txt"] if recipe == "nanogpt" else []
    (error,) = refusals(recipe, *given, override)
    assert (error.key, error.remedy) == ("peft", "peft=lora")
    assert reason in error.reason
    assert not refusals(recipe, *given, error.remedy)


def test_where_even_lora_does_not_work_all_of_the_model_is_trained(here: Path, model: Path) -> None:
    given = [f"inputs.model={model}", "peft.target_modules=[input_layernorm]"]
    (error,) = refusals("finetune", *given)
    assert error.remedy == "peft=none"
    assert not refusals("finetune", *given[:1], error.remedy)


@pytest.mark.parametrize(
    ("option", "override"),
    [
        ("nf4", "peft=glora"),
        ("nf4", "peft=bdlora"),
        ("nf4", "peft=corda"),
        ("int8", "peft=hira"),
        ("int8", "peft=olora"),
    ],
)
def test_a_method_that_can_not_take_rounded_weights_is_refused(
    here: Path, model: Path, option: str, override: str
) -> None:
    given = [f"inputs.model={model}", f"model={option}"]
    (error,) = refusals("qlora", *given, override)
    assert (error.key, error.remedy) == ("peft", "peft=lora")
    assert "rounded weights" in error.reason
    assert not refusals("qlora", *given, error.remedy)
    assert not refusals("qlora", *given[:1], "model=pretrained", override)


@pytest.mark.parametrize("override", ["peft=hira", "peft=olora", "peft=eva", "peft=prompt_tuning"])
def test_a_method_that_can_passes(here: Path, model: Path, override: str) -> None:
    assert not refusals("qlora", f"inputs.model={model}", override)


@pytest.mark.parametrize("peft", ["cpt", "adaption_prompt"])
def test_a_method_for_language_models_is_refused_on_a_reward_model(here: Path, model: Path, peft: str) -> None:
    given = [f"inputs.model={model}", f"peft={peft}"]
    (error,) = refusals("reward", *given)
    assert (error.key, error.remedy) == ("peft", "peft=lora")
    assert not refusals("reward", *given[:1], error.remedy)
    assert not refusals("finetune", *given)


@pytest.mark.parametrize("peft", ["alora", "trainable_tokens"])
def test_a_method_that_is_given_a_tokenizer_is_tried_without(here: Path, model: Path, peft: str) -> None:
    assert not refusals("finetune", f"inputs.model={model}", f"peft={peft}")
    (error,) = refusals("finetune", f"inputs.model={model}", f"peft={peft}", "++peft.target_modules=[q_prj]")
    assert error.remedy == "peft.target_modules=[q_proj]"
