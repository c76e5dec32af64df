"""The arena's files, and what the terminal shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import numpy as np

from llmcycle.arena.contest import Contest
from llmcycle.arena.standings import Standing
from llmcycle.evaluate.interval import Interval
from llmcycle.report.sweep import render

HEADER = (
    "model",
    "strength (nats) [95 %]",
    "win rate [95 %]",
    "at equal length [95 %]",
    "ties",
    "characters",
    "failed",
)


def write(folder: Path, contest: Contest, lines: Sequence[Standing]) -> str:
    """Write arena.json, arena.md and matches.jsonl into `folder`; gives the text for the terminal."""
    folder.mkdir(parents=True)
    facts = {"judge": contest.judge, "rubric": contest.rubric, "prompts": len(contest.rows)}
    whole = {**facts, "standings": [asdict(line) for line in lines], "against": against(contest)}
    (folder / "arena.json").write_text(json.dumps(whole, indent=2) + "\n", "utf-8")
    (folder / "arena.md").write_text(markdown(contest, lines), "utf-8")
    (folder / "matches.jsonl").write_text(matches(contest), "utf-8")
    note = f"{len(contest.rows)} prompts, every two models on each; judge: {contest.judge} {contest.rubric}".rstrip()
    return "\n".join([render(table(lines)), f"note: {note}", f"report: {folder / 'arena.md'}"])


def table(lines: Sequence[Standing]) -> list[list[str]]:
    """Header and a line a model."""
    return [list(HEADER), *map(cells, lines)]


def cells(line: Standing) -> list[str]:
    """A model's line."""
    return [
        line.name,
        f"{line.strength:+.2f} {between(line.strength_interval, '+.2f')}",
        f"{line.win_rate:.3f} {between(line.win_rate_interval)}",
        f"{line.at_equal_length:.3f} {between(line.at_equal_length_interval)}",
        f"{line.ties:.3f}",
        f"{line.length:.0f}",
        f"{line.failed:.3f}",
    ]


def between(interval: Interval, digits: str = ".3f") -> str:
    """An interval in brackets."""
    return f"[{interval[0]:{digits}}, {interval[1]:{digits}}]"


def against(contest: Contest) -> dict[str, dict[str, float | None]]:
    """Each model's win rate against each other one; None where no match has a verdict."""
    names, wins = contest.matches.names, contest.matches.wins

    def rate(i: int, j: int) -> float | None:
        won = [value for value in wins[:, i, j].tolist() if not np.isnan(value)]
        return fmean(won) if won else None

    return {first: {second: rate(i, j) for j, second in enumerate(names) if j != i} for i, first in enumerate(names)}


def markdown(contest: Contest, lines: Sequence[Standing]) -> str:
    """arena.md."""
    names = [line.name for line in lines]
    rates = against(contest)
    pairs = [["", *names], *([name, *(shown(rates[name].get(other)) for other in names)] for name in names)]
    facts = f"Judge: `{contest.judge}` {contest.rubric}; {len(contest.rows)} prompts, every two models on each."
    notes = "A tie counts half. Strengths are Bradley-Terry's, in nats, with mean 0. Intervals are over prompts."
    title = "Win rates of a row's model against a column's:"
    blocks = ["# Arena", facts, rows(table(lines)), notes, title, rows(pairs)]
    return "\n\n".join(blocks) + "\n"


def shown(rate: float | None) -> str:
    """A rate, or nothing."""
    return "" if rate is None else f"{rate:.3f}"


def rows(lines: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([body[0], "|" + " --- |" * len(lines[0]), *body[1:]])


def matches(contest: Contest) -> str:
    """A prompt a line: the answers by model, and what each has won of its matches."""
    names, wins = contest.matches.names, contest.matches.wins
    lines = []
    for p, row in enumerate(contest.rows):
        answers = {name: own[p].text for name, own in zip(names, contest.answers, strict=True)}
        won = {
            f"{names[i]} > {names[j]}": None if np.isnan(wins[p, i, j]) else float(wins[p, i, j])
            for i in range(len(names))
            for j in range(i + 1, len(names))
        }
        lines.append(json.dumps({"prompt": row["prompt"], "answers": answers, "won": won}, ensure_ascii=False) + "\n")
    return "".join(lines)
