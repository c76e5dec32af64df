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
