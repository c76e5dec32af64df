"""Rewards that are models or know a world: reward models of all kinds, and the storefront's verifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any, ClassVar, Literal

import torch
from transformers import AutoTokenizer

from llmcycle.data.chat import Prompt, encode_prompt_completion
from llmcycle.data.steps import encode_steps
from llmcycle.data.storefront import World
from llmcycle.engine import TransformersEngine
from llmcycle.model import load
from llmcycle.quantities import Count, Length

Combine = Callable[[Sequence[float]], float]
OF_STEPS: dict[str, Combine] = {"min": min, "mean": fmean, "last": lambda rewards: rewards[-1]}
OF_MODELS: dict[str, Combine] = {"mean": fmean, "min": min}


class Verifier:
    """The storefront's ground truth: the share, in [0, 1], of helpful, honest and harmless that an answer is."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **_: Sequence[Any]) -> list[float]:
        return [self.world.score(prompt, answer) for prompt, answer in zip(prompts, completions, strict=True)]


class Learned:
    """A reward model's score.

    Args:
        path: folder of a sequence classifier with one output, as the `reward` recipe leaves it, or a name on the Hub;
            below it a language model or an encoder.
        max_length: tokens of prompt and answer; longer ones lose their end.
        batch_size: answers scored at once.

    Raises:
        ValueError: there is another kind of model.
    """

    model_kind: ClassVar[str] = "classifier"  # of what `path` leads to

    def __init__(self, path: str, max_length: Length = 1024, batch_size: Count = 64) -> None:
        self.engine = opened(path, "reward", "a sequence classifier with one output", "reward", batch_size)
        self.max_length = min(max_length, context(self.engine))

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **_: Sequence[Any]) -> list[float]:
        pairs, tokenizer = zip(prompts, completions, strict=True), self.engine.tokenizer
        encoded = [encode_prompt_completion(tokenizer, *pair, self.max_length)["input_ids"] for pair in pairs]
        return self.engine.reward(encoded)


class Ensemble:
    """The scores of several reward models put together: against over-optimisation of one of them, arXiv:2310.02743.

    Args:
        paths: of two models or more, each as for `Learned`.
        combine: "mean", or "min", the most careful one.
        max_length: tokens of prompt and answer; longer ones lose their end.
        batch_size: answers scored at once.
    """

    model_kind: ClassVar[str] = "classifier"  # of what `paths` lead to

    def __init__(
        self,
        paths: Sequence[str],
        combine: Literal["mean", "min"] = "mean",
        max_length: Length = 1024,
        batch_size: Count = 64,
    ) -> None:
        self.preflight(paths)
        self.members = [Learned(path, max_length, batch_size) for path in paths]
        self.combine = OF_MODELS[combine]

    @staticmethod
    def preflight(paths: Sequence[str], **_: object) -> None:
        """Refuse, before anything is built, an ensemble of one."""
        if len(set(paths)) < 2:
            raise ValueError(
                f"paths: an ensemble has two different reward models or more, found {', '.join(paths)}; "
                "give another one as inputs.second_reward"
            )

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **columns: Sequence[Any]) -> list[float]:
        scores = [member(prompts=prompts, completions=completions, **columns) for member in self.members]
        return [self.combine(of_answer) for of_answer in zip(*scores, strict=True)]


class ProcessReward:
    """A process reward model's probability, in [0, 1], that the steps of an answer are right.

    Args:
        path: folder of a token classifier with one output, as the `process_reward` recipe leaves it.
        separator: what ends a step, as in its training; an answer without it is one step.
        combine: "min" over the steps, as arXiv:2312.08935 has it, "mean", or the "last" one.
        batch_size: answers scored at once.

    Raises:
        ValueError: there is another kind of model.
    """

    model_kind: ClassVar[str] = "token_classifier"  # of what `path` leads to

    def __init__(
        self,
        path: str,
        separator: str = "\n",
        combine: Literal["min", "mean", "last"] = "min",
        batch_size: Count = 64,
    ) -> None:
        self.engine = opened(path, "steps", "a token classifier with one output", "process_reward", batch_size)
        self.separator, self.combine = separator, OF_STEPS[combine]

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **_: Sequence[Any]) -> list[float]:
        pairs, room = zip(prompts, completions, strict=True), context(self.engine)
        rows = [encode_steps(self.engine.tokenizer, prompt, self.steps(text), self.separator) for prompt, text in pairs]
        fitting = [(ids[:room], [min(place, room - 1) for place in places]) for ids, places in rows]
        return [self.combine(torch.tensor(logits).sigmoid().tolist()) for logits in self.engine.steps(fitting)]

    def steps(self, completion: str) -> list[str]:
        """An answer's steps, those that say nothing left out; an empty answer is one step."""
        parts = completion.split(self.separator) if self.separator else [completion]
        return [part for part in parts if part.strip()] or [completion]


def opened(path: str, ability: str, what: str, recipe: str, batch_size: int) -> TransformersEngine:
    """The model that a reward asks, frozen and where it is fast.

    Args:
        ability: what an engine of it must offer.
        what, recipe: what such a model is, and the recipe that makes one.

    Raises:
        ValueError: the model is of another kind, or has several outputs.
    """
    model = load(path).requires_grad_(False).to("cuda" if torch.cuda.is_available() else "cpu")
    engine = TransformersEngine(model, AutoTokenizer.from_pretrained(path), batch_size)
    if ability not in engine.offers or model.config.num_labels != 1:
        raise ValueError(f"inputs.reward: {path} is no reward model ({what}); give the artifact of `llmcycle {recipe}`")
    return engine


def context(engine: TransformersEngine) -> int:
    """Tokens that the model can look at: an encoder's positions end there."""
    return int(getattr(engine.model.config, "max_position_embeddings", None) or 2**20)
