"""Encoders of pairs with margins, of ratings and of steps: shapes, places and refusals."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from llmcycle.data.chat import encode_prompt, encode_prompt_completion
from llmcycle.data.encode import Preference
from llmcycle.data.rated import PreferenceMargin, Rated
from llmcycle.data.steps import Steps

PAIRS = [
    {"prompt": "Lamp? ", "chosen": "It is blue.", "rejected": "Hurry!", "margin": "1.5"},
    {"prompt": "Chair? ", "chosen": "oak", "rejected": "15"},
    {"prompt": "Vase? ", "chosen": "tall", "rejected": "wide", "margin": None},
]
ANSWERS = [
    {"prompt": "Lamp? ", "steps": ["It is blue.", "It is tall."], "labels": [True, False]},
    {"prompt": "Chair? ", "steps": ["oak"], "labels": [-1]},
]


def test_margins_come_with_their_pairs(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder, plain = PreferenceMargin(64), Preference(64)
    batch = encoder.collate(encoder.encode(PAIRS, tokenizer), 0)
    assert batch.pop("margin").tolist() == [1.5, 0.0, 0.0]
    expected = plain.collate(plain.encode(PAIRS, tokenizer), 0)
    assert batch.keys() == expected.keys()
    assert all(torch.equal(batch[name], expected[name]) for name in batch)


def test_margins_stay_with_their_rows_when_others_are_dropped(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [{**PAIRS[0], "chosen": "x" * 80}, {**PAIRS[1], "margin": 2}]
    (example,) = PreferenceMargin(40, truncation="drop").encode(rows, tokenizer)
    assert (example["index"], example["margin"]) == (1, 2.0)


def test_ratings_come_with_their_answers(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [
        {"prompt": "Lamp? ", "completion": "It is blue.", "rating": "4"},
        {"prompt": "a", "completion": "", "rating": 1},
    ]
    encoder = Rated(64)
    batch = encoder.collate(encoder.encode(rows, tokenizer), 0)
    assert batch["rating"].tolist() == [4.0, 1.0]
    ids = encode_prompt_completion(tokenizer, "Lamp? ", "It is blue.")["input_ids"]
    assert batch["input_ids"][0].tolist() == ids
    assert batch["attention_mask"].sum(1).tolist()[0] == len(ids)


@pytest.mark.parametrize("value", ["good", float("nan"), "inf", [1]])
def test_what_is_no_number_is_refused_with_its_row(value: object, tokenizer: PreTrainedTokenizerFast) -> None:
    row = {"prompt": "a", "completion": "b", "rating": value}
    with pytest.raises(ValueError, match=r"row 0 \(from 0\): its `rating` is .*a finite number is needed"):
        Rated(64).encode([row], tokenizer)
    with pytest.raises(ValueError, match=r"its `margin` is"):
        PreferenceMargin(64).encode([{**PAIRS[0], "margin": value}], tokenizer)


def test_a_step_is_read_at_its_last_token(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Steps(64)
    first, second = encoder.encode(ANSWERS, tokenizer)
    text = tokenizer.decode(first["input_ids"])
    assert text.endswith("Lamp? It is blue.\nIt is tall.\n")
    start = len(encode_prompt(tokenizer, "Lamp? "))
    assert first["places"] == [start + len("It is blue.\n") - 1, len(first["input_ids"]) - 1]  # a token a byte
    batch = encoder.collate([first, second], 0)
    assert batch["step_labels"].shape == batch["input_ids"].shape == batch["attention_mask"].shape
    at = batch["step_labels"] != -100
    assert batch["step_labels"][at].tolist() == [1, 0, 0]
    assert at.nonzero().tolist() == [[0, place] for place in first["places"]] + [[1, second["places"][0]]]


def test_steps_without_a_label_each_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="it has 1 steps and 2 labels"):
        Steps(64).encode([{"prompt": "a", "steps": ["b"], "labels": [1, 0]}], tokenizer)
    with pytest.raises(ValueError, match="a label is 'perhaps'"):
        Steps(64).encode([{"prompt": "a", "steps": ["b"], "labels": ["perhaps"]}], tokenizer)
    with pytest.raises(ValueError, match=r"a step is empty.*encode\.separator"):
        Steps(64, separator="").encode([{"prompt": "a", "steps": [""], "labels": [1]}], tokenizer)


def test_an_answer_is_not_cut_between_its_steps(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="truncation: keep_end cuts an answer between its steps"):
        Steps(64, truncation="keep_end")
    assert len(Steps(16, truncation="drop").encode(ANSWERS, tokenizer)) == 1
