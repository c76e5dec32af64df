"""Advantages by hand, and GAE against the sum that defines it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from llmcycle.align.advantages import GAE, BatchMean, GroupRelative, LeaveOneOut, Whitened, is_for_tokens

REWARDS = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.5, 0.5, 0.5, 0.5])


def test_group_advantages_by_hand() -> None:
    plain = GroupRelative(deviation=False)(REWARDS, 4)
    assert plain.tolist() == pytest.approx([0.5, -0.5, -0.5, 0.5, 0, 0, 0, 0])
    scaled = GroupRelative()(REWARDS, 4)
    assert torch.allclose(scaled[:4], plain[:4] / math.sqrt(1 / 3), rtol=1e-3)
    assert scaled[4:].abs().max() == 0


def test_leave_one_out_by_hand() -> None:
    found = LeaveOneOut()(REWARDS, 4)
    assert found.tolist() == pytest.approx([2 / 3, -2 / 3, -2 / 3, 2 / 3, 0, 0, 0, 0])
    assert torch.allclose(found, GroupRelative(deviation=False)(REWARDS, 4) * 4 / 3)


def test_the_batch_mean_by_hand() -> None:
    assert BatchMean()(REWARDS, 4).tolist() == pytest.approx([0.5, -0.5, -0.5, 0.5, 0, 0, 0, 0])


def answers() -> tuple[Tensor, Tensor, Tensor]:
    """Rewards of tokens, values and a mask, whose answers begin and end at several places."""
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, 3, 6, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[0, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1]], dtype=torch.bool)
    return rewards * mask, values * mask, mask


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 1.0), (0.9, 0.8), (1.0, 0.0)])
def test_gae_is_the_discounted_sum_of_errors(gamma: float, lam: float) -> None:
    rewards, values, mask = answers()
    found = GAE(gamma, lam, whiten=False)(rewards, values, mask)
    for row in range(3):
        places = mask[row].nonzero().flatten().tolist()
        r, v = rewards[row, places].tolist(), [*values[row, places].tolist(), 0.0]
        errors = [r[t] + gamma * v[t + 1] - v[t] for t in range(len(places))]
        for t, place in enumerate(places):
            expected = sum((gamma * lam) ** (k - t) * errors[k] for k in range(t, len(places)))
            assert found[row, place].item() == pytest.approx(expected)
    assert not found[~mask].any()


def test_whitened_rewards_to_come_by_hand() -> None:
    rewards = torch.tensor([[0.0, -1.0, 2.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    mask = torch.tensor([[0, 1, 1, 0], [0, 1, 1, 0]], dtype=torch.bool)
    found = Whitened()(rewards, torch.zeros_like(rewards), mask)
    to_come = torch.tensor([1.0, 2.0, 1.0, 1.0])
    assert torch.allclose(found[mask], (to_come - to_come.mean()) / to_come.std(), atol=1e-3)
    assert not found[~mask].any()


def test_white_advantages_have_no_mean_and_a_deviation_of_1() -> None:
    rewards, values, mask = answers()
    found = GAE()(rewards, values, mask)[mask]
    assert found.mean().item() == pytest.approx(0.0, abs=1e-9)
    assert found.std().item() == pytest.approx(1.0, abs=1e-3)


def test_advantages_of_tokens_are_told_by_their_arguments() -> None:
    assert is_for_tokens(GAE())
    assert is_for_tokens(Whitened())
    assert not any(is_for_tokens(each) for each in (GroupRelative(), LeaveOneOut(), BatchMean()))
