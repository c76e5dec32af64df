"""Every option of `peft`, found by glob: trained, handed on, reloaded, and the same model afterwards."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from conftest import byte_tokenizer, random_llama
from learners import learner
from options import OPTIONS, STEPS, build, option
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from llmcycle.config.adapters import stays as stays_beside
from llmcycle.data.batches import Batches
from llmcycle.data.chat import set_chat_template
from llmcycle.data.encode import Completion
from llmcycle.evaluate.metric import Metrics
from llmcycle.finetune import Supervised
from llmcycle.model import digest, load
from llmcycle.train import fit

NEED_BIASES = {"beft"}
ROWS = [{"prompt": f"What is {n}?", "completion": f"It is {n + 1}."} for n in range(8)]


def train(base: Path, tokenizer: PreTrainedTokenizerBase, name: str, out: Path) -> Metrics:
    rows = SimpleNamespace(train=ROWS[:4], validation=[])  # one batch, so that its loss can only fall by learning
    batches = Batches(rows, Completion(64), set_chat_template(tokenizer), batch_size=4, eval_batch_size=4, seed=0)
    _, rate = option(name)
    peft = build(name, set_chat_template(tokenizer))
    module = learner(load(base), Supervised(), peft, partial(torch.optim.AdamW, lr=rate))
    trainer = pl.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    return fit(module, batches, trainer, out=out, logger=None)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Folders of a model without biases, and of one with them."""
    folders = {biases: tmp_path_factory.mktemp("base") for biases in (False, True)}
    for biases, folder in folders.items():
        random_llama(len(byte_tokenizer()), attention_bias=biases).save_pretrained(folder)
    return folders


@pytest.mark.parametrize("name", OPTIONS)
def test_option_is_trained_and_handed_on(
    name: str, bases: dict[bool, Path], tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    base, stays = bases[name in NEED_BIASES], stays_beside(option(name)[0], {})
    metrics = train(base, tokenizer, name, tmp_path / "out")
    handed_on = load(tmp_path / "out")
    assert metrics["optimizer_steps"].value == STEPS
    assert metrics["train_loss"].value < metrics["train_loss"].before
    assert metrics["merged"].value == (not stays and name != "none")
    assert isinstance(handed_on, PeftModel) == stays
    assert digest(handed_on) != digest(load(base))
    assert metrics["hand_off_difference"].value <= 2e-5
    assert 0 < metrics["trainable_parameters"].value <= metrics["parameters"].value
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in {".bin", ".pt", ".pkl"}]
