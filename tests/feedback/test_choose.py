"""Pairs by uncertainty: closed forms, and a last layer that is read as the model itself reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import byte_tokenizer
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForSequenceClassification

from llmcycle.engine.features import reward_features
from llmcycle.feedback.choose import (
    at_random,
    by_information,
    by_margin,
    fisher,
    information,
    laplace,
    prior_precision,
)
from llmcycle.feedback.items import Item
from llmcycle.feedback.uncertainty import chosen_pairs

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_labels": 1}


def scorer(folder: Path) -> Path:
    """A random reward model."""
    tokenizer = byte_tokenizer()
    config = LlamaConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, initializer_range=0.3, **SIZES)
    torch.manual_seed(0)
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_random_and_margin() -> None:
    assert sorted(at_random(5, 9, 0)) == [0, 1, 2, 3, 4]
    assert at_random(50, 5, 0) == at_random(50, 5, 0) != at_random(50, 5, 1)
    assert by_margin(np.array([3.0, -0.1, 0.5, -2.0]), 2) == [1, 2]


def test_information_is_none_where_the_margin_is_certain_and_a_bit_where_nothing_is_known() -> None:
    zero, wide = information(np.array([0.0, 0.3]), np.array([0.0, 1e6]))
    assert zero == pytest.approx(0, abs=1e-12)
    assert wide == pytest.approx(np.log(2), abs=0.02)
    rng = np.random.default_rng(0)
    p = 1 / (1 + np.exp(-(0.7 + 1.5 * rng.standard_normal(400_000))))
    entropy = lambda q: -(q * np.log(q) + (1 - q) * np.log(1 - q))  # noqa: E731
    (found,) = information(np.array([0.7]), np.array([1.5**2]))
    assert found == pytest.approx(entropy(p.mean()) - entropy(p).mean(), abs=2e-3)
    assert fisher(0.7, 1.5**2) == pytest.approx((p * (1 - p)).mean(), abs=2e-3)


def test_each_pair_is_worth_less_after_one_that_is_like_it() -> None:
    x = np.array([[2.0, 0.0], [1.99, 0.0], [0.0, 1.5]])
    margin = np.zeros(3)
    chosen = by_information(x, margin, np.eye(2) * 10, 3)
    assert chosen == [0, 2, 1]
    covariance = np.eye(2) * 10  # the same, by a posterior that is computed anew
    weight = fisher(0.0, x[0] @ covariance @ x[0])
    covariance = np.linalg.inv(np.linalg.inv(covariance) + weight * np.outer(x[0], x[0]))
    assert information(margin, np.einsum("nd,de,ne->n", x, covariance, x)).argmax() == 2


def test_labels_make_the_weights_certain() -> None:
    x = np.array([[1.0, 0.0]] * 50)
    before, after = laplace(x[:0], np.zeros(0), 2.0), laplace(x, np.zeros(50), 2.0)
    np.testing.assert_allclose(before, np.eye(2) / 2)
    np.testing.assert_allclose(after, np.diag([1 / (2 + 50 / 4), 1 / 2]))
    assert prior_precision(np.array([[3.0, 4.0]]), np.array([5.0])) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_rewards_are_linear_in_the_features(kind: str) -> None:
    torch.manual_seed(0)
    if kind == "llama":
        model: Any = LlamaForSequenceClassification(LlamaConfig(vocab_size=50, pad_token_id=0, **SIZES))
    else:
        model = BertForSequenceClassification(BertConfig(vocab_size=50, pad_token_id=0, **SIZES))
    rows = [[5, 6, 7], [8, 9, 10, 11, 12], [13]]
    features, rewards = reward_features(model, rows, batch_size=2)
    head = model.score if kind == "llama" else model.classifier
    torch.testing.assert_close(head(features)[:, 0].detach(), rewards)
    with torch.no_grad():
        alone = [model.eval()(torch.tensor([row])).logits[0, 0] for row in rows]
    torch.testing.assert_close(rewards, torch.stack(alone))


def test_a_model_that_is_no_reward_model_or_bends_its_reward_is_refused() -> None:
    model = LlamaForSequenceClassification(LlamaConfig(vocab_size=50, pad_token_id=0, **SIZES))
    model.score.register_forward_hook(lambda *given: given[2] * 0 + 3.0 if given[1][0].ndim == 3 else None)
    with pytest.raises(ValueError, match=r"no linear function(.|\n)*try: --choose random"):
        reward_features(model, [[5, 6]])
    other = LlamaForSequenceClassification(LlamaConfig(vocab_size=50, pad_token_id=0, **(SIZES | {"num_labels": 3})))
    with pytest.raises(ValueError, match="no last layer with one output"):
        reward_features(other, [[5, 6]])


def test_pairs_are_chosen_by_a_reward_model(tmp_path: Path) -> None:
    folder = scorer(tmp_path / "scorer")
    items = [Item(f"q{n}", (f"{n} yes", f"{n * 7} no no"), ("a", "b")) for n in range(30)]
    chosen = {how: chosen_pairs(items, how, 6, folder) for how in ("random", "margin", "information")}
    assert all(len(set(found)) == 6 for found in chosen.values())
    assert len({tuple(found) for found in chosen.values()}) == 3
    told = chosen_pairs(items, "information", 6, folder, seen=chosen["information"][:1] * 20)
    assert told[0] != chosen["information"][0]
    with pytest.raises(ValueError, match="--reward ARTIFACT"):
        chosen_pairs(items, "margin", 6, None)
