"""Hidden tokens: how many, which, by what; the same ones whenever and wherever a row is collated."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from llmcycle.data.encode import Example
from llmcycle.data.loader import Order, TrainingLoader
from llmcycle.data.masked import Masked

ROWS = [{"text": "the quick brown fox jumps over"[: 8 + i % 20]} for i in range(60)]


@pytest.fixture
def tokenizer(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    tokenizer.add_special_tokens({"mask_token": "<|mask|>"})
    return tokenizer


def encoded(tokenizer: PreTrainedTokenizerFast, **options: Any) -> tuple[Masked, list[Example]]:
    encode = Masked(64, **options)
    return encode, encode.encode(ROWS, tokenizer)


@pytest.mark.parametrize("rate", [0.15, 0.3])
def test_exactly_the_rate_is_predicted_and_never_a_special_token(
    rate: float, tokenizer: PreTrainedTokenizerFast
) -> None:
    encode, examples = encoded(tokenizer, rate=rate)
    for example in examples:
        _, labels = encode.hide(example)
        predicted = [place for place, label in enumerate(labels) if label != -100]
        assert len(predicted) == round(rate * len(example["hideable"])) == example["labelled"]
        assert all(labels[place] == example["input_ids"][place] for place in predicted)
        assert not {labels[place] for place in predicted} & set(tokenizer.all_special_ids)


def test_four_fifths_are_masked_a_tenth_is_random_and_a_tenth_stays(tokenizer: PreTrainedTokenizerFast) -> None:
    encode, examples = encoded(tokenizer, rate=0.3)
    counts = {"mask": 0, "other": 0, "same": 0}
    for epoch in range(30):
        for example in examples:
            ids, labels = encode.hide({**example, "epoch": epoch})
            for token, label, was in zip(ids, labels, example["input_ids"], strict=True):
                if label == -100:
                    assert token == was, "what is not predicted is not touched"
                else:
                    kind = "mask" if token == tokenizer.mask_token_id else "same" if token == was else "other"
                    counts[kind] += 1
    total = sum(counts.values())
    sigma = (0.8 * 0.2 / total) ** 0.5
    assert total > 5000
    assert counts["mask"] / total == pytest.approx(0.8, abs=5 * sigma)
    assert counts["same"] / total == pytest.approx(0.1, abs=5 * sigma)  # and 1 in 262 of the random ones
    assert counts["other"] / total == pytest.approx(0.1, abs=5 * sigma)


def test_epochs_rows_and_seeds_hide_different_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    encode, examples = encoded(tokenizer, rate=0.3)
    other, _ = encoded(tokenizer, rate=0.3, seed=1)
    example = examples[0]
    drawn = [
        encode.hide(example),
        encode.hide({**example, "epoch": 1}),
        encode.hide({**example, "index": 1}),
        other.hide(example),
    ]
    assert len({tuple(ids) for ids, _ in drawn}) == 4
    assert encode.hide({**example, "epoch": 0}) == drawn[0], "scoring hides as the first epoch does"


def test_global_random_state_and_neighbours_change_nothing(tokenizer: PreTrainedTokenizerFast) -> None:
    encode, examples = encoded(tokenizer)
    batch = encode.collate(examples[:4], 0)
    random.seed(9)
    np.random.seed(9)
    torch.manual_seed(9)
    again = encode.collate(list(reversed(examples[:4])), 0)
    for name, values in batch.items():
        assert torch.equal(values, again[name].flip(0))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_hides_the_same_tokens(workers: int, tokenizer: PreTrainedTokenizerFast) -> None:
    encode, examples = encoded(tokenizer)

    def batches(position: int, count: int, workers: int) -> list[dict[str, Any]]:
        order = Order(len(examples), 4, seed=3)
        loader = iter(TrainingLoader(examples, lambda rows: encode.collate(rows, 0), order, position, workers=workers))
        return [next(loader) for _ in range(count)]

    straight = batches(0, 12, 0)  # beyond the first epoch
    torch.manual_seed(7)
    for was, now in zip(straight[5:], batches(5, 7, workers), strict=True):
        assert all(torch.equal(was[name], now[name]) for name in was)
    assert not torch.equal(straight[0]["input_ids"], straight[6]["input_ids"])


def test_parts_of_a_step_are_weighted_by_their_hidden_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    encode, examples = encoded(tokenizer)
    loader = iter(
        TrainingLoader(examples, lambda rows: encode.collate(rows, 0), Order(len(examples), 4, 3), accumulate=2)
    )
    parts = [next(loader) for _ in range(2)]
    hidden = sum((part["labels"] != -100).sum().item() for part in parts)
    assert [part["num_items_in_batch"].item() for part in parts] == [hidden / 2] * 2


def test_a_tokenizer_without_a_mask_token_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match=r"tokenizer\.mask=true"):
        Masked(8).encode(ROWS, tokenizer)


@pytest.mark.parametrize("shares", [{"rate": 0.0}, {"rate": 1.1}, {"masked": 0.9, "random": 0.2}])
def test_impossible_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at most 1"):
        Masked(8, **shares)
