"""The trials of a search: chosen by Optuna, recorded in a file, and gone on with after a kill.

The file holds what runs: each trial once. The sampler thinks in a study of its own, in memory, where what it proposes
twice is thrown away.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from llmcycle.config.errors import ConfigError
from llmcycle.search.ending import Ending
from llmcycle.search.settings import Search
from llmcycle.search.space import Space

STUDY = "search"
FILE = "search.db"
ARMS, REASON, SECONDS, WORDS = "arms", "reason", "seconds", "words"  # what is noted of a trial
PATIENCE = 200  # proposals in a row that were made before
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass
class Trial:
    """A setting that is tried.

    Args:
        number: in the file.
        words: its overrides, seeds aside.
        arms: the numbers of the arms that try it, one a replicate.
        thought: its number in the sampler's own study.
    """

    number: int
    words: list[str]
    arms: list[int]
    thought: int


def address(folder: Path, storage: str | None) -> str:
    """Where the trials of a sweep in `folder` are recorded."""
    return storage or f"sqlite:///{(folder / FILE).resolve()}"


def study_of(folder: Path, storage: str | None, pruner: optuna.pruners.BasePruner | None = None) -> optuna.Study:
    """The recorded study, which is begun where there is none. Less is better in it.

    Raises:
        ConfigError: the file is damaged, or the address leads nowhere.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(
            storage=address(folder, storage),
            study_name=STUDY if storage is None else folder.name,
            pruner=pruner or optuna.pruners.NopPruner(),
            direction="minimize",
            load_if_exists=True,
        )
    except (SQLAlchemyError, OptunaError, ImportError) as error:
        reason = f"the record of its trials can't be read: {str(error).splitlines()[0]}"
        aside = shlex.join(["mv", str(folder), f"{folder}.damaged"])
        remedy = "search.storage=null" if storage else f"{aside}, and what is made already is not made again"
        raise ConfigError("search.storage" if storage else str(folder / FILE), reason, remedy) from error


class Trials:
    """What has been tried, and what is to be tried next.

    Args:
        search: the recipe's settings.
        space: what is searched.
        folder: of the sweep.
    """

    def __init__(self, search: Search, space: Space, folder: Path) -> None:
        self.search, self.space, self.folder = search, space, folder
        self.record = study_of(folder, search.storage, search.pruner)
        self.exhausted = False
        self.thinking = optuna.create_study(sampler=search.sampler, direction="minimize")
        finished = [trial for trial in self.record.trials if trial.state.is_finished()]
        self.thinking.add_trials([known_trial(trial, space.distributions) for trial in finished])
        self.known = {tuple(trial.user_attrs[WORDS]) for trial in self.record.trials}

    @property
    def most(self) -> int:
        """How many there will be."""
        return min(self.search.trials, self.space.size or self.search.trials)

    @property
    def replicates(self) -> int:
        """Arms of each trial."""
        return max(1, len(self.space.seeds))

    def resume(self) -> list[Trial]:
        """Those that were begun and have not ended; called before any is asked for."""
        return [self._again(trial) for trial in self.record.trials if not trial.state.is_finished()]

    def _again(self, trial: FrozenTrial) -> Trial:
        self.thinking.enqueue_trial(trial.params)
        thought = self.thinking.ask(dict(self.space.distributions))
        return Trial(trial.number, list(trial.user_attrs[WORDS]), list(trial.user_attrs[ARMS]), thought.number)

    def ask(self) -> Trial | None:
        """The next trial; None where there are enough, or nothing new is left."""
        if self.exhausted or len(self.record.trials) >= self.most:
            return None
        for _ in range(PATIENCE):
            thought = self.thinking.ask(dict(self.space.distributions))
            words = self.space.words(thought.params)
            if tuple(words) not in self.known:
                return self._new(thought.number, thought.params, words)
            self._learn(thought.number, None, TrialState.FAIL)
        return None

    def _new(self, thought: int, params: dict[str, Any], words: list[str]) -> Trial:
        """Record a trial, in one step with what it tries and the numbers of its arms."""
        self.known.add(tuple(words))
        number, arms = len(self.record.trials), self._next_arms()
        running = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions=dict(self.space.distributions),
            user_attrs={WORDS: words, ARMS: arms},
        )
        self.record.add_trial(running)
        return Trial(number, words, arms, thought)

    def _next_arms(self) -> list[int]:
        begun = [arm for trial in self.record.trials for arm in trial.user_attrs[ARMS]]
        # Beside them folders of arms whose record is gone: their reports are of other settings.
        there = [int(path.name) for path in self.folder.iterdir() if path.name.isdecimal()]
        first = max([*begun, *there], default=-1) + 1
        return list(range(first, first + self.replicates))

    def _recorded(self, number: int) -> optuna.Trial:
        return optuna.Trial(self.record, self.record.trials[number]._trial_id)

    def tell(self, trial: Trial, ending: Ending) -> None:
        """Record how a trial ended. One that failed stays on record, and is never the best."""
        recorded = self._recorded(trial.number)
        recorded.set_user_attr(SECONDS, ending.seconds)
        recorded.set_user_attr(REASON, ending.reason)
        value = ending.loss if ending.state == "complete" else None
        self.record.tell(trial.number, value, STATES[ending.state])
        thought = optuna.Trial(self.thinking, self.thinking.trials[trial.thought]._trial_id)
        for step, intermediate in self.record.trials[trial.number].intermediate_values.items():
            thought.report(intermediate, step)
        if ending.state == "failed":
            self._learn(trial.thought, math.inf, TrialState.COMPLETE)
        else:
            self._learn(trial.thought, value, STATES[ending.state])

    def _learn(self, thought: int, value: float | None, state: TrialState) -> None:
        try:
            self.thinking.tell(thought, value, state)
        except RuntimeError:  # a sampler that has tried all stops Optuna's own loop, which nobody is in here
            self.exhausted = True


def known_trial(trial: FrozenTrial, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """A recorded trial as a sampler that did not choose it may learn from it.

    One that failed is the worst that there can be: a sampler leaves out failures, and would try the same again.
    """
    failed = trial.state is TrialState.FAIL
    return create_trial(
        state=TrialState.COMPLETE if failed else trial.state,
        value=math.inf if failed else trial.value if trial.state is TrialState.COMPLETE else None,
        params=trial.params,
        distributions=dict(distributions),
        intermediate_values=trial.intermediate_values,
    )
