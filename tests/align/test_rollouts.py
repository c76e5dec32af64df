"""Rollouts: grouped by prompt, masked through the end token, the same for a seed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.align.rollouts import Rollouts, Sampling, roll_out
from llmcycle.data.encode import Prompts
from llmcycle.engine import TransformersEngine
from llmcycle.engine.generation import stop_token_ids

ROWS = [{"prompt": "What is this? "}, {"prompt": "And? "}]


@pytest.fixture
def prompts(tokenizer: PreTrainedTokenizerFast) -> dict[str, Tensor]:
    encoder = Prompts(max_length=64)
    return encoder.collate(encoder.encode(ROWS, tokenizer), tokenizer.pad_token_id)


def draw(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: dict[str, Tensor], seed: int
) -> Rollouts:
    engine = TransformersEngine(model, tokenizer)
    return roll_out(engine, prompts, Sampling(group_size=16, max_new_tokens=12), seed)


def stopping(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, bias: float = 3.0) -> LlamaForCausalLM:
    """A model that ends one answer in a few."""
    head = torch.nn.Linear(model.config.hidden_size, model.config.vocab_size)
    head.weight, head.bias.data = model.lm_head.weight, torch.zeros(model.config.vocab_size)
    head.bias.data[tokenizer.eos_token_id] = bias
    model.lm_head = head
    return model


def test_answers_end_with_the_first_end_token(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: dict[str, Tensor]
) -> None:
    rollouts = draw(stopping(model, tokenizer), tokenizer, prompts, seed=0)
    stops, ended = set(stop_token_ids(model, tokenizer)), 0
    for row, (ids, labels) in enumerate(zip(rollouts.batch["input_ids"], rollouts.batch["labels"], strict=True)):
        answer = labels[labels != -100].tolist()
        head = tokenizer(ROWS[row // 16]["prompt"])["input_ids"]
        assert ids[: len(head) + len(answer)].tolist() == head + answer
        assert rollouts.batch["attention_mask"][row].sum() == len(head) + len(answer)
        assert stops.isdisjoint(answer[:-1])
        assert len(answer) == 12 or answer[-1] in stops
        assert rollouts.completion_ids[row] == answer
        assert rollouts.texts[row] == tokenizer.decode(answer, skip_special_tokens=True).strip()
        ended += answer[-1] in stops
    assert 0 < ended < 32
    assert rollouts.ended == ended / 32


def test_the_seed_decides_and_nothing_else_changes(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: dict[str, Tensor]
) -> None:
    before = torch.get_rng_state()
    first = draw(model, tokenizer, prompts, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert draw(model, tokenizer, prompts, seed=1).texts == first.texts
    assert draw(model, tokenizer, prompts, seed=2).texts != first.texts


def test_draws_follow_the_models_own_probabilities(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: dict[str, Tensor]
) -> None:
    """4,000 first tokens, at a temperature, against the softmax: no filter of the library is at work."""
    sampling = Sampling(group_size=4000, max_new_tokens=1, temperature=1.5)
    one = {name: tensor[:1] for name, tensor in prompts.items()}
    labels = roll_out(TransformersEngine(model, tokenizer), one, sampling, seed=0).batch["labels"]
    counts = torch.bincount(labels[labels != -100], minlength=len(tokenizer)) / 4000
    logits = model(input_ids=one["input_ids"], attention_mask=one["attention_mask"]).logits[0, -1]
    probabilities = (logits / 1.5).softmax(-1)
    beyond_top_50 = 1 - probabilities.topk(50).values.sum().item()
    assert (counts - probabilities).abs().sum().item() / 2 < 0.15 < beyond_top_50
