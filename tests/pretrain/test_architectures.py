"""Every model option that starts from random weights: it learns, keeps packed documents apart, has its stated size."""

from __future__ import annotations

from functools import cache, partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from learners import learner
from transformers import PreTrainedTokenizerFast

from llmcycle.config import compose, groups, locate
from llmcycle.data.encode import Example, Packed
from llmcycle.data.masked import Masked
from llmcycle.pretrain import MaskedToken, NextToken
from llmcycle.train import Learner

VOCABULARY = 300
ROWS = [{"text": "the quick brown fox jumps"[: 5 + 2 * i]} for i in range(10)]
LENGTH = 48  # tokens of a row: above the windows of layers that see one


@cache
def option(name: str, *overrides: str) -> Any:
    return compose(locate("pretrain"), [f"model={name}", f"tokenizer.vocab_size={VOCABULARY}", *overrides]).model


SCRATCH = [name for name in groups()["model"] if option(name)["_target_"] == "llmcycle.model.scratch"]
PRESETS = [name for name in SCRATCH if option(name).get("parameters")]
TRAINED = [name for name in SCRATCH if name not in PRESETS or option(name).parameters < 4e6]
KINDS = {"llama", "gpt2", "qwen3", "gemma3", "mixtral", "bert", "modernbert"}


@pytest.fixture
def tokenizer(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    tokenizer.add_special_tokens({"mask_token": "<|mask|>"})
    return tokenizer


def built(name: str, *overrides: str) -> Learner:
    torch.manual_seed(0)
    model = instantiate(option(name, *overrides), _convert_="all")
    objective = MaskedToken() if option(name).get("masked") else NextToken()
    return learner(model, objective, optim=partial(torch.optim.AdamW, lr=3e-3))


def examples(name: str, tokenizer: PreTrainedTokenizerFast) -> tuple[Any, list[Example]]:
    encode = Masked(LENGTH, rate=0.3) if option(name).get("masked") else Packed(LENGTH)
    return encode, encode.encode(ROWS, tokenizer)


def test_all_architectures_are_here() -> None:
    assert set(TRAINED) >= KINDS
    assert {"llama_1m", "llama_7b"} <= set(PRESETS)


@pytest.mark.parametrize("name", TRAINED)
def test_five_steps_on_one_batch_lower_the_loss(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    module = built(name)
    encode, rows = examples(name, tokenizer)
    batch = encode.collate(rows, 0)
    optimizer = module.optim(module.parameters())
    module.train()
    losses = []
    for _ in range(6):
        loss, _ = module.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[5] < losses[0] - 0.5
    assert all(later < earlier + 0.1 for earlier, later in pairwise(losses)), losses
    assert all(p.grad is not None for p in module.parameters()), "every weight learns"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_packed_document_has_the_logits_that_it_has_alone(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    module = built(name, "+model.config.initializer_range=0.3").eval()
    encode, rows = examples(name, tokenizer)
    batch = encode.collate(rows, 0)
    with torch.no_grad():
        packed = module.models.run(**module.objective.inputs(module.models, batch)).logits
        for row, positions in enumerate(batch["position_ids"]):
            starts = (positions == 0).nonzero().flatten().tolist()
            for start, end in pairwise([*starts, len(positions)]):
                ids = batch["input_ids"][row : row + 1, start:end]
                alone = module.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
                assert (packed[row, start:end] - alone).abs().max() <= 2e-5 * packed.abs().max()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_parameters_that_it_states(name: str) -> None:
    with torch.device("meta"):
        model = instantiate(option(name), _convert_="all")
    counted = sum(p.numel() for p in model.parameters())
    assert abs(counted - option(name).parameters) <= 0.02 * counted
    million, unit = float(name.split("_")[1][:-1]), {"m": 1e6, "b": 1e9}[name[-1]]
    assert counted == pytest.approx(million * unit, rel=0.11), "and those that its name says"


def test_another_size_than_stated_is_refused() -> None:
    with pytest.raises(InstantiationException, match=r"model\.parameters=1010000: this configuration has 984192"):
        instantiate(option("llama_1m"), parameters=1_010_000, _convert_="all")
    assert instantiate(option("llama_1m"), parameters=1_000_000, _convert_="all").num_parameters() == 984_192
