"""Reward models as rewards: from language models and encoders, several together, and those of steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import random_llama
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertForMaskedLM, PreTrainedModel, PreTrainedTokenizerFast

from llmcycle.align import scorer, step_scorer
from llmcycle.align.rewards import Ensemble, Learned, ProcessReward
from llmcycle.data.chat import encode_prompt_completion
from llmcycle.data.steps import encode_steps
from llmcycle.engine import TransformersEngine

PROMPTS, COMPLETIONS = ["a ", "What is this? ", "The lamp "], ["red", "", "is blue\nand tall\n\n"]


def bert(vocabulary: int, seed: int = 0) -> BertForMaskedLM:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertForMaskedLM(
        BertConfig(vocab_size=vocabulary, pad_token_id=0, max_position_embeddings=24, **sizes)
    ).eval()


BODIES: dict[str, Callable[..., PreTrainedModel]] = {"causal": random_llama, "encoder": bert}


def saved(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    body: str = "causal",
    make: Callable[..., PreTrainedModel] = scorer,
    seed: int = 0,
) -> str:
    """A reward model with a random head, on a random body."""
    BODIES[body](len(tokenizer), seed=seed).save_pretrained(folder / "body")
    tokenizer.save_pretrained(folder / "body")
    torch.manual_seed(seed)
    model = make(str(folder / "body"))
    model.save_pretrained(folder / "scores")
    tokenizer.save_pretrained(folder / "scores")
    return str(folder / "scores")


@pytest.mark.parametrize("body", BODIES)
def test_a_reward_model_scores_each_answer_as_alone(
    body: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    source = Learned(saved(tmp_path, tokenizer, body), batch_size=2)
    rewards = source(prompts=PROMPTS, completions=COMPLETIONS)
    assert len(set(rewards)) == 3
    for prompt, completion, reward in zip(PROMPTS, COMPLETIONS, rewards, strict=True):
        ids = encode_prompt_completion(tokenizer, prompt, completion, source.max_length)["input_ids"]
        assert source.engine.model(torch.tensor([ids])).logits.item() == pytest.approx(reward, abs=1e-5)


def test_a_long_answer_ends_where_an_encoders_positions_do(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    source = Learned(saved(tmp_path, tokenizer, "encoder"))
    long = [COMPLETIONS[0] + "x" * 40, COMPLETIONS[0] + "x" * 90]
    first, second = source(prompts=["a ", "a "], completions=long)
    assert source.max_length == 24
    assert first == pytest.approx(second)


@pytest.mark.parametrize(("combine", "of"), [("mean", lambda a, b: (a + b) / 2), ("min", min)])
def test_an_ensemble_is_the_mean_or_the_minimum(
    combine: str, of: Callable[[float, float], float], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    paths = [saved(tmp_path / body, tokenizer, body, seed=seed) for seed, body in enumerate(BODIES)]
    arguments = {"prompts": PROMPTS, "completions": COMPLETIONS, "kind": ["x"] * 3}
    alone = [Learned(path)(**arguments) for path in paths]
    assert Ensemble(paths, combine)(**arguments) == pytest.approx([of(*pair) for pair in zip(*alone, strict=True)])


def test_an_ensemble_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"paths: an ensemble has two different .*inputs\.second_reward"):
        Ensemble.preflight(paths=["a", "a"])


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("combine", ["min", "mean", "last"])
def test_the_steps_of_an_answer_are_put_together(
    body: str, combine: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    source = ProcessReward(saved(tmp_path, tokenizer, body, step_scorer), combine=combine, batch_size=2)
    (reward,) = source(prompts=["Lamp? "], completions=["blue\ntall\n\n"])
    ids, places = encode_steps(tokenizer, "Lamp? ", ["blue", "tall"], "\n")
    logits = source.engine.model(torch.tensor([ids])).logits[0, places, 0]
    first, second = logits.sigmoid().tolist()
    assert reward == pytest.approx({"min": min(first, second), "mean": (first + second) / 2, "last": second}[combine])
    assert len(source(prompts=["a"] * 3, completions=["", "\n", "one"])) == 3  # each is one step at least


def test_the_wrong_kind_of_model_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    answers, steps = saved(tmp_path / "a", tokenizer), saved(tmp_path / "b", tokenizer, make=step_scorer)
    with pytest.raises(ValueError, match=r"inputs\.reward: .* is no reward model \(a sequence .*`llmcycle reward`"):
        Learned(steps)
    with pytest.raises(ValueError, match=r"is no reward model \(a token .*`llmcycle process_reward`"):
        ProcessReward(answers)


@pytest.mark.parametrize(("make", "ability"), [(scorer, "reward"), (step_scorer, "steps")])
def test_what_a_scorer_can_be_asked_is_the_same_under_an_adapter(
    make: Callable[..., PreTrainedModel], ability: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    saved(tmp_path, tokenizer, make=make)
    model = make(str(tmp_path / "body"))
    adapted = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["q_proj"]))
    assert ability in TransformersEngine(model, tokenizer).offers
    assert TransformersEngine(adapted, tokenizer).offers == TransformersEngine(model, tokenizer).offers
