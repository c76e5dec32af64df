"""The stage that combines several fine-tuned models of one base, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from pytorch_lightning.loggers import Logger
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt, choose_pad
from llmcycle.engine import TransformersEngine
from llmcycle.evaluate.evaluator import Evaluator, evaluate
from llmcycle.evaluate.metric import Metrics, led_by
from llmcycle.handoff import Format
from llmcycle.model import combine as add_up
from llmcycle.model import load
from llmcycle.quantities import PositiveShare

from .written import write_scored


def combine(
    base: str,
    models: Mapping[str, str],
    weights: Mapping[str, float],
    samples: Sequence[Prompt],
    method: str = "linear",
    density: PositiveShare = 0.2,
    seed: int = 0,
    evaluators: Mapping[str, Evaluator] | None = None,
    generate: GenerationConfig | None = None,
    handoff: Format | None = None,
    *,
    out: Path,
    logger: Logger | None,  # noqa: ARG001  the runner logs what is returned
) -> Metrics:
    """Combine what each model changed, write the result to `out`, and score it beside the base.

    Args:
        base: the folder or Hub name that all models were trained from.
        models: folders of fine-tuned models, by name; their tokenizers are one, and it is written with the result.
        weights, method, density, seed: see `llmcycle.model.combine`.
        samples: prompts that the combined model answers into `samples.jsonl`.
        handoff: how the result is written; by default as safetensors.

    Raises:
        ValueError: the models do not stand on this base or have several tokenizers, or what was saved is another model.
    """
    tokenizer = _tokenizer(models)
    plain = load(base, torch.float32)
    before = evaluate(evaluators or {}, TransformersEngine(plain, tokenizer))
    tuned = {name: load(path, torch.float32) for name, path in models.items()}
    combined = add_up(plain, tuned, weights, method, density, seed)
    _, metrics = write_scored(combined, tokenizer, before, samples, evaluators or {}, generate, handoff, out)
    return led_by(next(iter(metrics)), metrics)


def _tokenizer(models: Mapping[str, str]) -> PreTrainedTokenizerBase:
    loaded = {name: AutoTokenizer.from_pretrained(path) for name, path in models.items()}
    (first, tokenizer), *others = loaded.items()
    for name, other in others:
        if other.get_vocab() != tokenizer.get_vocab() or other.chat_template != tokenizer.chat_template:
            raise ValueError(f"inputs.{name}: it reads text by another tokenizer or chat template than inputs.{first}")
    return choose_pad(tokenizer)
