"""A stage's loggers from before it runs until after, over interruptions and in other processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmcycle.tracking.loggers import Run, open_loggers
from llmcycle.tracking.remembered import Remembered, forget, remember, remembered
from llmcycle.tracking.result import Result

if TYPE_CHECKING:
    from llmcycle.tracking.together import Together


@dataclass
class Tracked:
    """A stage's loggers, and what they will be told when they close.

    Args:
        node: their options.
        run: what they are told when they open.
        unfinished: where the stage keeps what it can go on from.
    """

    node: Mapping[str, Any] | None
    run: Run
    unfinished: Path
    loggers: Together | None = None
    result: Result | None = None

    def open(self, *, again: bool = False) -> None:
        """Open them, and remember where they write; `again` those that go on with what another process has begun."""
        self.loggers = open_loggers(self.node, self.run, by_id=again)
        if place := self.place:
            (*_, last) = place.values()
            folders = [*self.run.earlier, *(each["folder"] for each in place.values())]
            remember(self.unfinished, Remembered(last["id"], folders))

    @property
    def place(self) -> dict[str, dict[str, Any]]:
        """Where those that keep runs elsewhere keep this one, by option."""
        return self.loggers.place() if self.loggers else {}

    def close(self) -> None:
        """Close them with the result, or without one as of a stage that has failed."""
        if self.loggers:
            self.loggers.close(self.result)
        forget(self.unfinished)


@contextmanager
def tracked(
    node: Mapping[str, Any] | None, run: Run, unfinished: Path, *, resumes: bool, elsewhere: bool = False
) -> Iterator[Tracked]:
    """The loggers of one stage, closed whatever happens, so that the next stage gets its own.

    Args:
        node: their options.
        run: what they are told.
        unfinished: where the stage keeps what it can go on from.
        resumes: whether it goes on from there, and so in the same run.
        elsewhere: whether other processes open them first; then it is left to `open`.
    """
    before = remembered(unfinished, resumes=resumes)
    tracker = Tracked(node, replace(run, id=before.id, earlier=before.folders), unfinished)
    try:
        if not elsewhere:
            tracker.open()
        yield tracker
    finally:
        tracker.close()
