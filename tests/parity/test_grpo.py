"""Every policy loss against TRL's GRPOTrainer or RLOOTrainer, on answers that our own policy sampled."""

from __future__ import annotations

from pathlib import Path

import policy_options
import pytest
import torch
from datasets import Dataset
from learners import learner
from tiny_run import Rows
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from llmcycle.align import Policy
from llmcycle.align.advantages import GroupRelative
from llmcycle.align.losses import PolicyLoss
from llmcycle.align.rollouts import Sampling
from llmcycle.data.batches import Batches
from llmcycle.data.encode import Prompts
from llmcycle.train import Learner

ROWS = [{"prompt": "What is the Alba lamp's colour? "}, {"prompt": "And the price? "}]
GROUP, NEW_TOKENS = 4, 6


def length_reward(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    """Anything that differs between random answers."""
    return [float(len(c.encode()) % 3) for c in completions]


def perturb(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=generator)


def ours(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, loss: PolicyLoss) -> tuple[Learner, Tensor]:
    """A policy one update away from the one that sampled, which is away from the reference; and its second loss."""
    sampling = Sampling(group_size=GROUP, max_new_tokens=NEW_TOKENS)
    module = learner(model, Policy(loss, GroupRelative(), reward=length_reward, sampling=sampling, updates=2))
    batches = Batches(Rows(ROWS, []), Prompts(max_length=64), tokenizer, len(ROWS), len(ROWS), seed=0)
    module.objective.begin(module.models, batches)
    batch = batches.collate(batches.train)
    perturb(module.model, seed=1)
    module.loss(batch)
    perturb(module.model, seed=2)
    value, _ = module.loss(batch)
    value.backward()
    return module, value


def trl_inputs(policy: Policy) -> dict[str, Tensor]:
    """The same answers as TRL keeps them: prompts padded on the left, answers on the right."""
    experience = policy.experience
    assert experience is not None
    assert experience.old_logprobs is not None
    batch = experience.rollouts.batch
    scored = batch["labels"] != -100
    width = int(scored.sum(1).max())
    ids, old, ref = (torch.zeros(len(scored), width, dtype=t) for t in (torch.long, torch.float, torch.float))
    mask = torch.zeros(len(scored), width, dtype=torch.long)
    heads = []
    for row, (tokens, labelled, attended) in enumerate(
        zip(batch["input_ids"], scored, batch["attention_mask"].bool(), strict=True)
    ):
        n = int(labelled.sum())
        ids[row, :n], mask[row, :n] = tokens[labelled], 1
        old[row, :n] = experience.old_logprobs[row][labelled[1:]]
        if experience.ref_logprobs is not None:
            ref[row, :n] = experience.ref_logprobs[row][labelled[1:]]
        heads.append(tokens[attended & ~labelled])
    longest = max(len(head) for head in heads)
    return {
        "prompt_ids": torch.stack([torch.nn.functional.pad(h, (longest - len(h), 0)) for h in heads]),
        "prompt_mask": torch.stack([torch.nn.functional.pad(h * 0 + 1, (longest - len(h), 0)) for h in heads]),
        "completion_ids": ids,
        "completion_mask": mask,
        "advantages": experience.advantages[:, 0],
        "old_per_token_logps": old,
        "ref_per_token_logps": ref,
        "old_logps": (old * mask).sum(1),
        "num_items_in_batch": mask.sum(),
    }


# Our option with its settings, and TRL's settings for the same.
PUBLISHED: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "grpo": ({"beta": 0.1}, {"loss_type": "grpo", "beta": 0.1, "use_bias_correction_kl": False}),
    "dr_grpo": ({"length": NEW_TOKENS}, {"loss_type": "dr_grpo", "beta": 0.0}),
    "dapo": ({}, {"loss_type": "dapo", "beta": 0.0, "epsilon_high": 0.28}),
    "bnpo": ({"beta": 0.1}, {"loss_type": "bnpo", "beta": 0.1, "use_bias_correction_kl": False}),
    "gspo": (
        {},
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4},
    ),
    "cispo": ({"most": 1.005}, {"loss_type": "cispo", "epsilon_high": 1.005}),
    "sapo": ({}, {"loss_type": "sapo"}),
    "rloo": ({"beta": 0.0}, {}),
}
VARIANTS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "grpo": (
        {"beta": 0.1, "kl": "k3_weighted"},
        {"loss_type": "grpo", "beta": 0.1, "use_bias_correction_kl": True},
    ),
}
TRL_HAS_NONE = {
    "ppo": "its trainer was taken out of TRL; the loss is that of `bnpo`, with advantages of tokens",
    "reinforce": "TRL clips always",
    "reinforce_pp": "TRL has no whitened rewards of tokens",
}


def test_every_option_stands_in_a_table() -> None:
    assert {*PUBLISHED, *TRL_HAS_NONE} == set(policy_options.names())


@pytest.mark.parametrize(
    ("name", "settings", "options"),
    [(name, *row) for table in (PUBLISHED, VARIANTS) for name, row in table.items()],
    ids=[*PUBLISHED, *(f"{name}_variant" for name in VARIANTS)],
)
def test_loss_and_gradients_equal_trl(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    name: str,
    settings: dict[str, object],
    options: dict[str, object],
) -> None:
    module, found = ours(model, tokenizer, policy_options.policy_loss(name, **settings))
    module.model.save_pretrained(tmp_path)  # TRL loads its reference from the policy's folder; the batch overrides it
    twin = type(model).from_pretrained(tmp_path)
    make_config, make_trainer = (RLOOConfig, RLOOTrainer) if name == "rloo" else (GRPOConfig, GRPOTrainer)
    config = make_config(
        output_dir=str(tmp_path),
        per_device_train_batch_size=GROUP * len(ROWS),
        num_generations=GROUP,
        max_completion_length=NEW_TOKENS,
        report_to="none",
        use_cpu=True,
        bf16=False,
        **options,
    )
    trainer = make_trainer(
        twin, length_reward, config, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer
    )
    trainer.current_gradient_accumulation_steps = 1
    expected = trainer.compute_loss(trainer.model, trl_inputs(module.objective))
    expected.backward()

    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    assert found.abs().item() > 1e-3
    gradients = {name: p.grad for name, p in trainer.model.named_parameters()}
    for parameter_name, parameter in module.model.named_parameters():
        assert torch.allclose(parameter.grad, gradients[parameter_name], atol=1e-5, rtol=1e-4), parameter_name
