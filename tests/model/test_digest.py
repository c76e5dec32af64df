"""The digest names the numbers of a model: not their order, and not fewer than all of them."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn
from transformers import LlamaForCausalLM

from llmcycle.model import digest


def test_order_does_not_matter() -> None:
    one, two = nn.Linear(2, 3), nn.Linear(3, 2)
    there = nn.Sequential(OrderedDict(a=one, b=two))
    back = nn.Sequential(OrderedDict(b=two, a=one))
    assert digest(there) == digest(back)


@pytest.mark.parametrize("name", ["model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight", "lm_head.weight"])
def test_any_weight_matters(model: LlamaForCausalLM, name: str) -> None:
    before = digest(model)
    weight = model.get_parameter(name).data
    weight[-1, -1] = torch.nextafter(weight[-1, -1], torch.tensor(torch.inf))
    assert digest(model) != before


def test_buffers_dtype_and_shape_matter() -> None:
    norm = nn.BatchNorm1d(2)
    digests = {digest(norm)}
    norm.running_mean += 1
    digests.add(digest(norm))
    digests.add(digest(nn.Linear(2, 3, bias=False).bfloat16()))
    zeros = [nn.Parameter(torch.zeros(*shape)) for shape in ((2, 3), (3, 2))]
    digests |= {digest(nn.ParameterList([zero])) for zero in zeros}
    assert len(digests) == 5


def test_generating_changes_nothing(model: LlamaForCausalLM) -> None:
    before = digest(model)
    model.generate(torch.tensor([[3, 4]]), max_new_tokens=2, do_sample=False)
    assert digest(model) == before


def test_quantised_weights_count(model: LlamaForCausalLM) -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    quantize_(model, Int8WeightOnlyConfig())
    before = digest(model)
    model.model.layers[0].mlp.up_proj.weight.qdata[0, 0] += 1
    assert digest(model) != before
