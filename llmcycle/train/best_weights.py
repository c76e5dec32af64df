"""The trained weights of a moment of a run, in one file beside its checkpoints and, linked, inside of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from llmcycle.files import sha256

FILE = "best.safetensors"  # of the best moment


def write(model: nn.Module, root: Path, name: str = FILE) -> str:
    """Write what is trained, and every buffer, into `root`; give the file's sha256. Frozen weights are left out.

    Raises:
        ValueError: it could not be written; the one before is as it was.
    """
    partial = root / f".partial-{name}"
    # Each is a copy: tensors may share memory, which safetensors doesn't take.
    tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in changing(model)}
    try:
        save_file(tensors, partial)
        os.replace(partial, root / name)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ValueError(f"the best weights could not be written to {root}: {error}; make room") from error
    return sha256(root / name)


def link(source: Path, target: Path, name: str = FILE) -> None:
    """Let the file of one folder be in another one too, at no cost where the file system can do that."""
    if (source / name).exists():
        (target / name).unlink(missing_ok=True)
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copyfile(source / name, target / name)


def restore(model: nn.Module, root: Path, digest: str, name: str = FILE) -> None:
    """Put the weights that `write` left, and gave the digest of, into the model.

    Raises:
        ValueError: the file is not the one that was written.
    """
    path = root / name
    if not path.exists() or sha256(path) != digest:
        raise ValueError(
            f"callbacks.judge: {path} is not the file of the best weights that was written; type the same command "
            "again to go on from the last checkpoint"
        )
    with safe_open(path, framework="pt") as file, torch.no_grad():
        for key, tensor in changing(model):
            tensor.copy_(file.get_tensor(key))


def changing(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of trained weights, each once, and of the buffers that belong to the model's state."""
    yield from ((name, p) for name, p in model.named_parameters() if p.requires_grad)
    state = model.state_dict(keep_vars=True)
    yield from ((name, buffer) for name, buffer in model.named_buffers() if name in state)
