"""Where rewards come from. A source has the signature of TRL's reward functions, so those on texts work here too:
`(*, prompts, completions, **columns) -> list[float]`, one entry an answer, the data's other columns by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import torch
from transformers import AutoTokenizer

from llmcycle.data.chat import Prompt, encode_prompt_completion
from llmcycle.data.encode import Columns
from llmcycle.data.storefront import World
from llmcycle.engine import TransformersEngine
from llmcycle.evaluate.text_match import TextMatch
from llmcycle.model import load
from llmcycle.quantities import Count, Length

OURS = {"completion_ids"}  # columns that the data does not have


class Reward(Protocol):
    """Scores answers; higher is better, the scale is the source's own."""

    def __call__(
        self, prompts: Sequence[Prompt], completions: Sequence[str], **columns: Sequence[Any]
    ) -> Sequence[float | None]:
        """One reward an answer; None where it does not apply. `columns` are those of the data, and `completion_ids`."""
        ...


class TrlReward:
    """A reward function of TRL, which reads an answer as a list of one message.

    Args:
        function: one of `trl.rewards`, or of its signature.
    """

    def __init__(self, function: Callable[..., Sequence[float | None]]) -> None:
        self.function = function

    def __call__(
        self, prompts: Sequence[Prompt], completions: Sequence[str], **columns: Sequence[Any]
    ) -> Sequence[float | None]:
        messages = [[{"role": "assistant", "content": text}] for text in completions]
        return self.function(prompts=prompts, completions=messages, **columns)


class Verifier:
    """The storefront's ground truth: the share, in [0, 1], of helpful, honest and harmless that an answer is."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **_: Sequence[Any]) -> list[float]:
        return [self.world.score(prompt, answer) for prompt, answer in zip(prompts, completions, strict=True)]


class Learned:
    """A reward model's score.

    Args:
        path: folder of a sequence classifier with one output, as the `reward` recipe leaves it, or a name on the Hub.
        max_length: tokens of prompt and answer; longer ones lose their end.
        batch_size: answers scored at once.
    """

    model_kind: ClassVar[str] = "classifier"  # of what `path` leads to

    def __init__(self, path: str, max_length: Length = 1024, batch_size: Count = 64) -> None:
        model = load(path).requires_grad_(False).to("cuda" if torch.cuda.is_available() else "cpu")
        if model.can_generate() or model.config.num_labels != 1:
            raise ValueError(
                f"inputs.reward: {path} is no reward model (a sequence classifier with one output); "
                "give the artifact of `llmcycle reward`"
            )
        self.engine = TransformersEngine(model, AutoTokenizer.from_pretrained(path), batch_size)
        self.max_length = max_length

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **_: Sequence[Any]) -> list[float]:
        pairs, tokenizer = zip(prompts, completions, strict=True), self.engine.tokenizer
        encoded = [encode_prompt_completion(tokenizer, *pair, self.max_length)["input_ids"] for pair in pairs]
        return self.engine.reward(encoded)


class Match:
    """1 where a completion is, or holds, the answer in the data, else 0.

    Args:
        match: when two answers are equal, and how an answer is found in a longer text.
        column: of the data, with the right answer.
    """

    @staticmethod
    def rows_need(column: str = "answer", **_: object) -> Columns:
        """The data's column that `check` looks for."""
        return ((column,),)

    def __init__(self, match: TextMatch | None = None, column: str = "answer") -> None:
        self.match, self.column = match or TextMatch(), column

    def __call__(
        self,
        prompts: Sequence[Prompt],  # noqa: ARG002  part of every source's signature
        completions: Sequence[str],
        **columns: Sequence[Any],
    ) -> list[float]:
        if self.column not in columns:
            known = ", ".join(name for name in columns if name not in OURS)
            raise ValueError(
                f"reward.column: the data has no column {self.column}, only {known}; "
                f"map one with data.columns.{self.column}=NAME"
            )
        return [float(self.match(*pair)) for pair in zip(completions, columns[self.column], strict=True)]
