"""Every recipe that trains goes on exactly: interrupted in the middle of a batch, with random states disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import save_chatting
from pytorch_lightning import seed_everything
from tiny_run import StopAfter, Stopped, disturb, same

from llmcycle.align import scorer
from llmcycle.building import build
from llmcycle.config import compose, locate
from llmcycle.config.stages import Stage
from llmcycle.data.chat import MARKER_TEMPLATE
from llmcycle.train import Learner
from llmcycle.train.fit import prepare, train

STEPS = 8
ANSWERS = ["data.count=30", "batches.batch_size=2", "objective.sampling.max_new_tokens=6"]
FAST = ("pretrain_mlm", "align peft=lora", "rlvr objective.updates=3")
SMALL = {
    "pretrain": ["data.count=100", "model.config.hidden_size=32", "model.config.num_hidden_layers=1"],
    "pretrain_mlm": ["data.count=100", "model.config.hidden_size=32", "model.config.num_hidden_layers=1"],
    "finetune": ["inputs.model=base", "world.products=6", "encode.max_length=160"],
    "finetune peft=none": ["inputs.model=base", "world.products=6", "encode.max_length=160"],
    "reward": ["inputs.model=base", "world.products=6", "encode.truncation=drop"],
    "align": ["inputs.model=base", "world.products=6", "encode.truncation=drop"],
    "align peft=lora": ["inputs.model=base", "world.products=6", "encode.truncation=drop"],
    "rlvr": ["inputs.model=base", *ANSWERS],
    "rlvr objective.updates=3": ["inputs.model=base", *ANSWERS],
    "reinforce": ["inputs.model=base", "inputs.reward=scorer", *ANSWERS],
}


def lay_out(folder: Path) -> None:
    """A policy and a reward model, both random."""
    for place in (folder / "base", folder / "scorer"):
        save_chatting(place, MARKER_TEMPLATE)
    scorer(str(folder / "base")).save_pretrained(folder / "scorer")


def run(recipe: str, folder: Path, stop: int | None = None) -> Learner:
    """Train from the newest checkpoint in `folder`, or stop in the middle of batch `stop`."""
    name, *swaps = recipe.split()
    options = [f"trainer.max_steps={STEPS}", "callbacks.checkpoint.every_n_steps=2", "batches.batch_size=4"]
    root = compose(locate(name), [*options, *SMALL[recipe], *swaps])
    seed_everything(root.seed, verbose=False)
    stage: Any = build(Stage(root))
    parts: dict[str, Any] = stage.keywords
    parts["trainer"].callbacks += [] if stop is None else [StopAfter(stop)]
    found = prepare(parts["trainer"], folder, "auto")
    if found:
        disturb()
    train(parts["module"], parts["batches"], parts["trainer"], None, found)
    trained: Learner = parts["module"]
    return trained


def differing(recipe: str, folder: Path, points: Sequence[int]) -> list[int]:
    """The points of interruption after which losses or weights differ from those of the whole run."""
    whole = run(recipe, folder / "whole")
    assert len(set(whole.losses)) > 1
    found = []
    for point in points:
        with pytest.raises(Stopped):
            run(recipe, folder / str(point), point)
        found += [] if same(run(recipe, folder / str(point)), whole) else [point]
    return found


@pytest.mark.parametrize("recipe", [r if r in FAST else pytest.param(r, marks=pytest.mark.slow) for r in SMALL])
def test_it_goes_on_exactly(recipe: str, here: Path) -> None:
    lay_out(here)
    assert differing(recipe, here, points=(3, 6)) == []
