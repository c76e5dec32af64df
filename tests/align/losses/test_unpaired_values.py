"""Losses of single answers: by hand, by finite differences, and which way each moves an answer."""

from __future__ import annotations

import math
from dataclasses import replace

import loss_options
import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from llmcycle.align.losses import KTO, Answers, UnpairedLoss

OPTIONS = loss_options.of(UnpairedLoss)
POINT = torch.tensor(0.4, dtype=torch.float64)
DESIRABLE = torch.tensor([True, False])


def answers(*logratios: float) -> Answers:
    ratios = torch.tensor(logratios, dtype=torch.float64)
    return Answers(ratios - 3, torch.full_like(ratios, -3), torch.full((len(ratios),), 4))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# Log-ratios 1 (desirable) and 2 (undesirable), less a reference point of 0.4.
BY_HAND = {
    "kto": [1 - sigmoid(0.1 * 0.6), 1 - sigmoid(0.1 * -1.6)],
    "apo_zero_unpaired": [1 - sigmoid(0.1 * 1.0), sigmoid(0.1 * 2.0)],
    "bco": [-math.log(sigmoid(0.06)), -math.log(sigmoid(-0.16))],
}


def test_every_option_has_a_value_by_hand() -> None:
    assert BY_HAND.keys() == OPTIONS.keys()


@pytest.mark.parametrize("name", OPTIONS)
def test_by_hand(name: str) -> None:
    loss = OPTIONS[name]
    point = POINT if loss.reference_point != "none" else torch.zeros_like(POINT)
    assert loss(answers(1.0, 2.0), DESIRABLE, point).tolist() == pytest.approx(BY_HAND[name])
    weighted = replace(loss, desirable_weight=2.0, undesirable_weight=0.5)(answers(1.0, 2.0), DESIRABLE, point)
    assert weighted.tolist() == pytest.approx([2 * BY_HAND[name][0], 0.5 * BY_HAND[name][1]])


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_equal_finite_differences(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logprobs, references = (torch.randn(6, generator=generator, dtype=torch.float64) - 4 for _ in range(2))
    desirable = torch.tensor([True, False, False, True, True, False])
    loss = replace(OPTIONS[name], desirable_weight=1.3)

    def value(logprobs: Tensor) -> Tensor:
        return loss(Answers(logprobs, references, torch.ones(6)), desirable, POINT)

    assert torch.autograd.gradcheck(value, [logprobs.requires_grad_()], eps=1e-6, atol=1e-5, rtol=1e-5)


def test_the_gradient_of_kto_at_a_reference_point() -> None:
    """beta sigmoid(z)(1 - sigmoid(z)), down for a desirable answer and up for an undesirable one; z = beta (h - h0)."""
    logprobs = torch.tensor([-2.0, -1.0], dtype=torch.float64, requires_grad=True)
    sides = Answers(logprobs, torch.full((2,), -3.0, dtype=torch.float64), torch.ones(2))
    KTO(0.5, desirable_weight=1.5)(sides, DESIRABLE, POINT).sum().backward()
    slopes = [0.5 * sigmoid(z) * (1 - sigmoid(z)) for z in (0.5 * (1 - 0.4), 0.5 * (2 - 0.4))]
    assert logprobs.grad.tolist() == pytest.approx([-1.5 * slopes[0], slopes[1]])


@pytest.mark.parametrize("name", OPTIONS)
def test_every_answer_is_moved_by_its_own_label(name: str) -> None:
    """A policy over 16 answers: a step of one answer's gradient raises it if it is desirable, else lowers it."""
    generator = torch.Generator().manual_seed(1)
    start, reference = (torch.randn(16, generator=generator, dtype=torch.float64) for _ in range(2))
    reference = log_softmax(reference, 0)
    for answer in range(16):
        for label in (True, False):
            logits = start.clone().requires_grad_()
            before = log_softmax(logits, 0)
            side = Answers(before[answer : answer + 1], reference[answer : answer + 1], torch.ones(1))
            OPTIONS[name](side, torch.tensor([label]), POINT).sum().backward()
            after = log_softmax(logits.detach() - 0.1 * logits.grad, 0)
            assert (after[answer] > before[answer]) == label


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_kto_has_no_minimum_inside_for_mixed_labels(share: float) -> None:
    """Of an answer that is desirable in a share of its rows the loss is monotonous, up to where the sigmoid is flat."""
    ratios = torch.linspace(-40, 40, 81, dtype=torch.float64)
    side = Answers(ratios, torch.zeros_like(ratios), torch.ones(81))
    good, bad = (KTO(0.1)(side, torch.full((81,), label), POINT) for label in (True, False))
    steps = (share * good + (1 - share) * bad).diff()
    assert (steps < 0).all() if share > 0.5 else (steps > 0).all()
