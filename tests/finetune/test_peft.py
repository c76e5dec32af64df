"""Every option of `peft`, found by glob: trained, handed on, reloaded, and the same model afterwards."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from peft import PeftModel
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase, get_constant_schedule

from llmcycle.config import compose, locate
from llmcycle.config.paths import shipped
from llmcycle.data.batches import Batches
from llmcycle.data.chat import set_chat_template
from llmcycle.data.encode import Completion
from llmcycle.evaluate.metric import Metrics
from llmcycle.finetune import Supervised
from llmcycle.model import digest, load
from llmcycle.train import fit

OPTIONS = sorted(path.stem for path in shipped("conf").glob("peft/*.yaml"))
UNMERGEABLE = {"p_tuning", "prefix_tuning", "prompt_tuning"}
STEPS = 4
ROWS = [{"prompt": f"What is {n}?", "completion": f"It is {n + 1}."} for n in range(8)]


def option(name: str) -> Any:
    """The option as the recipe builds it."""
    root = compose(locate("finetune"), [f"peft={name}", f"trainer.max_steps={STEPS}", "inputs.model=unused"])
    return instantiate(OmegaConf.to_container(root.peft, resolve=True), _convert_="all")


def train(base: Path, tokenizer: PreTrainedTokenizerBase, peft: Any, out: Path) -> Metrics:
    rows = SimpleNamespace(train=ROWS[:4], validation=[])  # one batch, so that its loss can only fall by learning
    batches = Batches(rows, Completion(64), set_chat_template(tokenizer), batch_size=4, eval_batch_size=4, seed=0)
    module = Supervised(load(base), partial(torch.optim.AdamW, lr=1e-2), get_constant_schedule, peft)
    trainer = pl.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    return fit(module, batches, trainer, out=out, logger=None)


@pytest.fixture
def base(model: LlamaForCausalLM, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.parametrize("name", OPTIONS)
def test_option_is_trained_and_handed_on(
    name: str, base: Path, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    metrics = train(base, tokenizer, option(name), tmp_path / "out")
    handed_on = load(tmp_path / "out")
    assert metrics["optimizer_steps"].value == STEPS
    assert metrics["train_loss"].value < metrics["train_loss"].before
    assert metrics["merged"].value == (name not in UNMERGEABLE | {"none"})
    assert isinstance(handed_on, PeftModel) == (name in UNMERGEABLE)
    assert digest(handed_on) != digest(load(base))
    assert metrics["hand_off_difference"].value <= 2e-5
    assert 0 < metrics["trainable_parameters"].value <= metrics["parameters"].value
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in {".bin", ".pt", ".pkl"}]
