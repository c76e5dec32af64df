"""The stage that trains any `Learner`: evaluate, train, write the model, and evaluate what was written."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence, Sized
from functools import partial
from itertools import islice
from pathlib import Path
from typing import cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from transformers import GenerationConfig, PreTrainedModel

from llmcycle.data.chat import Prompt
from llmcycle.data.training_data import TrainingData
from llmcycle.engine import TransformersEngine, texts, write_samples
from llmcycle.evaluate.evaluator import Evaluator, compare
from llmcycle.evaluate.metric import Metric, Metrics, led_by
from llmcycle.evaluate.scores import Scores, write_scores
from llmcycle.handoff import Format, HandOff, Safetensors, hand_on
from llmcycle.handoff.observe import Model
from llmcycle.train.activations import Activations
from llmcycle.train.bad_steps import BadSteps
from llmcycle.train.checkpoint_callback import Checkpoints
from llmcycle.train.checkpoint_folder import Checkpoint
from llmcycle.train.curves import Curves
from llmcycle.train.early_stopping import EarlyStopping
from llmcycle.train.judge import judge_of
from llmcycle.train.learner import Learner, mean_loss
from llmcycle.train.memory_table import foretell_largest, memory_metrics, write_table
from llmcycle.train.pruning import pruning
from llmcycle.train.room import refuse_rows
from llmcycle.train.stage_scores import StageScores, validation_scores
from llmcycle.train.throughput import flops_per_token, peak_flops, product_dtype

CALIBRATION = 16  # training batches that an adapter may start from (EVA, CorDA, LoRA-GA)


def fit(
    module: Learner,
    batches: TrainingData,
    trainer: pl.Trainer,
    evaluators: Mapping[str, Evaluator] | None = None,
    samples: Sequence[Prompt] | None = None,
    generate: GenerationConfig | None = None,
    resume: str = "auto",
    handoff: Format | None = None,
    *,
    out: Path,
    logger: Logger | None,
    checkpoints: Path | None = None,
) -> Metrics:
    """Train, and write the model to `out`, opened again and compared.

    Args:
        evaluators: score the model before training, and the one opened from `out` after it, on the same rows.
        samples: prompts that this one answers into `samples.jsonl`.
        generate: how it answers them; greedy by default.
        resume: `auto` goes on from the newest whole checkpoint, `never` from none, else from the folder of one.
        handoff: how the model is written; by default as safetensors, with an adapter merged.
        checkpoints: where they are written; None for nowhere.

    Returns:
        The evaluators' metrics first, then loss, steps, speed, memory by part, what truncation took of the rows, and
        how far its logits are from the trained model's.

    Raises:
        ValueError: the model has no room for a row, the loss stays no number, a checkpoint can't be written, or what
            was written is another model.
    """
    stage_scores = StageScores(trainer, evaluators or {})
    checkpoint, handoff = partial(prepare, trainer, checkpoints, resume, out), handoff or Safetensors()
    before, cost = learn(module, batches, trainer, stage_scores, logger, checkpoint, handoff, out)
    if not trainer.is_global_zero:
        return {}  # the other processes were there for training only
    handed, after = write(module, batches, stage_scores, samples or [], generate or None, handoff, out)
    metrics = {**compare(before, after), **cost, **hand_off_metrics(handed)}
    return led_by(next(iter(metrics)), metrics)


def learn(
    module: Learner,
    batches: TrainingData,
    trainer: pl.Trainer,
    stage_scores: StageScores,
    logger: Logger | None,
    checkpoint: Callable[[], Checkpoint | None],
    handoff: Format,
    out: Path,
) -> tuple[dict[str, Scores], Metrics]:
    """Train: the evaluators' scores before it, and what it took; nothing on processes but the first.

    Args:
        checkpoint: what to go on from, asked for when all callbacks are there.
        handoff: refuses, before anything is trained, a model that it could not hold.
    """
    device, first = trainer.strategy.root_device, trainer.is_global_zero
    refuse_rows(module.model, batches)
    module.calibrate(lambda: islice(batches.train_dataloader(), CALIBRATION))
    handoff.refuse(module.model)
    before = stage_scores.before(engine_of(placed(module.model, device).eval(), batches)) if first else {}
    loss_before = validation_scores(module, batches, device) if first else {}
    counted, curves = Activations(), Curves()
    trainer.callbacks.extend([counted, curves, *pruning(trainer)])  # type: ignore[attr-defined]
    train(module, batches, trainer, logger, checkpoint())
    module.models.policy = module.gathered()
    if not first:
        return {}, {}
    curves.write(out)
    write_tables(out, module)
    judged = stage_scores.finish(module, out)
    loss = compare(loss_before, validation_scores(module, batches, device))
    # Now: a merge uses the model up.
    return before, {**judged, **loss, **costs(module, batches, trainer, counted, out)}


def write(
    module: Learner,
    batches: TrainingData,
    stage_scores: StageScores,
    samples: Sequence[Prompt],
    generate: GenerationConfig | None,
    handoff: Format,
    out: Path,
) -> tuple[HandOff, dict[str, Scores]]:
    """Write the trained model and open it again: the hand-off, and the scores of what was opened."""
    device = stage_scores.trainer.strategy.root_device
    probe = {name: tensor.to(device) for name, tensor in batches.probe().items()}
    handed = hand_on(placed(module.model, device), batches.tokenizer, out, handoff, probe)
    engine = engine_of(handed.model, batches)
    after = stage_scores.scores(engine)
    write_scores(out, after)
    prompts = list(samples)
    write_samples(out, prompts, texts(engine, prompts, generate))
    return handed, after


def placed(model: Model, device: torch.device) -> Model:
    """The model on `device`. One that is there is left alone: torch can't move quantised weights after training."""
    return model if {tensor.device for tensor in model.parameters()} == {device} else model.to(device)


