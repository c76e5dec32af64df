"""The three objectives in training: what they learn, and that the policy's optimum is the closed form."""

from __future__ import annotations

import gc

import loss_options
import pytest
import torch
from conftest import random_llama
from learners import learner, train
from tiny_run import Rows
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from llmcycle.align import Policy, Preference, RewardModel, Unpaired
from llmcycle.align.advantages import GroupRelative
from llmcycle.align.losses import BCO, DPO, KTO, BradleyTerry, Clipped, UnpairedLoss
from llmcycle.align.objectives.unpaired import middle
from llmcycle.align.rollouts import Sampling, roll_out
from llmcycle.data.batches import Batches
from llmcycle.data.encode import Preference as PreferenceEncoder
from llmcycle.data.encode import Prompts
from llmcycle.data.unpaired import Unpaired as UnpairedEncoder
from llmcycle.engine import TransformersEngine
from llmcycle.train import Learner
from llmcycle.train.logprobs import token_logprobs

PAIRS = [
    {"prompt": f"The {thing} is ", "chosen": good, "rejected": f"{good}, hurry!"}
    for thing, good in [("lamp", "red"), ("chair", "oak"), ("table", "tall"), ("vase", "blue")]
]


def pairs(tokenizer: PreTrainedTokenizerFast) -> dict[str, Tensor]:
    encoder = PreferenceEncoder(max_length=64)
    return encoder.collate(encoder.encode(PAIRS, tokenizer), tokenizer.pad_token_id)


