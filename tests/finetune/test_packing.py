"""Packed rows of prompts and completions: the loss and gradients of the same rows apart, or a refusal to train."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from learners import learner
from peft import LoraConfig, PeftConfig, PromptTuningConfig
from tiny_run import Rows
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.config import compose, groups, locate
from llmcycle.data.batches import Batches
from llmcycle.data.encode import Completion
from llmcycle.data.packing import apart
from llmcycle.finetune import Supervised
from llmcycle.finetune.proof import refuse_leaking_rows
from llmcycle.train import Learner

LENGTH = 64  # tokens of a row
ROWS = [{"prompt": "What is it? "[i % 5 :], "completion": "blue oak"[: 2 + i % 6]} for i in range(16)]
METHODS: dict[str, Any] = {"full": None, "lora": LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")}


@cache
def option(name: str) -> Any:
    wide = "+model.config.initializer_range=0.3"  # so that reading a neighbour moves a loss by more than rounding
    return compose(locate("pretrain"), [f"model={name}", "tokenizer.vocab_size=300", wide]).model


def scratch() -> list[str]:
    found = [name for name in groups()["model"] if option(name)["_target_"] == "llmcycle.model.scratch"]
    return [name for name in found if not option(name).get("parameters")]


CAUSAL = [name for name in scratch() if not option(name).get("masked")]
MASKED = [name for name in scratch() if option(name).get("masked")]


def supervised(name: str, peft: PeftConfig | None = None, **given: Any) -> Learner:
    torch.manual_seed(0)
    model = instantiate(option(name), _convert_="all")
    return learner(model, Supervised(), peft, **given)


def both(tokenizer: PreTrainedTokenizerFast) -> tuple[Batches, dict[str, Tensor], dict[str, Tensor]]:
    batches = Batches(Rows(ROWS, []), Completion(LENGTH), tokenizer, len(ROWS), 4, seed=0, pack=True)
    packed = batches.collate_train(batches.train)
    return batches, packed, batches.collate(Completion(LENGTH).encode(ROWS, tokenizer))


def gradients(module: Learner, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [p for p in module.parameters() if p.requires_grad], allow_unused=True))


def test_all_architectures_are_here() -> None:
    assert set(CAUSAL) >= {"llama", "gpt2", "qwen3", "gemma3", "mixtral"}
    assert set(MASKED) >= {"bert", "modernbert"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CAUSAL)
def test_packed_and_unpacked_rows_have_one_loss(name: str, method: str, tokenizer: PreTrainedTokenizerFast) -> None:
    module = supervised(name, copy.deepcopy(METHODS[method])).eval()
    batches, packed, unpacked = both(tokenizer)
    assert len(batches.train) < len(ROWS) / 2
    losses = [module.loss(batch)[0] for batch in (packed, unpacked)]
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-5)
    for ours, plain in zip(*(gradients(module, loss) for loss in losses), strict=True):
        if plain is not None:
            assert (ours - plain).abs().max() <= 1e-4 * max(plain.abs().max(), 1e-3)
    refuse_leaking_rows(module.models, module.objective.logits, packed)


def test_rounding_to_bf16_is_no_leak(tokenizer: PreTrainedTokenizerFast) -> None:
    module, packed = supervised("llama"), both(tokenizer)[1]
    with torch.autocast("cpu", torch.bfloat16):
        refuse_leaking_rows(module.models, module.objective.logits, packed)


@pytest.mark.parametrize("name", MASKED)
def test_models_that_read_both_ways_refuse_packed_rows(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match=r"batches\.pack: .* reads a packed row otherwise"):
        refuse_leaking_rows(supervised(name).models, Supervised().logits, both(tokenizer)[1])


def test_a_model_without_positions_refuses_packed_rows(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a state-space model would: it takes no `position_ids`, and one piece runs on into the next."""
    forward = LlamaForCausalLM.forward

    def blind(*given: Any, position_ids: Tensor | None = None, **more: Any) -> Any:
        return forward(*given, **more)

    monkeypatch.setattr(LlamaForCausalLM, "forward", blind)
    with pytest.raises(ValueError, match=r"LlamaForCausalLM reads a packed row otherwise"):
        refuse_leaking_rows(learner(model, Supervised()).models, Supervised().logits, both(tokenizer)[1])


def fit(module: Learner, batches: Batches) -> None:
    options: Any = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_steps=1, accelerator="cpu", enable_model_summary=False, limit_val_batches=0, **options)
    trainer.fit(module, batches)


def test_a_refused_run_trains_nothing(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    peft = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    module = learner(model, Supervised(), peft)
    with pytest.raises(ValueError, match=r"virtual tokens.*batches\.pack=false"):
        fit(module, both(tokenizer)[0])
    assert not module.losses


def test_a_packed_run_counts_its_real_tokens(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    module = learner(model, Supervised())
    batches, packed, unpacked = both(tokenizer)
    batches.batch_size = len(batches.train)
    fit(module, batches)
    assert module.tokens == unpacked["attention_mask"].sum() < packed["input_ids"].numel()


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_a_loss_in_chunks_is_the_same(chunk: int, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    batch = both(tokenizer)[2]
    plain, chunked = (learner(model, Supervised(), loss_chunk=size).loss(batch)[0] for size in (None, chunk))
    assert chunked.item() == pytest.approx(plain.item(), abs=1e-5)


def test_an_adapter_on_the_output_layer_learns_in_chunks(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    batch = both(tokenizer)[2]
    found = []
    for size in (None, 5):
        torch.manual_seed(0)
        lora = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["lm_head", "q_proj"], init_lora_weights=False)
        module = learner(copy.deepcopy(model), Supervised(), lora, loss_chunk=size)
        loss = module.loss(batch)[0]
        found.append([loss.detach(), *gradients(module, loss)])
    assert len(found[0]) > 4
    assert all(torch.allclose(chunked, plain, atol=1e-5) for chunked, plain in zip(found[1], found[0], strict=True))


def test_checkpointed_activations_give_the_same_gradients(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    batch = both(tokenizer)[1]
    plain = learner(model, Supervised())
    first = gradients(plain, plain.loss(batch)[0])
    again = learner(model, Supervised(), gradient_checkpointing=True).train()
    second = gradients(again, again.loss(batch)[0])
    assert model.is_gradient_checkpointing
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(first, second, strict=True))


def test_pieces_are_as_many_as_rows(tokenizer: PreTrainedTokenizerFast) -> None:
    single = apart(both(tokenizer)[1])
    assert int((single["labels"] >= 0).any(1).sum()) == len(ROWS)
