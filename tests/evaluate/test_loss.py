"""Held-out loss against the library's own loss, and against a model whose loss is known."""

from __future__ import annotations

from math import log, log2
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.data.chat import encode_prompt_completion
from llmcycle.engine import TransformersEngine
from llmcycle.evaluate.loss import HeldOutLoss

TEXTS = ["The Alder lamp's colour is red.", "Größe: 5", "x"]


def library_loss(model: LlamaForCausalLM, ids: list[int], labels: list[int]) -> float:
    with torch.no_grad():
        return float(model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss)


def test_documents(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine) -> None:
    rows = SimpleNamespace(validation=[{"text": text} for text in TEXTS])
    scores = HeldOutLoss(rows)(engine)
    end = tokenizer.eos_token_id
    documents = [[end, *tokenizer(text)["input_ids"], end] for text in TEXTS]
    expected = [library_loss(model, ids, ids) for ids in documents]
    assert scores["held_out_loss"].values == pytest.approx(expected, abs=1e-5)
    total = sum(loss * (len(ids) - 1) for loss, ids in zip(expected, documents, strict=True))
    assert scores["held_out_loss"].mean == pytest.approx(total / sum(len(ids) - 1 for ids in documents), abs=1e-5)
    assert scores["bits_per_byte"].mean == pytest.approx(total / log(2) / sum(len(t.encode()) for t in TEXTS), abs=1e-5)


def test_uniform_model(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine) -> None:
    model.lm_head.weight.data.zero_()
    scores = HeldOutLoss(SimpleNamespace(validation=[{"text": "abcdefg"}]))(engine)
    assert scores["held_out_loss"].mean == pytest.approx(log(len(tokenizer)), abs=1e-5)
    assert scores["bits_per_byte"].mean == pytest.approx(log2(len(tokenizer)) * 8 / 7, abs=1e-5)


def test_completions_only(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine
) -> None:
    rows = [
        {"prompt": "Colour?", "completion": " red", "answer": "r"},
        {"prompt": "Size?", "chosen": " tiny", "rejected": " x"},
    ]
    scores = HeldOutLoss(SimpleNamespace(validation=rows))(engine)
    encoded = [encode_prompt_completion(tokenizer, *pair, 99) for pair in (("Colour?", " red"), ("Size?", " tiny"))]
    expected = [library_loss(model, e["input_ids"], e["labels"]) for e in encoded]
    assert scores["held_out_loss"].values == pytest.approx(expected, abs=1e-5)
    assert scores["held_out_loss"].weights == [5, 6]
    assert scores["bits_per_byte"].weights == [4, 5]


def test_long_documents_are_scored_in_pieces(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine
) -> None:
    """Every token once: 10 bytes and the end token; of 5 tokens seen at once the first is only context."""
    scores = HeldOutLoss(SimpleNamespace(validation=[{"text": "abcdefghij"}]), max_length=5)(engine)
    end = tokenizer.eos_token_id
    ids = [end, *tokenizer("abcdefghij")["input_ids"], end]
    pieces = [ids[0:5], ids[4:9], ids[8:12]]
    total = sum(library_loss(model, piece, piece) * (len(piece) - 1) for piece in pieces)
    assert scores["held_out_loss"].weights == [11]
    assert scores["held_out_loss"].mean == pytest.approx(total / 11, abs=1e-5)
    assert scores["bits_per_byte"].mean == pytest.approx(total / log(2) / 10, abs=1e-5)


def test_long_completions_are_cut(engine: TransformersEngine) -> None:
    rows = SimpleNamespace(validation=[{"prompt": "ab", "completion": "cdefgh"}])
    scores = HeldOutLoss(rows, max_length=5)(engine)
    assert scores["held_out_loss"].weights == [3]
    assert scores["bits_per_byte"].weights == [3]


def test_prompt_that_fills_the_row_counts_nothing(engine: TransformersEngine) -> None:
    rows = [{"prompt": "x" * 20, "completion": "y"}, {"prompt": "x", "completion": "y"}]
    scores = HeldOutLoss(SimpleNamespace(validation=rows), max_length=10)(engine)
    assert scores["held_out_loss"].weights == [0, 2]
    assert scores["held_out_loss"].mean == scores["held_out_loss"].values[1]


def test_exact_entropy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine) -> None:
    model.lm_head.weight.data.zero_()
    rows = SimpleNamespace(
        validation=[{"text": "abc"}, {"text": "a"}], entropy=[2 * log(len(tokenizer)), log(len(tokenizer))]
    )
    scores = HeldOutLoss(rows)(engine)
    assert next(iter(scores)) == "loss_over_entropy"
    assert scores["loss_over_entropy"].mean == pytest.approx((4 + 2) / 3, abs=1e-5)
    assert scores["entropy"].mean == pytest.approx(3 * log(len(tokenizer)) / 6)
    assert scores["entropy"].better == "neutral"


def test_sources_are_scored_apart(engine: TransformersEngine) -> None:
    rows = [{"text": text, "source": source} for text, source in zip(TEXTS, "aab", strict=True)]
    scores = HeldOutLoss(SimpleNamespace(validation=rows))(engine)
    (alone,) = HeldOutLoss(SimpleNamespace(validation=rows[2:]))(engine)["bits_per_byte"].values
    assert list(scores) == ["held_out_loss", "bits_per_byte", "bits_per_byte/a", "bits_per_byte/b"]
    assert scores["bits_per_byte/b"].values == pytest.approx([alone])
    assert scores["bits_per_byte/a"].weights == [float(len(text.encode())) for text in TEXTS[:2]]