def engine_of(model: PreTrainedModel, batches: TrainingData) -> TransformersEngine:
    """What the evaluators and the samples ask: `batches.eval_batch_size` rows at once."""
    return TransformersEngine(model, batches.tokenizer, batches.eval_batch_size)


def costs(module: Learner, batches: TrainingData, trainer: pl.Trainer, counted: Activations, out: Path) -> Metrics:
    """What training took: steps, speed, memory by part, and rows that truncation took. Writes `out`/memory.json."""
    foretold = foretell_largest(module, counted)
    write_table(module, counted, foretold, batches, out)
    taken = {name: Metric(count, better="lower") for name, count in getattr(batches, "truncation_counts", {}).items()}
    return {**training_metrics(module, trainer), **memory_metrics(module, counted, foretold), **taken}


def write_tables(out: Path, module: Learner) -> None:
    """Rows that the objective keeps for a reader, as `out`/NAME.jsonl."""
    for name, rows in module.objective.tables().items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def prepare(trainer: pl.Trainer, root: Path | None, resume: str, out: Path | None = None) -> Checkpoint | None:
    """Tell the callbacks that save where to, put them in order, and find what to go on from."""
    order = (EarlyStopping, Checkpoints)  # after what they look at
    trainer.callbacks.sort(  # type: ignore[attr-defined]
        key=lambda callback: next((i for i, cls in enumerate(order, 1) if isinstance(callback, cls)), 0)
    )
    if root or out:  # a callback of Lightning's own that is told no folder would write into the working directory
        trainer._default_root_dir = str(root or out)  # type: ignore[attr-defined]
    saving = [callback for callback in trainer.callbacks if isinstance(callback, Checkpoints)]  # type: ignore[attr-defined]
    last = saving[0].open(root, resume, quiet=not trainer.is_global_zero) if saving and root else None
    if (judge := judge_of(trainer)) and (place := root or out) and trainer.is_global_zero:
        judge.open(place, last.folder if last else None)
    return last


def train(
    module: Learner, batches: TrainingData, trainer: pl.Trainer, logger: Logger | None, last: Checkpoint | None
) -> None:
    """Run the trainer from a checkpoint or from the start."""
    trainer.loggers = [logger] if logger else []
    limit_steps(trainer, batches)
    trainer.fit(
        module,
        datamodule=cast(pl.LightningDataModule, batches),
        ckpt_path=str(last.state) if last else None,
        weights_only=True,
    )
    if module.memory is None:  # interrupted after its last step: Lightning passes over a run that is at its end
        module.on_train_start()
        module.on_train_end()


def limit_steps(trainer: pl.Trainer, batches: TrainingData) -> None:
    """Batches come without end, so a run by `trainer.max_epochs` becomes one of so many steps."""
    epochs = trainer.max_epochs
    if epochs is None or epochs < 0:
        return
    if not isinstance(batches.train, Sized):
        raise ValueError("trainer.max_epochs: a streamed corpus has no end; set `trainer.max_steps` alone")
    steps = math.ceil(epochs * len(batches.train) / batches.batch_size / trainer.accumulate_grad_batches)
    trainer.fit_loop.epoch_loop.max_steps = min(steps, trainer.max_steps) if trainer.max_steps >= 0 else steps
    trainer.fit_loop.max_epochs = -1


def training_metrics(module: Learner, trainer: pl.Trainer) -> Metrics:
    """What training did. The loss is the mean of the last tenth of the batches, before it that of the first tenth."""
    tenth = max(1, len(module.losses) // 10)
    return {
        "train_loss": Metric(mean_loss(module.losses[-tenth:]), mean_loss(module.losses[:tenth]), better="lower"),
        "optimizer_steps": Metric(trainer.global_step),
        "seconds": Metric(module.pace.seconds, unit="s"),
        "processor_seconds": Metric(module.pace.processor_seconds, unit="s"),
        "tokens_per_second": Metric(module.pace.tokens_per_second, better="higher", unit="tokens/s"),
        "mfu": Metric(utilisation(module, trainer), better="higher"),
        **bad_step_metrics(trainer),
    }


def utilisation(module: Learner, trainer: pl.Trainer) -> float:
    """Model FLOPs utilisation: arithmetic that training needed over what the machine's own matrix products could do."""
    pace = module.pace
    length = float(pace.tokens) / max(pace.rows, 1)
    peak = peak_flops(module.device, product_dtype(trainer.precision)) * trainer.world_size
    flops = sum(flops_per_token(model, length) for _, model in module.models.trained())
    return pace.tokens_per_second * flops / peak


def bad_step_metrics(trainer: pl.Trainer) -> Metrics:
    """How often a step was skipped, and how often the run went back, where something watches that."""
    watching = [callback for callback in trainer.callbacks if isinstance(callback, BadSteps)]  # type: ignore[attr-defined]
    counts = {"skipped_steps": "skipped", "restored_checkpoints": "restored"}
    return {
        key: Metric(getattr(callback, name), better="lower") for callback in watching for key, name in counts.items()
    }


def hand_off_metrics(handed: HandOff) -> Metrics:
    """The largest logit difference as a share of the largest logit, and whether an adapter was merged."""
    share = Metric(handed.difference.share, better="lower")
    return {"hand_off_difference": share, "merged": Metric(float(handed.merged))}
