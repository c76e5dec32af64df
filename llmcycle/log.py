"""What a run says, in its log as well as on the terminal, and what must be in neither."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from llmcycle.tracking.secrets import without

FILE = "llmcycle.log"  # Hydra's own handler appends to it too: `hydra.job.name` in conf/base.yaml
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TEXTS = {".log", ".json", ".jsonl", ".md", ".html", ".yaml", ".csv"}


class Copied:
    """A stream whose lines are also written to a file; a line that is drawn over, such as progress, is not.

    Args:
        hidden: texts that are replaced wherever they come.
    """

    def __init__(self, stream: TextIO, log: TextIO, hidden: Collection[str]) -> None:
        self._stream, self._log, self._hidden = stream, log, hidden

    def write(self, text: str) -> int:
        """To both."""
        shown = without(text, self._hidden)
        if "\r" not in shown:
            self._log.write(CONTROL.sub("", shown))
        self._stream.write(shown)
        return len(text)

    def flush(self) -> None:
        """Both."""
        self._log.flush()
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def logged(folder: Path, hidden: Collection[str]) -> Iterator[None]:
    """Append to the log in a run's folder what is printed inside; at the end no file of the run holds a hidden text."""
    before = sys.stdout, sys.stderr
    with (folder / FILE).open("a", encoding="utf-8") as log:
        sys.stdout, sys.stderr = (cast(TextIO, Copied(stream, log, hidden)) for stream in before)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
    clean(folder, hidden)


def clean(folder: Path, hidden: Collection[str]) -> None:
    """Replace hidden texts in the files that Hydra, loggers and logging have written below a run's folder."""
    for path in folder.rglob("*") if hidden else ():
        if path.suffix in TEXTS and path.is_file() and not path.is_symlink():
            text = path.read_text("utf-8")
            if (shown := without(text, hidden)) != text:
                path.write_text(shown, "utf-8")
