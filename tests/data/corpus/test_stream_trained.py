"""A streamed corpus under Lightning's own Trainer: interrupted, and in two processes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import byte_tokenizer
from torch import distributed, multiprocessing
from transformers import PreTrainedTokenizerFast

from llmcycle.data.corpus import Corpus
from llmcycle.data.corpus.stream import StreamedBatches
from llmcycle.data.encode import Packed
from llmcycle.train.fit import limit_steps


def batches(folder: Path, tokenizer: Any, workers: int = 0) -> StreamedBatches:
    path = folder / "corpus.txt"
    if not path.exists():
        path.write_text("\n".join(f"{i} " + "x" * (i * 7 % 40) for i in range(150)))
    rows = Corpus({"a": str(path)}, holdout=0.05)
    return StreamedBatches(rows, Packed(16), tokenizer, 4, 8, seed=0, workers=workers, buffer=800, lanes=4)


class Recorder(pl.LightningModule):
    """Trains one number and remembers what it was fed."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.fed: list[list[list[int]]] = []

    def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
        assert "position" not in batch, "a model would be given it as an argument"
        self.fed.append(batch["input_ids"].tolist())
        return (self.weight - batch["input_ids"].float().mean()) ** 2

    def validation_step(self, batch: dict[str, torch.Tensor], _: int) -> None:
        assert set(batch) == {"input_ids", "labels", "position_ids"}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(steps: int, folder: Path, accumulate: int) -> pl.Trainer:
    return pl.Trainer(
        max_steps=steps,
        accumulate_grad_batches=accumulate,
        accelerator="cpu",
        default_root_dir=folder,
        limit_train_batches=5,  # several of Lightning's epochs, each with a new iterator
        limit_val_batches=1,
        **dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False),
    )


@pytest.mark.parametrize(("workers", "accumulate"), [(0, 1), (2, 2)])
def test_a_resumed_run_is_fed_what_the_whole_one_is(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, workers: int, accumulate: int
) -> None:
    whole, first, rest = Recorder(), Recorder(), Recorder()
    trainer(12, tmp_path, accumulate).fit(whole, datamodule=batches(tmp_path, tokenizer, workers))
    begun = trainer(7, tmp_path, accumulate)
    begun.fit(first, datamodule=batches(tmp_path, tokenizer, workers))
    begun.save_checkpoint(tmp_path / "middle.ckpt")
    torch.manual_seed(99)
    trainer(12, tmp_path, accumulate).fit(
        rest, datamodule=batches(tmp_path, tokenizer, workers), ckpt_path=tmp_path / "middle.ckpt", weights_only=True
    )
    assert first.fed + rest.fed == whole.fed
    assert rest.weight == whole.weight
    assert len({str(batch) for batch in whole.fed[:12]}) == 12


def test_without_a_number_of_steps_it_would_never_end(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match=r"trainer\.max_steps"):
        trainer(-1, tmp_path, 1).fit(Recorder(), datamodule=batches(tmp_path, tokenizer))


def test_epochs_of_a_stream_are_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match=r"trainer\.max_epochs: a streamed corpus has no end"):
        limit_steps(pl.Trainer(max_epochs=2, accelerator="cpu", logger=False), batches(tmp_path, tokenizer))  # type: ignore[arg-type]


def process(rank: int, folder: Path) -> None:
    """One of two processes: consumes 6 batches, tells the state, and what comes next."""
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    data = batches(folder, byte_tokenizer())
    data.trainer = SimpleNamespace(global_rank=rank, world_size=2, max_steps=20)  # type: ignore[assignment]
    running = iter(data.train_dataloader())
    for _ in range(6):
        data.consume(next(running))
    told = {"state": data.state_dict(), "next": [next(running)["input_ids"].tolist() for _ in range(4)]}
    (folder / f"{rank}.json").write_text(json.dumps(told))
    distributed.destroy_process_group()


def test_the_state_of_two_processes_is_that_of_one(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    one = batches(tmp_path, tokenizer)
    running = iter(one.train_dataloader())
    for _ in range(6):
        one.consume(next(running))
    multiprocessing.start_processes(process, (tmp_path,), nprocs=2, start_method="fork")
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert found[0]["state"] == found[1]["state"] == one.state_dict()
    for batch, *shares in zip([next(running) for _ in range(4)], found[0]["next"], found[1]["next"], strict=True):
        assert sorted(shares[0] + shares[1]) == sorted(batch["input_ids"].tolist())
