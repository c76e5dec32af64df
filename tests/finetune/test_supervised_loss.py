"""What the supervised loss falls on."""

from __future__ import annotations

import pytest
import torch
from learners import learner
from transformers import LlamaForCausalLM

from llmcycle.finetune import Supervised
from llmcycle.finetune.objective import token_accuracy

IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
LABELS = torch.tensor([[-100, -100, 7, 8], [-100, 10, 11, -100]])


def test_loss_is_the_mean_over_labelled_tokens(model: LlamaForCausalLM) -> None:
    """Rows of one and two labelled tokens: a mean of the rows' means would differ."""
    module = learner(model, Supervised())
    labels = LABELS.clone()
    labels[0, 2] = -100
    with torch.no_grad():
        found, values = module.loss({"input_ids": IDS, "attention_mask": MASK, "labels": labels})
        logprobs = model(input_ids=IDS, attention_mask=MASK).logits.log_softmax(-1)
    expected = -(logprobs[0, 2, 8] + logprobs[1, 0, 10] + logprobs[1, 1, 11]) / 3
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)
    assert 0 <= values["token_accuracy"] <= 1


@pytest.mark.parametrize("virtual", [0, 3])
def test_token_accuracy_by_hand(virtual: int) -> None:
    logits = torch.zeros(2, virtual + 4, 12)
    logits[0, virtual + 1, 7] = logits[0, virtual + 2, 8] = logits[1, virtual, 10] = 1.0  # three of four are right
    logits[1, virtual + 1, 3] = 1.0
    assert token_accuracy(logits, LABELS).item() == 0.75


def test_prompt_and_padding_do_not_change_what_is_learnt(model: LlamaForCausalLM) -> None:
    """The gradient of a batch is that of its rows apart, each with its own number of labelled tokens."""
    module = learner(model, Supervised())
    together, _ = module.loss({"input_ids": IDS, "attention_mask": MASK, "labels": LABELS})
    apart = [
        module.loss(
            {"input_ids": IDS[i : i + 1, :n], "attention_mask": MASK[i : i + 1, :n], "labels": LABELS[i : i + 1, :n]}
        )
        for i, n in ((0, 4), (1, 3))
    ]
    assert together.item() == pytest.approx(sum(2 * loss.item() for loss, _ in apart) / 4, abs=1e-6)
