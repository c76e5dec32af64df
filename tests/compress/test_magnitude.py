"""Pruning by magnitude against torch's own, and by rows against a sort."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from options import compressing
from torch.nn.utils.prune import l1_unstructured
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from llmcycle.compress import compress
from llmcycle.compress.methods import Magnitude
from llmcycle.compress.size import linear_layers

PRUNERS = sorted(path.stem for path in Path("conf/prune").glob("*.yaml"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_a_layer_loses_what_torch_would_take(wide: LlamaForCausalLM, share: float) -> None:
    expected = linear_layers(deepcopy(wide))
    Magnitude(share)(wide, None, [])  # type: ignore[arg-type]
    for name, layer in linear_layers(wide).items():
        assert torch.equal(layer.weight, l1_unstructured(expected[name], "weight", share).weight)


def test_every_row_loses_as_many(wide: LlamaForCausalLM) -> None:
    before = {name: layer.weight.clone() for name, layer in linear_layers(wide).items()}
    Magnitude(0.25, "row")(wide, None, [])  # type: ignore[arg-type]
    for name, layer in linear_layers(wide).items():
        width = layer.in_features
        assert ((layer.weight == 0).sum(1) == width // 4).all()
        limit = before[name].abs().sort(1).values[:, width // 4 - 1 : width // 4]
        assert torch.equal(layer.weight, before[name].where(before[name].abs() > limit, 0))


def test_embeddings_and_the_output_layer_stay(wide: LlamaForCausalLM) -> None:
    before = wide.get_input_embeddings().weight.clone()
    Magnitude(0.9)(wide, None, [])  # type: ignore[arg-type]
    assert torch.equal(wide.get_output_embeddings().weight, before)


@pytest.mark.parametrize("name", PRUNERS)
@pytest.mark.parametrize("quant", ["none", "int4"])
def test_every_option_prunes_before_it_quantises(source: str, rows: Any, out: Path, name: str, quant: str) -> None:
    metrics = compress(
        *(source, compressing("quant", quant), {}, rows, ["Hello"]),
        **{"prompts": 3, "max_new_tokens": 4, "prune": compressing("prune", name), "out": out, "logger": None},
    )
    weight = AutoModelForCausalLM.from_pretrained(out).model.layers[0].mlp.up_proj.weight
    plain = weight if quant == "none" else weight.dequantize()
    if name == "none":
        assert "sparsity" not in metrics
        return
    assert metrics["sparsity"].value == pytest.approx(0.5, abs=1e-3)
    assert (plain == 0).float().mean() >= 0.5 - 1e-3, "a symmetric grid keeps 0"
