"""The prompt stage: find the way to ask that gets the most right answers from an unchanged model."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from pytorch_lightning.loggers import Logger
from rich.console import Console
from rich.progress import track
from transformers import GenerationConfig

from llmcycle.data.batches import Rows
from llmcycle.data.chat import Prompt
from llmcycle.engine import Engine, LocalEngine, write_samples
from llmcycle.evaluate import Metric, Metrics, Scores, compare, row_id, write_scores
from llmcycle.evaluate.metric import led_by
from llmcycle.evaluate.text_match import TextMatch
from llmcycle.handoff import Pointer, hand_on, probe_of
from llmcycle.prompt.decoding import Decoding, LikeliestChoice
from llmcycle.prompt.grid import Cell, Grid, Prediction, Row, right_answer
from llmcycle.prompt.template import Template
from llmcycle.quantities import Count, CountOrZero

T = TypeVar("T")
Results = dict[Cell, list[Prediction]]


def search(
    engine: Engine,
    data: Rows,
    templates: Mapping[str, Template | None],
    decodings: Mapping[str, Decoding | None],
    shots: Sequence[CountOrZero] = (0,),
    baseline: str = "bare",
    match: TextMatch | None = None,
    samples: Sequence[Prompt] | None = None,
    limit: Count | None = None,
    seed: int = 0,
    *,
    out: Path,
    logger: Logger | None,
) -> Metrics:
    """Ask the validation rows in every cell of templates x shots x decodings, and compare the best with the baseline.

    The best cell has the most right answers on every other row; the headline compares it with the baseline on the rest,
    so that having been chosen does not flatter it. Writes predictions.jsonl, scores.jsonl, best.json, samples.jsonl
    and where the model is: base.json, which points to the unchanged weights, with the tokenizer, or endpoint.json.

    Args:
        engine: what is asked.
        data: {"prompt", "answer"}, or {"prompt", "choices", "label"}; shots come from its training rows.
        templates, decodings: by name; one that is None is left out.
        baseline: the template to compare with, asked without shots.
        samples: prompts answered in the best way.
        limit: ask the first so many rows only.
        seed: draws the shots, and the samples of a sampling strategy.

    Raises:
        ValueError: a grid, rows or an engine that don't fit each other, or a weight that changed.
    """
    grid = Grid(chosen(templates), shots, chosen(decodings), baseline, data.train, match or TextMatch(), seed)
    rows, questions = data.validation[:limit], [{"prompt": prompt} for prompt in samples or []]
    check(grid, engine, rows, questions)
    results, answers, seconds = ask(grid, engine, rows, questions, logger)
    write(out, grid, results, engine, rows)
    write_samples(out, list(samples or []), answers)
    return led_by("exact_match", all_metrics(grid, results, seconds))


def ask(
    grid: Grid, engine: Engine, rows: Sequence[Row], questions: Sequence[Row], logger: Logger | None
) -> tuple[Results, list[str], float]:
    """The predictions of every cell, the answers to `questions` in the best way, and the seconds of all cells.

    Raises:
        ValueError: a weight changed.
    """
    engine.open()
    before, start = engine.describe(), time.perf_counter()
    results = run(grid, engine, rows, logger)
    seconds = time.perf_counter() - start
    answers = answer_samples(grid, choose(results), engine, questions)
    refuse_changed(before, engine.describe())
    return results, answers, seconds


def speed(results: Results, seconds: float) -> Metrics:
    """Seconds of the whole grid, and prompts answered in one."""
    rate = sum(map(len, results.values())) / seconds
    return {
        "seconds": Metric(seconds, unit="s"),
        "prompts_per_second": Metric(rate, better="higher", unit="prompts/s"),
    }


def chosen(options: Mapping[str, T | None]) -> dict[str, T]:
    """Without the options that a recipe has set to null."""
    return {name: option for name, option in options.items() if option is not None}


def check(grid: Grid, engine: Engine, rows: Sequence[Row], questions: Sequence[Row]) -> None:
    """ValueError for a grid, rows or an engine that don't fit each other."""
    check_rows(grid, rows, questions)
    check_decodings(grid.decodings, engine)


def check_rows(grid: Grid, rows: Sequence[Row], questions: Sequence[Row]) -> None:
    """Find templates that don't fit the rows, and rows without an answer, before a model is loaded."""
    if len(rows) < 2:
        raise ValueError(f"data: a search needs two validation rows or more, not {len(rows)}")
    for cell in grid.cells:
        grid.inputs(cell, [*rows, *questions])
    for row in rows:
        right_answer(row)


def check_decodings(decodings: Mapping[str, Decoding], engine: Engine) -> None:
    """Find strategies that the engine can't follow."""
    for name, decoding in decodings.items():
        if isinstance(decoding, GenerationConfig):
            engine.check_generation(decoding)
        elif missing := decoding.needs - engine.offers:
            raise ValueError(
                f"generate.{name}: {type(decoding).__name__} needs an engine that offers {', '.join(sorted(missing))}, "
                f"and {type(engine).__name__} does not; set generate.{name}=null, or engine=transformers"
            )


