"""Every option of preference loss by hand, with the settings of its YAML, and its gradient by finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import loss_options
import pytest
import torch
from torch import Tensor

from llmcycle.align.losses import AOT, DPO, EXO, IPO, Answers, AOTUnpaired, DiscoPOP, Robust, SimPO
from llmcycle.align.losses.divergence import Divergence, score

OPTIONS = loss_options.of()
# Log-ratios 1 and -1/2, so a margin of 3/2; a token's mean log-probabilities -3/4 and -1.
CHOSEN = (-3.0, -4.0, 4, -0.2)
REJECTED = (-2.0, -1.5, 2, -0.5)


def answers(*rows: tuple[float, float, int, float]) -> Answers:
    columns = zip(*rows, strict=True)
    return Answers(*(torch.tensor(column, dtype=torch.float64) for column in columns))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def nats(x: float) -> float:
    return -math.log(sigmoid(x))


def odds(mean_logprob: float) -> float:
    return math.exp(mean_logprob) / (1 - math.exp(mean_logprob))


BY_HAND = {
    "aot": nats(0.15),
    "aot_unpaired": nats(0.15),
    "apo_down": sigmoid(0.1) + 1 - sigmoid(0.15),
    "apo_zero": 1 - sigmoid(0.1) + sigmoid(-0.05),
    "bco_pair": nats(0.1) + nats(0.05),
    "cdpo": 0.9 * nats(0.15) + 0.1 * nats(-0.15),
    "cpo": nats(0.1 * (-3 + 2)) + 0.75,
    "discopop": nats(0.15) * (1 - sigmoid(3)) + math.exp(-0.15) * sigmoid(3),
    "dpo": nats(0.15),
    "dpo_nll": nats(0.75) + 0.75,
    "exo": sigmoid(0.15) * math.log(sigmoid(0.15) / 0.999) + sigmoid(-0.15) * math.log(sigmoid(-0.15) / 0.001),
    "hinge": 1 - 0.15,
    "ipo": (1.5 - 5) ** 2,
    "nca": nats(0.01) + 0.5 * nats(-0.01) + 0.5 * nats(0.005),
    "orpo": 0.1 * nats(math.log(odds(-0.75) / odds(-1))) + 0.75,
    "robust": (0.9 * nats(0.15) - 0.1 * nats(-0.15)) / 0.8,
    "sft": 0.75,
    "sigmoid_norm": nats(5 * (1 / 4 + 0.5 / 2)),
    "simpo": nats(2 * (-0.75 + 1) - 1),
    "sppo": (1 - 500) ** 2 + (-0.5 + 500) ** 2,
    "wpo": nats(0.15) * math.exp(-0.2 - 0.5),
}


def test_every_option_has_a_value_by_hand() -> None:
    assert BY_HAND.keys() == OPTIONS.keys()


@pytest.mark.parametrize("name", OPTIONS)
def test_by_hand(name: str) -> None:
    assert OPTIONS[name](answers(CHOSEN), answers(REJECTED)).tolist() == pytest.approx([BY_HAND[name]])


def draw(reference: bool, rows: int = 5) -> tuple[Tensor, Callable[[Tensor, Tensor], tuple[Answers, Answers]]]:
    """Log-probabilities [2, B] and what makes both sides of them, in fp64."""
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    logprobs, references = -5 + normal(2, rows), -5 + normal(2, rows)
    lengths, confidence = torch.randint(2, 9, (2, rows), generator=generator), -normal(2, rows).abs()

    def sides(chosen: Tensor, rejected: Tensor) -> tuple[Answers, Answers]:
        fixed = zip(references if reference else (None, None), lengths, confidence, strict=True)
        first, second = (Answers(values, *rest) for values, rest in zip((chosen, rejected), fixed, strict=True))
        return first, second

    return logprobs, sides


SETTINGS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in OPTIONS),
    *(("dpo", {"divergence": divergence}) for divergence in ("forward_kl", "js", 0.5)),
    ("ipo", {"per_token": True}),
    *((name, {"weighted": True, "nll": 0.3}) for name in ("hinge", "aot", "orpo")),
]


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_gradients_equal_finite_differences(name: str, settings: dict[str, Any]) -> None:
    loss = replace(OPTIONS[name], **settings)
    logprobs, sides = draw(loss.needs_reference)
    inputs = [side.clone().requires_grad_() for side in logprobs]
    assert torch.autograd.gradcheck(lambda *both: loss(*sides(*both)), inputs, eps=1e-6, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_loss_that_needs_no_reference_reads_none(name: str) -> None:
    _, sides = draw(reference=False)
    both = sides(*(torch.full((5,), -3.0, dtype=torch.float64) for _ in range(2)))
    if OPTIONS[name].needs_reference:
        with pytest.raises(AssertionError):
            OPTIONS[name](*both)
    else:
        assert OPTIONS[name](*both).isfinite().all()


@pytest.mark.parametrize(
    ("divergence", "derivative"),
    [
        ("reverse_kl", math.log),
        ("forward_kl", lambda t: 1 - 1 / t),
        ("js", lambda t: math.log(2 * t / (1 + t))),
        (0.5, lambda t: (t**-0.5 - 1) / -0.5),
        (1.0, math.log),
        (0.0, lambda t: 1 - 1 / t),
    ],
)
def test_divergences_by_hand(divergence: Divergence, derivative: Callable[[float], float]) -> None:
    ratios = [0.2, 1.0, 3.0]
    values = score(torch.tensor(ratios, dtype=torch.float64).log(), divergence)
    assert values.tolist() == pytest.approx([derivative(ratio) for ratio in ratios])


def test_robust_is_dpo_in_the_mean_over_wrong_labels() -> None:
    _, sides = draw(reference=True)
    chosen, rejected = sides(*draw(reference=True)[0])
    noisy = 0.8 * Robust(0.1, 0.2)(chosen, rejected) + 0.2 * Robust(0.1, 0.2)(rejected, chosen)
    assert torch.allclose(noisy, DPO(0.1)(chosen, rejected))


def test_exo_is_a_divergence_with_its_minimum_at_the_target() -> None:
    """Where the policy says of a pair what the label says, a share of 0.2 aside, nothing is left to learn."""
    margin = math.log(0.8 / 0.2) / 0.1
    pair = answers((margin, 0.0, 1, 0.0)), answers((0.0, 0.0, 1, 0.0))
    assert EXO(0.1, label_smoothing=0.2)(*pair).item() == pytest.approx(0, abs=1e-12)
    assert EXO(0.1, label_smoothing=0.2)(*pair[::-1]).item() > 0.5


def test_discopop_is_logistic_where_the_order_is_wrong_and_exponential_where_it_is_right() -> None:
    good, bad = answers((20.0, 0.0, 1, 0.0)), answers((0.0, 0.0, 1, 0.0))
    assert DiscoPOP(0.1)(bad, good).item() == pytest.approx(nats(-2.0))
    assert DiscoPOP(0.1)(good, bad).item() == pytest.approx(math.exp(-2.0))


def test_aot_compares_ranks_and_not_pairs() -> None:
    """Margins of the policy 3, 1 and of the reference 0, 2: sorted they are 1 - 0 and 3 - 2 apart."""
    chosen = answers((3.0, 0.0, 1, 0.0), (1.0, 2.0, 1, 0.0))
    rejected = answers((0.0, 0.0, 1, 0.0), (0.0, 0.0, 1, 0.0))
    assert AOT(1.0)(chosen, rejected).tolist() == pytest.approx([nats(1), nats(1)])
    # Log-ratios of chosen answers are 3 and -1, of rejected ones 0 and 0.
    assert AOTUnpaired(1.0)(chosen, rejected).tolist() == pytest.approx([nats(-1), nats(3)])


def test_a_token_more_changes_what_is_a_mean_a_token() -> None:
    longer = answers((*CHOSEN[:2], 8, 0.0))
    assert IPO(0.1)(longer, answers(REJECTED)).item() == pytest.approx((1.5 - 5) ** 2)
    assert IPO(0.1, per_token=True)(longer, answers(REJECTED)).item() == pytest.approx((1 / 8 + 1 / 4 - 5) ** 2)
    assert SimPO()(longer, answers(REJECTED)).item() == pytest.approx(nats(2 * (-3 / 8 + 1) - 1))
