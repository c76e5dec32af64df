"""What only a constructor refuses is refused by the check, by the one setting that it does not take."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from llmcycle.config import RecipeErrors, check, compose, locate

WRONG = [
    ("trainer.accelerator=zzz", "trainer.accelerator=auto"),
    ("trainer.devices=a", "trainer.devices=1"),
    ("+trainer.strategy=zzz", "trainer.strategy=auto"),
    ("trainer.precision=transformer-engine", "trainer.precision=32-true"),
]
ABSENT = [] if torch.cuda.is_available() else [("trainer.accelerator=gpu", "trainer.accelerator=auto")]


@pytest.mark.parametrize(("override", "remedy"), WRONG + ABSENT)
def test_a_trainer_that_can_not_be_built_is_refused(here: Path, override: str, remedy: str) -> None:
    with pytest.raises(RecipeErrors) as caught:
        check(compose(locate("pretrain"), [override]))
    (error,) = caught.value.errors
    assert (error.key, error.remedy) == (override.partition("=")[0].lstrip("+"), remedy)
    check(compose(locate("pretrain"), [override, error.remedy]))


def test_what_is_left_out_of_a_trial_changes_nothing(here: Path) -> None:
    before = torch.are_deterministic_algorithms_enabled()
    check(compose(locate("pretrain"), ["+trainer.deterministic=true", "+trainer.benchmark=true"]))
    assert torch.are_deterministic_algorithms_enabled() == before
