"""What is typed by mistake is answered in our words, with a remedy that can be typed and clears it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from conftest import seeming_model
from mistakes import Mistake, mended

from llmcycle.config import ConfigError, check, compose, locate

M = "inputs.model=model"
WRONG = [
    (f"finetune {M} dora", "dora", "peft=dora"),
    (f"finetune {M} drao", "drao", "peft=dora"),
    (f"finetune {M} optim.lr", "optim.lr", "optim.lr='${rate:3.0e-3}'"),
    (f"finetune {M} align", "align", "llmcycle align"),
    (f"finetune {M} outputs=", "outputs", "outputs=outputs"),
    (f"finetune {M} outputs=file", "outputs", "outputs=outputs"),
    (f"finetune {M} ~outputs", "~outputs", "outputs=outputs"),
    (f"finetune {M} hydra/sweeper=optuna", "hydra/sweeper=optuna", "search=tpe"),
    (f"finetune {M} search=tpee", "search=tpee", "search=tpe"),
    (f"finetune {M} world=tinny", "world=tinny", "world=tiny"),
    (f"finetune {M} world.products=999", "world.products", "world.products=576"),
    (f"finetune {M} ~name", "name", "name=finetune"),
    (f"finetune {M} ~module.model", "~module.model", "'module.model=${..model}'"),
    (f"finetune {M} module.model=3", "module.model", "model=pretrained"),
    (f"finetune {M} trainer=5", "trainer=5", "one of: trainer=auto"),
    (f"finetune {M} callbacks=[]", "trainer.callbacks", "callbacks=default"),
    (f"finetune {M} model=llama_1m", "model", "model=pretrained"),
    (f"finetune {M} reward=learned", "reward", "llmcycle "),
    (f"finetune {M} trainer={{x:1}}", "trainer.x", "one of: "),
    (f"prompt {M} stage.shots=[0,-1]", "stage.shots[1]", "stage.shots=[0,0]"),
    (
        "combine inputs.base=model inputs.a=model inputs.b=model stage.weights=[1]",
        "stage.weights",
        "stage.weights='{a:0.5,b:0.5}'",
    ),
    ("finetune inputs.model=zzzz", "inputs.model", "inputs.model=model"),
    ("finetune inputs.model=modle", "inputs.model", "inputs.model=model"),
    ("finetune inputs.model=file", "inputs.model", "inputs.model=model"),
    ("pretrain data=corpus", "data.sources", "+data.sources.NAME=FILE"),
    ("lifecycle lifecycle={a:1}", "lifecycle", "lifecycle='[pretrain,"),
    ("lifecycle recipes@align=pretrain", "align.inputs.model", "~align.inputs.model"),
]


def refusal(words: str) -> ConfigError | None:
    recipe, *overrides = shlex.split(words) if "'" in words else words.split()
    try:
        check(compose(locate(recipe), overrides))
    except ConfigError as error:
        return error
    return None


@pytest.mark.parametrize(("words", "key", "remedy"), WRONG)
def test_a_mistake_is_answered_with_what_to_type(here: Path, words: str, key: str, remedy: str) -> None:
    seeming_model(here / "model")
    (here / "file").write_text("x")
    error = refusal(words)
    assert error is not None
    assert (error.key, error.remedy[: len(remedy)]) == (key, remedy)
    typed = ("check", *words.split())
    ways = mended(Mistake("", typed, len(typed) - 1), error.remedy)
    assert any((left := refusal(shlex.join(way.words[1:]))) is None or left.key != key for way in ways)
