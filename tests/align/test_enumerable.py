"""Policies whose answers can all be written down reach the closed form, through the learner and the shipped options."""

from __future__ import annotations

from typing import Any

import enumerable
import pytest
import torch
from enumerable import distance, distribution, option, prompts, reference, rewards, tilted
from learners import train

from llmcycle.align import ActorCritic, Policy
from llmcycle.align.rollouts import Sampling

BETA, STEPS, RATE = 0.5, 300, 4e-3
WHITE_STEPS, WHITE_RATE = 400, 2e-3  # whitened advantages stay large near the end, and a high rate leaves answers out
IN_REWARD = {"kl": "k1", "kl_in": "reward"}
METHODS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "reinforce": ("reinforce", "batch_mean", {}),
    "rloo": ("rloo", "leave_one_out", {}),
    "grpo": ("grpo", "group", IN_REWARD),
    "reinforce_pp": ("reinforce_pp", "whitened", {}),
    "ppo": ("ppo", "gae", {}),
}


def objective(loss: str, advantage: str, settings: dict[str, Any], group_size: int) -> Policy:
    parts = {
        "loss": option("loss", loss, beta=BETA, **settings),
        "reward": enumerable.Table(rewards(10)),
        "sampling": Sampling(group_size=group_size, max_new_tokens=2),
        "table_every": 0,
    }
    if advantage == "gae":
        critic = option("advantage", advantage, whiten=False, lam=1.0)  # whitening scales the KL with the rewards
        return ActorCritic(advantage=critic, value_clip=None, **parts)
    return Policy(advantage=option("advantage", advantage), **parts)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_with_the_kl_in_the_reward_the_closed_form_is_reached(method: str) -> None:
    loss, advantage, settings = METHODS[method]
    model = reference(seed=0)
    start = distribution(model)
    target = tilted(start, rewards(10), BETA)
    others = {"critic": enumerable.critic(5)} if advantage == "gae" else {}
    steps, rate = (WHITE_STEPS, WHITE_RATE) if advantage == "whitened" else (STEPS, RATE)
    module = enumerable.learner(objective(loss, advantage, settings, 16), model, others, rate, steps)
    train(module, prompts(16), steps, rate, clip=1.0)
    assert distance(start, target) > 0.5
    assert distance(distribution(module.model), target) <= 0.02


LEVELS = torch.tensor([-1.0, 0.2, 1.5])  # few, so that all groups can be written down


def level_rewards() -> torch.Tensor:
    return LEVELS[torch.randint(3, (16,), generator=torch.Generator().manual_seed(4))]


def expected_advantages(probabilities: torch.Tensor, values: torch.Tensor, group_size: int, deviation: bool) -> Any:
    """[16] of each answer: the mean of its advantage over all levels that the others of its group can have."""
    shares = torch.stack([probabilities[values == level].sum() for level in LEVELS])
    by_level = torch.zeros(3)
    for others in torch.cartesian_prod(*[torch.arange(3)] * (group_size - 1)):
        weight = shares[others].prod()
        for own in range(3):
            group = torch.cat([LEVELS[[own]], LEVELS[others]])
            advantage = group[0] - group.mean()
            by_level[own] += weight * (advantage / (group.std() + 1e-4) if deviation else advantage)
    return torch.stack([by_level[(value == LEVELS).nonzero()[0, 0]] for value in values])


@pytest.mark.slow
@pytest.mark.parametrize("deviation", [True, False])
def test_the_sampled_update_of_grpo_is_the_expected_one(deviation: bool) -> None:
    """With the KL in the loss its fixed point has no closed form, but each update has: its mean over all groups."""
    values, group_size, groups, repeats = level_rewards(), 4, 64, 60
    advantage = option("advantage", "group" if deviation else "group_mean")
    for seed in range(5):
        sampling = Sampling(group_size=group_size, max_new_tokens=2)
        policy = Policy(
            option("loss", "grpo", beta=0.3), advantage, reward=enumerable.Table(values), sampling=sampling, seed=seed
        )
        module = enumerable.learner(policy, reference(seed), {}, RATE, 1)
        module.model.load_state_dict(reference(seed + 20).state_dict())  # away from the reference
        exact = expected_gradient(module, values, group_size, deviation, beta=0.3)
        direction = exact / exact.norm()
        found = torch.tensor([direction @ flat(module, prompts(groups)) for _ in range(repeats)])
        error = found.std() / repeats**0.5
        assert abs(found.mean() - exact.norm()) < 3 * error, seed
        assert exact.norm() > 10 * error, "an update that is lost in the noise shows nothing"


def flat(module: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The gradient of one sampled update."""
    module.zero_grad()
    module.loss(batch)[0].backward()
    return torch.cat([p.grad.flatten() for p in module.model.parameters()])


def expected_gradient(module: Any, values: torch.Tensor, group_size: int, deviation: bool, beta: float) -> torch.Tensor:
    """Of the loss, each answer weighed by its probability."""
    own, ref = enumerable.token_logprobs(module.model), enumerable.token_logprobs(module.models.reference.model)
    probabilities = own.sum(1).exp().detach()
    advantages = expected_advantages(probabilities, values, group_size, deviation)
    logratios = ref.detach() - own
    kl = logratios.exp() - logratios - 1
    per_token = -advantages[:, None] * (own - own.detach()).exp() + beta * kl
    module.zero_grad()
    (probabilities * per_token.mean(1)).sum().backward()
    return torch.cat([p.grad.flatten() for p in module.model.parameters()])
