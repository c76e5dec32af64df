"""Strengths and win rates of simulated matches come out as they were planted."""

from __future__ import annotations

import choix
import numpy as np
import pytest
from matches import coverage, drawn, truth

from llmcycle.arena import Matches, standings
from llmcycle.arena.matches import judged
from llmcycle.arena.standings import bradley_terry, fitted, refitted
from llmcycle.engine import Answer
from llmcycle.evaluate.win_rate import rates


def test_many_matches_give_the_known_strengths() -> None:
    lines = standings(drawn(np.random.default_rng(0), 20_000))
    assert [line.name for line in lines] == list("abcd")
    for line in lines:
        assert (line.strength, line.win_rate, line.at_equal_length) == pytest.approx(truth()[line.name], abs=0.03)


def test_intervals_hold_the_truth_in_nearly_95_of_100() -> None:
    """In 150 repeats of four models; 1,000 repeats stand in tests/bench/judges.py."""
    held, error = coverage(60, 150, spread=0.5)
    assert 0.92 < held.mean() < 0.98, held
    assert np.abs(error[:, 1:]).max() < 0.02


def test_the_likeliest_strengths_are_those_of_single_matches() -> None:
    """choix's own fit of a list of (winner, loser)."""
    matches = drawn(np.random.default_rng(1), 50)
    won = [(i, j) for p, i, j in zip(*np.nonzero(np.nan_to_num(matches.wins)), strict=True) for _ in [p]]
    assert fitted(np.nan_to_num(matches.wins).sum(0)) == pytest.approx(choix.opt_pairwise(4, won), abs=0.01)
    tables = np.stack([np.nan_to_num(matches.wins[:n]).sum(0) for n in (30, 40, 50)])
    assert refitted(tables, np.zeros(4)) == pytest.approx(np.array([fitted(table) for table in tables]), abs=0.01)
    assert sum(strength for strength, _ in bradley_terry(matches)) == pytest.approx(0, abs=1e-6)


def test_a_liking_for_length_is_taken_out() -> None:
    """Equally good models of which later ones write longer."""
    lines = standings(drawn(np.random.default_rng(2), 3000, strengths=(0.0, 0.0, 0.0), liking=2.0))
    assert [line.name for line in lines] == ["c", "b", "a"]
    assert lines[0].win_rate > 0.6
    assert all(line.at_equal_length == pytest.approx(0.5, abs=0.03) for line in lines)


def test_two_models_have_the_win_rates_of_the_evaluator() -> None:
    """The same regression, whichever way it is asked for."""
    matches = drawn(np.random.default_rng(3), 80, strengths=(0.5, 0.0), liking=1.0)
    wins, longer = matches.wins[:, 0, 1].tolist(), (matches.lengths[:, 0] - matches.lengths[:, 1]).tolist()
    found = rates(wins, longer, [str(i) for i in range(80)])
    line = next(line for line in standings(matches) if line.name == "a")
    assert line.win_rate == pytest.approx(found["win_rate"].mean)
    assert line.at_equal_length == pytest.approx(found["win_rate_at_equal_length"].mean, abs=1e-6)


def test_ties_count_half_and_failures_nothing() -> None:
    wins = np.full((3, 2, 2), np.nan)
    for p, value in enumerate((1.0, 0.5, np.nan)):
        wins[p, 0, 1], wins[p, 1, 0] = value, 1 - value
    best, other = standings(Matches(("a", "b"), wins, np.ones((3, 2))))
    assert (best.win_rate, other.win_rate, best.ties) == (0.75, 0.25, 0.5)
    assert best.failed == other.failed == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="verdicts on 1 of 2 prompts"):
        standings(Matches(("a", "b"), wins[1:], np.ones((2, 2))))


def test_who_wins_always_has_a_finite_strength() -> None:
    wins = np.full((30, 2, 2), np.nan)
    wins[:, 0, 1], wins[:, 1, 0] = 1.0, 0.0
    best, other = standings(Matches(("a", "b"), wins, np.ones((30, 2))))
    assert best.strength == pytest.approx(-other.strength)
    assert np.isfinite([*best.strength_interval, *best.at_equal_length_interval]).all()
    assert best.win_rate_interval[0] < best.win_rate == 1.0


def test_every_two_models_meet_on_every_prompt() -> None:
    def length(prompts: list[str], completions: list[str], **_: object) -> list[float]:
        return [float(len(text)) for text in completions]

    answers = [[Answer("x" * n, "stop")] * 2 for n in (1, 3, 3)]
    matches = judged(length, [{"prompt": "p"}, {"prompt": "q"}], "abc", answers)  # type: ignore[arg-type]
    assert matches.wins[0, 1, 0] == 1.0
    assert matches.wins[0, 1, 2] == 0.5
    assert np.isnan(np.diagonal(matches.wins[1])).all()
    assert matches.lengths.tolist() == [[1, 3, 3]] * 2
