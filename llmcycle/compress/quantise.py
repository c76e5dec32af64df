"""The compress stage: quantise a model, write it, and measure size and quality on what was written."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torchao.core.config import AOBaseConfig
from torchao.quantization import quantize_
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TorchAoConfig,
)

from llmcycle.compress.agreement import agreement, choices, contexts
from llmcycle.compress.size import Size, linear_layers, measure, parameters
from llmcycle.data.chat import encode_text
from llmcycle.engine import TransformersEngine, texts, write_samples
from llmcycle.engine.generation import encode_prompts
from llmcycle.evaluate.evaluator import Evaluator, compare, evaluate
from llmcycle.evaluate.interval import mean_interval
from llmcycle.evaluate.metric import Metric, Metrics, led_by
from llmcycle.evaluate.scores import Scores, write_scores
from llmcycle.model import digest, load


@dataclass(frozen=True)
class Seen:
    """What a model scored, answered (to samples, then to rows) and chose; `rate` in tokens/s of these answers."""

    scores: dict[str, Scores]
    answers: list[str]
    rate: float
    choices: list[Tensor]


def quantise(
    source: str,
    quant: Any,
    evaluators: Mapping[str, Evaluator] | None,
    data: Any,
    samples: Sequence[str],
    dtype: str = "float32",
    prompts: int = 64,
    max_new_tokens: int = 32,
    *,
    out: Path,
    logger: Logger | None,  # noqa: ARG001  the runner logs what is returned
) -> Metrics:
    """Quantise the linear layers of the model in `source` and write it to `out`, to be loaded by `from_pretrained`.

    The input embedding and the output layer keep their precision, as transformers leaves them by default.

    Args:
        source: a folder with plain weights, or a Hub name.
        quant: a torchao or transformers quantisation config; None copies the model, as a baseline.
        evaluators: scored before and, on the reloaded model, after.
        data: rows with a "prompt"; `samples` and the first `prompts` of its validation rows are answered greedily by
            both models, and their choice of token compared at each place of the uncompressed model's answers.
        dtype: of the weights before they are quantised, and of those that are not.
        max_new_tokens: length of an answer, in tokens.

    Raises:
        ValueError: the model is an adapter or quantised already, no layer can be quantised so, or the reloaded
            model's weights and logits are not bit for bit those of the quantised one.
    """
    check_plain(source)
    tokenizer = AutoTokenizer.from_pretrained(source)
    asked = to_ask(samples, data, prompts)
    small = write(source, quant, dtype, tokenizer, encode_prompts(tokenizer, asked[:8]), out)
    size = measure(out, {name: parameters(layer) for name, layer in linear_layers(small).items()})
    before = look(on_device(load(source, dtype)), tokenizer, evaluators, asked, max_new_tokens)
    after = look(small, tokenizer, evaluators, asked, max_new_tokens, before.answers)
    write_samples(out, samples, after.answers[: len(samples)])
    write_answers(out, asked, before, after)
    write_scores(out, after.scores)
    return led_by("linear_bytes_ratio", {**sizes(size, source), **qualities(before, after)})


def to_ask(samples: Sequence[str], data: Any, prompts: int) -> list[Any]:
    asked = [*samples, *(row["prompt"] for row in (data.validation or data.train)[:prompts])]
    if not asked:
        raise ValueError("prompts: none to compare; raise stage.prompts, or choose data with a prompt column")
    return asked


def check_plain(source: str) -> None:
    """Refuse what torchao can't quantise or must not quantise twice."""
    if (Path(source) / "adapter_config.json").exists():
        raise ValueError(
            f"inputs.model: {source} holds an adapter that is not part of the weights, so it can't be quantised; "
            "fine-tune with a method that merges, such as peft=lora, or give the base model"
        )
    if getattr(AutoConfig.from_pretrained(source), "quantization_config", None) is not None:
        raise ValueError(f"inputs.model: {source} is quantised already; give the model that it was made from")


def write(
    source: str, quant: Any, dtype: str, tokenizer: PreTrainedTokenizerBase, probe: list[list[int]], out: Path
) -> PreTrainedModel:
    """Quantise, save, and reload as the next stage will; ValueError unless they have the same numbers and logits."""
    model = on_device(quantised(source, quant, getattr(torch, dtype)).eval())
    weights, expected = digest(model), logits(model, probe)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    del model
    reloaded = on_device(load(out))
    same = all(torch.equal(now, was) for now, was in zip(logits(reloaded, probe), expected, strict=True))
    if digest(reloaded) != weights or not same:
        raise ValueError(
            f"compress: the model reloaded from {out} is not the quantised one; torchao can't save this quantisation, "
            "choose another `quant` option"
        )
    return reloaded


