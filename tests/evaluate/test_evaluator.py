"""Scores, and what becomes of them before and after a stage."""

from __future__ import annotations

import subprocess
import sys

import pytest
from oracle import Oracle

from llmcycle.evaluate import Scores, compare, evaluate, paired_interval, row_id


def test_weighted_mean_is_the_ratio_of_totals() -> None:
    assert Scores([2.0, 4.0], weights=[1.0, 3.0]).mean == pytest.approx(14 / 4)


def test_compare_pairs_rows() -> None:
    before = {"exact_match": Scores([0.0, 0.0, 1.0, 0.0])}
    after = {"exact_match": Scores([1.0, 1.0, 1.0, 0.0]), "new": Scores([1.0, 3.0], "lower", "nats/token")}
    metrics = compare(before, after)
    match = metrics["exact_match"]
    assert (match.value, match.before, match.n, match.better) == (0.75, 0.25, 4, "higher")
    assert match.interval == paired_interval([0, 0, 1, 0], [1, 1, 1, 0])
    assert (metrics["new"].value, metrics["new"].before, metrics["new"].unit) == (2.0, None, "nats/token")
    assert metrics["new"].interval is not None


def test_rows_that_weigh_otherwise_are_paired_all_the_same() -> None:
    """A new tokenizer cuts the rows into other tokens."""
    before, after = Scores([1.0, 2.0, 3.0], weights=[1, 1, 1]), Scores([1.0, 2.0, 2.5], weights=[1, 2, 1])
    metric = compare({"loss": before}, {"loss": after})["loss"]
    assert metric.before == 2.0
    assert metric.interval == paired_interval(before.values, after.values, after.weights, before.weights)


def test_single_row_has_no_interval() -> None:
    assert compare(None, {"loss": Scores([1.5])})["loss"].interval is None


def test_changed_rows_refused() -> None:
    with pytest.raises(ValueError, match="2 rows before and 1 after"):
        compare({"a": Scores([1.0, 0.0])}, {"a": Scores([1.0])})
    with pytest.raises(ValueError, match="a stands on other rows before than after"):
        compare({"a": Scores([1.0], rows=[row_id("x")])}, {"a": Scores([1.0], rows=[row_id("y")])})


def test_empty_scores_refused() -> None:
    with pytest.raises(ValueError, match="no rows to score"):
        compare(None, {"a": Scores([])})


def test_two_evaluators_of_one_name_refused() -> None:
    def score(engine: object) -> dict[str, Scores]:
        return {"bad": Scores([1.0])}

    with pytest.raises(ValueError, match=r"evaluate\.second: bad"):
        evaluate({"first": score, "second": score}, Oracle(str))


def test_what_the_engine_can_not_do_is_refused() -> None:
    class Likelihood:
        needs = frozenset({"score", "answer"})

        def __call__(self, engine: object) -> dict[str, Scores]:
            return {}

    with pytest.raises(ValueError, match=r"evaluate\.held_out: it needs score, but .* offers answer"):
        evaluate({"held_out": Likelihood()}, Oracle(str))


def test_metrics_load_without_torch() -> None:
    code = "import sys, llmcycle.evaluate; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
