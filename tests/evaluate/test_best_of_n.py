"""Best-of-n against every choice written down, its KL against the exact one, and planted over-optimisation."""

from __future__ import annotations

from itertools import combinations, pairwise
from math import log
from statistics import fmean
from typing import Any

import enumerable
import pytest
import torch
from enumerable import along, best_of_draws, distribution, flawed, option, prompts, reference, rewards
from learners import train
from tiny_run import Rows

from llmcycle.align import Policy
from llmcycle.align.rollouts import Sampling
from llmcycle.engine import TransformersEngine
from llmcycle.evaluate.best_of_n import BestOfN, best_of, kl_bound, sizes


def test_it_is_the_mean_over_every_choice() -> None:
    proxy, gold = [0.3, -1.0, 2.0, 0.7, 0.1], [5.0, 1.0, -3.0, 2.0, 0.0]
    for n in range(1, 6):
        best = [max(choice, key=lambda place: proxy[place]) for choice in combinations(range(5), n)]
        expected = fmean(proxy[place] for place in best), fmean(gold[place] for place in best)
        assert best_of(n, proxy, gold) == pytest.approx(expected)


def test_of_equal_answers_any_is_as_likely() -> None:
    assert best_of(2, [1.0, 1.0, 0.0], [4.0, 2.0, 9.0]) == pytest.approx((1.0, 3.0))
    assert best_of(1, [1.0, 1.0, 0.0], [4.0, 2.0, 9.0]) == pytest.approx((2 / 3, 5.0))


@pytest.mark.parametrize("ties", [False, True])
def test_the_kl_is_at_most_the_bound(ties: bool) -> None:
    start = distribution(reference(0))
    proxy = rewards(3).round() if ties else rewards(3)
    for n in (2, 4, 16, 64):
        best = best_of_draws(start, proxy, n)
        exact = (best * (best.log() - start)).nansum().item()
        assert best.sum().item() == pytest.approx(1.0, abs=1e-5)
        assert 0 < exact < kl_bound(n)
    assert kl_bound(4) == pytest.approx(log(4) - 0.75)


def test_the_figures_of_a_model_are_those_of_its_distribution() -> None:
    model, proxy, gold = reference(0), rewards(3), rewards(4)
    engine = TransformersEngine(model, enumerable.tokenizer())
    rows = Rows([], [{"prompt": "a b"}] * 40)
    found = BestOfN(rows, enumerable.Table(proxy), enumerable.Table(gold), 16, max_new_tokens=2)(engine)
    start = distribution(model)
    for n in sizes(16):
        best = best_of_draws(start, proxy, n)
        for name, values in (("proxy", proxy), ("gold", gold)):
            scores = found[f"{name}_of_{n}"].values
            error = torch.tensor(scores).std().item() / len(scores) ** 0.5
            assert abs(fmean(scores) - (best * values).sum().item()) < 4 * error + 1e-6, (n, name)
    assert found["kl_of_8"].values[0] == pytest.approx(kl_bound(8))
    assert set(found) == set(BestOfN.scores(16))


@pytest.mark.slow
def test_planted_over_optimisation_shows() -> None:
    """The proxy rises all along, the gold reward at first: in closed form, by best-of-n; a policy ends as low."""
    gold, proxy = flawed()
    start = distribution(reference(0))
    line = along(start, proxy, gold, [8.0, 2.0, 1.0, 0.5, 0.2])
    assert all(later[1] > earlier[1] for earlier, later in pairwise(line))
    assert line[0][2] < line[2][2] > line[-1][2] + 1
    golds = [(best_of_draws(start, proxy, n) * gold).sum().item() for n in (1, 4, 64)]
    assert golds[0] < golds[1] > golds[2] + 1
    settings: dict[str, Any] = {"kl": "k1", "kl_in": "reward", "beta": 0.2}
    policy = Policy(
        loss=option("loss", "rloo", **settings),
        reward=enumerable.Table(proxy),
        sampling=Sampling(group_size=8, max_new_tokens=2),
        advantage=option("advantage", "leave_one_out"),
        table_every=0,
    )
    module = enumerable.learner(policy, reference(0), {}, 4e-3, 150)
    train(module, prompts(16), 150, 4e-3, clip=1.0)
    end = distribution(module.model).exp()
    assert (end * proxy).sum() > (start.exp() * proxy).sum() + 1
    assert (end * gold).sum() < (start.exp() * gold).sum()
