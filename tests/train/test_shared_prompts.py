"""Several answers to a prompt in one row: the layout by hand, and the loss and gradients of rows apart."""

from __future__ import annotations

from typing import Any

import loss_options
import pytest
import torch
from conftest import byte_tokenizer, random_llama
from learners import learner
from peft import LoraConfig, PromptTuningConfig
from tiny_run import Rows
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

from llmcycle.align import Preference
from llmcycle.data.batches import Batches
from llmcycle.data.encode import Preference as PreferenceEncoder
from llmcycle.train import Learner
from llmcycle.train.shared_prompts import MOST, PADDING, share

TOKENIZER = byte_tokenizer()
PAIRS = [
    {"prompt": "The lamp is ", "chosen": "red", "rejected": "tall, hurry!"},
    {"prompt": "And? ", "chosen": "a long answer to it", "rejected": "a"},
    {"prompt": "What is this, a chair or a table? ", "chosen": "chair", "rejected": "chest"},
]


def batches(rows: list[dict[str, str]] = PAIRS) -> Batches:
    return Batches(Rows(rows, []), PreferenceEncoder(64), TOKENIZER, 3, 3, seed=0)


def batch() -> dict[str, Tensor]:
    data = batches()
    return data.collate(data.train)


def test_the_layout_by_hand() -> None:
    """Prompt 1 2, answers 3 4 and 5; prompt 1, answers 6 and 6 7: what both answers share is none of the prompt."""
    ids = torch.tensor([[1, 2, 3, 4], [1, 6, 0, 0], [1, 2, 5, 0], [1, 6, 7, 0]])
    there = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]])
    learnt = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0]])
    rows = share({"input_ids": ids, "attention_mask": there, "labels": ids.where(learnt.bool(), -100)})
    real = rows.segments != PADDING
    assert rows.input_ids.where(real, -1).tolist() == [[1, 2, 3, 4, 5], [1, 6, 6, 7, -1]]
    assert rows.position_ids.where(real, -1).tolist() == [[0, 1, 2, 3, 2], [0, 1, 1, 2, -1]]
    assert rows.segments.tolist() == [[0, 0, 1, 1, 2], [0, 1, 2, 2, -1]]
    assert rows.rows.tolist() == [0, 1, 0, 1]
    assert rows.places.tolist() == [[0, 1, 2, 3], [0, 1, 0, 0], [0, 1, 4, 0], [0, 2, 3, 0]]


def test_answers_beyond_a_row_s_number_begin_another() -> None:
    """Ten answers of two tokens behind a prompt of one: eight in the first row, two in the second."""
    ids = torch.tensor([[1, answer, 2] for answer in range(10, 20)])
    labels = ids.masked_fill(torch.tensor([True, False, False]), -100)
    rows = share({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels})
    assert rows.input_ids.shape == (2, 1 + 2 * MOST)
    assert rows.rows.tolist() == [0] * MOST + [1] * 2
    assert rows.input_ids[0, 1::2].tolist() == list(range(10, 18))
    assert rows.segments[1].tolist() == [0, 1, 1, 2, 2] + [PADDING] * 12
    assert torch.equal(rows.input_ids[rows.rows[:, None], rows.places], ids)


def step(model: Any, name: str, share_prompts: bool, peft: Any = None, **options: Any) -> tuple[float, Learner]:
    torch.manual_seed(0)
    trained = learner(model, Preference(loss_options.of()[name], share_prompts=share_prompts), peft, **options)
    trained.objective.begin(trained.models, batches())
    loss, _ = trained.loss(batch())
    loss.backward()
    return loss.item(), trained


SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": len(TOKENIZER)}
MODELS = {
    "llama": lambda: random_llama(len(TOKENIZER)),
    "llama, eager": lambda: attending(random_llama(len(TOKENIZER)), "eager"),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=len(TOKENIZER))).eval(),
    "qwen3": lambda: Qwen3ForCausalLM(
        Qwen3Config(**SIZES, intermediate_size=64, head_dim=16, num_key_value_heads=2)
    ).eval(),
}


def attending(model: Any, implementation: str) -> Any:
    model.set_attn_implementation(implementation)
    return model


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        *((kind, "dpo_nll", {}) for kind in MODELS),
        ("llama", "simpo", {}),
        ("llama", "wpo", {}),
        ("llama", "dpo_nll", {"loss_chunk": 5}),
        ("llama", "dpo_nll", {"gradient_checkpointing": True}),
        ("llama", "dpo_nll", {"peft": LoraConfig(task_type="CAUSAL_LM", r=2, init_lora_weights=False)}),
    ],
    ids=str,
)
def test_loss_and_gradients_are_those_of_rows_apart(kind: str, name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    first = MODELS[kind]()
    second = MODELS[kind]()
    second.load_state_dict(first.state_dict())
    apart, expected = step(first, name, share_prompts=False, **options)
    shared, trained = step(second, name, share_prompts=True, **options)
    assert shared == pytest.approx(apart, abs=1e-5)
    gradients = {key: p.grad for key, p in expected.named_parameters() if p.grad is not None}
    largest = max(gradient.abs().max().item() for gradient in gradients.values())
    for key, parameter in trained.named_parameters():
        if key in gradients:
            assert (parameter.grad - gradients[key]).abs().max() <= 1e-5 * max(1.0, largest), key
    assert gradients


def test_it_is_proved_without_autocast_whose_rounding_would_look_like_a_fault() -> None:
    model, rounded = random_llama(len(TOKENIZER)), []
    forward = model.forward

    def noted(**inputs: Any) -> Any:
        rounded.append(torch.is_autocast_enabled("cpu"))
        return forward(**inputs)

    model.forward = noted
    trained = learner(model, Preference(loss_options.of()["dpo"], share_prompts=True))
    with torch.autocast("cpu", torch.bfloat16):
        trained.objective.begin(trained.models, batches())
    assert rounded == [False, False]


def test_fewer_tokens_are_read() -> None:
    whole = batch()
    assert share(whole).input_ids.numel() < 0.8 * whole["input_ids"].numel()


def test_a_model_that_reads_the_other_answer_is_refused() -> None:
    peft = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    with pytest.raises(ValueError, match=r"objective\.share_prompts: virtual tokens .*share_prompts=false"):
        step(random_llama(len(TOKENIZER)), "dpo", True, peft)
    model = random_llama(len(TOKENIZER))
    forward = model.forward
    model.forward = lambda attention_mask, **inputs: forward(**inputs)  # one that does not heed the mask
    with pytest.raises(ValueError, match=r"LlamaForCausalLM reads a row with several answers otherwise .*=false"):
        step(model, "dpo", True)
