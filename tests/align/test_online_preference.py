"""Pairs from the policy's own answers: the best and the worst of each group, ties left out, and what they teach."""

from __future__ import annotations

import enumerable
import pytest
import torch
from enumerable import distribution, option, prompts, reference, rewards
from learners import train

from llmcycle.align import OnlinePreference
from llmcycle.align.losses import DPO, Answers
from llmcycle.align.rollouts import Sampling
from llmcycle.train import Learner


def made(loss: object, values: torch.Tensor, group_size: int = 4, **options: object) -> Learner:
    sampling = Sampling(group_size=group_size, max_new_tokens=2)
    objective = OnlinePreference(loss, reward=enumerable.Table(values), sampling=sampling, table_every=0, **options)
    return enumerable.learner(objective, reference(0), {}, 1e-3, 1)


def test_the_best_and_the_worst_of_a_group_are_a_pair() -> None:
    values = rewards(1)
    module = made(DPO(beta=0.5), values, group_size=6)
    pairs = module.objective.paired(module.models, prompts(5), seed=3)
    answers = pairs["batch"]["labels"][:, 2:]
    earned = values[4 * answers[:, 0] + answers[:, 1]]
    best, worst = earned.chunk(2)
    assert (best >= worst).all()
    assert torch.equal(pairs["differ"], best > worst)
    draw, _ = module.objective.drawn(module.models, prompts(5), seed=3)
    groups = torch.tensor(draw.scores["reward"]).view(5, 6)
    assert torch.allclose(best, groups.amax(1))
    assert torch.allclose(worst, groups.amin(1))


def test_answers_that_earn_the_same_teach_nothing() -> None:
    module = made(DPO(beta=0.5), torch.zeros(16))
    loss, values = module.loss(prompts(4))
    loss.backward()
    assert values["same"] == 1
    assert all(not p.grad.any() for p in module.model.parameters())


def test_ties_are_no_part_of_the_mean() -> None:
    seen: list[int] = []

    class Watch:
        needs_reference = False

        def __call__(self, chosen: Answers, rejected: Answers) -> torch.Tensor:
            seen.append(len(chosen.logprobs))
            return -(chosen.logprobs - rejected.logprobs)

    values = (torch.arange(16) % 3 == 0).float()
    module = made(Watch(), values, group_size=2)
    pairs = module.objective.paired(module.models, prompts(16), seed=1)
    module.loss(prompts(16))
    assert 0 < int(pairs["differ"].sum()) < 16
    assert seen == [int(pairs["differ"].sum())]
    assert module.models.reference is None


@pytest.mark.slow
def test_the_reward_rises() -> None:
    values = rewards(10)
    module = made(option("loss", "dpo", beta=0.5), values)
    before = (distribution(module.model).exp() * values).sum()
    train(module, prompts(16), 80, 3e-3, clip=1.0)
    after = (distribution(module.model).exp() * values).sum()
    assert after > before + 0.5
