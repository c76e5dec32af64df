"""Every recipe that trains goes on exactly: interrupted in a batch, or after a step, with random states disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import save_chatting
from pytorch_lightning import Callback, seed_everything
from tiny_run import StopAfter, Stopped, disturb, same

from llmcycle.align import scorer
from llmcycle.building import build
from llmcycle.config import compose, locate
from llmcycle.config.stages import Stage
from llmcycle.data.chat import MARKER_TEMPLATE
from llmcycle.data.storefront import LookUp
from llmcycle.train import Learner, checkpoint_folder
from llmcycle.train.fit import prepare, train

STEPS = 8
ANSWERS = ["world.products=6", "data.count=30", "batches.batch_size=2", "objective.sampling.max_new_tokens=6"]
PAIRS = ["inputs.model=base", "world.products=6", "encode.truncation=drop"]
LOOKING_UP = "rlvr +environment@objective.environment=look_up"
FAST = ("pretrain_mlm", "align peft=lora", "kto loss=bco", "ppo")
SMALL = {
    "pretrain": ["data.count=100", "model.config.hidden_size=32", "model.config.num_hidden_layers=1"],
    "pretrain_mlm": ["data.count=100", "model.config.hidden_size=32", "model.config.num_hidden_layers=1"],
    "finetune": ["inputs.model=base", "world.products=6", "encode.max_length=160"],
    "finetune peft=none": ["inputs.model=base", "world.products=6", "encode.max_length=160"],
    "reward": PAIRS,
    "rating": PAIRS,
    "process_reward": ["inputs.model=base", "world.products=6", "encode.max_length=384"],
    "align": PAIRS,
    "align peft=lora": PAIRS,
    "align objective.reference=stored": PAIRS,
    "align objective.share_prompts=true": PAIRS,
    "align loss=simpo": PAIRS,
    "kto": PAIRS,
    "kto loss=bco": PAIRS,
    "kto loss=bco objective.reference=stored": PAIRS,
    "rlvr": ["inputs.model=base", *ANSWERS],
    "rlvr objective.updates=3": ["inputs.model=base", *ANSWERS],
    "rlvr loss=dapo objective.updates=4 objective.minibatches=2 objective.sampling.rounds=2": [
        "inputs.model=base",
        *ANSWERS,
    ],
    f"{LOOKING_UP} objective.updates=3": ["inputs.model=base", *ANSWERS, "objective.sampling.max_new_tokens=24"],
    "reinforce": ["inputs.model=base", "inputs.reward=scorer", *ANSWERS],
    "online_dpo objective.updates=2": ["inputs.model=base", "inputs.reward=scorer", *ANSWERS],
    "ppo": ["inputs.model=base", "inputs.reward=scorer", "loss.kl_target=1.0", *ANSWERS],
}
POINTS = (1, 2, 4, 5, 7)  # steps: before, in the middle of and after answers that several steps learn from


def lay_out(folder: Path) -> None:
    """A policy and a reward model, both random."""
    for place in (folder / "base", folder / "scorer"):
        save_chatting(place, MARKER_TEMPLATE)
    scorer(str(folder / "base")).save_pretrained(folder / "scorer")


def run(recipe: str, folder: Path, *more: str, resume: str = "auto", watching: Sequence[Callback] = ()) -> Learner:
    """Train, from the newest checkpoint in `folder` or from another one.

    Args:
        more: overrides.
        watching: callbacks beside the recipe's own.
    """
    name, *swaps = recipe.split()
    options = [f"trainer.max_steps={STEPS}", "callbacks.checkpoint.every_n_steps=2", "batches.batch_size=4"]
    root = compose(locate(name), [*options, *SMALL[recipe], *swaps, *more])
    seed_everything(root.seed, verbose=False)
    stage: Any = build(Stage(root))
    parts: dict[str, Any] = stage.keywords
    parts["trainer"].callbacks += watching
    found = prepare(parts["trainer"], folder, resume)
    if found:
        disturb()
    train(parts["module"], parts["batches"], parts["trainer"], None, found)
    trained: Learner = parts["module"]
    return trained


def differing(recipe: str, folder: Path, points: Sequence[int]) -> list[int]:
    """The batches after an interruption in which losses or weights differ from those of the whole run."""
    whole = run(recipe, folder / "whole")
    assert len(set(whole.losses)) > 1
    found = []
    for point in points:
        with pytest.raises(Stopped):
            run(recipe, folder / str(point), watching=[StopAfter(point)])
        found += [] if same(run(recipe, folder / str(point)), whole) else [point]
    return found


def differing_from(recipe: str, folder: Path, points: Sequence[int]) -> list[int]:
    """The steps of the whole run of which the checkpoint leads to other losses or weights; half as long to find."""
    every, keep = "callbacks.checkpoint.every_n_steps={}", f"callbacks.checkpoint.keep={STEPS}"
    whole = run(recipe, folder / "whole", every.format(1), keep)
    assert len(set(whole.losses)) > 1
    saved = {point: str(checkpoint_folder.place(folder / "whole", point)) for point in points}
    return [
        point
        for point, place in saved.items()
        if not same(run(recipe, folder / str(point), every.format(STEPS), resume=place), whole)
    ]


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the catalogue is asked, which answers all: a random policy would never admit that it does not know."""
    asked: list[str] = []

    def step(self: LookUp, answer: str) -> str:
        asked.append(answer)
        return f"The catalogue says: {self.row['answer']}"

    monkeypatch.setattr(LookUp, "step", step)
    return asked


@pytest.mark.parametrize("recipe", FAST)
def test_it_goes_on_exactly(recipe: str, here: Path) -> None:
    lay_out(here)
    assert differing(recipe, here, points=(3, 6)) == []


@pytest.mark.slow
@pytest.mark.parametrize("recipe", SMALL)
def test_it_goes_on_exactly_from_five_steps(recipe: str, here: Path, said: list[str]) -> None:
    lay_out(here)
    assert differing_from(recipe, here, POINTS) == []
    assert bool(said) == recipe.startswith(LOOKING_UP)
