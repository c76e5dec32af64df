"""The tables that every rendering of a report shows, as text cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmcycle.evaluate.metric import Metric, headline_first
from llmcycle.report import numbers
from llmcycle.report.parts import is_part
from llmcycle.report.record import StageRecord

Report = Mapping[str, Any]


@dataclass(frozen=True)
class MetricRow:
    """One metric of one stage; the stage's own cells are empty from its second metric on."""

    cells: tuple[str, str, str, str, str, str, str, str, str]
    judgement: str
    metric: Metric | None
    part: bool = False  # of another metric of the stage


PARTS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer_state": "optimiser",
    "activations": "activations",
    "peak": "at the most",
}
MEMORY_HEADER = ("stage", "memory of", "how", *PARTS.values())
DRAWN = 8  # answers from the begin of a stage that learns from its own, and as many from its end
OWN_HEADER = ("prompt", "expected", "got", "judged")
CHOICES = {"what": "what", "chosen": "chosen", "among": "among", "by": "by", "scored_on": "scored on"}
CHOICE_HEADER = ("stage", *CHOICES.values())
HEADER = ("stage", "method", "metric", "before", "after", "difference [95 %]", "n", "seconds", "artifact")


def metric_rows(records: Iterable[StageRecord]) -> Iterator[MetricRow]:
    """Every metric of every stage, with the cells of `HEADER`."""
    for record in records:
        yield from _stage_rows(record)


def headline_rows(records: Iterable[StageRecord]) -> Iterator[MetricRow]:
    """Of every stage the metric that tells most."""
    for record in records:
        yield next(_stage_rows(record))


def own_rows(record: StageRecord) -> list[list[str]]:
    """Cells of `OWN_HEADER` for rows of the stage's own data, the wrong ones first."""
    return [
        [prompt_text(row["prompt"]), str(row["expected"]), str(row["got"]), judged(float(row["score"]))]
        for row in record.own_rows
    ]


def drawn_rows(record: StageRecord) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the answers that a stage learnt from, with their rewards: its first and its last ones."""
    rows = record.drawn
    shown = rows if len(rows) <= 2 * DRAWN else [*rows[:DRAWN], *rows[-DRAWN:]]
    rewards = [name for name in (shown[0] if shown else {}) if name not in ("step", "prompt", "answer")]
    cells = [
        [str(row["step"]), row["prompt"], row["answer"], *(f"{row.get(name, 0.0):.3g}" for name in rewards)]
        for row in shown
    ]
    return ["step", "prompt", "answer", *rewards], cells


def choice_rows(records: Iterable[StageRecord]) -> list[list[str]]:
    """Cells of `CHOICE_HEADER`: what every stage chose, among what, and on which rows it was scored after that."""
    return [
        [record.name if place == 0 else "", *(choice[key] for key in CHOICES)]
        for record in records
        for place, choice in enumerate(record.choices)
    ]


def judged(score: float) -> str:
    """Right, wrong, or the score of an answer that is neither."""
    return {0.0: "wrong", 1.0: "right"}.get(score, numbers.number(score))


def memory_rows(records: Iterable[StageRecord]) -> list[list[str]]:
    """Cells of `MEMORY_HEADER` for every stage that set its memory beside that of other ways to train its model."""
    return [
        [
            record.name if place == 0 else "",
            row["method"],
            "measured" if row["measured"] else "by formula",
            *(numbers.number(row[part], "bytes") for part in PARTS),
        ]
        for record in records
        for place, row in enumerate(record.memory)
    ]


def answers(report: Report) -> tuple[list[str], list[list[str]]]:
    """The stages that answered, and for each fixed prompt a row: the prompt, then each stage's answer."""
    stages = [stage for stage in report["stages"] if stage["samples"]]
    columns = [{prompt_text(sample["prompt"]): str(sample["answer"]) for sample in s["samples"]} for s in stages]
    prompts = dict.fromkeys(prompt for column in columns for prompt in column)
    rows = [[prompt, *(column.get(prompt, "") for column in columns)] for prompt in prompts]
    return [stage["name"] for stage in stages], rows


def prompt_text(prompt: str | Sequence[Mapping[str, object]]) -> str:
    """A prompt as text: as it is, or the contents of its messages."""
    return prompt if isinstance(prompt, str) else "\n".join(str(message["content"]) for message in prompt)


def reproduce(report: Report) -> list[str]:
    """The command, and what has to be the same for the same result."""
    run = report["run"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version)
    git = run["git"]
    facts = {
        "config sha256": run["config_sha256"],
        "seed": "" if run["seed"] is None else str(run["seed"]),
        "commit": f"{git['commit']}{' (dirty)' if git['dirty'] else ''}" if git else "",
        "versions": versions,
    }
    return [run["command"], *(f"# {name}: {value}" for name, value in facts.items() if value)]


def _stage_rows(record: StageRecord) -> Iterator[MetricRow]:
    time = "up to date" if record.skipped else numbers.seconds(record.seconds)
    head, tail = (record.name, record.method), (time, record.artifact_id)
    if record.error is not None or not record.metrics:
        judgement = "measured" if record.error is None else "worse"
        yield MetricRow((*head, record.state, "", "", "", "", *tail), judgement, None)
        head, tail = ("", ""), ("", "")
    for name, metric in headline_first(record.metrics).items():
        cells = *head, *_cells(name, metric), *tail
        yield MetricRow(cells, numbers.judge(metric), metric, is_part(name, record.metrics))
        head, tail = ("", ""), ("", "")


def _cells(name: str, metric: Metric) -> tuple[str, str, str, str, str]:
    title, n = numbers.title(name, metric), "" if metric.n is None else str(metric.n)
    return title, numbers.before(metric), numbers.after(metric), numbers.difference(metric), n
