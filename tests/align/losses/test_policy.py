"""Every policy loss by hand and by finite differences; where the KL in the loss leads."""

from __future__ import annotations

import math

import policy_options
import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from llmcycle.align.kl import k3
from llmcycle.align.losses import CISPO, SAPO, Clipped, PolicyLoss, Reinforce

REWARDS = torch.tensor([1.0, 0.2, -0.5, 0.6], dtype=torch.float64)
REFERENCE = log_softmax(torch.tensor([0.3, 1.0, -0.4, 0.0], dtype=torch.float64), 0)
NOW = torch.log(torch.tensor([[0.8, 0.2]], dtype=torch.float64)).repeat(2, 1)
OLD = torch.log(torch.tensor([[0.4, 0.4]], dtype=torch.float64)).repeat(2, 1)  # ratios 2 and 1/2
UP_AND_DOWN = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
MASK = torch.ones(2, 2, dtype=torch.bool)


def tilted(beta: float) -> Tensor:
    """pi_ref exp(r / beta) / Z."""
    return log_softmax(REFERENCE + REWARDS / beta, 0)


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Log-probabilities now, when sampled and under the reference, advantages and mask, none near a clip's edge."""
    generator = torch.Generator().manual_seed(3)
    draws = [torch.rand(5, 7, generator=generator, dtype=torch.float64) for _ in range(3)]
    now, old, ref = (-0.2 - 2 * draw for draw in draws)
    advantages = torch.randn(5, 1, generator=generator, dtype=torch.float64)
    mask = torch.arange(7) < torch.tensor([[7], [3], [1], [5], [6]])
    return now, old, ref, advantages, mask


@pytest.mark.parametrize("name", policy_options.names())
def test_gradients_equal_finite_differences(name: str) -> None:
    loss = policy_options.policy_loss(name)
    now, old, ref, advantages, mask = batch()
    if isinstance(loss, CISPO):  # its weight has no gradient: fixed, it must be the very number
        weights = (now - old).exp().clamp(max=loss.most)

        def value(logprobs: Tensor) -> Tensor:
            return loss.over(-weights * advantages * logprobs, mask)
    else:

        def value(logprobs: Tensor) -> Tensor:
            return loss(logprobs, old, ref, advantages, mask)

    moved = now.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(moved, old, ref, advantages, mask), moved)
    assert gradient.abs().sum() > 0
    assert not gradient[~mask].any()
    step = 1e-6
    for row, column in ((0, 0), (0, 6), (1, 2), (2, 0), (3, 4), (4, 1)):
        up, down = now.clone(), now.clone()
        up[row, column] += step
        down[row, column] -= step
        slope = (value(up) - value(down)) / (2 * step)
        assert gradient[row, column].item() == pytest.approx(slope.item(), abs=1e-5), (row, column)


LOG_NOW = [math.log(0.8), math.log(0.2)]


def S(x: float) -> float:
    return 1 / (1 + math.exp(-x))


BY_HAND: list[tuple[PolicyLoss, list[list[float]]]] = [
    (Clipped(clip_high=0.28), [[-1.28, -0.5], [2.0, 0.8]]),
    (Clipped(ratio="product", mean="sum"), [[-1.0], [1.0]]),  # 2 x 1/2
    (Clipped(ratio="sequence"), [[-1.0], [1.0]]),
    (Reinforce(), [[-LOG_NOW[0], -LOG_NOW[1]], LOG_NOW]),
    (CISPO(most=1.5), [[-1.5 * LOG_NOW[0], -0.5 * LOG_NOW[1]], [1.5 * LOG_NOW[0], 0.5 * LOG_NOW[1]]]),
    (SAPO(temperature_up=1.0, temperature_down=2.0), [[-4 * S(1), -4 * S(-0.5)], [2 * S(2), 2 * S(-1)]]),
]


@pytest.mark.parametrize(("loss", "expected"), BY_HAND, ids=lambda value: type(value).__name__)
def test_terms_by_hand(loss: PolicyLoss, expected: list[list[float]]) -> None:
    """Ratios 2 and 1/2 against advantages +1 and -1."""
    terms = loss.terms(NOW, OLD, UP_AND_DOWN, MASK)
    assert torch.allclose(terms, torch.tensor(expected, dtype=torch.float64))


