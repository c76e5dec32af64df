"""What a run says, in its log as well as on the terminal, and what must be in neither."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import yaml

from llmcycle.masking import cleaned, shown

FILE = "llmcycle.log"  # Hydra's own handler appends to it too: `hydra.job.name` in conf/base.yaml
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TEXTS = {".log", ".json", ".jsonl", ".md", ".html", ".yaml", ".csv"}


# Of an artifact: what stages write beside the model, whose own files stay as they are.
BESIDE = ("engine", "endpoint", "answers", "samples", "scores", "judging", "curves", "memory", "corpus", "serving")


class Copied:
    """A stream whose lines are also written to a file; a line that is drawn over, such as progress, is not."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self._stream, self._log = stream, log

    def write(self, text: str) -> int:
        """To both, without credentials."""
        safe = shown(text)
        if "\r" not in safe:
            self._log.write(CONTROL.sub("", safe))
        self._stream.write(safe)
        return len(text)

    def flush(self) -> None:
        """Both."""
        self._log.flush()
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Append to the log in a run's folder what is printed inside; no file of the run holds a credential.

    Hydra has written its own files by then, and a run that is killed must not leave them as they are.
    """
    before = sys.stdout, sys.stderr
    clean(folder)
    with (folder / FILE).open("a", encoding="utf-8") as log:
        sys.stdout, sys.stderr = (cast(TextIO, Copied(stream, log)) for stream in before)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
            clean(folder)


def clean(folder: Path, stems: tuple[str, ...] = ()) -> None:
    """Take credentials out of the texts that Hydra, loggers, stages and logging have written below a folder.

    Args:
        stems: what files are called that are read; () for all.
    """
    for path in folder.rglob("*"):
        if path.suffix in TEXTS and (not stems or path.stem in stems) and path.is_file() and not path.is_symlink():
            text = path.read_text("utf-8", errors="surrogateescape")
            if (safe := shown(text)) != text:
                path.write_text(rewritten(text) if path.suffix == ".yaml" else safe, "utf-8", errors="surrogateescape")


def rewritten(text: str) -> str:
    """YAML without credentials that is YAML still: `***` alone would be an alias, and part of a quotation none."""
    try:
        return yaml.safe_dump(cleaned(yaml.safe_load(text)), sort_keys=False, allow_unicode=True)
    except yaml.YAMLError:
        return shown(text)
