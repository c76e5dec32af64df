"""What a run's memory went to, measured beside what was to be expected of it and of other ways to train the model."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from llmcycle.data.training_data import TrainingData
from llmcycle.evaluate.metric import Metric, Metrics
from llmcycle.model import Memory, expected, measure
from llmcycle.model.live import Live
from llmcycle.model.quantised import is_quantised
from llmcycle.train.activations import Activations, Batch, foretell
from llmcycle.train.groups import decay_groups
from llmcycle.train.learner import Learner

FILE = "memory.json"  # in a stage's folder: rows of `Row`
BLOCK, NESTED = 64, 256  # weights that share a scale, and scales that share one of their own: QLoRA, section 3
CODES = 4 * (16 + 256)  # bytes of the tables that both are looked up in, fp32


@dataclass(frozen=True)
class Row:
    """Bytes of one way to train a model.

    Args:
        method: e.g. "lora".
        measured: whether it was run; else all of it is by formula.
        weights, gradients, optimizer_state, activations: by part. Activations are at their highest before all
            gradients are there.
        peak: of all of them together, at the most.
    """

    method: str
    measured: bool
    weights: int
    gradients: int
    optimizer_state: int
    activations: int
    peak: int


def memory_metrics(module: Learner, counted: Activations, foretold: Live | None) -> Metrics:
    """Parameters, and bytes by part: measured, by formula from shapes alone, and if every weight were trained.

    Args:
        foretold: what `foretell_largest` gave.
    """
    measured, formula, everything = module.memory, of_all(module), of_all(module, train_all=True)
    assert measured is not None
    reference = module.models.reference.own_bytes if module.models.reference else 0
    counts = {"parameters": measured.parameters, "trainable_parameters": measured.trainable_parameters}
    sizes = {
        "weight_bytes": measured.weights,
        "gradient_bytes": measured.gradients,
        "gradient_bytes_by_formula": formula.gradients,
        "optimizer_state_bytes": measured.optimizer_state,
        "optimizer_state_bytes_by_formula": formula.optimizer_state,
        "gradient_and_optimizer_state_bytes": measured.trained,
        "gradient_and_optimizer_state_bytes_if_full": everything.trained,
        **_of_a_step("", measured, counted.largest, reference),
        **_of_a_step("_by_formula", formula, foretold, reference),
        **({"reference_bytes": reference} if reference else {}),
        **({"device_peak_bytes": torch.cuda.max_memory_allocated()} if module.device.type == "cuda" else {}),
    }
    named = {name: Metric(n) for name, n in counts.items()} | {n: Metric(b, unit="bytes") for n, b in sizes.items()}
    return {
        **named,
        "trained_bytes_ratio": Metric(measured.trained / everything.trained, better="lower"),
        "memory_ratio_to_full": Metric(measured.resident / everything.resident, better="lower"),
    }


def of_all(module: Learner, train_all: bool = False) -> Memory:
    """What is expected of all of a learner's models together: see `llmcycle.model.expected`."""
    trains = dict(module.models.trained())
    parts = [
        expected(model, module.optim, decay_groups, train_all=train_all) if role in trains else measure(model)
        for role, model in module.models.named_children()
    ]
    return Memory(*(sum(numbers) for numbers in zip(*map(astuple, parts), strict=True)))


def foretell_largest(module: Learner, counted: Activations) -> Live | None:
    """What was to be expected of the batch that held most; None where the loss depends on what the model samples."""
    if counted.batch is None or not module.objective.comparable:
        return None
    return foretell(module, {name: tensor.to(module.device) for name, tensor in counted.batch.items()})


def write_table(module: Learner, counted: Activations, foretold: Live | None, batches: TrainingData, out: Path) -> None:
    """Write `memory.json`: this run as measured, beside other ways to train this model with this optimiser.

    Pre-training trains every weight on rows as long as they may be; the others on the largest batch of this run. No
    model but the run's own is allocated.
    """
    if counted.batch is None or counted.largest is None or foretold is None or not module.objective.compared:
        return
    assert module.memory is not None
    own = _row(method(module), module.memory, counted.largest, measured=True)
    others = foretold_rows(module, counted.batch, foretold, batches.encode.max_length)
    rows = {row.method: row for row in others} | {own.method: own}
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_text(json.dumps([asdict(row) for row in rows.values()], indent=2) + "\n", "utf-8")