def quantised(source: str, quant: Any, dtype: torch.dtype) -> PreTrainedModel:
    """Load and quantise in one go, the only way from which torchao's tensors can be saved."""
    config = TorchAoConfig(quant) if isinstance(quant, AOBaseConfig) else quant
    try:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, quantization_config=config)
    except RuntimeError as error:  # transformers says only that a conversion failed
        raise ValueError(refusal(quant, AutoModelForCausalLM.from_pretrained(source), str(error))) from error
    if config is not None and not any(is_quantised(layer) for layer in linear_layers(model).values()):
        raise ValueError(refusal(quant, model, "it left all of them as they were"))
    return model


def refusal(quant: Any, model: PreTrainedModel, reason: str) -> str:
    """Why these layers can't be quantised so, found out on a layer of each width."""
    widths = sorted({layer.in_features for layer in linear_layers(model).values()})
    for width in widths if isinstance(quant, AOBaseConfig) else []:
        try:
            quantize_(nn.Linear(width, 64), quant)
        except Exception as error:
            reason = f"at width {width}: {str(error) or type(error).__name__}"
    return (
        f"quant: {type(quant).__name__} can't quantise this model's linear layers of input widths {widths} ({reason}); "
        "choose a group size that divides the widths, or another option"
    )


def is_quantised(layer: nn.Linear) -> bool:
    """Whether the weight is no longer a plain floating-point tensor."""
    weight = layer.weight.data
    return type(weight) is not Tensor or not weight.is_floating_point()


def on_device(model: PreTrainedModel) -> PreTrainedModel:
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


@torch.no_grad()
def logits(model: PreTrainedModel, probe: Sequence[list[int]]) -> list[Tensor]:
    """Of each prompt alone, [1, T, V], computed on a copy of the model.

    A product with a single row rounds by where its operands lie in memory, and tensors mapped from a file lie elsewhere
    than new ones. Copies lie alike, so that equal numbers give equal logits, to the last bit.
    """
    aligned = copy.deepcopy(model)
    return [aligned(input_ids=torch.tensor([ids], device=aligned.device)).logits.cpu() for ids in probe]


def look(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    evaluators: Mapping[str, Evaluator] | None,
    asked: Sequence[Any],
    max_new_tokens: int,
    given: Sequence[str] | None = None,
) -> Seen:
    """Score it and let it answer; its choices of token are those in the `given` answers, else in its own."""
    engine, start = TransformersEngine(model, tokenizer), time.perf_counter()
    answers = texts(engine, asked, GenerationConfig(max_new_tokens=max_new_tokens))
    seconds = time.perf_counter() - start
    tokens = sum(len(encode_text(tokenizer, text)) + 1 for text in answers)  # and the end token
    chosen = choices(model, contexts(tokenizer, asked, given or answers))
    return Seen(evaluate(evaluators or {}, engine), answers, tokens / seconds, chosen)


def sizes(size: Size, source: str) -> Metrics:
    """The linear layers against fp32, whatever `source` was stored in; whole files against those of `source`."""
    files = sum(path.stat().st_size for path in Path(source).glob("*.safetensors")) or None
    n = size.parameters
    return {
        "linear_bytes_ratio": Metric(size.linear / size.fp32, 1.0, better="lower", n=n),
        "linear_bytes": Metric(size.linear, size.fp32, better="lower", unit="bytes", n=n),
        "bits_per_weight": Metric(8 * size.linear / n, 32.0, better="lower", unit="bits", n=n),
        "file_bytes": Metric(size.files, files, better="lower", unit="bytes"),
    }


def qualities(before: Seen, after: Seen) -> Metrics:
    """Scores before and after; agreement as a rate of its own, whose before would be 1 by definition."""
    same = [float(x == y) for x, y in zip(before.answers, after.answers, strict=True)]
    return {
        **compare({}, {"greedy_agreement": agreement(before.choices, after.choices)}),
        "same_answers": Metric(sum(same) / len(same), interval=mean_interval(same), better="higher", n=len(same)),
        **compare(before.scores, after.scores),
        "tokens_per_second": Metric(after.rate, before.rate, better="higher", unit="tokens/s", n=len(same)),
    }


def write_answers(out: Path, asked: Sequence[Any], before: Seen, after: Seen) -> None:
    """Both answers to each prompt, side by side."""
    rows = zip(asked, before.answers, after.answers, strict=True)
    lines = [json.dumps({"prompt": p, "before": x, "after": y}, ensure_ascii=False) + "\n" for p, x, y in rows]
    (out / "answers.jsonl").write_text("".join(lines), encoding="utf-8")