def test_means_differ_by_the_length_of_answers() -> None:
    zeros = torch.zeros(2, 3)
    mask = torch.tensor([[1, 0, 0], [1, 1, 1]])
    arguments = (zeros, zeros, zeros, UP_AND_DOWN.float(), mask)
    assert Clipped(mean="sequence")(*arguments).item() == pytest.approx(0.0)
    assert Clipped(mean="token")(*arguments).item() == pytest.approx((-1 + 3) / 4)
    assert Clipped(mean="sum")(*arguments).item() == pytest.approx((-1 + 3) / 2)
    assert Clipped(length=8)(*arguments).item() == pytest.approx((-1 + 3) / 2 / 8)


def test_a_correction_weighs_the_terms_alone() -> None:
    loss = Clipped(beta=1.0, kl="k2")
    ref = OLD - 1.0
    plain = loss(OLD, OLD, ref, UP_AND_DOWN, MASK)
    assert plain.item() == pytest.approx(0.5)  # terms cancel, the KL's estimate stays
    weights = torch.tensor([[2.0, 2.0], [1.0, 1.0]], dtype=torch.float64)
    assert loss(OLD, OLD, ref, UP_AND_DOWN, MASK, correction=weights).item() == pytest.approx(0.5 - 0.5)


def test_where_the_ratio_is_clipped_there_is_no_gradient() -> None:
    loss = Clipped(clip_high=0.28)
    moved = NOW.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(moved, OLD, None, UP_AND_DOWN, MASK), moved)
    assert torch.equal(gradient == 0, loss.clipped(NOW, OLD, UP_AND_DOWN, MASK))


def ascend(loss: PolicyLoss, baseline: float = 1.0, steps: int = 400) -> Tensor:
    """Log-probabilities after training with exact expectations: each of four answers weighs by its probability.

    Args:
        baseline: share of the mean reward that the advantage is scaled by: (G - 1) / G of a group's own mean.
    """
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=4.0)
    for _ in range(steps):
        optimizer.zero_grad()
        logprobs = log_softmax(logits, 0)
        weights = logprobs.detach().exp()
        advantages = baseline * (REWARDS - (weights * REWARDS).sum())
        columns = (logprobs[:, None], logprobs.detach()[:, None], REFERENCE[:, None], advantages[:, None])
        values = [loss(*(column[[k]] for column in columns), torch.ones(1, 1, dtype=torch.bool)) for k in range(4)]
        (weights * torch.stack(values)).sum().backward()
        optimizer.step()
    return log_softmax(logits, 0).detach()


@pytest.mark.parametrize("kl", ["k2", "k3_weighted"])
def test_with_the_gradient_of_the_kl_the_closed_form_is_the_fixed_point(kl: str) -> None:
    assert torch.allclose(ascend(Clipped(beta=0.7, kl=kl)), tilted(0.7), atol=1e-6)


@pytest.mark.parametrize("group_size", [2, 8])
def test_a_groups_own_mean_makes_it_that_of_a_stronger_pull(group_size: int) -> None:
    """A reward less its group's mean is (G - 1) / G of the reward less its expectation, on average."""
    policy = ascend(Clipped(beta=0.7, kl="k2"), baseline=(group_size - 1) / group_size)
    assert torch.allclose(policy, tilted(0.7 * group_size / (group_size - 1)), atol=1e-6)


def test_the_kl_of_grpo_as_published_has_another_fixed_point() -> None:
    """Its gradient is that of KL(pi_ref || pi), so that pi_k (mean reward - r_k + beta) = beta pi_ref_k."""
    policy = ascend(Clipped(beta=0.7, kl="k3")).exp()
    mean = (policy * REWARDS).sum()
    assert torch.allclose(policy * (mean - REWARDS + 0.7), 0.7 * REFERENCE.exp(), atol=1e-6)
    assert not torch.allclose(policy, tilted(0.7).exp(), atol=1e-2)


def test_k3_is_the_kl_in_expectation() -> None:
    logprobs = tilted(1.0)
    kl = (logprobs.exp() * (logprobs - REFERENCE)).sum()
    assert (logprobs.exp() * k3(logprobs, REFERENCE)).sum().item() == pytest.approx(kl.item())
    assert (k3(logprobs, REFERENCE) >= 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0.1, "kl": "k1"}, "kl: in the loss the gradient of k1 is zero"),
        ({"beta": 0.1, "kl": "k3_weighted", "kl_in": "reward"}, "kl: the ratio of k3_weighted"),
        ({"beta": 0.0, "kl_target": 1.0}, "kl_target: a weight of 0"),
    ],
)
def test_a_pull_that_pulls_nowhere_is_refused(settings: dict[str, object], message: str) -> None:
    for call in (Clipped, Clipped.preflight):
        with pytest.raises(ValueError, match=message):
            call(**settings)
    Clipped.preflight(beta=0.1, kl="k2")
