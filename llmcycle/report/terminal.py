"""The terminal: a plan before the run, a table of at most 24 lines after it, plain text when piped."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Sequence

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmcycle.printable import printable
from llmcycle.report.curves import charts, in_blocks, in_words
from llmcycle.report.parts import in_one_line
from llmcycle.report.record import StageRecord
from llmcycle.report.tables import HEADER, MEMORY_HEADER, MetricRow, memory_rows, metric_rows, own_rows

LINES = 24
FRAME = 6  # lines that are no metric: blank lines, header and rules, "more", "next"
ROWS = 14  # metrics of a run of one stage
# Ever narrower tables: the columns that are left out, and whether units and the ends of ids are.
LAYOUTS = (
    ((), False),
    (("method",), False),
    (("method", "seconds"), False),
    (("method", "seconds"), True),
    (("method", "seconds", "before"), True),
)
STYLES = {"better": "green", "worse": "red", "unclear": "yellow", "measured": ""}
UNBOUNDED = Console(width=10_000)  # to measure with: a console's own width would bound the answer
CURVE = 72  # columns of a curve
PIPED = 120  # columns of a line that goes to no terminal
ROWS_SHOWN = 3  # of a stage's own
ABBREVIATION = 4  # digits of an id that the commands take

Cells = Sequence[str]


def print_plan(
    stages: Iterable[tuple[str, str, bool, str]],
    where_logged: str,
    *,
    estimate: str = "",
    console: Console | None = None,
) -> None:
    """Print what will run: (name, method, up to date, id) of each stage, where it is logged, and what it may cost."""
    rows = [(name, method, "up to date" if ready else "to run", id) for name, method, ready, id in stages]
    ready = sum(row[2] == "up to date" for row in rows)
    count = f"{len(rows)} stage{'s' * (len(rows) != 1)}"
    lines = [f"plan: {count}, {ready} up to date, logged in {where_logged}", *(f"  {line}" for line in _aligned(rows))]
    _print(console or _console(), [*lines, f"estimate: {estimate}"] if estimate else lines)


def print_stage(record: StageRecord, *, console: Console | None = None) -> None:
    """Print how a stage that was just made went: a curve of its loss, its scores that have parts,
    and three of its own rows with its answers."""
    if record.skipped or record.error is not None:
        return
    console = console or _console()
    width = console.width if console.is_terminal else PIPED
    by_part = in_one_line(record.metrics)
    measures = [_cut(by_part, width - 2)] if by_part else []
    lines = [*_curve(record, console), *measures, *_few_rows(record, width)]
    _print(console, [f"{record.name}: {lines[0]}", *(f"  {line}" for line in lines[1:])] if lines else [])


def _curve(record: StageRecord, console: Console) -> list[str]:
    """Its ends in words, and on a terminal its form in blocks."""
    drawn = charts(record.curves)
    if not drawn:
        return []
    first = drawn[0][0]
    blocks = in_blocks(first.values, min(CURVE, console.width - 4)) if console.is_terminal else []
    return [in_words(first), *blocks]


def _few_rows(record: StageRecord, width: int) -> list[str]:
    """Rows of its own data, wrong ones and right ones, each in one line."""
    rows = own_rows(record)
    few = [*rows[: ROWS_SHOWN - 1], rows[-1]] if len(rows) > ROWS_SHOWN else rows
    order = "" if all(judgement == "right" for *_, judgement in few) else ", wrong ones first"
    lines = [f"{len(few)} of its own rows{order}"] if few else []
    for prompt, expected, got, judgement in few:
        tail = "" if judgement == "right" else f" (expected: {_one_line(expected)})"
        lines.append(_cut(f"  {judgement:5}  {_one_line(prompt)} -> {_one_line(got)}{tail}", width - 3))
    return lines


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _cut(text: str, width: int) -> str:
    """At most so many columns of the terminal."""
    if cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, max(1, width - 1)).rstrip()}…"


def print_table(
    records: Sequence[StageRecord],
    *,
    known: Collection[str] = (),
    again: str = "",
    store: str = "",
    console: Console | None = None,
) -> None:
    """Print the stages' metrics, headlines first, and the command to type next; a failure was told when it happened.

    Args:
        records: the run's stages in order.
        known: the ids in the store, which the next command's abbreviation must be told from.
        again: the command to type after a failure.
        store: what the next command is told beside an id, to find the store.
    """
    console = console or _console()
    memory = _memory(records)
    rows, left_out = _chosen(records, LINES - FRAME - len(memory))
    ids = {*known, *(record.artifact_id for record in records)}
    table = _table(rows, console.width, ids) if console.is_terminal else None
    if table:
        console.print(table)
    else:
        _print(console, _aligned([_pick(HEADER, ("n",)), *(_pick(row.cells, ("n",)) for row in rows)]))
    more = [f"{left_out} more metrics in report.md"] if left_out else []
    _print(console, [*more, *memory, *_next(records, ids, again, store)])


def _memory(records: Sequence[StageRecord]) -> list[str]:
    """Of a run with one trained stage what its memory went to; of several it is in the report alone."""
    if sum(bool(record.memory) for record in records) != 1:
        return []
    return ["", *_aligned([row[1:] for row in (list(MEMORY_HEADER), *memory_rows(records))]), ""]


def _chosen(records: Sequence[StageRecord], room: int) -> tuple[list[MetricRow], int]:
    """As many rows as there is room for, and how many are left out.

    All headlines come first, then what has changed, what has a direction, the rest, and last what counts faults and
    found none; each in turn for all stages.
    """
    room = min(room, ROWS * len(records))
    groups = [list(metric_rows([record])) for record in records]
    places = [(stage, rank) for stage, group in enumerate(groups) for rank in range(len(group))]
    places.sort(key=lambda place: (_importance(groups[place[0]][place[1]], place[1]), place[1], place[0]))
    return [groups[stage][rank] for stage, rank in sorted(places[:room])], max(0, len(places) - room)


def _importance(row: MetricRow, rank: int) -> int:
    if rank == 0 or row.metric is None:
        return 0 if rank == 0 else 3
    if row.metric.better == "neutral" or row.part:
        return 3
    if row.metric.before is not None:
        return 1
    return 4 if row.metric.better == "lower" and row.metric.value == 0 else 2


def _table(rows: Sequence[MetricRow], width: int, ids: Collection[str]) -> Table | None:
    """The fullest table that the terminal takes, None when even the shortest is too wide."""
    for spared, short in LAYOUTS:
        without = ("n", *spared)
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for name in _pick(HEADER, without):
            table.add_column(name, no_wrap=True)
        for row in rows:
            cells = _short(row.cells, ids) if short else row.cells
            table.add_row(*map(Text, _pick(cells, without)), style=STYLES[row.judgement])
        if UNBOUNDED.measure(table).maximum <= width:
            return table
    return None


def _short(cells: Cells, ids: Collection[str]) -> list[str]:
    """The row without units and with the artifact's id abbreviated."""
    metric, artifact = HEADER.index("metric"), HEADER.index("artifact")
    changed = {metric: re.sub(r" \(.*\)", "", cells[metric])}
    changed |= {artifact: _abbreviated(cells[artifact], ids)} if cells[artifact] else {}
    return [changed.get(position, cell) for position, cell in enumerate(cells)]


