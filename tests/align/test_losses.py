"""Losses against hand-computed values, and their minima against the closed forms of the papers."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from llmcycle.align.advantages import GroupRelative
from llmcycle.align.losses import DPO, GRPO, IPO, Answers, BradleyTerry, k3

REWARDS = torch.tensor([1.0, 0.2, -0.5, 0.6], dtype=torch.float64)
REFERENCE = log_softmax(torch.tensor([0.3, 1.0, -0.4, 0.0], dtype=torch.float64), 0)


def answers(logprobs: list[float], ref: list[float], lengths: list[int]) -> Answers:
    return Answers(torch.tensor(logprobs), torch.tensor(ref), torch.tensor(lengths))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def minimise(loss: Callable[[Tensor], Tensor], steps: int = 400, size: int = 4) -> Tensor:
    """Log-probabilities of the categorical policy that minimises `loss`, by L-BFGS in float64."""
    logits = torch.zeros(size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(log_softmax(logits, 0))
        value.backward()
        return value

    optimizer.step(closure)
    return log_softmax(logits, 0).detach()


def tilted(beta: float) -> Tensor:
    """pi_ref exp(r / beta) / Z: what every KL-regularised method must reach."""
    return log_softmax(REFERENCE + REWARDS / beta, 0)


def test_dpo_by_hand() -> None:
    chosen, rejected = answers([-3.0, -1.0], [-4.0, -1.5], [4, 2]), answers([-2.0, -6.0], [-1.0, -4.0], [3, 5])
    expected = [-math.log(sigmoid(0.5 * 2.0)), -math.log(sigmoid(0.5 * 2.5))]
    assert DPO(beta=0.5)(chosen, rejected).tolist() == pytest.approx(expected)


def test_dpo_with_label_smoothing_by_hand() -> None:
    chosen, rejected = answers([-3.0], [-4.0], [4]), answers([-2.0], [-1.0], [3])
    expected = -0.9 * math.log(sigmoid(0.2)) - 0.1 * math.log(sigmoid(-0.2))
    assert DPO(beta=0.1, label_smoothing=0.1)(chosen, rejected).item() == pytest.approx(expected)


def test_dpo_with_the_chosen_answers_own_loss_by_hand() -> None:
    chosen, rejected = answers([-3.0], [-4.0], [4]), answers([-2.0], [-1.0], [3])
    assert DPO(beta=0.1, nll=0.5)(chosen, rejected).item() == pytest.approx(-math.log(sigmoid(0.2)) + 0.5 * 0.75)


def test_ipo_by_hand() -> None:
    chosen, rejected = answers([-3.0], [-4.0], [4]), answers([-2.0], [-1.0], [2])
    assert IPO(beta=0.25)(chosen, rejected).item() == pytest.approx((0.25 + 0.5 - 2.0) ** 2)


def test_bradley_terry_by_hand() -> None:
    value = BradleyTerry(center=0.1)(torch.tensor([1.5]), torch.tensor([0.5]))
    assert value.item() == pytest.approx(-math.log(sigmoid(1.0)) + 0.1 * 4.0)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_dpo_reaches_the_closed_form(beta: float) -> None:
    """Over all pairs, labelled by Bradley-Terry with the true reward, the minimum is pi_ref exp(r / beta)."""

    def expected_loss(logprobs: Tensor) -> Tensor:
        pairs = list(permutations(range(4), 2))
        first, second = (torch.tensor(side) for side in zip(*pairs, strict=True))
        weights = torch.sigmoid(REWARDS[first] - REWARDS[second])
        sides = [Answers(logprobs[side], REFERENCE[side], torch.ones(len(pairs))) for side in (first, second)]
        return (weights * DPO(beta)(*sides)).sum()

    assert torch.allclose(minimise(expected_loss), tilted(beta), atol=1e-5)


def test_ipo_reaches_its_closed_form() -> None:
    """Two answers, the first preferred with probability p: the log-ratio margin is (2p - 1) / (2 beta)."""
    p, beta = 0.8, 0.7
    ref = REFERENCE[:2] - REFERENCE[:2].logsumexp(0)

    def expected_loss(logprobs: Tensor) -> Tensor:
        sides = [Answers(logprobs[i : i + 1], ref[i : i + 1], torch.ones(1)) for i in (0, 1)]
        return (p * IPO(beta)(*sides) + (1 - p) * IPO(beta)(*sides[::-1])).sum()

    ratios = minimise(expected_loss, size=2) - ref
    assert (ratios[0] - ratios[1]).item() == pytest.approx((2 * p - 1) / (2 * beta), abs=1e-5)


def test_bradley_terry_recovers_the_rewards() -> None:
    """Fitted to preferences that follow a reward, the scores are that reward up to a constant."""

    def expected_loss(scores: Tensor) -> Tensor:
        first, second = (torch.tensor(side) for side in zip(*permutations(range(4), 2), strict=True))
        return (torch.sigmoid(REWARDS[first] - REWARDS[second]) * BradleyTerry()(scores[first], scores[second])).sum()

    scores = minimise(expected_loss)
    assert torch.allclose(scores - scores.mean(), REWARDS - REWARDS.mean(), atol=1e-5)


def ascend(loss: GRPO, steps: int = 400) -> Tensor:
    """Log-probabilities after on-policy training with exact expectations: each action weighted by its probability."""
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=4.0)
    for _ in range(steps):
        optimizer.zero_grad()
        logprobs = log_softmax(logits, 0)
        weights = logprobs.detach().exp()
        advantages = REWARDS - (weights * REWARDS).sum()
        per_token = loss.per_token(logprobs[:, None], logprobs.detach()[:, None], REFERENCE[:, None], advantages)
        (weights * per_token[:, 0]).sum().backward()
        optimizer.step()
    return log_softmax(logits, 0).detach()


def test_grpo_reaches_the_closed_form() -> None:
    assert torch.allclose(ascend(GRPO(beta=0.7)), tilted(0.7), atol=1e-6)


def test_the_unweighted_kl_has_another_optimum() -> None:
    """Its gradient is that of KL(pi_ref || pi), so that pi_k (mean reward - r_k + beta) = beta pi_ref_k."""
    policy = ascend(GRPO(beta=0.7, weighted_kl=False)).exp()
    mean = (policy * REWARDS).sum()
    assert torch.allclose(policy * (mean - REWARDS + 0.7), 0.7 * REFERENCE.exp(), atol=1e-6)
    assert not torch.allclose(policy, tilted(0.7).exp(), atol=1e-2)


def test_grpo_by_hand() -> None:
    """Ratios 2 and 1/2 against advantages +1 and -1: the gain of leaving the old policy is clipped."""
    logprobs = torch.log(torch.tensor([[0.8, 0.2]])).repeat(2, 1)
    old = torch.log(torch.tensor([[0.4, 0.4]])).repeat(2, 1)
    loss = GRPO(beta=0.0, clip_low=0.2, clip_high=0.28)
    found = loss.per_token(logprobs, old, logprobs, torch.tensor([1.0, -1.0]))
    assert torch.allclose(found, torch.tensor([[-1.28, -0.5], [2.0, 0.8]]))


def test_grpo_means_differ_by_the_length_of_answers() -> None:
    logprobs = torch.zeros(2, 3)
    advantages, mask = torch.tensor([1.0, -1.0]), torch.tensor([[1, 0, 0], [1, 1, 1]])
    arguments = (logprobs, logprobs, logprobs, advantages, mask)
    assert GRPO(mean="sequence")(*arguments).item() == pytest.approx(0.0)
    assert GRPO(mean="token")(*arguments).item() == pytest.approx((-1 + 3) / 4)


def test_k3_is_the_kl_in_expectation() -> None:
    logprobs = tilted(1.0)
    kl = (logprobs.exp() * (logprobs - REFERENCE)).sum()
    assert (logprobs.exp() * k3(logprobs, REFERENCE)).sum().item() == pytest.approx(kl.item())
    assert (k3(logprobs, REFERENCE) >= 0).all()


def test_group_advantages_by_hand() -> None:
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.5, 0.5, 0.5, 0.5])
    plain = GroupRelative(deviation=False)(rewards, 4)
    assert plain.tolist() == pytest.approx([0.5, -0.5, -0.5, 0.5, 0, 0, 0, 0])
    scaled = GroupRelative()(rewards, 4)
    assert torch.allclose(scaled[:4], plain[:4] / math.sqrt(1 / 3), rtol=1e-3)
    assert scaled[4:].abs().max() == 0
