"""The report of a tokenizer, counted by hand."""

from __future__ import annotations

import pytest

from llmcycle.pretrain import ByteLevelBPE
from llmcycle.pretrain.tokenizer import Characters, WordPiece
from llmcycle.pretrain.tokenizer_report import report

TEXTS = ["ab ba", "é b"]


def test_the_facts_of_characters() -> None:
    facts = report(Characters(20).train(["ab é"]), [*TEXTS, "x"])
    assert facts["bytes_per_token"].value == pytest.approx((5 + 4 + 1) / (5 + 3 + 1))
    low, high = facts["bytes_per_token"].interval
    assert low < facts["bytes_per_token"].value < high
    assert facts["round_trip_exact"].value == pytest.approx(2 / 3)
    assert facts["unknown_tokens"].value == pytest.approx(1 / 9)
    assert facts["vocabulary_size"].value == 10
    assert facts["vocabulary_used"].value == pytest.approx(5 / 10)  # a, b, blank, é and unknown


def test_bytes_come_back_exactly_and_a_reference_stands_beside() -> None:
    words = WordPiece(40).train(["ab ba"] * 9)
    facts = report(ByteLevelBPE(261).train(["x"]), [*TEXTS, " x\n"], reference=words)
    assert facts["round_trip_exact"].value == 1
    assert facts["unknown_tokens"].value == 0
    assert facts["reference_round_trip_exact"].value < 1
    assert facts["reference_unknown_tokens"].value > 0
    assert facts["reference_bytes_per_token"].value > facts["bytes_per_token"].value
    alone = report(words, [*TEXTS, " x\n"])
    assert {f"reference_{name}": value for name, value in alone.items()}.items() <= facts.items()


def test_nothing_to_look_at_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no text"):
        report(Characters(20).train(["a"]), [""])
