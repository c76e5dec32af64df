"""The options of a learner change what a step costs, not what it computes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from learners import learner
from torch import Tensor
from transformers import (
    BertConfig,
    BertForMaskedLM,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from llmcycle.data.encode import Packed
from llmcycle.data.masked import Masked
from llmcycle.pretrain import MaskedToken, NextToken

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
ROWS = [{"text": "the quick brown fox jumps"[: 5 + 2 * i]} for i in range(10)]


def llama(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaForCausalLM.config_class(vocab_size=len(tokenizer), initializer_range=0.3, **SIZES)
    return LlamaForCausalLM(config)


def mixtral(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    torch.manual_seed(0)
    experts = {"num_local_experts": 4, "num_key_value_heads": 2}
    return MixtralForCausalLM(MixtralConfig(vocab_size=len(tokenizer), router_aux_loss_coef=0.5, **SIZES, **experts))


def bert(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    torch.manual_seed(0)
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **SIZES, **off))


@pytest.fixture
def tokenizer(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    tokenizer.add_special_tokens({"mask_token": "<|mask|>"})
    return tokenizer


Build = Callable[[PreTrainedTokenizerFast], PreTrainedModel]


def step(build: Build, tokenizer: PreTrainedTokenizerFast, count: float | None = None, **options: Any) -> list[Tensor]:
    """The loss, and the gradient of every parameter."""
    cls, encode = (MaskedToken, Masked(48, rate=0.3)) if build is bert else (NextToken, Packed(48))
    module = learner(build(tokenizer), cls(options.pop("z_loss", 0.0)), **options)
    batch = encode.collate(encode.encode(ROWS, tokenizer), 0)
    if count is not None:
        batch["num_items_in_batch"] = torch.tensor(count)
    module.train()
    loss, _ = module.loss(batch)
    loss.backward()
    return [loss.detach(), *(p.grad for p in module.parameters())]


def assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    for ours, plain in zip(found, expected, strict=True):
        assert (ours - plain).abs().max() <= 1e-5 * max(1, plain.abs().max())


@pytest.mark.parametrize("build", [llama, mixtral, bert])
@pytest.mark.parametrize(
    "options",
    [
        {"loss_chunk": 16},
        {"gradient_checkpointing": True},
        {"gradient_checkpointing": True, "loss_chunk": 16, "z_loss": 1e-30},
    ],
    ids=["chunk", "checkpointing", "all"],
)
def test_the_step_is_the_plain_one(build: Build, options: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> None:
    assert_equal(step(build, tokenizer, **options), step(build, tokenizer))


def test_the_masked_loss_is_transformers(tokenizer: PreTrainedTokenizerFast) -> None:
    model = bert(tokenizer).eval()
    module = learner(model, MaskedToken())
    encode = Masked(48, rate=0.3)
    batch = encode.collate(encode.encode([{"text": "the quick brown fox"}], tokenizer), 0)
    theirs = model(input_ids=batch["input_ids"], labels=batch["labels"]).loss
    assert module.loss(batch)[0].item() == pytest.approx(theirs.item(), rel=1e-6)
    batch["num_items_in_batch"] = 2 * (batch["labels"] >= 0).sum()
    assert module.loss(batch)[0].item() == pytest.approx(theirs.item() / 2, rel=1e-6)


def test_a_given_count_divides_the_loss_on_either_path(tokenizer: PreTrainedTokenizerFast) -> None:
    plain = step(llama, tokenizer)
    for options in ({}, {"loss_chunk": 16}):
        halved = step(llama, tokenizer, count=2 * labels(tokenizer), **options)
        assert_equal([2 * value for value in halved], plain)


def labels(tokenizer: PreTrainedTokenizerFast) -> float:
    return float(sum(len(tokenizer(row["text"])["input_ids"]) + 1 for row in ROWS))


def test_the_z_loss_adds_to_the_loss_and_is_logged_apart(model: LlamaForCausalLM) -> None:
    module = learner(model, NextToken(z_loss=0.5))
    ids = torch.arange(20).reshape(2, 10)
    batch = {"input_ids": ids, "labels": ids, "position_ids": torch.arange(10).expand(2, 10)}
    loss, values = module.loss(batch)
    logits = model(input_ids=ids).logits[:, :-1]
    assert values["nats"].item() == pytest.approx(model(input_ids=ids, labels=ids).loss.item(), rel=1e-5)
    expected = values["nats"] + 0.5 * logits.logsumexp(-1).square().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_experts_are_balanced_while_training_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    model = mixtral(tokenizer)
    ids = torch.arange(20).reshape(2, 10)
    module = learner(model, NextToken())
    found, _ = module.loss({"input_ids": ids, "labels": ids})
    output = model(input_ids=ids, labels=ids, output_router_logits=True)
    assert found.item() == pytest.approx(output.loss.item(), rel=1e-6)
    assert output.aux_loss > 0
    assert model(input_ids=ids, labels=ids).loss < found
    assert model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=3).shape == (2, 13)


def test_an_empty_chunk_is_refused(model: LlamaForCausalLM) -> None:
    with pytest.raises(ValueError, match=r"module\.loss_chunk=0"):
        learner(model, NextToken(), loss_chunk=0)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"loss_chunk": 16, "gradient_checkpointing": True}], ids=["alone", "all"])
def test_a_compiled_step_is_the_plain_one(
    options: dict[str, Any], tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The default backend gives the same, after a minute of compiling.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    assert_equal(step(llama, tokenizer, compile=True, **options), step(llama, tokenizer))