def foretold_rows(module: Learner, batch: Batch, own: Live, length: int) -> Iterator[Row]:
    """Pre-training, full fine-tuning, LoRA and QLoRA by formula, as far as they work on this architecture.

    Args:
        own: what was foretold of the module itself, so that it need not be done again.
    """
    name, full, lora = method(module), blank(module, None), blank(module, _lora(module))
    whole, adapted = (expected(model, module.optim, decay_groups) for model in (full, lora))
    if step := foretell(module, long_rows(batch, length), full):
        yield _row("pre-training", whole, step)
    if step := own if name == "full" else foretell(module, batch, full):
        yield _row("full", whole, step)
    if step := own if name in ("lora", "qlora") else foretell(module, batch, lora):
        yield _row("lora", adapted, step)
        yield _row("qlora", _in_4_bits(adapted, lora), step)


def method(module: Learner) -> str:
    """What the module trains by, in the words of the table."""
    model = module.model
    if not isinstance(model, PeftModel):
        return "full"
    config = model.active_peft_config
    name = "dora" if getattr(config, "use_dora", False) else config.peft_type.value.lower()
    return "qlora" if name == "lora" and is_quantised(model.get_base_model()) else str(name)


def blank(module: Learner, peft: LoraConfig | None) -> Any:
    """The module's model in its shape alone, without any adapter but `peft`, and without memory."""
    base = module.model.get_base_model() if isinstance(module.model, PeftModel) else module.model
    config = copy.deepcopy(base.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        model = type(base)._from_config(config, dtype=base.dtype)
        if base.is_gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        return model if peft is None else get_peft_model(model, peft)


def long_rows(batch: Batch, length: int) -> Batch:
    """As many rows, each of `length` tokens that are all learnt."""
    ids = torch.ones(len(batch["input_ids"]), length, dtype=torch.long, device=batch["input_ids"].device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}


def nf4_bytes(weights: int) -> int:
    """Bytes of a matrix in 4-bit NormalFloat with scales that are rounded too: arXiv:2305.14314, section 3."""
    scales = -(-weights // BLOCK)
    return -(-weights // 2) + scales + 4 * -(-scales // NESTED) + CODES


def _in_4_bits(memory: Memory, model: PeftModel) -> Memory:
    """bitsandbytes rounds linear layers, but neither the output layer nor an adapter."""
    base = model.get_base_model()
    unrounded = {id(module) for module in (base.get_output_embeddings(),)}
    saved = 0
    for module in base.modules():
        if isinstance(module, nn.Linear | Conv1D) and id(module) not in unrounded and not module.weight.requires_grad:
            saved += module.weight.numel() * module.weight.element_size() - nf4_bytes(module.weight.numel())
    return Memory(**{**asdict(memory), "weights": memory.weights - saved})


def _lora(module: Learner) -> LoraConfig:
    """The run's own LoRA, or one like the option's."""
    if method(module) not in ("lora", "qlora"):
        return LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear")
    lora: LoraConfig = copy.deepcopy(module.model.active_peft_config)
    lora.init_lora_weights = True  # a start that is computed from weights needs their numbers
    return lora


def _of_a_step(ending: str, memory: Memory, step: Live | None, reference: int) -> dict[str, int]:
    if step is None:
        return {}
    return {f"activation_bytes{ending}": step.peak, f"training_bytes{ending}": _peak(memory, step) + reference}


def _row(name: str, memory: Memory, step: Live, measured: bool = False) -> Row:
    parts = (memory.weights, memory.gradients, memory.optimizer_state, step.peak)
    return Row(name, measured, *parts, peak=_peak(memory, step))


def _peak(memory: Memory, step: Live) -> int:
    """In the pass over a batch, or after it, when all gradients are there."""
    return memory.weights + memory.optimizer_state + max(step.peak_with_gradients, memory.gradients)
