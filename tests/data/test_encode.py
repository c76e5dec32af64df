"""Encoders and packing."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.data.chat import IGNORE, encode_document
from llmcycle.data.encode import Completion, Packed, Preference, Prompts
from llmcycle.data.padding import pad


def test_pad_fills_on_either_side() -> None:
    assert pad([[1, 2], [3]], 0).tolist() == [[1, 2], [3, 0]]
    assert pad([[1, 2], [3]], 0, left=True).tolist() == [[1, 2], [0, 3]]


def test_a_packed_row_is_read_as_its_documents_alone(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = [{"text": text} for text in ("red", "a blue chair", "x", "oak and steel")]
    encoder = Packed(32)
    examples = encoder.encode(rows, tokenizer)
    assert len(examples) < len(rows)
    batch = encoder.collate(examples, tokenizer.pad_token_id)
    together = model(**batch, use_cache=False).loss
    total, tokens = 0.0, 0
    for row in rows:
        ids = torch.tensor([encode_document(tokenizer, row["text"])])
        total += model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert together.item() == pytest.approx(total / tokens, rel=1e-5)


def test_completion_batches(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Completion(50)
    examples = encoder.encode([{"prompt": "ab", "completion": "c"}, {"prompt": "a", "completion": ""}], tokenizer)
    batch = encoder.collate(examples, tokenizer.pad_token_id)
    c, end = tokenizer("c")["input_ids"][0], tokenizer.eos_token_id
    assert batch["labels"].tolist() == [[IGNORE, IGNORE, c, end], [IGNORE, end, IGNORE, IGNORE]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["input_ids"][1, 2:].tolist() == [tokenizer.pad_token_id] * 2


def test_preference_batches_hold_the_chosen_answers_first(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Preference(50)
    rows = [{"prompt": "ab", "chosen": "c", "rejected": "dd"}, {"prompt": "a", "chosen": "x", "rejected": "y"}]
    batch = encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id)
    texts = [tokenizer.decode(ids[ids != tokenizer.pad_token_id]) for ids in batch["input_ids"]]
    end = tokenizer.eos_token
    assert texts == [f"abc{end}", f"ax{end}", f"abdd{end}", f"ay{end}"]
    assert (batch["labels"] != IGNORE).sum(1).tolist() == [2, 2, 3, 2]


def test_prompts_keep_their_end_and_say_which_row_they_are(tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Prompts(3, truncation="keep_end")
    batch = encoder.collate(encoder.encode([{"prompt": "abcd"}, {"prompt": "x"}], tokenizer), tokenizer.pad_token_id)
    assert tokenizer.decode(batch["input_ids"][0]) == "bcd"
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert batch["index"].tolist() == [0, 1]


@pytest.mark.parametrize(
    "encoder", [Packed(8), Completion(8), Preference(8), Prompts(8)], ids=lambda e: type(e).__name__
)
def test_a_missing_column_is_named(encoder: Completion, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(
        ValueError, match=r"row 0 .* has no `(text|prompt)`; it has question.*data\.columns\.(text|prompt)="
    ):
        encoder.encode([{"question": "?"}], tokenizer)
