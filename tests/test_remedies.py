"""Mistakes made by rule: each is refused in words, none with a traceback, and what is printed to be typed mends it.

A part of them is made in every test run, and all of them in the tier `matrix`:
`pytest -m matrix tests/test_remedies.py -s`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matrix
import mistakes
import pytest
from mistakes import Mistake
from toy import command

LEAST, PART, SHARE = 300, 40, 0.9


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny language model and a reward model, and files of every form."""
    folder = tmp_path_factory.mktemp("shelf")
    matrix.models(folder)
    matrix.write(folder)
    mistakes.write(folder)
    return folder


@pytest.fixture
def bench(here: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with links to all of it; what is mended opens no server and no chat."""
    for verb in ("serve", "chat"):
        monkeypatch.setattr(f"llmcycle.deploy.{verb}", lambda *_, **__: None)
    for path in shelf.iterdir():
        (here / path.name).symlink_to(path)
    return here


@dataclass
class Said:
    """What a command said: its exit code, and the errors with their remedies."""

    code: int
    errors: list[tuple[str, str]]
    text: str

    @property
    def foreseen(self) -> bool:
        """Whether it is told in words."""
        return self.code in (0, 2) and "Traceback" not in self.text and "not foreseen" not in self.text


def say(mistake: Mistake, capsys: pytest.CaptureFixture[str]) -> Said:
    """Type a command, with its wrong file where it has one."""
    if mistake.path:
        path = Path(mistake.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mistake.text if isinstance(mistake.text, bytes) else mistake.text.encode())
    try:
        code = command(*mistake.words)
    finally:
        if mistake.path:
            Path(mistake.path).unlink()
    said = capsys.readouterr()
    errors: list[tuple[str, str]] = []
    for line in said.err.removeprefix("llmcycle: ").splitlines():
        text = line.strip()
        if text.startswith("try: ") and errors:
            errors[-1] = (errors[-1][0], text.removeprefix("try: "))
        elif text:
            errors.append((text, ""))
    return Said(code, errors, said.out + said.err)


@dataclass
class Figures:
    """What became of a number of mistakes."""

    made: int = 0
    mended: int = 0
    unmended: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        share = 100 * self.mended / self.made
        with_remedy = self.made - sum(": no remedy" in line for line in self.unmended)
        return (
            f"{self.made} mistakes of {len(self.rules)} rules: {len(self.tracebacks)} tracebacks, "
            f"{len(self.accepted)} accepted, {with_remedy} with a remedy, {self.mended} ({share:.0f} %) mended by it"
        )


def judge(made: Sequence[Mistake], capsys: pytest.CaptureFixture[str]) -> Figures:
    """Make mistakes, and do what is said."""
    figures = Figures()
    for mistake in made:
        said = say(mistake, capsys)
        figures.made += 1
        figures.rules[mistake.rule] += 1
        if not said.foreseen:
            figures.tracebacks.append(f"{mistake}\n    {said.text.strip()[:300]}")
        elif said.code == 0:
            figures.accepted.append(f"{mistake}    {said.text.strip()[:80]}")
        else:
            why = unmended(mistake, said, capsys)
            figures.mended += not why
            figures.unmended += [f"{mistake}\n    {why}"] if why else []
    return figures


def unmended(mistake: Mistake, said: Said, capsys: pytest.CaptureFixture[str]) -> str:
    """Why the first error's key is not right once its remedy is typed; "" where it is."""
    head, remedy = said.errors[0]
    if not remedy:
        return f"{head}: no remedy"
    tried, key = [], head.partition(": ")[0]
    for better in mistakes.mended(mistake, remedy, key):
        again = say(better, capsys)
        if again.foreseen and not any(error.startswith(f"{key}: ") for error, _ in again.errors):
            return ""
        tried.append(str(better))
    return f"{head}\n    try: {remedy}\n    tried: {'; '.join(tried)}"


def test_mistakes_are_many_and_of_all_rules() -> None:
    made = mistakes.every()
    assert len(made) >= LEAST
    assert {mistake.rule for mistake in made[:PART]} >= {"key dropped", "type", "rows", "flag or word of a verb"}


@pytest.mark.slow
def test_a_part_of_the_mistakes_is_mended(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_mended(judge(mistakes.every()[:PART], capsys), capsys)


@pytest.mark.matrix
def test_all_mistakes_are_mended(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_mended(judge(mistakes.every(), capsys), capsys)


def assert_mended(figures: Figures, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, nothing accepted, and nine of ten mended."""
    with capsys.disabled():
        print(f"\n{figures}")
    assert not figures.tracebacks, "\n".join(figures.tracebacks)
    assert not figures.accepted, "\n".join(figures.accepted)
    assert figures.mended >= SHARE * figures.made, "\n".join(figures.unmended)
