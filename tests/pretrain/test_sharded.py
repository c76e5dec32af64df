"""Pre-training's options under FSDP2: the output layer's weights are used outside of the model's forward pass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch.multiprocessing as mp
from sharded import work

pytestmark = pytest.mark.slow
ALL = {"loss_chunk": 16, "z_loss": 1e-3, "gradient_checkpointing": True}


def test_losses_are_those_of_one_process(tmp_path: Path) -> None:
    mp.spawn(work, (tmp_path / "rendezvous", ALL), nprocs=2)
