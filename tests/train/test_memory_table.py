"""Memory of training, foretold from shapes and measured: by method, architecture and checkpointing."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from learners import learner
from peft import LoraConfig, PeftConfig, PromptTuningConfig
from torch import Tensor
from transformers import (
    BitsAndBytesConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    Qwen3Config,
)

from llmcycle.config import compose, locate
from llmcycle.finetune import Supervised
from llmcycle.model import adapt, expected, load, measure, scratch
from llmcycle.model.live import Live, live
from llmcycle.train import Learner, Models
from llmcycle.train.activations import Activations, foretell
from llmcycle.train.groups import decay_groups
from llmcycle.train.memory_table import FILE, foretell_largest, long_rows, memory_metrics, nf4_bytes, write_table

ADAMW = partial(torch.optim.AdamW, lr=1e-3)
VOCABULARY = 512
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
LORA: dict[str, Any] = {"task_type": "CAUSAL_LM", "r": 4, "target_modules": "all-linear"}
METHODS = ("full", "lora", "qlora", "dora", "prompt_tuning")
NF4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)


def config(name: str) -> PreTrainedConfig:
    if name == "gpt2":
        return GPT2Config(vocab_size=VOCABULARY, n_embd=64, n_layer=2, n_head=2)
    if name == "qwen3":
        return Qwen3Config(**SIZES, **HEADS)
    return LlamaConfig(**SIZES, **HEADS)


def peft(method: str) -> PeftConfig | None:
    if method == "prompt_tuning":
        return PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=8)
    return None if method == "full" else LoraConfig(**LORA, use_dora=method == "dora")


def module(base: Path, method: str, checkpointing: bool = False) -> Learner:
    rounded = {"quantization_config": NF4} if method == "qlora" else {}
    made = learner(
        load(base, "float32", **rounded), Supervised(), peft(method), ADAMW, gradient_checkpointing=checkpointing
    )
    made.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    made.model.train()
    return made


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bases")
    for name in ("llama", "gpt2", "qwen3"):
        scratch(config(name)).save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    """4 rows of up to 48 tokens; half of each is a prompt, and one is padded."""
    ids = torch.arange(4 * 48).remainder(300).view(4, 48) + 5
    mask = torch.ones_like(ids)
    mask[0, 40:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill((mask == 0) | (ids % 2 == 0), -100)}


def measured(made: Learner, batch: dict[str, Tensor]) -> Live:
    with live(made) as counter:
        made.loss(batch)[0].backward()
    return counter


CASES = [
    pytest.param(name, method, checkpointing, marks=() if name == "llama" or method == "full" else pytest.mark.slow)
    for name in ("llama", "gpt2", "qwen3")
    for method in METHODS
    for checkpointing in (False, True)
]


@pytest.mark.parametrize(("name", "method", "checkpointing"), CASES)
def test_activations_are_foretold(
    name: str, method: str, checkpointing: bool, bases: Path, batch: dict[str, Tensor]
) -> None:
    made = module(bases / name, method, checkpointing)
    formula = foretell(made, batch)
    assert formula is not None
    counted = measured(made, batch)
    assert formula.peak == pytest.approx(counted.peak, rel=0.1)
    assert formula.peak_with_gradients == pytest.approx(counted.peak_with_gradients, rel=0.1)
    assert formula.gradients == counted.gradients


def trained(made: Learner, batch: dict[str, Tensor]) -> Activations:
    """As a trainer leaves it after one step."""
    watching = Activations()
    watching.on_train_batch_start(made.trainer, made, batch)
    made.loss(batch)[0].backward()
    watching.on_after_backward()
    optimizer = ADAMW([p for p in made.parameters() if p.requires_grad])
    optimizer.step()
    made.memory = measure(made.model, optimizer)
    return watching


def table(made: Learner, watching: Activations, out: Path) -> dict[str, Any]:
    batches: Any = SimpleNamespace(encode=SimpleNamespace(max_length=96))
    write_table(made, watching, foretell_largest(made, watching), batches, out)
    return {row["method"]: row for row in json.loads((out / FILE).read_text())}


@pytest.mark.parametrize("method", ["pre-training", "full", "lora", "qlora"])
def test_the_table_foretells_what_running_each_way_measures(
    method: str, bases: Path, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    made = module(bases / "llama", "dora")
    row = table(made, trained(made, batch), tmp_path)[method]
    ran = module(bases / "llama", "full" if method == "pre-training" else method)
    watching = trained(ran, long_rows(batch, 96) if method == "pre-training" else batch)
    assert ran.memory is not None
    assert watching.largest is not None
    rank = 2 if method in ("lora", "qlora") else 1  # the option's LoRA has twice the rank of this one
    assert row["gradients"] == rank * ran.memory.gradients
    assert row["optimizer_state"] == pytest.approx(rank * ran.memory.optimizer_state, rel=0.01)
    assert row["weights"] - row["gradients"] == pytest.approx(ran.memory.weights - ran.memory.gradients, rel=0.002)
    assert row["activations"] == pytest.approx(watching.largest.peak, rel=0.05)
    assert not row["measured"]


def test_the_run_itself_is_measured(bases: Path, batch: dict[str, Tensor], tmp_path: Path) -> None:
    made = module(bases / "llama", "dora")
    watching = trained(made, batch)
    rows = table(made, watching, tmp_path)
    assert list(rows) == ["pre-training", "full", "lora", "qlora", "dora"]
    assert [name for name, row in rows.items() if row["measured"]] == ["dora"]
    assert watching.largest is not None
    assert rows["dora"]["activations"] == watching.largest.peak
    lora = module(bases / "llama", "lora")
    assert [row["measured"] for row in table(lora, trained(lora, batch), tmp_path).values()] == [
        False,
        False,
        True,
        False,
    ]


def test_every_run_states_its_memory(bases: Path, batch: dict[str, Tensor]) -> None:
    made = module(bases / "llama", "lora")
    watching = trained(made, batch)
    metrics = memory_metrics(made, watching, foretell_largest(made, watching))
    for part in ("gradient", "optimizer_state", "activation", "training"):
        assert metrics[f"{part}_bytes_by_formula"].value == pytest.approx(metrics[f"{part}_bytes"].value, rel=0.1)
    assert metrics["training_bytes"].value > metrics["weight_bytes"].value + metrics["activation_bytes"].value
    assert metrics["memory_ratio_to_full"].value < 0.6


def test_nf4_is_what_bitsandbytes_holds(bases: Path) -> None:
    plain, rounded = module(bases / "llama", "lora").model, module(bases / "llama", "qlora").model
    sizes = [layer.base_layer.weight.numel() for layer in plain.modules() if hasattr(layer, "base_layer")]
    saved = measure(plain).weights - measure(rounded).weights
    assert saved == sum(4 * size - nf4_bytes(size) for size in sizes)


def test_lora_takes_at_most_60_percent_on_the_storefront() -> None:
    """Weights, gradients and optimizer state, as the recipes have them."""
    pretrain, finetune = compose(locate("pretrain")), compose(locate("finetune"), ["inputs.model=any"])
    model = instantiate(pretrain.model, _convert_="all")
    optim = instantiate(finetune.optim, _convert_="all")
    full = expected(adapt(model, None), optim, decay_groups)
    lora = expected(adapt(model, instantiate(finetune.peft, _convert_="all")), optim, decay_groups)
    assert lora.resident <= 0.6 * full.resident


def test_the_largest_batch_is_counted(bases: Path, batch: dict[str, Tensor]) -> None:
    made, watching = module(bases / "llama", "lora"), Activations()
    peaks = []
    for length in (8, 32, 16):
        cut = {name: tensor[:, -length:] for name, tensor in batch.items()}
        watching.on_train_batch_start(made.trainer, made, cut)
        made.loss(cut)[0].backward()
        watching.on_after_backward()
        assert watching.largest is not None
        peaks.append(watching.largest.peak)
    assert peaks[0] < peaks[1] == peaks[2]
    assert watching.batch is not None
    assert watching.batch["input_ids"].shape[1] == 32


def test_a_loss_that_needs_numbers_is_not_foretold(bases: Path, batch: dict[str, Tensor]) -> None:
    class Numbers(Supervised):
        def loss(self, models: Models, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
            loss, values = super().loss(models, batch)
            return loss * loss.item(), values

    made = module(bases / "llama", "lora")
    made.objective = Numbers()
    own = made.model
    assert foretell(made, batch) is None
    assert made.model is own