def run(grid: Grid, engine: Engine, rows: Sequence[Row], logger: Logger | None) -> Results:
    """The predictions of every cell, with a bar on a terminal."""
    console = Console(stderr=True)
    results: Results = {}
    hidden = not console.is_terminal
    for cell in track(grid.cells, "prompt", console=console, transient=True, disable=hidden):
        results[cell] = grid.predict(cell, engine, rows)
        if logger is not None:
            logger.log_metrics({"exact_match": accuracy(results[cell])}, step=len(results) - 1)
    return results


def choose(results: Results) -> Cell:
    """The cell with the most right answers on rows 0, 2, 4, ...; of equals the first."""
    return max(results, key=lambda cell: accuracy(results[cell][0::2]))


def all_metrics(grid: Grid, results: Results, seconds: float) -> Metrics:
    """The headline, every cell's exact match, and the speed."""
    best = headline(results[grid.base], results[choose(results)])
    return {**best, **cell_metrics(results), **speed(results, seconds)}


def headline(baseline: list[Prediction], best: list[Prediction]) -> Metrics:
    """Exact match of the best cell and of the baseline on rows 1, 3, 5, ..., with a paired interval."""
    return compare({"exact_match": scores(baseline[1::2])}, {"exact_match": scores(best[1::2])})


def cell_metrics(results: Results) -> Metrics:
    """Exact match of each cell on all rows, with Wilson's interval."""
    return compare(None, cell_scores(results))


def cell_scores(results: Results) -> dict[str, Scores]:
    """Right and wrong answers of each cell on all rows."""
    return {f"exact_match/{cell}": scores(predictions) for cell, predictions in results.items()}


def scores(predictions: Sequence[Prediction]) -> Scores:
    """1 for a right answer, else 0."""
    rows = [row_id(prediction.prompt, prediction.reference) for prediction in predictions]
    return Scores([float(prediction.correct) for prediction in predictions], rows=rows)


def accuracy(predictions: Sequence[Prediction]) -> float:
    """The share of right answers."""
    return fmean(prediction.correct for prediction in predictions)


def answer_samples(grid: Grid, best: Cell, engine: Engine, questions: Sequence[Row]) -> list[str]:
    """Samples answered in the best way; they have no options to choose from, so a choice is made greedy generation."""
    decoding = grid.decodings[best.decoding]
    free = GenerationConfig() if isinstance(decoding, LikeliestChoice) else decoding
    return grid.answer(best, engine, questions, free)


def refuse_changed(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Prompting must not train."""
    if before != after:
        raise ValueError(f"prompt: a weight changed during the search ({dict(before)} became {dict(after)})")


def write(out: Path, grid: Grid, results: Results, engine: Engine, rows: Sequence[Row]) -> None:
    """All files of the stage but its samples: predictions, scores, the best way to ask, and where the model is."""
    best = choose(results)
    write_predictions(out, results)
    write_scores(out, cell_scores(results))
    write_best(out, grid, best, results)
    point(out, engine, grid.inputs(best, rows))


def write_predictions(out: Path, results: Results) -> None:
    """predictions.jsonl: a line for each cell and row."""
    with (out / "predictions.jsonl").open("w", encoding="utf-8") as file:
        for cell, predictions in results.items():
            for prediction in predictions:
                file.write(json.dumps(asdict(cell) | asdict(prediction), ensure_ascii=False) + "\n")


def write_best(out: Path, grid: Grid, best: Cell, results: Results) -> None:
    """best.json: everything that is needed to ask in the same way, and what chose it."""
    decoding = grid.decodings[best.decoding]
    how = decoding.to_diff_dict() if isinstance(decoding, GenerationConfig) else asdict(decoding)
    record = {
        **asdict(best),
        "exact_match": accuracy(results[best]),
        "among": len(results),
        "rows_that_choose": len(results[best][0::2]),
        "rows_that_score": len(results[best][1::2]),
        "template_options": asdict(grid.templates[best.template]),
        "decoding_options": how,
        "examples": grid.examples_of(best),
    }
    (out / "best.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def point(out: Path, engine: Engine, probe: Sequence[str]) -> None:
    """Where the model is: base.json, which points to unchanged weights, with the tokenizer; or endpoint.json."""
    if isinstance(engine, LocalEngine):
        batch = probe_of(engine.tokenizer, probe, engine.model.device)
        hand_on(engine.model, engine.tokenizer, out, Pointer(engine.source), batch)
    else:
        (out / "endpoint.json").write_text(json.dumps(engine.describe(), indent=2) + "\n", encoding="utf-8")
