"""Rows of several lengths: in which batches they go, and that each result comes back to its row."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.engine import TransformersEngine
from llmcycle.engine.batching import batches, in_batches, padded

LENGTHS = [3, 1, 4, 1, 5, 4, 2, 4]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[4, 2, 5], [7, 0, 6], [1, 3]]),
        ({"ragged": False}, [[4], [2, 5, 7], [0], [6], [1, 3]]),
        ({"max_tokens": 9}, [[4], [2, 5], [7, 0], [6, 1, 3]]),
        ({"max_tokens": 1}, [[4], [2], [5], [7], [0], [6], [1], [3]]),
    ],
)
def test_longest_first_in_bounds(options: dict[str, int], expected: list[list[int]]) -> None:
    assert list(batches(LENGTHS, 3, **options)) == expected


def test_results_come_back_in_order() -> None:
    rows = ["x" * length for length in LENGTHS]
    assert in_batches(rows, lambda batch: [len(row) for row in batch], len, 3) == LENGTHS
    assert in_batches([], lambda batch: batch, len, 3) == []


def test_padding_on_either_side() -> None:
    assert padded([[1, 2], [3]], 9)["input_ids"].tolist() == [[1, 2], [3, 9]]
    assert padded([[1, 2], [3]], 9, left=True)["attention_mask"].tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_scores_do_not_depend_on_the_batch(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine, batch_size: int
) -> None:
    ids = [tokenizer("The Alder lamp is red."[: 4 + 3 * i])["input_ids"] for i in range(6)]
    sequences = [(row, row) for row in ids]
    expected = engine.score(sequences)
    scores = TransformersEngine(model, tokenizer, batch_size).score(sequences)
    assert [len(row) for row in scores] == [len(row) - 1 for row in ids]
    assert all(torch.allclose(*pair, atol=1e-5) for pair in zip(scores, expected, strict=True))
