"""Gradient checkpointing, chunked logits and frozen patterns in every objective of alignment: memory alone changes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from conftest import byte_tokenizer, random_llama
from learners import learner
from peft import LoraConfig, PromptTuningConfig
from tiny_run import Rows
from torch import Tensor
from transformers import LlamaConfig, LlamaForSequenceClassification, LlamaForTokenClassification

from llmcycle.align import Policy, Preference, ProcessRewardModel, RatingModel, RewardModel
from llmcycle.align.advantages import GroupRelative
from llmcycle.align.losses import DPO, BradleyTerry, Clipped, MeanSquare, StepCrossEntropy
from llmcycle.align.rollouts import Sampling
from llmcycle.data.batches import Batches
from llmcycle.data.encode import Preference as PreferenceEncoder
from llmcycle.data.encode import Prompts
from llmcycle.data.rated import PreferenceMargin, Rated
from llmcycle.data.steps import Steps
from llmcycle.model.live import live
from llmcycle.train import Learner

TOKENIZER = byte_tokenizer()
ROWS = [
    {"prompt": f"The {thing} is ", "chosen": f"{thing[::-1]} and oak", "rejected": "tall, hurry!"}
    for thing in ("lamp", "chair", "table", "vase", "old bed", "shelf")
]
LORA: dict[str, Any] = {"task_type": "CAUSAL_LM", "r": 4, "target_modules": "all-linear", "init_lora_weights": False}
METHODS = {
    "full": lambda: None,
    "lora": lambda: LoraConfig(**LORA),
    "prompt_tuning": lambda: PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
}
RATED = [{"prompt": row["prompt"], "completion": row["chosen"], "rating": 0.5} for row in ROWS]
STEPPED = [{"prompt": row["prompt"], "steps": [row["chosen"], row["rejected"]], "labels": [1, 0]} for row in ROWS]
# Of reward models the class, the objective, the encoder and its rows.
SCORERS: dict[str, tuple[Any, Any, Any, list[dict[str, Any]]]] = {
    "reward": (LlamaForSequenceClassification, RewardModel(BradleyTerry(0.1)), PreferenceMargin(64), ROWS),
    "rating": (LlamaForSequenceClassification, RatingModel(MeanSquare()), Rated(64), RATED),
    "process_reward": (LlamaForTokenClassification, ProcessRewardModel(StepCrossEntropy()), Steps(64), STEPPED),
}


def length(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    return [float(len(text.encode()) % 5) for text in completions]


def made(
    name: str, vocabulary: int = len(TOKENIZER), peft: Any = None, share_prompts: bool = False, **options: Any
) -> tuple[Learner, Batches]:
    """A learner that has begun, away from its reference by what dropout and a new adapter are not; and its data."""
    torch.manual_seed(0)
    encode, rows = PreferenceEncoder(64), ROWS
    if name in SCORERS:
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = LlamaConfig(vocab_size=vocabulary, num_labels=1, pad_token_id=TOKENIZER.pad_token_id, **sizes)
        of, objective, encode, rows = SCORERS[name]
        model = of(config)
    else:
        model = random_llama(vocabulary)
        sampling = Sampling(group_size=4, max_new_tokens=8, temperature=0.7)
        own: dict[str, Any] = {"reward": length, "sampling": sampling, "share_prompts": share_prompts}
        policy = Policy(Clipped(beta=0.04), GroupRelative(), entropy_bonus=0.1, **own)
        objective = policy if name == "policy" else Preference(DPO(nll=0.5))
        encode = Prompts(64) if name == "policy" else encode
    batches = Batches(Rows(rows, []), encode, TOKENIZER, len(rows), len(rows), seed=0)
    torch.manual_seed(1)
    trained = learner(model, objective, peft, **options)
    trained.models.train()
    objective.begin(trained.models, batches)
    return trained, batches


def step(name: str, **options: Any) -> tuple[float, dict[str, Tensor]]:
    """The loss, and the gradient of every weight that is trained."""
    trained, batches = made(name, **options)
    loss, _ = trained.loss(batches.collate(batches.train))
    loss.backward()
    return loss.item(), {name: p.grad for name, p in trained.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("preference", {"loss_chunk": 7}),
        ("preference", {"gradient_checkpointing": True}),
        ("preference", {"loss_chunk": 7, "gradient_checkpointing": True}),
        ("unpaired", {"loss_chunk": 7, "gradient_checkpointing": True}),
        ("policy", {"loss_chunk": 7}),
        ("policy", {"loss_chunk": 7, "gradient_checkpointing": True}),
        ("policy", {"share_prompts": True}),
        ("policy", {"share_prompts": True, "loss_chunk": 7}),
        ("reward", {"gradient_checkpointing": True}),
        ("rating", {"gradient_checkpointing": True}),
        ("process_reward", {"gradient_checkpointing": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_the_step_is_the_plain_one(name: str, options: dict[str, Any], method: str) -> None:
    if method == "prompt_tuning" and "share_prompts" in options:
        with pytest.raises(ValueError, match=r"objective\.share_prompts: virtual tokens"):
            step(name, peft=METHODS[method](), **options)
        return
    plain, gradients = step(name, peft=METHODS[method]())
    loss, others = step(name, peft=METHODS[method](), **options)
    assert loss == pytest.approx(plain, abs=1e-5)
    assert others.keys() == gradients.keys()
    for key, gradient in gradients.items():
        assert (others[key] - gradient).abs().max() <= 1e-5 * max(1, gradient.abs().max()), key


@pytest.mark.slow
@pytest.mark.parametrize("name", ["preference", "policy", "reward"])
def test_a_compiled_step_is_the_plain_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The default backend gives the same, after a minute of compiling.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain, gradients = step(name)
    loss, others = step(name, compile=True, **({} if name == "reward" else {"loss_chunk": 7}))
    assert loss == pytest.approx(plain, abs=1e-5)
    assert all((others[key] - g).abs().max() <= 1e-5 * max(1, g.abs().max()) for key, g in gradients.items())


@pytest.mark.parametrize("name", ["preference", "policy", *SCORERS])
def test_patterns_freeze_parameters(name: str) -> None:
    _, gradients = step(name, frozen=["embed_tokens", "layers.0"])
    assert gradients
    assert not [key for key in gradients if "embed_tokens" in key or "layers.0." in key]


def test_a_chunk_is_refused_where_there_is_no_vocabulary() -> None:
    with pytest.raises(ValueError, match=r"module\.loss_chunk=7: RewardModel computes no logits over a vocabulary"):
        made("reward", loss_chunk=7)


def peak(name: str, vocabulary: int, **options: Any) -> int:
    """Bytes of activations of a step, at their highest; what is sampled and scored before it has been freed by then."""
    trained, batches = made(name, vocabulary, **options)
    batch = batches.collate(batches.train)
    if isinstance(trained.objective, Policy):
        trained.objective.updates = 2
    trained.loss(batch)  # answers and reference
    with live(trained) as counter:
        trained.loss(batch)[0].backward()
    return counter.peak


@pytest.mark.parametrize("name", ["preference", "policy"])
def test_a_large_vocabulary_costs_little_in_chunks(name: str) -> None:
    assert peak(name, 50_000, loss_chunk=16, gradient_checkpointing=True) < 0.2 * peak(name, 50_000)
