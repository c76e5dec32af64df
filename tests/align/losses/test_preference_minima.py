"""What preference losses make of a policy over 16 answers when they see all pairs: the closed forms of the papers."""

from __future__ import annotations

import pytest
import torch
from learners import minimise
from torch import Tensor
from torch.nn.functional import log_softmax

from llmcycle.align.losses import DPO, IPO, Answers, PreferenceLoss, Robust
from llmcycle.align.losses.divergence import Divergence, score

ANSWERS = 16
GENERATOR = torch.Generator().manual_seed(3)
REWARDS, REFERENCE = (torch.randn(ANSWERS, generator=GENERATOR, dtype=torch.float64) for _ in range(2))
REFERENCE = log_softmax(REFERENCE, 0)
FIRST, SECOND = torch.cartesian_prod(torch.arange(ANSWERS), torch.arange(ANSWERS)).T
WINS = torch.sigmoid(REWARDS[FIRST] - REWARDS[SECOND])  # Bradley-Terry, of every ordered pair
UNIFORM = torch.full((ANSWERS,), 1 / ANSWERS, dtype=torch.float64)


def minimum(loss: PreferenceLoss, drawn: Tensor = UNIFORM, wrong: float = 0.0) -> Tensor:
    """Of the expected loss over pairs of two answers, each drawn by `drawn`; a share of labels is `wrong`."""

    def expected(logprobs: Tensor) -> Tensor:
        sides = [Answers(logprobs[side], REFERENCE[side], torch.ones(len(side))) for side in (FIRST, SECOND)]
        wins = (1 - wrong) * WINS + wrong * (1 - WINS)
        return (drawn[FIRST] * drawn[SECOND] * wins * loss(*sides)).sum()

    return log_softmax(minimise(lambda logits: expected(log_softmax(logits, 0)), REFERENCE), 0)


@pytest.mark.parametrize("beta", [0.5, 2.0])
@pytest.mark.parametrize("drawn", [UNIFORM, REFERENCE.exp()], ids=["uniform", "reference"])
def test_dpo_reaches_the_tilted_reference_whatever_the_pairs(beta: float, drawn: Tensor) -> None:
    assert torch.allclose(minimum(DPO(beta), drawn), log_softmax(REFERENCE + REWARDS / beta, 0), atol=1e-5)


def test_robust_dpo_reaches_it_though_labels_are_wrong() -> None:
    tilted = log_softmax(REFERENCE + REWARDS, 0)
    assert torch.allclose(minimum(Robust(1.0, 0.2), wrong=0.2), tilted, atol=1e-5)
    assert not torch.allclose(minimum(DPO(1.0), wrong=0.2), tilted, atol=0.1)


@pytest.mark.parametrize("drawn", [UNIFORM, REFERENCE.exp()], ids=["uniform", "reference"])
def test_ipo_with_sums_reaches_its_own_closed_form(drawn: Tensor) -> None:
    """pi_ref exp(s / beta) / Z, s the probability of winning against an answer of the pairs."""
    beta = 0.3
    winning = (WINS * drawn[SECOND]).reshape(ANSWERS, ANSWERS).sum(1)
    assert torch.allclose(minimum(IPO(beta), drawn), log_softmax(REFERENCE + winning / beta, 0), atol=1e-5)


@pytest.mark.parametrize("divergence", ["forward_kl", "js", 0.5])
def test_other_divergences_reach_their_own(divergence: Divergence) -> None:
    """beta f'(pi / pi_ref) is the reward up to a constant: arXiv:2309.16240, theorem 1."""
    policy = minimum(DPO(2.0, divergence=divergence))
    rewards = 2.0 * score(policy - REFERENCE, divergence)
    assert torch.allclose(rewards - rewards.mean(), REWARDS - REWARDS.mean(), atol=1e-4)
    assert not torch.allclose(policy, minimum(DPO(2.0)), atol=1e-2)
