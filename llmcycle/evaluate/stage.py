"""The stage that only asks: scores of a model as it is, through whatever engine."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from pytorch_lightning.loggers import Logger
from transformers import GenerationConfig

from llmcycle.data.batches import Rows
from llmcycle.data.chat import Prompt
from llmcycle.data.encode import Row
from llmcycle.engine import Engine, texts, write_samples
from llmcycle.evaluate.evaluator import Evaluator, compare, evaluate, refuse_unable
from llmcycle.evaluate.exact_match import REFERENCE_COLUMNS, reference
from llmcycle.evaluate.metric import Metric, Metrics, led_by
from llmcycle.evaluate.scores import write_scores
from llmcycle.quantities import CountOrZero


def score(
    engine: Engine,
    evaluators: Mapping[str, Evaluator],
    data: Rows | None = None,
    samples: Sequence[Prompt] | None = None,
    generate: GenerationConfig | None = None,
    shown: CountOrZero = 8,
    *,
    out: Path,
    logger: Logger | None,  # noqa: ARG001  the runner logs what is returned
) -> Metrics:
    """Ask `engine` what `evaluators` want to know; write scores, samples, answers.jsonl and engine.json to `out`.

    Args:
        data: the first `shown` of its validation rows that have a prompt are answered into answers.jsonl, each beside
            the answer that was expected.
        samples: prompts that are answered too. Both only where the engine answers.
        generate: how all these are answered; greedy by default.

    Raises:
        ValueError: there is no evaluator, or one needs what the engine does not offer.
    """
    if not evaluators:
        raise ValueError("evaluate: there is nothing to score; choose some, e.g. evaluate=[exact_match,held_out_loss]")
    for name, evaluator in evaluators.items():
        refuse_unable(name, evaluator, engine)
    with closing(engine):
        engine.open()
        start = time.perf_counter()
        scores = evaluate(evaluators, engine)
        seconds = time.perf_counter() - start
        if "answer" in engine.offers:
            write_samples(out, list(samples or []), texts(engine, list(samples or []), generate or None))
            write_answers(out, engine, data.validation if data else [], shown, generate or None)
        (out / "engine.json").write_text(json.dumps(engine.describe(), indent=2) + "\n", "utf-8")
    write_scores(out, scores)
    return led_by(next(iter(scores), "seconds"), {**compare(None, scores), "seconds": Metric(seconds, unit="s")})


def write_answers(
    out: Path, engine: Engine, rows: Sequence[Row], count: int, generate: GenerationConfig | None
) -> None:
    """answers.jsonl: {"prompt", "answer", "expected"} of the first rows that have a prompt."""
    asking = [row for row in rows if "prompt" in row][:count]
    answers = texts(engine, [row["prompt"] for row in asking], generate)
    lines = [
        {"prompt": row["prompt"], "answer": answer, "expected": expected(row)}
        for row, answer in zip(asking, answers, strict=True)
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (out / "answers.jsonl").write_text(text, "utf-8")


def expected(row: Row) -> str | None:
    """The row's own answer, where it has one."""
    return reference(row) if any(column in row for column in REFERENCE_COLUMNS) else None
