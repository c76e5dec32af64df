"""Bytes on disk, read from the headers of safetensors files, so that nothing is claimed that was not written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel

from llmcycle.evaluate.metric import Metric, Metrics

FP32 = 4  # bytes


@dataclass(frozen=True)
class Size:
    """Of a model's linear layers, and of all its weight files.

    Args:
        parameters: weights and biases that the linear layers had before they were made smaller.
        linear: bytes of the layers on disk, scales and zero points included.
        files: bytes of all weight files.
    """

    parameters: int
    linear: int
    files: int

    @property
    def fp32(self) -> int:
        """Bytes that these parameters take in fp32."""
        return self.parameters * FP32


def linear_layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """By name, all linear layers but an output layer that shares its weight with the input embedding."""
    tied = model.get_output_embeddings()
    embedding = model.get_input_embeddings()
    if tied is not None and tied.weight is not embedding.weight:
        tied = None
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear) and m is not tied}


def beside_linear(model: PreTrainedModel) -> dict[str, float]:
    """By name, matrices that are in no linear layer and no embedding, such as the experts of a mixture in one tensor.

    Returns:
        the share that each is of all the model's weights, largest first.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Embedding)]
    known = {id(p) for layer in layers for p in layer.parameters()}
    whole = sum(p.numel() for p in model.parameters())
    shares = {n: p.numel() / whole for n, p in model.named_parameters() if p.dim() > 1 and id(p) not in known}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def parameters(layer: nn.Linear) -> int:
    """Weights and biases, however they are stored."""
    return layer.in_features * layer.out_features + (0 if layer.bias is None else layer.out_features)


def sparsity(model: PreTrainedModel) -> Metric:
    """Share of the linear layers' weights that are 0; they must be plain tensors."""
    weights = [layer.weight for layer in linear_layers(model).values()]
    count = sum(weight.numel() for weight in weights)
    return Metric(sum(int((weight == 0).sum()) for weight in weights) / count, better="higher", n=count)


def measure(folder: Path, layers: Sequence[str], parameters: int) -> Size:
    """Bytes in `folder` of the linear layers of these names, beside the `parameters` that there were before.

    Raises:
        ValueError: a layer is in no file.
    """
    stored = dict.fromkeys(layers, 0)
    files = sorted(folder.glob("*.safetensors"))
    for path in files:
        for tensor, size in tensor_bytes(path).items():
            layer = tensor.rpartition(".")[0]
            if layer in stored:
                stored[layer] += size
    if absent := [name for name, size in stored.items() if not size]:
        raise ValueError(f"compress: {absent[0]} is in no weight file of {folder}, so its size can't be measured")
    return Size(parameters, sum(stored.values()), sum(path.stat().st_size for path in files))


def tensor_bytes(path: Path) -> dict[str, int]:
    """Bytes of each tensor in a safetensors file: https://huggingface.co/docs/safetensors/index#format"""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    ranges = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    return {name: end - start for name, (start, end) in ranges.items()}


def size_metrics(size: Size, source: str) -> Metrics:
    """The linear layers against fp32, whatever `source` was stored in; whole files against those of `source`."""
    files = sum(path.stat().st_size for path in Path(source).glob("*.safetensors")) or None
    n = size.parameters
    return {
        "linear_bytes_ratio": Metric(size.linear / size.fp32, 1.0, better="lower", n=n),
        "linear_bytes": Metric(size.linear, size.fp32, better="lower", unit="bytes", n=n),
        "bits_per_weight": Metric(8 * size.linear / n, 32.0, better="lower", unit="bits", n=n),
        "file_bytes": Metric(size.files, files, better="lower", unit="bytes"),
    }
