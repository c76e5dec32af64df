"""Rows that a model has no room for are refused by name before anything is trained."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from llmcycle.train.room import refuse_rows, sequences


class Tokenizer:
    def convert_ids_to_tokens(self, number: int) -> str:
        return f"<{number}>"


def batches(rows: list[Any]) -> Any:
    return SimpleNamespace(train=rows, validation=[], tokenizer=Tokenizer())


MODEL = SimpleNamespace(
    config=SimpleNamespace(max_position_embeddings=4), get_input_embeddings=lambda: torch.nn.Embedding(10, 2)
)


def test_rows_that_fit_pass() -> None:
    refuse_rows(MODEL, batches([{"input_ids": [9, 0, 1, 2]}, {"input_ids": []}]))


def test_a_token_beyond_the_embeddings_is_named() -> None:
    with pytest.raises(ValueError, match=r"'<10>' as token 10, and the model has 10 embeddings"):
        refuse_rows(MODEL, batches([{"chosen": {"input_ids": [1]}, "rejected": {"input_ids": [10]}}]))


def test_a_row_beyond_the_context_is_named() -> None:
    with pytest.raises(ValueError, match="5 tokens, and the model can look at 4"):
        refuse_rows(MODEL, batches([[{"input_ids": [1]}, {"input_ids": [1] * 5}]]))


def test_virtual_tokens_take_their_place() -> None:
    adapter = SimpleNamespace(is_prompt_learning=True, num_virtual_tokens=3)
    model = SimpleNamespace(**vars(MODEL), active_peft_config=adapter)
    refuse_rows(model, batches([{"input_ids": [1]}]))
    with pytest.raises(ValueError, match=r"2 tokens behind 3 virtual ones.* set encode.max_length=1,"):
        refuse_rows(model, batches([{"input_ids": [1, 2]}]))


def test_a_streamed_corpus_is_not_read_for_it() -> None:
    refuse_rows(MODEL, batches(range(3)))  # type: ignore[arg-type]


def test_sequences_of_every_kind_of_row() -> None:
    pair = {"chosen": {"input_ids": [1]}, "rejected": {"input_ids": [2]}}
    assert list(sequences([pair, {"input_ids": [3], "labels": [3]}, [{"input_ids": [4]}]])) == [[1], [2], [3], [4]]
