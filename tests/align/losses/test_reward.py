"""Losses of reward models: by hand, their gradients, and that their minimum is the truth which made the labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import yaml
from hydra.utils import get_class, instantiate
from learners import minimise
from torch import Tensor
from torch.nn.functional import cross_entropy

from llmcycle.align.losses import BradleyTerry, MeanSquare, StepCrossEntropy
from llmcycle.config.paths import shipped

TRUTH = torch.tensor([1.0, 0.2, -0.5, 0.6, -1.3], dtype=torch.float64)
ROOM = "llmcycle.align.losses."
# What each loss is called with, after the scores: names are the options of conf/loss.
ARGUMENTS: dict[str, Callable[[], tuple[Tensor, ...]]] = {
    "bradley_terry": lambda: (normal(1), normal(2).abs()),
    "mse": lambda: (normal(1),),
    "step_cross_entropy": lambda: ((normal(1) > 0).double(),),
}


def normal(seed: int, count: int = 6) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def options() -> dict[str, object]:
    """Every loss of reward models, as its option builds it."""
    files = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (shipped("conf") / "loss").glob("*.yaml")}
    nodes = {name: node for name, node in files.items() if "_target_" in node}
    ours = {name: node for name, node in nodes.items() if get_class(node["_target_"]).__module__ == f"{ROOM}reward"}
    return {name: instantiate(node) for name, node in ours.items()}


def test_every_loss_of_reward_models_is_held_against_differences() -> None:
    assert options().keys() == ARGUMENTS.keys()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_gradients_equal_finite_differences(name: str) -> None:
    """In fp64, to 1e-5, with respect to the scores and, of a pair, to both."""
    loss, (first, *rest) = options()[name], ARGUMENTS[name]()
    scores = normal(0).requires_grad_(True)
    if name == "bradley_terry":
        first.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x, y: loss(x, y, *rest), (scores, first), eps=1e-6, atol=1e-5, rtol=0)


def test_a_margin_asks_for_a_larger_difference() -> None:
    chosen, rejected = torch.tensor([1.5, 1.5]), torch.tensor([0.5, 0.5])
    values = BradleyTerry()(chosen, rejected, torch.tensor([0.0, 3.0]))
    assert values.tolist() == pytest.approx([-math.log(sigmoid(1.0)), -math.log(sigmoid(-2.0))])
    assert torch.equal(BradleyTerry()(chosen, rejected), BradleyTerry()(chosen, rejected, torch.zeros(2)))


def test_squares_and_cross_entropy_by_hand() -> None:
    assert MeanSquare()(torch.tensor([1.5, 0.0]), torch.tensor([1.0, -2.0])).tolist() == [0.25, 4.0]
    logits, right = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0])
    expected = [-math.log(sigmoid(2.0)), -math.log(sigmoid(-1.0))]
    assert StepCrossEntropy()(logits, right).tolist() == pytest.approx(expected)


def test_cross_entropy_of_steps_is_that_of_two_classes() -> None:
    """As TRL's trainer of process reward models had it, with two outputs, of which the first is held at 0."""
    logits, right = normal(0), (normal(1) > 0).double()
    both = torch.stack([torch.zeros_like(logits), logits], 1)
    assert torch.allclose(StepCrossEntropy()(logits, right), cross_entropy(both, right.long(), reduction="none"))


def test_rewards_are_recovered_from_simulated_preferences() -> None:
    """20,000 labels drawn by Bradley-Terry from known rewards: their differences come back within a fit's error."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(len(TRUTH), (20_000, 2), generator=generator)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    wins = torch.rand(len(pairs), generator=generator) < torch.sigmoid(TRUTH[pairs[:, 0]] - TRUTH[pairs[:, 1]])
    chosen, rejected = torch.where(wins, pairs.T, pairs.T.flip(0))
    scores = minimise(lambda each: BradleyTerry()(each[chosen], each[rejected]).mean(), torch.zeros_like(TRUTH))
    error = (scores - scores.mean()) - (TRUTH - TRUTH.mean())
    assert error.abs().max() < 0.08  # four standard errors of a score: 2 sqrt(5 / 20,000) = 0.02 or less each


def test_centring_fixes_the_constant_and_moves_no_ranking() -> None:
    first, second = torch.triu_indices(len(TRUTH), len(TRUTH), 1)
    chance = torch.sigmoid(TRUTH[first] - TRUTH[second])

    def expected(scores: Tensor) -> Tensor:
        loss, sides = BradleyTerry(center=1e-4), (scores[first], scores[second])
        return (chance * loss(*sides) + (1 - chance) * loss(*sides[::-1])).mean()

    scores = minimise(expected, torch.zeros_like(TRUTH))
    assert scores.mean().item() == pytest.approx(0, abs=1e-3)
    assert torch.allclose(scores, TRUTH - TRUTH.mean(), atol=5e-3)


def test_margins_add_to_the_difference_of_certain_pairs() -> None:
    """Two answers, of which the first wins with probability p: the scores differ by log(p / (1 - p)) and the margin."""
    p, margin = 0.8, torch.tensor([0.7, 0.7], dtype=torch.float64)
    weights = torch.tensor([p, 1 - p], dtype=torch.float64)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)

    def expected(scores: Tensor) -> Tensor:  # a margin of the pair belongs to the answer that is better by it
        return (weights * BradleyTerry()(scores[[0, 1]], scores[[1, 0]], signs * margin)).sum()

    scores = minimise(expected, torch.zeros_like(TRUTH[:2]))
    assert (scores[0] - scores[1]).item() == pytest.approx(math.log(p / (1 - p)) + 0.7, abs=1e-4)


def test_regression_recovers_the_mean_rating() -> None:
    generator = torch.Generator().manual_seed(0)
    answers = torch.randint(len(TRUTH), (5_000,), generator=generator)
    ratings = TRUTH[answers] + 0.3 * torch.randn(5_000, generator=generator, dtype=torch.float64)
    scores = minimise(lambda each: MeanSquare()(each[answers], ratings).mean(), torch.zeros_like(TRUTH))
    means = torch.stack([ratings[answers == answer].mean() for answer in range(len(TRUTH))])
    assert torch.allclose(scores, means, atol=1e-6)
    assert torch.allclose(scores, TRUTH, atol=0.05)  # five standard errors of a mean of about 1,000 ratings


def test_steps_recover_their_log_odds() -> None:
    chance = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64)
    loss = StepCrossEntropy()

    def expected(logits: Tensor) -> Tensor:
        return (
            chance * loss(logits, torch.ones(3).double()) + (1 - chance) * loss(logits, torch.zeros(3).double())
        ).sum()

    assert torch.allclose(minimise(expected, torch.zeros_like(TRUTH[:3])).sigmoid(), chance, atol=1e-6)