def _pick(cells: Cells, without: Cells) -> list[str]:
    return [cell for name, cell in zip(HEADER, cells, strict=True) if name not in without]


def _aligned(rows: Iterable[Cells]) -> list[str]:
    """Columns as wide as their widest cell; nothing is cut."""
    rows = list(rows)
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _next(records: Sequence[StageRecord], ids: Collection[str], again: str, store: str) -> list[str]:
    """What to type next; nothing where it would be what was just refused, whose remedy has been told."""
    if any(record.refused for record in records):
        return []
    if any(record.error is not None for record in records):
        return [f"next: {again or 'mend the cause and type the same command again'}  (finished stages are kept)"]
    made = [record for record in records if record.artifact_id]
    speaking = [record.artifact_id for record in made if record.samples and record.holds_model]
    return [f"next: llmcycle chat {_abbreviated(speaking[-1], ids)}{store}" if speaking else "next: llmcycle ls"]


def _abbreviated(id: str, known: Collection[str]) -> str:
    """The shortest start of the id, of 4 digits or more, that no other id shares."""
    others = {other for other in known if other != id}
    lengths = range(ABBREVIATION, len(id))
    return next((id[:n] for n in lengths if not any(other.startswith(id[:n]) for other in others)), id)


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False, markup=False)


def _print(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(Text(line), soft_wrap=True)
