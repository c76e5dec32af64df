"""Answers with a label of their own: encoded, crossed with other prompts, and made from pairs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tiny_run import Rows
from transformers import PreTrainedTokenizerFast

from llmcycle.data.batches import Batches
from llmcycle.data.encode import Completion
from llmcycle.data.unpaired import Unpaired, UnpairedRows

ROWS = [
    {"prompt": "The lamp is ", "completion": "red", "label": True},
    {"prompt": "And its price? ", "completion": "25 or so", "label": False},
    {"prompt": "Tall? ", "completion": "no", "label": 1},
]
PAIRS = [{"prompt": f"{n}? ", "chosen": "yes", "rejected": "no", "kind": n} for n in range(3)]


def words(tokenizer: PreTrainedTokenizerFast, ids: Any) -> list[str]:
    return [tokenizer.decode(row).replace("<|pad|>", "") for row in ids]


def test_a_batch_is_one_of_completions_with_labels(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder, plain = Unpaired(64), Completion(64)
    batch = encoder.collate(encoder.encode(ROWS, tokenizer), tokenizer.pad_token_id)
    for name, tensor in plain.collate(plain.encode(ROWS, tokenizer), tokenizer.pad_token_id).items():
        assert batch[name].equal(tensor)
    assert batch["desirable"].tolist() == [True, False, True]


def test_prompts_are_crossed_with_the_completion_of_the_row_before(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Unpaired(64)
    batch = encoder.collate(encoder.encode(ROWS, tokenizer), tokenizer.pad_token_id)
    end = tokenizer.eos_token
    crossed = ["The lamp is no", "And its price? red", "Tall? 25 or so"]
    assert words(tokenizer, batch["mismatched_input_ids"]) == [text + end for text in crossed]
    crossed_rows = zip(batch["mismatched_input_ids"], batch["mismatched_labels"], strict=True)
    learnt = [ids[labels != -100] for ids, labels in crossed_rows]
    assert words(tokenizer, learnt) == [text + end for text in ("no", "red", "25 or so")]
    assert batch["mismatched_attention_mask"].sum(1).tolist() == [len(text) + 1 for text in crossed]


def test_a_crossed_row_is_no_longer_than_a_row_may_be(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [{"prompt": "a" * 30, "completion": "b", "label": True}, {"prompt": "c", "completion": "d" * 30, "label": 0}]
    encoder = Unpaired(32)
    batch = encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id)
    assert batch["mismatched_input_ids"].shape == (2, 32)


@pytest.mark.parametrize(
    ("label", "meaning"), [("True", True), ("0", False), (" false ", False), (1.0, None), ("", None)]
)
def test_a_label_is_true_or_false(tokenizer: PreTrainedTokenizerFast, label: object, meaning: bool | None) -> None:
    rows = [ROWS[0], {**ROWS[0], "label": label}]
    if meaning is None:
        with pytest.raises(
            ValueError, match=r"data: row 1 \(from 0\): its `label` is .*true or false.*data\.columns\.label"
        ):
            Unpaired(64).encode(rows, tokenizer)
    else:
        assert Unpaired(64).encode(rows, tokenizer)[1]["desirable"] is meaning


def test_a_missing_label_is_named_with_its_row(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [ROWS[0], {"prompt": "a", "completion": "b"}]
    with pytest.raises(ValueError, match=r"row 1 \(from 0\): it has no `label`; it has prompt, completion"):
        Unpaired(64).encode(rows, tokenizer)


def test_pairs_become_two_rows_each() -> None:
    rows = UnpairedRows({"seed": 0, "pairs": Rows(PAIRS[:2], PAIRS[2:])})
    assert rows.train == [
        {"prompt": f"{n}? ", "completion": text, "label": label, "kind": n, "source": "pairs"}
        for n in range(2)
        for text, label in (("yes", True), ("no", False))
    ]
    assert [row["label"] for row in rows.validation] == [True, False]
    assert rows.samples == ["2? "]
    twice = UnpairedRows({"a": Rows(PAIRS, []), "b": Rows(PAIRS, [])}, weights={"a": 2, "b": 0})
    assert [row["source"] for row in twice.train] == ["a"] * 12


def test_columns_are_foretold() -> None:
    assert UnpairedRows.rows_have({"pairs": ("prompt", "chosen", "rejected")})[-2:] == ("completion", "label")
    assert UnpairedRows.rows_have({"pairs": ("prompt", "completion")}) is None
    assert UnpairedRows.rows_have({"pairs": None}) is None
    assert UnpairedRows.rows_have({"seed": "${..seed}"}) == ("prompt", "completion", "label")


def test_rows_that_are_no_pairs_are_named() -> None:
    with pytest.raises(ValueError, match=r"data\.sources: row 0 \(from 0\): it has no `chosen`"):
        _ = UnpairedRows({"pairs": Rows(ROWS, [])}).train


def test_the_audit_holds_their_tokens_against_their_rows(tokenizer: PreTrainedTokenizerFast) -> None:
    def batches(rows: list[dict[str, Any]]) -> Batches:
        return Batches(SimpleNamespace(train=rows, validation=[]), Unpaired(64), tokenizer, 2, 2, seed=0)

    assert batches(ROWS).findings == ()
    with pytest.raises(ValueError, match="have an empty answer"):
        batches([*ROWS, {"prompt": "a", "completion": "", "label": True}])
    with pytest.raises(ValueError, match=r"longer than `encode\.max_length` allows"):
        batches([*ROWS, {"prompt": "a" * 99, "completion": "b", "label": True}])
