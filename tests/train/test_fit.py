"""The stage that trains: what it writes and what it reports, on a model of two layers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import peft
import pytest
import pytorch_lightning as pl
import torch
from conftest import random_llama
from learners import learner
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.data.batches import Batches
from llmcycle.data.encode import Completion
from llmcycle.evaluate import Scores
from llmcycle.train import BadSteps, Models, Objective, TextSamples, fit
from llmcycle.train.learner import refuse_fused

ADAMW = partial(torch.optim.AdamW, lr=1e-2)
STEPS = 12


@dataclass
class Rows:
    train: list[dict[str, Any]]
    validation: list[dict[str, Any]] = field(default_factory=list)


class Own(Objective):
    """transformers' own loss."""

    def loss(self, models: Models, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        loss = models.run(**batch).loss
        return loss, {"perplexity": loss.exp().detach()}


class Weights:
    """An evaluator that remembers which models it saw, and scores their first weight."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, engine: Any) -> dict[str, Scores]:
        self.seen.append(engine.model)
        return {"weight": Scores([next(engine.model.parameters()).flatten()[0].item()] * 2)}


@pytest.fixture
def batches(tokenizer: PreTrainedTokenizerFast) -> Batches:
    rows = [{"prompt": f"{i}", "completion": "ab"} for i in range(8)]
    return Batches(
        Rows(rows[:6], rows[6:]), Completion(8), tokenizer, batch_size=3, eval_batch_size=2, seed=0, allow=["shared"]
    )


def trainer(**options: Any) -> pl.Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(**{"max_steps": STEPS, "limit_val_batches": 0, "accelerator": "cpu", **quiet, **options})


def run(model: LlamaForCausalLM, batches: Batches, out: Path, **options: Any) -> dict[str, Any]:
    lora = options.pop("peft", None)
    module = learner(model, Own(), lora, options.pop("optim", ADAMW))
    evaluators = options.pop("evaluators", None)
    logger = options.pop("logger", None)
    return fit(module, batches, trainer(**options), evaluators, ["1"], out=out, logger=logger)


def test_training_lowers_the_loss_and_hands_on_what_was_trained(
    model: LlamaForCausalLM, batches: Batches, tmp_path: Path
) -> None:
    evaluator = Weights()
    before = {name: p.clone() for name, p in model.named_parameters()}
    metrics = run(model, batches, tmp_path, evaluators={"weights": evaluator})
    assert next(iter(metrics)) == "weight", "the evaluators' metrics come first"
    assert metrics["train_loss"].value < 0.5 * metrics["train_loss"].before
    assert metrics["optimizer_steps"].value == STEPS
    assert metrics["tokens_per_second"].value == pytest.approx(STEPS * 3 * 4 / metrics["seconds"].value)
    assert metrics["processor_seconds"].value > 0
    assert metrics["hand_off_difference"].value <= 2e-5
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    for name, p in reloaded.named_parameters():
        assert torch.equal(p, dict(model.named_parameters())[name])
        assert not torch.equal(p, before[name])
    assert [m is model for m in evaluator.seen] == [True, False], "scored before, then as it was reloaded"
    (sample,) = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert sample == {"prompt": "1", "answer": "ab"}


def test_no_tensor_is_kept_from_a_step(model: LlamaForCausalLM, batches: Batches, tmp_path: Path) -> None:
    """On a CPU each one pins a step's worth of heap."""
    module = learner(model, Own())
    fit(module, batches, trainer(max_steps=3), out=tmp_path, logger=None)
    assert len(module.losses) == 3
    assert all(isinstance(loss, float) for loss in module.losses)


def test_memory_is_measured_and_foretold(model: LlamaForCausalLM, batches: Batches, tmp_path: Path) -> None:
    parameters = sum(p.numel() for p in model.parameters())
    metrics = run(model, batches, tmp_path, max_steps=2)
    assert metrics["trainable_parameters"].value == metrics["parameters"].value == parameters
    assert metrics["gradient_bytes"].value == metrics["gradient_bytes_by_formula"].value == 4 * parameters
    steps = 4 * len(list(model.parameters()))  # AdamW counts its steps once a parameter, beside two moments
    assert metrics["optimizer_state_bytes"].value == 2 * 4 * parameters + steps
    assert metrics["optimizer_state_bytes_by_formula"].value == metrics["optimizer_state_bytes"].value


@pytest.mark.parametrize(
    "optim",
    [partial(torch.optim.SGD, lr=0.1, momentum=0.9), partial(torch.optim.Adafactor, lr=1e-2)],
    ids=["sgd", "adafactor"],
)
def test_other_optimisers_are_foretold_too(
    model: LlamaForCausalLM, batches: Batches, tmp_path: Path, optim: partial
) -> None:
    metrics = run(model, batches, tmp_path, max_steps=2, optim=optim)
    assert metrics["optimizer_state_bytes"].value > 0
    assert metrics["optimizer_state_bytes_by_formula"].value == metrics["optimizer_state_bytes"].value


def test_an_adapter_is_merged(model: LlamaForCausalLM, batches: Batches, tmp_path: Path) -> None:
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear")
    metrics = run(model, batches, tmp_path, peft=lora)
    assert metrics["merged"].value == 1
    assert metrics["trainable_parameters"].value < 0.5 * metrics["parameters"].value
    trained, full = (metrics[f"gradient_and_optimizer_state_bytes{end}"].value for end in ("", "_if_full"))
    assert trained < 0.5 * full
    assert not (tmp_path / "adapter_config.json").exists()


def test_the_logger_gets_losses_and_rates(model: LlamaForCausalLM, batches: Batches, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path / "logs", name="", version="")
    run(model, batches, tmp_path / "out", logger=logger, log_every_n_steps=5)
    head, *rows = (tmp_path / "logs" / "metrics.csv").read_text().splitlines()
    assert {"step", "train/loss", "train/lr", "train/perplexity"} <= set(head.split(","))
    assert len(rows) == STEPS // 5


def test_validation_while_training(model: LlamaForCausalLM, batches: Batches, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path / "logs", name="", version="")
    options = {"limit_val_batches": 1, "val_check_interval": 4, "check_val_every_n_epoch": None}
    run(model, batches, tmp_path / "out", logger=logger, num_sanity_val_steps=0, **options)
    assert "validation/loss" in (tmp_path / "logs" / "metrics.csv").read_text()


def test_a_loss_that_stays_no_number_stops_the_run(model: LlamaForCausalLM, batches: Batches, tmp_path: Path) -> None:
    with torch.no_grad():
        model.lm_head.weight.fill_(float("inf"))
    with pytest.raises(ValueError, match=r"5 bad steps in a row .* lower `optim\.lr`"):
        run(model, batches, tmp_path, callbacks=[BadSteps()])
    assert not list(tmp_path.iterdir())


def test_dropout_is_on_while_training_and_off_in_what_is_handed_on(
    model: LlamaForCausalLM, batches: Batches, tmp_path: Path
) -> None:
    modes: list[bool] = []

    class Watched(Own):
        def loss(self, models: Models, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
            modes.append(models.policy.model.layers[0].training)
            return super().loss(models, batch)

    evaluator = Weights()
    module = learner(model.eval(), Watched())
    fit(module, batches, trainer(max_steps=1), {"weights": evaluator}, out=tmp_path, logger=None)
    assert modes[:5] == [False, False, True, False, False], "off for the loss on held-out rows before and after"
    assert modes[5:] == [True], "the step without memory that foretells this one"
    assert not evaluator.seen[1].training


def test_a_fused_optimiser_is_refused_under_fp16(model: LlamaForCausalLM) -> None:
    fused, plain = (torch.optim.AdamW(model.parameters(), fused=either) for either in (True, False))
    with pytest.raises(ValueError, match=r"optim\.fused.*set optim\.fused=false, or trainer\.precision=bf16-mixed"):
        refuse_fused(fused, "16-mixed")
    refuse_fused(plain, "16-mixed")
    refuse_fused(fused, "bf16-mixed")


def test_what_the_model_writes_meanwhile_is_kept(model: LlamaForCausalLM, batches: Batches, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path / "logs", name="", version="")
    plain = run(random_llama(len(batches.tokenizer)), batches, tmp_path / "plain", max_steps=8)
    watching = [TextSamples(["1", "2"], every_n_steps=4)]
    watched = random_llama(len(batches.tokenizer))
    metrics = run(watched, batches, tmp_path / "out", logger=logger, max_steps=8, callbacks=watching)
    lines = [json.loads(line) for line in (tmp_path / "logs" / "samples.jsonl").read_text().splitlines()]
    assert [(line["step"], line["prompt"]) for line in lines] == [(4, "1"), (4, "2"), (8, "1"), (8, "2")]
    assert metrics["train_loss"] == plain["train_loss"], "watching changes nothing"
