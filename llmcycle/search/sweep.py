"""A search: trials are asked for, run by Hydra's launcher, and told how they ended."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from llmcycle.config.plain_tree import plain
from llmcycle.config.searches import with_space
from llmcycle.launchers import at_once, cores
from llmcycle.search.ending import Ending, read_ending, together
from llmcycle.search.settings import Search
from llmcycle.search.space import Space
from llmcycle.search.trials import Trial, Trials, study_of
from llmcycle.surroundings import ARMS, set_for


class Sweep:
    """One search: asks for trials, lets the launcher run their arms, tells how they ended.

    Args:
        config: what Hydra composed of the recipe without its swept settings.
        launcher: runs arms.
        loader: knows the options that a glob stands for.
    """

    def __init__(self, config: DictConfig, launcher: Launcher, loader: ConfigLoader) -> None:
        self.config, self.launcher, self.loader = config, launcher, loader
        self.folder = Path(config.hydra.sweep.dir)

    def run(self, arguments: Sequence[str]) -> None:
        """Run trials until there are as many as asked for, those of an earlier run of the same search among them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, self.folder / "multirun.yaml")
        self.trials = self.opened(arguments)
        with set_for({ARMS: str(self.trials.most * self.trials.replicates)}):
            for batch in self.batches():
                self.try_out(batch)

    def opened(self, arguments: Sequence[str]) -> Trials:
        """The trials of this search."""
        node = plain(self.config.search)
        begun = len(study_of(self.folder, node.get("storage")).trials)
        self.search: Search = instantiate(with_seed(node, begun), _convert_="all")
        words = with_space(self.search.space or {}, arguments)
        parser = OverridesParser.create(config_loader=self.loader)
        return Trials(self.search, Space.read(parser.parse_overrides(words)), self.folder)

    def batches(self) -> Iterator[list[Trial]]:
        """What to run at a time: first what a kill has left."""
        count = self.search.parallel or self.jobs()
        waiting = self.trials.resume()
        while batch := waiting[:count]:
            waiting = waiting[count:]
            yield batch
        while batch := [trial for _ in range(count) if (trial := self.trials.ask()) is not None]:
            yield batch

    def jobs(self) -> int:
        """How many arms the launcher runs at once, where it says so."""
        launcher = self.config.hydra.launcher
        return at_once(launcher, cores()) if launcher.get("n_jobs") else 1

    def try_out(self, batch: Sequence[Trial]) -> None:
        """Run some trials, one replicate of all after the other, and tell how they ended.

        A trial whose first replicate failed or was pruned needs no further one.
        """
        endings: dict[int, list[Ending]] = {trial.number: [] for trial in batch}
        for place in range(self.trials.replicates):
            alive = [t for t in batch if all(each.state == "complete" for each in endings[t.number])]
            self.launch([(t.arms[place], self.words(t, place)) for t in alive if not self.ending(t.arms[place])])
            for trial in alive:
                none = Ending("failed", reason="it left no report")
                endings[trial.number].append(self.ending(trial.arms[place]) or none)
        for trial in batch:
            self.trials.tell(trial, together(endings[trial.number]))

    def ending(self, arm: int) -> Ending | None:
        """How an arm ended, perhaps before a kill."""
        return read_ending(self.folder / str(arm), self.search.metric)

    def words(self, trial: Trial, place: int) -> list[str]:
        """The overrides of one replicate of a trial."""
        return [*trial.words, *self.trials.space.seeds[place : place + 1]]

    def launch(self, arms: Sequence[tuple[int, list[str]]]) -> None:
        """Run arms under their numbers: a launcher counts on from the first."""
        for _, group in groupby(enumerate(sorted(arms)), key=lambda pair: pair[1][0] - pair[0]):
            row = [arm for _, arm in group]
            self.launcher.launch([words for _, words in row], initial_job_idx=row[0][0])


def with_seed(node: dict[str, Any], begun: int) -> dict[str, Any]:
    """The recipe's settings, with another seed where a search goes on: with the same it would draw the same again."""
    seed = node["sampler"].get("seed")
    if not begun or seed is None:
        return node
    return {**node, "sampler": {**node["sampler"], "seed": zlib.crc32(f"{seed} {begun}".encode())}}
