"""A state in shards that would run code is refused, in each of the three places that are unpickled."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING

from llmcycle.train.sharded_state import LIGHTNINGS, TORCHS, Plain, refuse_code


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def state(folder: Path, value: object) -> Path:
    """What two libraries leave: tensors in shards, a value beside them, and Lightning's own file."""
    tensors = {"w": torch.ones(3, 4, dtype=torch.bfloat16), "v": torch.arange(5)}
    dcp.save({"model": tensors, "lr": 0.1, "value": value}, checkpoint_id=str(folder), no_dist=True)
    torch.save({"epoch": 1, "loops": {"a": [1, 2]}}, folder / LIGHTNINGS)
    return folder


def test_tensors_and_plain_values_pass(tmp_path: Path) -> None:
    refuse_code(state(tmp_path / "s", {"steps": [1, None, "a"]}))


@pytest.mark.parametrize("name", [LIGHTNINGS, TORCHS, "shard"])
def test_code_is_refused_and_never_runs(tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    folder = state(tmp_path / "s", Canary(canary) if name == "shard" else 1)
    if name != "shard":
        (folder / name).write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(ValueError, match="may hold code"):
        refuse_code(folder)
    assert not canary.exists()


def test_an_enumeration_written_by_getattr_is_read_and_no_other_attribute() -> None:
    written = (
        b"cbuiltins\ngetattr\n(ctorch.distributed.checkpoint.metadata\n_MEM_FORMAT_ENCODING\nVTORCH_CHANNELS_LAST\ntR."
    )
    assert Plain(io.BytesIO(written)).load() is _MEM_FORMAT_ENCODING.TORCH_CHANNELS_LAST
    with pytest.raises(pickle.UnpicklingError, match="no enumeration"):
        Plain(io.BytesIO(b"cbuiltins\ngetattr\n(ctorch\nSize\nVmro\ntR.")).load()


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"meta\.pt"):
        refuse_code(tmp_path)
    folder = state(tmp_path / "s", 1)
    (folder / TORCHS).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="no description of shards"):
        refuse_code(folder)
