"""The stage that trains any `TrainedModule`: evaluate, train, hand on verified, evaluate what was handed on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from transformers import GenerationConfig

from llmcycle import engine
from llmcycle.data.batches import Batches
from llmcycle.data.chat import Prompt
from llmcycle.evaluate.evaluator import Evaluator, compare, evaluate
from llmcycle.evaluate.metric import Metric, Metrics
from llmcycle.model import HandOff, expected, hand_off
from llmcycle.train.module import TrainedModule, mean_loss


def fit(
    module: TrainedModule,
    batches: Batches,
    trainer: pl.Trainer,
    evaluators: Mapping[str, Evaluator] | None = None,
    samples: Sequence[Prompt] | None = None,
    generate: GenerationConfig | None = None,
    *,
    out: Path,
    logger: Logger | None,
) -> Metrics:
    """Train, and write the merged, reloaded and verified model to `out`.

    Args:
        evaluators: score the model before training, and the reloaded one after it, on the same rows.
        samples: prompts that the reloaded model answers into `samples.jsonl`.
        generate: how it answers them; greedy by default.

    Returns:
        The evaluators' metrics first, then loss, steps, speed, memory by part and the hand-off's difference.

    Raises:
        ValueError: the loss is no longer a number, or the reloaded model is not the trained one.
    """
    device = trainer.strategy.root_device
    before = evaluate(evaluators or {}, module.model.to(device).eval(), batches.tokenizer)
    seconds = train(module, batches, trainer, logger)
    cost = {**training_metrics(module, trainer, seconds), **memory_metrics(module)}  # now: a merge uses the model up
    probe = {name: tensor.to(device) for name, tensor in batches.probe().items()}
    model, facts = hand_off(module.model.to(device), batches.tokenizer, out, probe)
    after = evaluate(evaluators or {}, model, batches.tokenizer)
    prompts = list(samples or [])
    engine.write_samples(out, prompts, engine.generate(model, batches.tokenizer, prompts, generate or None))
    return {**compare(before, after), **cost, **hand_off_metrics(facts)}


def train(module: TrainedModule, batches: Batches, trainer: pl.Trainer, logger: Logger | None) -> float:
    """Run the trainer; seconds that it took."""
    trainer.loggers = [logger] if logger else []
    start = time.perf_counter()
    trainer.fit(module, datamodule=batches)
    return time.perf_counter() - start


def training_metrics(module: TrainedModule, trainer: pl.Trainer, seconds: float) -> Metrics:
    """What training did. The loss is the mean of the last tenth of the batches, before it that of the first tenth."""
    tenth = max(1, len(module.losses) // 10)
    return {
        "train_loss": Metric(mean_loss(module.losses[-tenth:]), mean_loss(module.losses[:tenth]), better="lower"),
        "optimizer_steps": Metric(trainer.global_step),
        "seconds": Metric(seconds, unit="s"),
        "tokens_per_second": Metric(float(module.tokens) / seconds, better="higher", unit="tokens/s"),
    }


def memory_metrics(module: TrainedModule) -> Metrics:
    """Parameters, and bytes by part: measured after the last step, by formula, and if every weight were trained."""
    measured, formula = module.memory, expected(module.model, module.optim)
    everything = expected(module.model, module.optim, train_all=True)
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
