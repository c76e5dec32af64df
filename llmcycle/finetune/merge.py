"""The stage that writes a model in another format: an adapter that was kept beside its base becomes part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from pytorch_lightning.loggers import Logger
from transformers import AutoTokenizer, GenerationConfig

from llmcycle.data.chat import Prompt, choose_pad
from llmcycle.engine import TransformersEngine
from llmcycle.evaluate.evaluator import Evaluator, evaluate
from llmcycle.evaluate.metric import Metric, Metrics, led_by
from llmcycle.handoff import Format
from llmcycle.model import load

from .written import write_scored


def merge(
    source: str,
    samples: Sequence[Prompt],
    evaluators: Mapping[str, Evaluator] | None = None,
    generate: GenerationConfig | None = None,
    handoff: Format | None = None,
    *,
    out: Path,
    logger: Logger | None,  # noqa: ARG001  the runner logs what is returned
) -> Metrics:
    """Write the model in `source` to `out` without training it, and score it before and after.

    Args:
        source: a folder or Hub name.
        samples: prompts that the written model answers into `samples.jsonl`; the first of them are compared too.
        handoff: how it is written; by default as safetensors, with an adapter merged.

    Raises:
        ValueError: what was written is another model.
    """
    model, tokenizer = load(source), choose_pad(AutoTokenizer.from_pretrained(source))
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    before = evaluate(evaluators or {}, TransformersEngine(model, tokenizer))
    handed, metrics = write_scored(model, tokenizer, before, samples, evaluators or {}, generate, handoff, out)
    return led_by(next(iter(metrics)), {**metrics, "merged": Metric(float(handed.merged))})
