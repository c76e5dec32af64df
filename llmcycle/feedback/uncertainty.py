"""Pairs that a reward model would learn most from: its last layer's features, and a posterior over its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llmcycle.data.chat import encode_prompt_completion
from llmcycle.engine import LocalEngine
from llmcycle.engine.features import reward_features
from llmcycle.feedback.choose import (
    Choice,
    Floats,
    at_random,
    by_information,
    by_margin,
    differences,
    laplace,
    prior_precision,
)
from llmcycle.feedback.items import Item

LONGEST = 1024  # tokens of prompt and answer; longer ones lose their end


def chosen_pairs(
    items: Sequence[Item], how: Choice, count: int, reward: Path | None, seen: Sequence[Item] = (), seed: int = 0
) -> list[Item]:
    """The pairs to label, the most telling first.

    Args:
        reward: the folder of the reward model; needed unless `how` is "random".
        seen: pairs that the reward model has learnt from, which make its weights certain where they tell of them.

    Raises:
        ValueError: there is no reward model.
    """
    if how == "random" or len(items) <= 1:
        places = at_random(len(items), count, seed)
    elif reward is None:
        raise ValueError(f"--choose {how}: it asks a reward model\n  try: --reward ARTIFACT, of `llmcycle reward`")
    else:
        places = by_uncertainty(items, how, count, reward, seen)
    return [items[place] for place in places]


def by_uncertainty(items: Sequence[Item], how: Choice, count: int, reward: Path, seen: Sequence[Item]) -> list[int]:
    """Places of the pairs by the reward model's margins, or by what their labels would tell of its last layer."""
    engine = opened(reward)
    x_ND, margin_N = margins(engine, items)
    if how == "margin":
        return by_margin(margin_N, count)
    labelled_ND, labelled_N = margins(engine, seen) if seen else (x_ND[:0], margin_N[:0])
    covariance = laplace(labelled_ND, labelled_N, prior_precision(x_ND, margin_N))
    return by_information(x_ND, margin_N, covariance, count)


def margins(engine: LocalEngine, pairs: Sequence[Item]) -> tuple[Floats, Floats]:
    """x (N, D) and the margin (N,) of pairs: first answer less second."""
    rows = [
        encode_prompt_completion(engine.tokenizer, item.prompt, answer, LONGEST)["input_ids"]
        for item in pairs
        for answer in item.answers
    ]
    features, rewards = reward_features(engine.model, rows, engine.batch_size)
    of_answers = rewards.double().numpy()
    return differences(list(features.double().numpy())), np.asarray(of_answers[::2] - of_answers[1::2])


def opened(folder: Path) -> LocalEngine:
    """A reward model. Raises ValueError: it is another kind of model."""
    engine = LocalEngine(str(folder))
    engine.open()
    if "reward" not in engine.offers or engine.model.config.num_labels != 1:
        reason = "it is no reward model (a sequence classifier with one output)"
        raise ValueError(f"--reward {folder}: {reason}\n  try: --reward ARTIFACT, of `llmcycle reward`")
    return engine
