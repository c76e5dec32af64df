from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from llmcycle.data.samples import fixed, own
from llmcycle.data.storefront import Instructions, World, samples


@dataclass
class Rows:
    train: list[dict[str, Any]]
    validation: list[dict[str, Any]] = field(default_factory=list)


def test_the_prompts_of_validation_rows_come_first() -> None:
    rows = Rows([{"prompt": "seen"}], [{"prompt": f"q{i}"} for i in range(10)])
    assert own(rows, 3) == ["q0", "q1", "q2"]
    assert own(Rows(rows.train)) == ["seen"]


def test_a_text_is_begun() -> None:
    assert own(Rows([], [{"text": "to be, or not to be"}, {"text": ""}])) == ["to be, or not"]


def test_a_data_set_may_name_its_own() -> None:
    world = World()
    assert own(Instructions(world)) == samples(world)


def test_no_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match=r"samples\.prompts is empty"):
        fixed([])
