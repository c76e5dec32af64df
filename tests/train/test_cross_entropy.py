"""The chunked loss is the plain one: value and gradients, beside transformers' and torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForMaskedLM, Gemma2Config, Gemma2ForCausalLM, LlamaForCausalLM

from llmcycle.train.cross_entropy import head_cross_entropy, without_head


def given(bias: bool = False) -> tuple[Tensor, nn.Linear, Tensor]:
    torch.manual_seed(0)
    hidden = torch.randn(70, 16, requires_grad=True)
    labels = torch.randint(0, 50, (70,)).masked_fill(torch.rand(70) < 0.3, -100)
    return hidden, nn.Linear(16, 50, bias=bias), labels


def gradients(loss: Tensor, *wanted: Tensor | None) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [w for w in wanted if w is not None]))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("chunk", [None, 1, 7, 1000])
def test_value_and_gradients_are_those_of_the_plain_loss(chunk: int | None, bias: bool) -> None:
    hidden, head, labels = given(bias)
    expected = cross_entropy(head(hidden), labels)
    found, _ = head_cross_entropy(hidden, head, labels, chunk)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    pairs = zip(*(gradients(loss, hidden, head.weight, head.bias) for loss in (found, expected)), strict=True)
    assert all((ours - plain).abs().max() < 1e-6 for ours, plain in pairs)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("chunk", [None, 7])
def test_the_z_loss_is_the_mean_squared_log_partition(chunk: int | None, bias: bool) -> None:
    hidden, head, labels = given(bias)
    logits = head(hidden)[labels >= 0]
    expected = cross_entropy(head(hidden), labels) + 0.1 * logits.exp().sum(-1).log().square().mean()
    found, nats = head_cross_entropy(hidden, head, labels, chunk, z_loss=0.1)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert nats.item() == pytest.approx(cross_entropy(head(hidden), labels).item(), rel=1e-6)
    pairs = zip(*(gradients(loss, hidden, head.weight, head.bias) for loss in (found, expected)), strict=True)
    assert all((ours - plain).abs().max() < 1e-6 for ours, plain in pairs)


@pytest.mark.parametrize("z_loss", [0.0, 0.1])
def test_under_autocast_it_is_the_plain_loss_to_bf16s_rounding(z_loss: float) -> None:
    hidden, head, labels = given()
    plain, _ = head_cross_entropy(hidden, head, labels, z_loss=z_loss)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = head_cross_entropy(hidden.bfloat16(), head, labels, 7, z_loss)
    assert found.item() == pytest.approx(plain.item(), rel=1e-2)
    (ours, wanted) = (gradients(loss, head.weight)[0] for loss in (found, plain))
    assert ours.dtype == torch.float32
    assert (ours - wanted).norm() < 2e-2 * wanted.norm()


def test_sums_are_divided_by_a_given_count() -> None:
    hidden, head, labels = given()
    mean, _ = head_cross_entropy(hidden, head, labels, 7)
    half, _ = head_cross_entropy(hidden, head, labels, 7, count=torch.tensor(2.0 * (labels >= 0).sum()))
    assert half.item() == pytest.approx(mean.item() / 2)


@pytest.mark.parametrize("z_loss", [0.0, 0.1])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_validation_needs_no_gradient(mode: Any, z_loss: float) -> None:
    hidden, head, labels = given()
    wanted, _ = head_cross_entropy(hidden, head, labels, 7, z_loss)
    with mode():
        found, _ = head_cross_entropy(hidden, head, labels, 7, z_loss)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)
    assert not found.requires_grad


def test_a_batch_without_labels_has_no_loss_and_no_gradient() -> None:
    hidden, head, labels = given()
    for chunk in (None, 7):
        loss, _ = head_cross_entropy(hidden, head, torch.full_like(labels, -100), chunk)
        assert loss == 0
        assert gradients(loss, hidden)[0].abs().max() == 0


def bert() -> BertForMaskedLM:
    config = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return BertForMaskedLM(BertConfig(vocab_size=50, **config)).eval()


@pytest.mark.parametrize("build", [None, bert], ids=["llama", "bert"])
def test_the_body_gives_what_the_head_would_have_been_given(build: Any, model: LlamaForCausalLM) -> None:
    model = build() if build else model
    ids = torch.arange(6)[None]
    expected = model(input_ids=ids).logits
    with without_head(model) as head:
        hidden = model(input_ids=ids).logits
    assert torch.equal(head(hidden), expected)
    assert torch.equal(model(input_ids=ids).logits, expected), "and the head is back"


def test_a_capped_head_is_refused() -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = Gemma2ForCausalLM(Gemma2Config(vocab_size=50, num_key_value_heads=1, head_dim=8, **sizes))
    with pytest.raises(ValueError, match=r"module\.loss_chunk"), without_head(model):
        pass
