"""Trials are recorded once each, gone on with after a kill, and chosen by what was told of the others."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.samplers import BruteForceSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from llmcycle.search import Search
from llmcycle.search.ending import Ending
from llmcycle.search.space import Space
from llmcycle.search.trials import Trials, study_of


def opened(
    folder: Path, *overrides: str, trials: int = 10, sampler: optuna.samplers.BaseSampler | None = None
) -> Trials:
    space = Space.read(OverridesParser.create().parse_overrides(list(overrides)))
    return Trials(Search(sampler or TPESampler(seed=0), trials), space, folder)


def words(folder: Path) -> list[tuple[str, ...]]:
    return [tuple(trial.user_attrs["words"]) for trial in study_of(folder, None).trials]


def test_what_a_kill_has_left_is_gone_on_with_under_its_number(tmp_path: Path) -> None:
    first = opened(tmp_path, "x=interval(0,1)", "seed=0,1")
    done, left = first.ask(), first.ask()
    assert done is not None
    assert left is not None
    assert (done.arms, left.arms) == ([0, 1], [2, 3])
    first.tell(done, Ending("complete", 0.5))
    again = opened(tmp_path, "x=interval(0,1)", "seed=0,1")
    (interrupted,) = again.resume()
    assert (interrupted.number, interrupted.words, interrupted.arms) == (1, left.words, [2, 3])
    again.tell(interrupted, Ending("pruned"))
    fresh = again.ask()
    assert fresh is not None
    assert fresh.arms == [4, 5]
    assert len(set(words(tmp_path))) == 3


def test_a_trial_is_recorded_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a kill falls, a trial is whole on record or not there."""
    trials = opened(tmp_path, "x=interval(0,1)")

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trials.record, "add_trial", dies)
    with pytest.raises(KeyboardInterrupt):
        trials.ask()
    again = opened(tmp_path, "x=interval(0,1)")
    assert again.resume() == []
    begun = again.ask()
    assert begun is not None
    (recorded,) = study_of(tmp_path, None).trials
    assert recorded.state is TrialState.RUNNING
    assert (recorded.user_attrs["words"], recorded.user_attrs["arms"]) == (begun.words, [0])


@pytest.mark.parametrize("sampler", [BruteForceSampler, RandomSampler, TPESampler])
def test_a_small_space_is_tried_once_and_no_more(tmp_path: Path, sampler: type[optuna.samplers.BaseSampler]) -> None:
    trials = opened(tmp_path, "x=1,2,3", "y=range(0,2)", trials=30, sampler=sampler(seed=0))
    while (trial := trials.ask()) is not None:
        trials.tell(trial, Ending("complete", float(trial.number)))
    assert len(words(tmp_path)) == len(set(words(tmp_path))) == 6
    assert trials.most == 6


def test_a_failed_trial_is_on_record_and_never_the_best(tmp_path: Path) -> None:
    trials = opened(tmp_path, "x=interval(0,1)")
    for ending in (Ending("failed", reason="no memory"), Ending("complete", 0.3), Ending("complete", 0.2)):
        trial = trials.ask()
        assert trial is not None
        trials.tell(trial, ending)
    record = study_of(tmp_path, None)
    assert [trial.state for trial in record.trials] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert record.trials[0].user_attrs["reason"] == "no memory"
    assert record.best_trial.number == 2


def test_the_sampler_learns_from_what_it_did_not_choose_itself(tmp_path: Path) -> None:
    """After twenty trials of another process, draws lie nearer to the best than at random."""
    trials = opened(tmp_path, "x=interval(0,1)", trials=20, sampler=RandomSampler(seed=3))
    while (trial := trials.ask()) is not None:
        x = float(trial.words[0].partition("=")[2])
        trials.tell(trial, Ending("complete", (x - 0.3) ** 2))
    more = opened(tmp_path, "x=interval(0,1)", trials=30)
    drawn = []
    while (trial := more.ask()) is not None:
        drawn.append(float(trial.words[0].partition("=")[2]))
        more.tell(trial, Ending("complete", (drawn[-1] - 0.3) ** 2))
    assert sum(abs(x - 0.3) for x in drawn) / len(drawn) < 0.2, "at random it is 0.29"
