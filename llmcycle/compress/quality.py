"""What a model answers, scores and chooses, before it is made smaller and after."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from transformers import GenerationConfig

from llmcycle.compress.agreement import agreement, choices, contexts
from llmcycle.data.chat import Prompt, encode_text
from llmcycle.engine import TransformersEngine, texts
from llmcycle.evaluate.evaluator import Evaluator, compare, evaluate
from llmcycle.evaluate.interval import mean_interval
from llmcycle.evaluate.metric import Metric, Metrics
from llmcycle.evaluate.scores import Scores


@dataclass(frozen=True)
class Quality:
    """What a model scored, answered (to samples, then to rows) and chose; `rate` in tokens/s of these answers."""

    scores: dict[str, Scores]
    answers: list[str]
    rate: float
    choices: list[Tensor]


def quality(
    engine: TransformersEngine,
    evaluators: Mapping[str, Evaluator],
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    answers: Sequence[str] | None = None,
) -> Quality:
    """Score the model and let it answer; its choices of token are those in `answers`, else in its own."""
    start = time.perf_counter()
    own = texts(engine, prompts, GenerationConfig(max_new_tokens=max_new_tokens))
    seconds = time.perf_counter() - start
    tokens = sum(len(encode_text(engine.tokenizer, text)) + 1 for text in own)  # and the end token
    chosen = choices(engine.model, contexts(engine.tokenizer, prompts, answers or own))
    return Quality(evaluate(evaluators, engine), own, tokens / seconds, chosen)


def metrics(before: Quality, after: Quality) -> Metrics:
    """Scores before and after; agreement as a rate of its own, whose before would be 1 by definition."""
    same = [float(x == y) for x, y in zip(before.answers, after.answers, strict=True)]
    return {
        **compare({}, {"greedy_agreement": agreement(before.choices, after.choices)}),
        "same_answers": Metric(sum(same) / len(same), interval=mean_interval(same), better="higher", n=len(same)),
        **compare(before.scores, after.scores),
        "tokens_per_second": Metric(after.rate, before.rate, better="higher", unit="tokens/s", n=len(same)),
    }


def write_answers(out: Path, prompts: Sequence[Prompt], before: Quality, after: Quality) -> None:
    """Both answers to each prompt, side by side, as answers.jsonl."""
    rows = zip(prompts, before.answers, after.answers, strict=True)
    lines = [json.dumps({"prompt": p, "before": x, "after": y}, ensure_ascii=False) + "\n" for p, x, y in rows]
    (out / "answers.jsonl").write_text("".join(lines), encoding="utf-8")