def test_preference_learns_the_pairs(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    module = learner(model, Preference(DPO(beta=0.5)))
    start, values = module.loss(pairs(tokenizer))
    assert start.item() == pytest.approx(0.6931, abs=1e-3)  # policy and reference are one: a coin's entropy
    assert values["margin"].item() == pytest.approx(0, abs=1e-4)
    values = train(module, pairs(tokenizer), steps=20, lr=3e-3)
    assert values["accuracy"] == 1
    assert values["margin"] > 2


def test_what_is_watched_of_pairs(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """A token a byte and the end; the log-probabilities are those of whole answers, and not ratios alone."""
    module = learner(model, Preference(DPO()))
    batch = pairs(tokenizer)
    with torch.no_grad():
        for parameter in module.model.parameters():
            parameter += 0.01 * torch.ones_like(parameter).cumsum(-1).sin()
    _, values = module.loss(batch)
    logprobs = token_logprobs(module.model, batch).sum(1).chunk(2)
    ratios = [
        now - before for now, before in zip(logprobs, module.models.reference.logprobs(batch).chunk(2), strict=True)
    ]
    assert {name: value.item() for name, value in values.items()} == pytest.approx(
        {
            "accuracy": (ratios[0] > ratios[1]).float().mean().item(),
            "margin": (ratios[0] - ratios[1]).mean().item(),
            "chosen": ratios[0].mean().item(),
            "rejected": ratios[1].mean().item(),
            "chosen_logprobs": logprobs[0].mean().item(),
            "rejected_logprobs": logprobs[1].mean().item(),
            "chosen_length": sum(len(row["chosen"]) + 1 for row in PAIRS) / len(PAIRS),
            "rejected_length": sum(len(row["rejected"]) + 1 for row in PAIRS) / len(PAIRS),
        },
        abs=1e-4,
    )


@pytest.mark.parametrize("name", loss_options.of())
def test_a_reference_is_held_where_the_loss_reads_one(
    name: str, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    def models() -> int:
        gc.collect()
        return sum(isinstance(each, LlamaForCausalLM) for each in gc.get_objects())

    before, loss = models(), loss_options.of()[name]
    module = learner(model, Preference(loss))
    value, _ = module.loss(pairs(tokenizer))
    value.backward()
    assert (module.models.reference is not None) == loss.needs_reference
    assert models() - before == loss.needs_reference
    assert any(parameter.grad.abs().max() > 0 for parameter in module.model.parameters())


def singles(tokenizer: PreTrainedTokenizerFast) -> dict[str, Tensor]:
    rows = [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row in PAIRS
        for side in ("chosen", "rejected")
    ]
    encoder = UnpairedEncoder(max_length=64)
    return encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id)


@pytest.mark.parametrize("name", loss_options.of(UnpairedLoss))
def test_unpaired_learns_the_labels(name: str, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    module = learner(model, Unpaired(loss_options.of(UnpairedLoss)[name]))
    _, values = module.loss(singles(tokenizer))
    assert values["margin"].item() == pytest.approx(0, abs=1e-4)
    assert values["desirable_length"] < values["undesirable_length"]
    values = train(module, singles(tokenizer), steps=20, lr=3e-3)
    assert values["accuracy"] > 0.8
    assert values["margin"] > 2
    assert values["desirable_logprobs"] > values["undesirable_logprobs"]


def test_the_reference_point_of_kto_is_the_kl_of_crossed_rows(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    module = learner(model, Unpaired(KTO()))
    train(module, singles(tokenizer), steps=5, lr=3e-3)
    batch = singles(tokenizer)
    crossed = {name: batch[f"mismatched_{name}"] for name in ("input_ids", "attention_mask", "labels")}
    logratios = token_logprobs(module.model, crossed).sum(1) - module.models.reference.logprobs(crossed)
    _, values = module.loss(batch)
    assert values["reference_point"].item() == pytest.approx(max(0.0, logratios.mean().item()), abs=1e-4)
    encoder = UnpairedEncoder(max_length=64)
    alone = encoder.collate(encoder.encode([{**PAIRS[0], "completion": "x", "label": 1}], tokenizer), 0)
    assert module.loss(alone)[1]["reference_point"] == 0  # its own completion would be the answer itself


def test_the_running_point_moves_in_training_alone_and_is_saved() -> None:
    objective = Unpaired(BCO(decay=0.75))
    first, second = torch.tensor(2.0), torch.tensor(6.0)
    assert objective.moved(first, training=False) == 0
    assert objective.moved(first, training=True) == 2
    assert objective.moved(second, training=True) == 3
    assert objective.moved(second, training=False) == 3
    resumed = Unpaired(BCO(decay=0.75))
    resumed.load_state_dict(objective.state_dict())
    assert resumed.moved(second, training=True) == 3.75
    labels = torch.tensor([True, True, False])
    assert middle(torch.tensor([1.0, 3.0, 6.0]), labels) == 4
    assert middle(torch.tensor([1.0, 3.0]), labels[:2]) == 2


def test_rows_that_cannot_be_crossed_are_refused(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    rows = Rows([{"prompt": "a", "completion": "b", "label": True}], [])
    batches = Batches(rows, UnpairedEncoder(64), tokenizer, 1, 1, seed=0)
    with pytest.raises(ValueError, match=r"batches\.batch_size=1: .*set batches\.batch_size=2"):
        Unpaired(KTO()).begin(learner(model, Unpaired(KTO())).models, batches)
    Unpaired(BCO()).begin(learner(model, Unpaired(BCO())).models, batches)


def test_reward_model_learns_the_pairs(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), num_labels=1, pad_token_id=tokenizer.pad_token_id, **sizes)
    module = learner(LlamaForSequenceClassification(config), RewardModel(BradleyTerry()))
    values = train(module, pairs(tokenizer), steps=30, lr=3e-3)
    assert values["accuracy"] == 1
    assert values["margin"] > 1


def is_word(prompts: list[str], completions: list[str], **columns: list[object]) -> list[float]:
    assert set(columns) == {"kind", "completion_ids"}
    return [float(text.isascii() and text.isalnum()) for text in completions]


def policy(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, sampling: Sampling, **options: object
) -> Learner:
    advantage = GroupRelative(deviation=options.pop("deviation", True))
    module = learner(
        model, Policy(Clipped(beta=0.5, kl="k3_weighted"), advantage, reward=is_word, sampling=sampling, **options)
    )
    rows = [{"prompt": "It ", "kind": "x"}]
    batches = Batches(Rows(rows, rows), Prompts(max_length=64), tokenizer, 1, 1, seed=0, allow=["shared"])
    module.objective.begin(module.models, batches)
    return module


def prompts(tokenizer: PreTrainedTokenizerFast) -> dict[str, Tensor]:
    encoder = Prompts(max_length=64)
    return encoder.collate(encoder.encode([{"prompt": "It "}], tokenizer), tokenizer.pad_token_id)


@torch.no_grad()
def next_logprobs(model: LlamaForCausalLM, batch: dict[str, Tensor]) -> Tensor:
    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0, -1].log_softmax(-1)


def kl(p: Tensor, q: Tensor) -> float:
    return (p.exp() * (p - q)).sum().item()


def test_policy_reaches_the_closed_form(tokenizer: PreTrainedTokenizerFast) -> None:
    """Answers of one token can be enumerated: training by sampling must approach pi_ref exp(r / beta) / Z."""
    model, batch = random_llama(len(tokenizer), num_hidden_layers=1), prompts(tokenizer)
    texts = [tokenizer.decode([i], skip_special_tokens=True) for i in range(len(tokenizer))]
    rewards = torch.tensor(is_word([], texts, kind=[], completion_ids=[]))
    start = next_logprobs(model, batch)
    target = (start + rewards / 0.5).log_softmax(-1)
    module = policy(model, tokenizer, Sampling(group_size=256, max_new_tokens=1), deviation=False)
    train(module, batch, steps=40, lr=1e-2)
    end = next_logprobs(model, batch)
    assert kl(end, target) < 0.2 * kl(start, target)
    assert (end.exp() * rewards).sum().item() == pytest.approx((target.exp() * rewards).sum().item(), rel=0.15)


def test_policy_reuses_its_answers(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    module = policy(model, tokenizer, Sampling(group_size=4, max_new_tokens=3), updates=2)
    seen = []
    for _ in range(4):
        module.loss(prompts(tokenizer))
        seen.append(module.objective.experience)
    assert seen[0] is seen[1]
    assert seen[1] is not seen[2]
    assert seen[2] is seen[3]
    assert seen[0].rollouts.texts != seen[2].rollouts.texts


def test_policy_validates_on_fresh_answers(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    module = policy(model, tokenizer, Sampling(group_size=4, max_new_tokens=3)).eval()
    (first, _), (second, _) = (module.objective.experience_for(module.models, prompts(tokenizer)) for _ in range(2))
    assert module.objective.experience is None
    assert first.rollouts.texts == second.rollouts.texts


def test_a_reward_sees_the_columns_of_all_sources_and_none_that_has_a_name_of_its_arguments(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    seen: dict[str, list[object]] = {}

    def watch(prompts: list[str], completions: list[str], **columns: list[object]) -> list[float]:
        seen.update(columns, prompts=prompts, completions=completions)
        return [0.0] * len(completions)

    objective = Policy(
        Clipped(beta=0.04), GroupRelative(), reward=watch, sampling=Sampling(group_size=2, max_new_tokens=2)
    )
    own = dict.fromkeys(("self", "prompts", "completions", "completion_ids"), "x")
    rows = [{"prompt": "a", "source": "one", "level": 1, **own}, {"prompt": "b", "source": "two"}]
    encoder = Prompts(max_length=64)
    batch = encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id)
    rollouts = roll_out(TransformersEngine(model, tokenizer), batch, objective.sampling, seed=0)
    assert set(objective.scores(rollouts, rows)) == {"reward"}
    assert seen == {
        "prompts": ["a", "a", "b", "b"],
        "completions": rollouts.texts,
        "completion_ids": rollouts.completion_ids,
        "source": ["one", "one", "two", "two"],
        "level": [1, 1, None, None],
    }
