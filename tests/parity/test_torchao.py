"""The written folder computes what torchao computes when it is applied to the model directly."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import random_llama
from torchao.quantization import (
    Int8DynamicActivationInt8WeightConfig,
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerGroup,
    quantize_,
)
from transformers import PreTrainedTokenizerFast

from llmcycle.compress import compress
from llmcycle.model import load


class Rows:
    train = validation = [{"prompt": "Hello"}]  # noqa: RUF012


@pytest.mark.parametrize(
    "config",
    [
        Int8WeightOnlyConfig(),
        Int8DynamicActivationInt8WeightConfig(),
        IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)),
    ],
    ids=lambda config: type(config).__name__,
)
@pytest.mark.parametrize("tied", [True, False])
def test_logits_equal_those_of_quantize(
    config: Any, tied: bool, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = random_llama(len(tokenizer), hidden_size=128, intermediate_size=256, tie_word_embeddings=tied)
    model.save_pretrained(tmp_path / "source")
    tokenizer.save_pretrained(tmp_path / "source")
    (tmp_path / "out").mkdir()
    compress(str(tmp_path / "source"), config, {}, Rows(), ["a"], max_new_tokens=2, out=tmp_path / "out", logger=None)
    quantize_(model, config, filter_fn=lambda module, name: isinstance(module, torch.nn.Linear) and name != "lm_head")
    input_ids = torch.arange(5, 45).view(4, 10)
    with torch.no_grad():
        # Copies lie alike in memory, so that both round alike.
        ours, reference = (copy.deepcopy(m)(input_ids).logits for m in (load(tmp_path / "out"), model))
    assert torch.equal(ours, reference)
