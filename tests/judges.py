"""Engines that give verdicts as they are told, so that what a judge makes of them is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import GenerationConfig

from llmcycle.data.chat import Prompt
from llmcycle.engine import Answer, Engine
from llmcycle.evaluate.judge_audit import audit
from llmcycle.evaluate.scores import own_interval
from llmcycle.judge import Rubric

PLAIN = Rubric(
    criterion="Be kind.",
    single="{prompt}|{answer}|{criterion}|Good?",
    ratings={"yes": 1.0, "no": 0.0},
    pairwise="{prompt}|{first}|{second}|{criterion}|Which?",
    preferences={"A": 1.0, "B": 0.0, "tie": 0.5},
    quote="",
)


class Writing(Engine):
    """An engine that writes `reply(question)`, and keeps what it was asked."""

    offers = frozenset({"answer"})

    def __init__(self, reply: Callable[[str], str], name: str = "writing") -> None:
        self.reply, self.name, self.questions = reply, name, list[str]()

    def answer(
        self, prompts: Sequence[Prompt], generation: GenerationConfig | None = None, logprobs: bool = False
    ) -> list[list[Answer]]:
        self.questions += map(str, prompts)
        return [[self._one(str(prompt), generation)] for prompt in prompts]

    def _one(self, prompt: str, generation: Any) -> Answer:
        text = self.reply(prompt)
        return Answer(text[: generation.max_new_tokens], "length" if len(text) > generation.max_new_tokens else "stop")


def kinder(question: str) -> str:
    """Prefers the answer that says `please`, wherever it stands."""
    _, first, second, *_ = question.split("|")
    kind = "please" in first, "please" in second
    return "tie" if kind[0] == kind[1] else "A" if kind[0] else "B"


def verdicts(
    draw: np.random.Generator, pairs: int, place: float, length: float, noise: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Drawn verdicts [pairs, 2] of a judge with planted biases, and on which pairs the better answer is the longer one.

    A share |place| of them goes by the place alone (above 0 for the first), |length| by length alone (above 0 for the
    longer), and of the rest a share `noise` is wrong.
    """
    sides = draw.choice([1, -1], pairs)
    kinds = draw.random((pairs, 2))
    by_place = np.array([1, -1]) * np.sign(place) > 0
    by_length = (sides * np.sign(length) > 0)[:, None]
    right = draw.random((pairs, 2)) >= noise
    biased = np.where(kinds < abs(place), by_place, by_length)
    return np.where(kinds < abs(place) + abs(length), biased, right).astype(float), sides


def coverage(place: float, length: float, noise: float, pairs: int, repeats: int) -> dict[str, float]:
    """The share of audits whose interval holds what was planted."""
    draw, truth = np.random.default_rng(0), {"position_bias": place, "length_bias": length, "noise": noise}
    held = dict.fromkeys(truth, 0)
    ids = [str(i) for i in range(pairs)]
    for _ in range(repeats):
        shown, sides = verdicts(draw, pairs, place, length, noise)
        found = audit([(first, second) for first, second in shown.tolist()], sides.tolist(), ids)
        for name, value in truth.items():
            low, high = own_interval(found[name])
            held[name] += low <= value <= high
    return {name: count / repeats for name, count in held.items()}
