"""The stage that combines several fine-tuned models of one base, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from pytorch_lightning.loggers import Logger
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt, choose_pad
from llmcycle.data.padding import pad
from llmcycle.engine import TransformersEngine, texts, write_samples
from llmcycle.engine.generation import encode_prompts
from llmcycle.evaluate.evaluator import Evaluator, compare, evaluate
from llmcycle.evaluate.metric import Metric, Metrics
from llmcycle.evaluate.scores import write_scores
from llmcycle.model import combine as add_up
from llmcycle.model import hand_off, load

PROBES = 4  # samples on which the combined model is compared with what was saved of it


def combine(
    base: str,
    models: Mapping[str, str],
    weights: Mapping[str, float],
    samples: Sequence[Prompt],
    method: str = "linear",
    density: float = 0.2,
    seed: int = 0,
    evaluators: Mapping[str, Evaluator] | None = None,
    generate: GenerationConfig | None = None,
    *,
    out: Path,
    logger: Logger | None,  # noqa: ARG001  the runner logs what is returned
) -> Metrics:
    """Combine what each model changed, write the result to `out`, verify it, and score it beside the base.

    Args:
        base: the folder or Hub name that all models were trained from.
        models: folders of fine-tuned models, by name; their tokenizers are one, and it is handed on.
        weights, method, density, seed: see `llmcycle.model.combine`.
        samples: prompts that the combined model answers into `samples.jsonl`.

    Raises:
        ValueError: the models do not stand on this base or have several tokenizers, or what was saved is another model.
    """
    tokenizer = _tokenizer(models)
    plain = load(base, torch.float32)
    before = evaluate(evaluators or {}, TransformersEngine(plain, tokenizer))
    tuned = {name: load(path, torch.float32) for name, path in models.items()}
    combined = add_up(plain, tuned, weights, method, density, seed)
    ids = encode_prompts(tokenizer, list(samples)[:PROBES])
    probe = {"input_ids": pad(ids, int(tokenizer.pad_token_id)), "attention_mask": pad([[1] * len(i) for i in ids], 0)}
    model, facts = hand_off(combined, tokenizer, out, probe)
    engine = TransformersEngine(model, tokenizer)
    after = evaluate(evaluators or {}, engine)
    write_scores(out, after)
    write_samples(out, list(samples), texts(engine, list(samples), generate or None))
    difference = facts["max_difference"] / facts["max_logit"]
    return {**compare(before, after), "hand_off_difference": Metric(difference, better="lower")}


def _tokenizer(models: Mapping[str, str]) -> PreTrainedTokenizerBase:
    loaded = {name: AutoTokenizer.from_pretrained(path) for name, path in models.items()}
    (first, tokenizer), *others = loaded.items()
    for name, other in others:
        if other.get_vocab() != tokenizer.get_vocab() or other.chat_template != tokenizer.chat_template:
            raise ValueError(f"inputs.{name}: it reads text by another tokenizer or chat template than inputs.{first}")
    return choose_pad(tokenizer)
