"""The stage that only asks: scores of a model as it is, through whatever engine."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from pytorch_lightning.loggers import Logger
from transformers import GenerationConfig

from llmcycle.data.chat import Prompt
from llmcycle.engine import Engine, texts, write_samples
from llmcycle.evaluate.evaluator import Evaluator, compare, evaluate, refuse_unable
from llmcycle.evaluate.metric import Metric, Metrics, led_by
from llmcycle.evaluate.scores import write_scores


def score(
    engine: Engine,
    evaluators: Mapping[str, Evaluator],
    samples: Sequence[Prompt] | None = None,
    generate: GenerationConfig | None = None,
    *,
    out: Path,
    logger: Logger | None,  # noqa: ARG001  the runner logs what is returned
) -> Metrics:
    """Ask `engine` what `evaluators` want to know, and write scores.jsonl, samples.jsonl and engine.json to `out`.

    Args:
        samples: prompts that are answered too, where the engine answers.
        generate: how they are answered; greedy by default.

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
        prompts = list(samples or []) if "answer" in engine.offers else []
        write_samples(out, prompts, texts(engine, prompts, generate or None))
        (out / "engine.json").write_text(json.dumps(engine.describe(), indent=2) + "\n", "utf-8")
    write_scores(out, scores)
    return led_by(next(iter(scores), "seconds"), {**compare(None, scores), "seconds": Metric(seconds, unit="s")})
