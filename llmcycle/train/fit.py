"""The stage that trains any `TrainedModule`: evaluate, train, hand on verified, evaluate what was handed on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from transformers import GenerationConfig

from llmcycle import engine
from llmcycle.data.batches import Batches
from llmcycle.data.chat import Prompt
from llmcycle.engine import evaluation_mode
from llmcycle.evaluate.evaluator import Evaluator, compare, evaluate
from llmcycle.evaluate.metric import Metric, Metrics
from llmcycle.model import HandOff, expected, hand_off
from llmcycle.train.bad_steps import BadSteps
from llmcycle.train.checkpoint import Checkpoint
from llmcycle.train.checkpoints import Checkpoints
from llmcycle.train.module import TrainedModule, decay_groups, mean_loss
from llmcycle.train.throughput import flops_per_token, peak_flops, product_dtype

CALIBRATION = 16  # training batches that an adapter may start from (EVA, CorDA, LoRA-GA)


def fit(
    module: TrainedModule,
    batches: Batches,
    trainer: pl.Trainer,
    evaluators: Mapping[str, Evaluator] | None = None,
    samples: Sequence[Prompt] | None = None,
    generate: GenerationConfig | None = None,
    resume: str = "auto",
    *,
    out: Path,
    logger: Logger | None,
    checkpoints: Path | None = None,
) -> Metrics:
    """Train, and write the merged, reloaded and verified model to `out`.

    Args:
        evaluators: score the model before training, and the reloaded one after it, on the same rows.
        samples: prompts that the reloaded model answers into `samples.jsonl`.
        generate: how it answers them; greedy by default.
        resume: `auto` goes on from the newest whole checkpoint, `never` from none, else from the folder of one.
        checkpoints: where they are written; None for nowhere.

    Returns:
        The evaluators' metrics first, then loss, steps, speed, memory by part and the hand-off's difference.

    Raises:
        ValueError: the loss stays no number, a checkpoint can't be written, or what was reloaded is another model.
    """
    device, first = trainer.strategy.root_device, trainer.is_global_zero
    module.calibrate(lambda: islice(batches.train_dataloader(), CALIBRATION))
    before = evaluate(evaluators or {}, module.model.to(device).eval(), batches.tokenizer) if first else {}
    loss_before = validation_loss(module, batches, device) if first else None
    train(module, batches, trainer, logger, prepare(trainer, checkpoints, resume))
    module.model = module.gathered()
    if not first:
        return {}  # the other processes were there for training only
    loss = validation_metrics(loss_before, validation_loss(module, batches, device))
    cost = {**loss, **training_metrics(module, trainer), **memory_metrics(module)}  # now: a merge uses it up
    probe = {name: tensor.to(device) for name, tensor in batches.probe().items()}
    model, facts = hand_off(module.model.to(device), batches.tokenizer, out, probe)
    after = evaluate(evaluators or {}, model, batches.tokenizer)
    prompts = list(samples or [])
    engine.write_samples(out, prompts, engine.generate(model, batches.tokenizer, prompts, generate or None))
    return {**compare(before, after), **cost, **hand_off_metrics(facts)}


def prepare(trainer: pl.Trainer, root: Path | None, resume: str) -> Checkpoint | None:
    """Tell the callback that saves where to, put it last, and find what to go on from."""
    trainer.callbacks.sort(key=lambda callback: isinstance(callback, Checkpoints))  # type: ignore[attr-defined]
    saving = [callback for callback in trainer.callbacks if isinstance(callback, Checkpoints)]  # type: ignore[attr-defined]
    return saving[0].open(root, resume, quiet=not trainer.is_global_zero) if saving and root else None


def train(
    module: TrainedModule, batches: Batches, trainer: pl.Trainer, logger: Logger | None, found: Checkpoint | None
) -> None:
    """Run the trainer from a checkpoint or from the start."""
    trainer.loggers = [logger] if logger else []
    limit_steps(trainer, batches)
    trainer.fit(module, datamodule=batches, ckpt_path=str(found.state) if found else None, weights_only=True)


def limit_steps(trainer: pl.Trainer, batches: Batches) -> None:
    """Batches come without end, so a run by `trainer.max_epochs` becomes one of so many steps."""
    epochs = trainer.max_epochs
    if epochs is None or epochs < 0:
        return
    if not hasattr(batches.train, "__len__"):
        raise ValueError("trainer.max_epochs: a streamed corpus has no end; set `trainer.max_steps` alone")
    steps = math.ceil(epochs * len(batches.train) / batches.batch_size / trainer.accumulate_grad_batches)
    trainer.fit_loop.epoch_loop.max_steps = min(steps, trainer.max_steps) if trainer.max_steps >= 0 else steps
    trainer.fit_loop.max_epochs = -1


def validation_loss(module: TrainedModule, batches: Batches, device: torch.device) -> float | None:
    """What training minimises, on the first batch of validation rows; None where that can't be compared."""
    rows = batches.validation[: batches.eval_batch_size]
    if not rows or not module.comparable:
        return None
    batch = {name: tensor.to(device) for name, tensor in batches.collate(rows).items()}
    with evaluation_mode(module.model), torch.no_grad():
        return float(module.loss(batch)[0])


