"""Scores, and what becomes of them before and after a stage."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llmcycle.evaluate import Scores, compare, evaluate, paired_interval


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


def test_other_weights_give_no_paired_interval() -> None:
    metric = compare({"loss": Scores([1.0, 2.0], weights=[1, 1])}, {"loss": Scores([1.0, 2.0], weights=[1, 2])})["loss"]
    assert metric.before == 1.5
    assert metric.interval is None


def test_single_row_has_no_interval() -> None:
    assert compare(None, {"loss": Scores([1.5])})["loss"].interval is None


def test_changed_rows_refused() -> None:
    with pytest.raises(ValueError, match="2 rows before and 1 after"):
        compare({"a": Scores([1.0, 0.0])}, {"a": Scores([1.0])})


def test_empty_scores_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        compare(None, {"a": Scores([])})


def test_two_evaluators_of_one_name_refused() -> None:
    def score(model: object, tokenizer: object) -> dict[str, Scores]:
        return {"bad": Scores([1.0])}

    with pytest.raises(ValueError, match=r"evaluate\.second: bad"):
        evaluate({"first": score, "second": score}, None, None)


def test_metrics_load_without_torch() -> None:
    code = "import sys, llmcycle.evaluate; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
