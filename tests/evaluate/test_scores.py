"""Scores by row: found again in a folder, and paired by what the rows are, never by their place alone."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from llmcycle.engine import TransformersEngine
from llmcycle.evaluate import Scores, pair, paired_interval, read_scores, row_id, write_scores
from llmcycle.evaluate.exact_match import ExactMatch
from llmcycle.evaluate.metric import Metric
from llmcycle.evaluate.scores import over_chance, without


def scores(rows: str, values: list[float], **options: object) -> Scores:
    return Scores(values, rows=[row_id(row) for row in rows], **options)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = {
        "exact_match": scores("ab", [1.0, 0.0]),
        "bits_per_byte/web": scores("ab", [0.5, 0.25], better="lower", unit="bits/byte", weights=[3.0, 4.0]),
    }
    write_scores(tmp_path, {**written, "agreement": Scores([1.0])})
    assert read_scores(tmp_path) == written, "but for rows that nobody can find again"
    assert read_scores(tmp_path / "nowhere") == {}


def test_a_row_is_known_by_its_contents() -> None:
    chat = [{"role": "user", "content": "Größe?"}]
    assert row_id("a", "b") == row_id("a", "b") != row_id("ab", "")
    assert row_id([{"content": "Größe?", "role": "user"}]) == row_id(chat) != row_id([{**chat[0], "role": "system"}])
    assert len(row_id(chat)) == 16


def test_two_models_are_paired_on_the_rows_that_both_answered() -> None:
    one, other = scores("abcdef", [1, 0, 1, 0, 1, 1]), scores("fdbx", [0, 1, 1, 1])
    metric = pair(one, other)
    assert (metric.before, metric.value, metric.n) == (pytest.approx(1 / 3), pytest.approx(2 / 3), 3)
    assert metric.interval == paired_interval([1, 0, 0], [0, 1, 1])
    assert pair(one, scores("xyz", [1, 1, 1])) is None
    assert pair(one, Scores([1, 1, 1, 1, 1, 1])) is None, "of unknown rows"


def test_correction_for_chance_moves_a_guess_to_zero_and_leaves_all_right() -> None:
    alone = over_chance(Metric(0.2, None, (0.2, 1.0)), 0.2)
    assert (alone.value, alone.interval) == (pytest.approx(0), (pytest.approx(0), pytest.approx(1)))
    change = over_chance(Metric(1.0, 0.6, (0.1, 0.6)), 0.2)
    assert (change.value, change.before) == (pytest.approx(1), pytest.approx(0.5))
    assert change.interval == (pytest.approx(0.125), pytest.approx(0.75)), "the guess is in both, and not in the change"
    assert over_chance(Metric(0.3, 0.1), 0.0) == Metric(0.3, 0.1)


def test_order_does_not_matter_to_a_pair() -> None:
    rng = Random(0)
    values = [rng.random() for _ in range(20)]
    weights = [float(rng.randint(1, 9)) for _ in range(20)]
    one = scores("abcdefghijklmnopqrst", values, weights=weights)
    other = one.take(rng.sample(range(20), 20))
    metric = pair(one, other)
    assert metric.value == pytest.approx(metric.before)
    assert metric.interval == pytest.approx((0, 0), abs=1e-12)


def test_a_row_that_is_there_twice_is_paired_twice() -> None:
    metric = pair(scores("aab", [1, 0, 1]), scores("baa", [0, 1, 0]))
    assert (metric.before, metric.value, metric.n) == (pytest.approx(2 / 3), pytest.approx(1 / 3), 3)
    assert metric.interval == paired_interval([1, 1, 0], [0, 1, 0])


def test_rows_are_left_out() -> None:
    left = without({"x": scores("abc", [1, 2, 3], weights=[4, 5, 6]), "y": scores("a", [1])}, {row_id("a")})
    assert left == {"x": scores("bc", [2, 3], weights=[5, 6])}


def test_the_same_question_has_the_same_digest_in_another_data_set(engine: TransformersEngine) -> None:
    """A prompt search and a fine-tuning that ask the same questions can be paired."""

    class Rows:
        def __init__(self, *validation: dict[str, str]) -> None:
            self.validation = list(validation)

    one = ExactMatch(Rows({"prompt": "Colour?", "completion": "red"}))(engine)["exact_match"]
    other = ExactMatch(Rows({"prompt": "Colour?", "answer": "red", "kind": "known"}))(engine)["exact_match"]
    third = ExactMatch(Rows({"prompt": "Colour?", "completion": "blue"}))(engine)["exact_match"]
    assert one.rows == other.rows != third.rows
