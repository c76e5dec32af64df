"""Log-probabilities against the definition, and the reference that stays what the model was."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.data.encode import Completion
from llmcycle.model import adapt
from llmcycle.train.logprobs import Reference, completion_mask, log_collision, token_logprobs, token_logprobs_with

ROWS = [{"prompt": "The lamp is ", "completion": "red"}, {"prompt": "And its price? ", "completion": "25 or so"}]


@pytest.fixture
def batch(tokenizer: PreTrainedTokenizerFast) -> dict[str, torch.Tensor]:
    encoder = Completion(max_length=64)
    return encoder.collate(encoder.encode(ROWS, tokenizer), tokenizer.pad_token_id)


def move(model: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape)


@torch.no_grad()
def test_token_logprobs_by_definition(model: LlamaForCausalLM, batch: dict[str, torch.Tensor]) -> None:
    """One row at a time, without padding: log softmax at the position before each token of the completion."""
    found = token_logprobs(model, batch, temperature=0.7)
    for row, mask in enumerate(batch["attention_mask"].bool()):
        ids, labels = batch["input_ids"][row][mask], batch["labels"][row][mask]
        logprobs = (model(ids[None]).logits[0] / 0.7).log_softmax(-1)
        expected = [logprobs[t - 1, ids[t]].item() for t in range(len(ids)) if labels[t] != -100]
        assert found[row][completion_mask(batch)[row]].tolist() == pytest.approx(expected, abs=1e-5)
    assert found[~completion_mask(batch)].abs().max() == 0


@pytest.mark.parametrize(
    "peft",
    [
        None,
        LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear", lora_dropout=0.5),
        PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    ],
    ids=["full", "lora", "prompt_tuning"],
)
def test_the_reference_is_the_model_before_training(
    model: LlamaForCausalLM, batch: dict[str, torch.Tensor], peft: LoraConfig | None
) -> None:
    before = token_logprobs(model, batch).detach()
    policy = get_peft_model(model, peft) if peft else model
    reference = Reference(policy)
    policy.train()
    move(policy)
    assert torch.allclose(reference.token_logprobs(batch), before, atol=1e-5)
    assert not torch.allclose(token_logprobs(policy, batch), before, atol=1e-2)
    assert policy.training


def test_a_row_is_scored_once_whatever_its_padding(
    model: LlamaForCausalLM, batch: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = Reference(model)
    expected = reference.logprobs(batch)
    assert torch.allclose(expected, token_logprobs(model, batch).sum(1).detach(), atol=1e-5)
    monkeypatch.setattr(reference, "token_logprobs", None)
    width = int(batch["attention_mask"][0].sum())
    alone = {name: tensor[:1, :width] for name, tensor in batch.items()}
    assert reference.logprobs(alone).tolist() == expected[:1].tolist()


def test_a_method_under_which_the_model_before_training_is_gone_is_refused(model: LlamaForCausalLM) -> None:
    adapted = adapt(model, LoraConfig(target_modules="all-linear", init_lora_weights="pissa"))
    with pytest.raises(ValueError, match="is gone; choose peft=lora"):
        Reference(adapted)


@pytest.mark.parametrize("chunk", [None, 3])
def test_the_collision_is_the_mean_probability_of_a_token_that_is_drawn(
    model: LlamaForCausalLM, batch: dict[str, torch.Tensor], chunk: int | None
) -> None:
    logprobs, collisions = token_logprobs_with(log_collision, model, batch, temperature=0.7, chunk=chunk)
    assert torch.allclose(logprobs, token_logprobs(model, batch, temperature=0.7), atol=1e-5)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1] / 0.7
    expected = logits.softmax(-1).square().sum(-1).log() * completion_mask(batch)
    assert torch.allclose(collisions, expected, atol=1e-5)
    assert logprobs.requires_grad
    assert not collisions.requires_grad
