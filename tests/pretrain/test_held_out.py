"""Loss on held-out documents."""

from __future__ import annotations

from math import log

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.data.chat import encode_document
from llmcycle.pretrain import HeldOut

TEXTS = ["red", "a chair of oak", "né"]


def nats(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, text: str) -> tuple[float, int]:
    """transformers' own loss, one document at a time."""
    ids = torch.tensor([encode_document(tokenizer, text)])
    with torch.no_grad():
        return model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1), ids.shape[1] - 1


def test_it_is_transformers_loss_over_whole_documents(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    parts = [nats(model, tokenizer, text) for text in TEXTS]
    total, tokens = (sum(values) for values in zip(*parts, strict=True))
    held_out = HeldOut(TEXTS, 64)
    scores = held_out(model, tokenizer)
    assert scores["held_out_loss"].mean == pytest.approx(total / tokens, rel=1e-5)
    assert scores["bits_per_byte"].mean == pytest.approx(total / log(2) / len("".join(TEXTS).encode()), rel=1e-5)
    assert "loss_over_entropy" not in scores
    assert held_out.tokens(tokenizer) == tokens


def test_the_ratio_to_the_entropy_is_that_of_the_sums(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    total = sum(nats(model, tokenizer, text)[0] for text in TEXTS)
    scores = HeldOut(TEXTS, 64, entropy=[1.0, 5.0, 4.0])(model, tokenizer)
    assert scores["loss_over_entropy"].mean == pytest.approx(total / 10, rel=1e-5)
    assert next(iter(scores)) == "loss_over_entropy"


def test_a_longer_document_is_scored_in_pieces_each_token_once(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    held_out = HeldOut(TEXTS, 4)
    scores = held_out(model, tokenizer)["held_out_loss"]
    assert sum(scores.weights) == held_out.tokens(tokenizer)
    assert scores.mean != HeldOut(TEXTS, 64)(model, tokenizer)["held_out_loss"].mean
