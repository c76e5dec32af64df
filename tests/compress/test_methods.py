"""Methods are functions: torchao's in place equal transformers' loader, and a user's own quantiser or pruner works."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from options import compressing
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel, TorchAoConfig

from llmcycle.compress import compress
from llmcycle.compress.methods import Reloaded, Torchao, as_method, unchanged
from llmcycle.compress.size import linear_layers
from llmcycle.model import digest, load

TORCHAO = [path for path in sorted(Path("conf/quant").glob("*.yaml")) if path.stem != "none"]


class Calibrated:
    """Rounds each weight to 8 bits with a step for each input, wide where calibration rows put large inputs."""

    def __call__(self, model: PreTrainedModel, tokenizer: Any, rows: Sequence[dict[str, Any]]) -> PreTrainedModel:
        seen: dict[str, torch.Tensor] = {}
        layers = linear_layers(model)

        def look(name: str) -> Any:
            return lambda module, inputs: seen.update({name: inputs[0].abs().amax((0, 1))})

        handles = [layer.register_forward_pre_hook(look(name)) for name, layer in layers.items()]
        with torch.no_grad():
            model(**tokenizer([row["prompt"] for row in rows], padding=True, return_tensors="pt"))
            for name, layer in layers.items():
                scale = seen[name].clamp(min=1e-3).sqrt()
                step = (layer.weight * scale).abs().amax() / 127
                layer.weight.copy_((layer.weight * scale / step).round() * step / scale)
        for handle in handles:
            handle.remove()
        return model


def prune_last_layer(model: PreTrainedModel, tokenizer: Any, rows: Any) -> PreTrainedModel:
    """Fewer layers, and a configuration that says so."""
    model.model.layers = nn.ModuleList(list(model.model.layers)[:-1])
    model.config.num_hidden_layers -= 1
    model.config.layer_types = model.config.layer_types[:-1] if getattr(model.config, "layer_types", None) else None
    return model


@pytest.fixture
def calibration() -> Any:
    class Rows:
        train = [{"prompt": f"Training {i}"} for i in range(4)]  # noqa: RUF012
        validation = [{"prompt": f"Question {i}"} for i in range(6)]  # noqa: RUF012

    return Rows()


def run(source: str, quant: Any, rows: Any, out: Path) -> Any:
    return compress(source, quant, {}, rows, ["Hello"], prompts=3, max_new_tokens=4, out=out, logger=None)


@pytest.mark.parametrize("path", TORCHAO, ids=lambda path: path.stem)
def test_in_place_is_what_the_loader_of_transformers_makes(path: Path, source: str, tokenizer: Any) -> None:
    def config() -> Any:
        return compressing("quant", path.stem)

    loaded = AutoModelForCausalLM.from_pretrained(
        source, dtype=torch.float32, quantization_config=TorchAoConfig(config())
    )
    in_place = as_method(config())(load(source), tokenizer, [])
    assert digest(in_place) == digest(loaded)
    assert in_place.config.to_dict() == loaded.config.to_dict()


def test_a_method_of_ones_own_is_calibrated_with_the_training_rows(source: str, calibration: Any, out: Path) -> None:
    metrics = run(source, Calibrated(), calibration, out)
    assert 0.5 < metrics["greedy_agreement"].value <= 1
    assert metrics["linear_bytes_ratio"].value == 1  # it simulates: the numbers are coarser, their dtype is not
    weight = load(out).model.layers[0].mlp.up_proj.weight
    assert not torch.equal(weight, load(source).model.layers[0].mlp.up_proj.weight)


def test_a_pruner_is_measured_against_what_there_was_before(source: str, calibration: Any, out: Path) -> None:
    metrics = run(source, prune_last_layer, calibration, out)
    assert metrics["linear_bytes_ratio"].value == 0.5
    assert metrics["bits_per_weight"].value == 16
    assert len(load(out).model.layers) == 1


def test_a_pruner_that_leaves_the_configuration_as_it_was_is_refused(source: str, calibration: Any, out: Path) -> None:
    def careless(model: PreTrainedModel, tokenizer: Any, rows: Any) -> PreTrainedModel:
        model.model.layers = nn.ModuleList(list(model.model.layers)[:-1])
        return model

    with pytest.raises(ValueError, match=r"lacks weights of its own model: model\.layers\.1"):
        run(source, careless, calibration, out)


def test_every_kind_of_option_becomes_a_method() -> None:
    assert as_method(None) is unchanged
    assert as_method({}) is unchanged
    assert isinstance(as_method(BitsAndBytesConfig(load_in_8bit=True)), Reloaded)
    assert isinstance(as_method(TorchAoConfig(compressing("quant", "int8"))), Torchao)
    assert as_method(prune_last_layer) is prune_last_layer
    with pytest.raises(ValueError, match=r"quant: str is no quantisation config and no function"):
        as_method("int8")


def test_4_bits_of_bitsandbytes(source: str, calibration: Any, out: Path) -> None:
    metrics = run(source, BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"), calibration, out)
    assert metrics["linear_bytes_ratio"].value < 0.2
