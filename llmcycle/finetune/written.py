"""The end that merging and combining share: a model is written, opened again, and scored as it was opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import GenerationConfig, PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt
from llmcycle.engine import TransformersEngine, texts, write_samples
from llmcycle.evaluate.evaluator import Evaluator, compare, evaluate
from llmcycle.evaluate.metric import Metric, Metrics
from llmcycle.evaluate.scores import Scores, write_scores
from llmcycle.handoff import Format, HandOff, Safetensors, hand_on, probe_of
from llmcycle.handoff.observe import Model


def write_scored(
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    before: Mapping[str, Scores],
    samples: Sequence[Prompt],
    evaluators: Mapping[str, Evaluator],
    generate: GenerationConfig | None,
    handoff: Format | None,
    out: Path,
) -> tuple[HandOff, Metrics]:
    """Write `model` to `out`, open it again, and score what was opened beside `before`.

    Args:
        before: scores of the same evaluators on the model that it came from.
        samples: prompts that the opened model answers into `samples.jsonl`; the first of them are compared too.
        handoff: how it is written; by default as safetensors, with an adapter merged.

    Returns:
        the hand-off, and each score before and after with the share by which logits differ, `hand_off_difference`.

    Raises:
        ValueError: what was written is another model.
    """
    probe = probe_of(tokenizer, samples, model.device)
    handed = hand_on(model, tokenizer, out, handoff or Safetensors(), probe)
    engine = TransformersEngine(handed.model, tokenizer)
    after = evaluate(evaluators, engine)
    write_scores(out, after)
    write_samples(out, list(samples), texts(engine, list(samples), generate))
    share = Metric(handed.difference.share, better="lower")
    return handed, {**compare(before, after), "hand_off_difference": share}