def validation_metrics(before: float | None, after: float | None) -> Metrics:
    """The loss on the same held-out rows before and after training, if there is one."""
    return {} if after is None else {"validation_loss": Metric(after, before, better="lower")}


def training_metrics(module: TrainedModule, trainer: pl.Trainer) -> Metrics:
    """What training did. The loss is the mean of the last tenth of the batches, before it that of the first tenth."""
    tenth = max(1, len(module.losses) // 10)
    return {
        "train_loss": Metric(mean_loss(module.losses[-tenth:]), mean_loss(module.losses[:tenth]), better="lower"),
        "optimizer_steps": Metric(trainer.global_step),
        "seconds": Metric(module.pace.seconds, unit="s"),
        "tokens_per_second": Metric(module.pace.tokens_per_second, better="higher", unit="tokens/s"),
        "mfu": Metric(utilisation(module, trainer), better="higher"),
        **bad_step_metrics(trainer),
    }


def utilisation(module: TrainedModule, trainer: pl.Trainer) -> float:
    """Model FLOPs utilisation: arithmetic that training needed over what the machine's own matrix products could do."""
    pace = module.pace
    length = float(pace.tokens) / max(pace.rows, 1)
    peak = peak_flops(module.device, product_dtype(trainer.precision)) * trainer.world_size
    return pace.tokens_per_second * flops_per_token(module.model, length) / peak


def bad_step_metrics(trainer: pl.Trainer) -> Metrics:
    """How often a step was skipped, and how often the run went back, where something watches that."""
    watching = [callback for callback in trainer.callbacks if isinstance(callback, BadSteps)]  # type: ignore[attr-defined]
    counts = {"skipped_steps": "skipped", "restored_checkpoints": "restored"}
    return {key: Metric(getattr(one, name), better="lower") for one in watching for key, name in counts.items()}


def memory_metrics(module: TrainedModule) -> Metrics:
    """Parameters, and bytes by part: measured after the last step, by formula, and if every weight were trained."""
    measured, formula = module.memory, expected(module.model, module.optim, decay_groups)
    everything = expected(module.model, module.optim, decay_groups, train_all=True)
    assert measured is not None
    counts = {"parameters": measured.parameters, "trainable_parameters": measured.trainable_parameters}
    sizes = {
        "weight_bytes": measured.weights,
        "gradient_bytes": measured.gradients,
        "gradient_bytes_by_formula": formula.gradients,
        "optimizer_state_bytes": measured.optimizer_state,
        "optimizer_state_bytes_by_formula": formula.optimizer_state,
        "gradient_and_optimizer_state_bytes": measured.trained,
        "gradient_and_optimizer_state_bytes_if_full": everything.trained,
    }
    ratio = Metric(measured.trained / everything.trained, better="lower")
    named = {name: Metric(n) for name, n in counts.items()} | {n: Metric(b, unit="bytes") for n, b in sizes.items()}
    return {**named, "trained_bytes_ratio": ratio}


def hand_off_metrics(facts: HandOff) -> Metrics:
    """The largest logit difference as a share of the largest logit, and whether an adapter was merged."""
    share = facts["max_difference"] / facts["max_logit"] if facts["max_logit"] else 0.0
    return {"hand_off_difference": Metric(share, better="lower"), "merged": Metric(float(facts["merged"]))}
