"""Packing: nothing lost, nothing overfilled, and each piece as if it were alone."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from llmcycle.data.chat import IGNORE
from llmcycle.data.encode import Completion, Preference, split
from llmcycle.data.loader import labelled
from llmcycle.data.packing import apart, best_fit, collate_packed, fill, pack


@pytest.mark.parametrize("seed", range(20))
def test_packing_loses_no_token_and_overfills_no_row(seed: int) -> None:
    rng = Random(seed)
    documents = [[rng.randrange(1000) for _ in range(rng.randint(2, 40))] for _ in range(50)]
    length = rng.randint(4, 24)
    pieces = [piece for document in documents for piece in split(document, length)]
    rows = pack([{"input_ids": piece, "labels": piece} for piece in pieces], length)
    assert all(len(row["input_ids"]) <= length for row in rows)
    read = Counter(token for row in rows for token in row["input_ids"])
    assert read == Counter(token for piece in pieces for token in piece)
    predicted = Counter(label for row in rows for label in row["labels"] if label != IGNORE)
    assert predicted == Counter(token for document in documents for token in document[1:])
    assert fill(rows, length) == pytest.approx(sum(map(len, pieces)) / (len(rows) * length))


def test_packing_is_best_fit_decreasing() -> None:
    lengths = [3, 7, 2, 5, 4, 1]
    assert sorted(sorted(lengths[i] for i in row) for row in best_fit(lengths, 8)) == [[1, 7], [2, 4], [3, 5]]


def test_what_is_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a row of 9 tokens fits into none of encode.max_length=8"):
        best_fit([3, 9], 8)


@pytest.mark.parametrize("seed", range(5))
def test_what_was_packed_comes_apart_again(seed: int) -> None:
    rng = Random(seed)
    examples = []
    for index in range(30):
        prompt, answer = ([rng.randrange(1, 99) for _ in range(rng.randint(1, 9))] for _ in range(2))
        examples.append({"input_ids": prompt + answer, "labels": [IGNORE] * len(prompt) + answer, "index": index})
    batch = collate_packed(pack(examples, 24), pad_token_id=0)
    single = apart(batch)
    found = Counter(
        (tuple(ids[mask > 0].tolist()), tuple(labels[mask > 0].tolist()))
        for ids, mask, labels in zip(*single.values(), strict=True)
        if (labels >= 0).any()
    )
    assert found == Counter((tuple(e["input_ids"]), tuple(e["labels"])) for e in examples)


def test_labels_are_counted_as_they_were_apart(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [{"prompt": "a" * n, "completion": "b" * (12 - n)} for n in range(1, 12)]
    encoder = Completion(40)
    examples = encoder.encode(rows, tokenizer)
    assert sum(map(labelled, pack(examples, 40))) == sum(map(labelled, examples))


def test_a_first_token_that_is_an_answer_is_predicted_by_nothing() -> None:
    rows = pack([{"input_ids": [5, 6], "labels": [5, 6]}, {"input_ids": [7, 8], "labels": [7, 8]}], 4)
    assert rows[0]["labels"] == [IGNORE, 6, IGNORE, 8]
    assert torch.equal(collate_packed(rows, 0)["position_ids"], torch.tensor([[0, 1, 0, 1]]))


def test_pairs_are_not_packed(tokenizer: PreTrainedTokenizerFast) -> None:
    pairs = Preference(40).encode([{"prompt": "a", "chosen": "b", "rejected": "c"}], tokenizer)
    with pytest.raises(ValueError, match=r"batches\.pack"):
        pack(pairs, 40)
