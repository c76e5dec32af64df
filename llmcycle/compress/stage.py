"""The compress stage: make a model smaller by any method, and measure size and quality on what was written."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from pytorch_lightning.loggers import Logger
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.compress.methods import Method, Quant, as_method
from llmcycle.compress.quality import Quality, metrics, quality, write_answers
from llmcycle.compress.size import beside_linear, linear_layers, measure, parameters, size_metrics, sparsity
from llmcycle.data.batches import Rows
from llmcycle.data.chat import Prompt
from llmcycle.engine import TransformersEngine, write_samples
from llmcycle.evaluate.evaluator import Evaluator
from llmcycle.evaluate.metric import Metrics, led_by
from llmcycle.evaluate.scores import write_scores
from llmcycle.handoff import Safetensors, hand_on, probe_of
from llmcycle.handoff.observe import Model
from llmcycle.model import load
from llmcycle.quantities import Count, CountOrZero, Dtype

LITTLE = 0.02  # of the weights: positions and the like


def compress(
    source: str,
    quant: Quant,
    evaluators: Mapping[str, Evaluator] | None,
    data: Rows,
    samples: Sequence[Prompt],
    dtype: Dtype = "float32",
    prompts: CountOrZero = 64,
    max_new_tokens: Count = 32,
    prune: Method | None = None,
    *,
    out: Path,
    logger: Logger | None,  # noqa: ARG001  the runner logs what is returned
) -> Metrics:
    """Make the model in `source` smaller and write it to `out`, to be loaded by `from_pretrained`.

    Args:
        source: a folder with plain weights, or a Hub name.
        quant: a torchao or transformers quantisation config, which quantises linear layers but not the output layer;
            or any method (model, tokenizer, rows) -> model; None copies the model, as a baseline.
        evaluators: scored before and, on the model as it was written, after.
        data: rows with a "prompt": the training rows are what a method may calibrate with; `samples` and the first
            `prompts` of the validation rows are answered greedily by both models, and their choice of token compared
            at each place of the first model's answers.
        dtype: of the weights before, and of those that the method leaves plain.
        max_new_tokens: length of an answer, in tokens.
        prune: a method that is applied before `quant`; None for none.

    Raises:
        ValueError: the model is an adapter or quantised already, the method can't take it, or what was written is not
            bit for bit what the method gave.
    """
    questions = to_ask(samples, data, prompts)
    model, tokenizer = opened(source, dtype)
    linear = sum(map(parameters, linear_layers(model).values()))
    before = quality(TransformersEngine(model, tokenizer), evaluators or {}, questions, max_new_tokens)
    smaller, zeros = make_smaller(model, tokenizer, data, prune, quant)
    written = handed_on(smaller, tokenizer, questions, out)
    size = measure(out, list(linear_layers(written)), linear)
    after = quality(TransformersEngine(written, tokenizer), evaluators or {}, questions, max_new_tokens, before.answers)
    write(out, samples, questions, before, after)
    return led_by("linear_bytes_ratio", {**size_metrics(size, source), **zeros, **metrics(before, after)})


def opened(source: str, dtype: Dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model to make smaller, on a GPU where there is one, and its tokenizer; ValueError unless it is plain."""
    check_plain(source)
    model = on_device(load(source, dtype))
    tell_what_stays(model)
    return model, AutoTokenizer.from_pretrained(source)


def make_smaller(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, data: Rows, prune: Method | None, quant: Quant
) -> tuple[PreTrainedModel, Metrics]:
    """The model pruned, then quantised; and the share of zeros after pruning, where there was any."""
    pruned = as_method(prune)(model, tokenizer, data.train)
    zeros = {"sparsity": sparsity(pruned)} if prune else {}
    return on_device(as_method(quant)(pruned, tokenizer, data.train).eval()), zeros


def handed_on(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, questions: Sequence[Prompt], out: Path
) -> Model:
    """The model as its folder gives it, bit for bit what it was."""
    probe = probe_of(tokenizer, questions, model.device)
    return hand_on(model, tokenizer, out, Safetensors(allowed=0.0), probe).model


def write(out: Path, samples: Sequence[Prompt], questions: Sequence[Prompt], before: Quality, after: Quality) -> None:
    """The samples' answers, all answers of both models side by side, and the scores after."""
    write_samples(out, samples, after.answers[: len(samples)])
    write_answers(out, questions, before, after)
    write_scores(out, after.scores)


def to_ask(samples: Sequence[Prompt], data: Rows, prompts: int) -> list[Prompt]:
    """Samples, then prompts of rows; ValueError where there are none."""
    questions = [*samples, *(row["prompt"] for row in (data.validation or data.train)[:prompts])]
    if not questions:
        raise ValueError("prompts: none to compare; raise stage.prompts, or choose data with a prompt column")
    return questions


def tell_what_stays(model: PreTrainedModel) -> None:
    """Say on standard error that much of a model is in no linear layer, which methods of torchao leave as it is."""
    shares = beside_linear(model)
    if (share := sum(shares.values())) > LITTLE:
        rest = f" and {len(shares) - 1} more" if len(shares) > 1 else ""
        print(
            f"compress: {100 * share:.0f} % of the weights are in no linear layer and are likely to stay as they are: "
            f"{next(iter(shares))}{rest} (experts that share one tensor, for example); see the metric file_bytes",
            file=sys.stderr,
        )


def check_plain(source: str) -> None:
    """Refuse an adapter, whose weights are few, and weights that would be quantised twice."""
    if (Path(source) / "adapter_config.json").exists():
        raise ValueError(
            f"inputs.model: {source} holds an adapter that is not part of the weights, so these can't be made smaller; "
            f"merge it by `llmcycle merge inputs.model={source}`, or fine-tune with a method that merges (peft=lora)"
        )
    if getattr(AutoConfig.from_pretrained(source), "quantization_config", None) is not None:
        raise ValueError(f"inputs.model: {source} is quantised already; give the model that it was made from")


def on_device(model: PreTrainedModel) -> PreTrainedModel:
    """On a GPU where there is one."""
    return model.to("cuda" if torch.cuda.is_available() else "cpu")
