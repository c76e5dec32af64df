"""Bytes on disk, read from the headers of safetensors files, so that nothing is claimed that was not written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel

FP32 = 4  # bytes


@dataclass(frozen=True)
class Size:
    """Of a model's linear layers, and of all its weight files.

    Args:
        parameters: weights and biases of the linear layers.
        linear: bytes of them on disk, scales and zero points included.
        files: bytes of all weight files.
    """

    parameters: int
    linear: int
    files: int

    @property
    def fp32(self) -> int:
        """Bytes that the linear layers would take in fp32."""
        return self.parameters * FP32


def linear_layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """By name, all linear layers but an output layer that shares its weight with the input embedding."""
    tied = model.get_output_embeddings()
    embedding = model.get_input_embeddings()
    if tied is not None and tied.weight is not embedding.weight:
        tied = None
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear) and m is not tied}


def parameters(layer: nn.Linear) -> int:
    """Weights and biases, however they are stored."""
    return layer.in_features * layer.out_features + (0 if layer.bias is None else layer.out_features)


def measure(folder: Path, parameters: dict[str, int]) -> Size:
    """Bytes in `folder` of the linear layers that `parameters` names (with their number of parameters).

    Raises:
        ValueError: a layer is in no file.
    """
    stored = dict.fromkeys(parameters, 0)
    files = sorted(folder.glob("*.safetensors"))
    for path in files:
        for tensor, size in tensor_bytes(path).items():
            layer = tensor.rpartition(".")[0]
            if layer in stored:
                stored[layer] += size
    if absent := [name for name, size in stored.items() if not size]:
        raise ValueError(f"compress: {absent[0]} is in no weight file of {folder}, so its size can't be measured")
    return Size(sum(parameters.values()), sum(stored.values()), sum(path.stat().st_size for path in files))


def tensor_bytes(path: Path) -> dict[str, int]:
    """Bytes of each tensor in a safetensors file: https://huggingface.co/docs/safetensors/index#format"""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    ranges = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    return {name: end - start for name, (start, end) in ranges.items()}
