"""Where rewards come from. A source has the signature of TRL's reward functions, so those on texts work here too:
`(*, prompts, completions, **columns) -> list[float]`, one entry an answer, the data's other columns by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from transformers import AutoTokenizer

from llmcycle.data.chat import Prompt, choose_pad, encode_prompt_completion
from llmcycle.data.encode import pad
from llmcycle.data.storefront import World
from llmcycle.model import load


class Reward(Protocol):
    """Scores answers; higher is better, the scale is the source's own."""

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **columns: Sequence[Any]) -> list[float]:
        """One reward an answer."""
        ...


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

    def __init__(self, path: str, max_length: int = 1024, batch_size: int = 64) -> None:
        self.model = load(path).requires_grad_(False).to("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = choose_pad(AutoTokenizer.from_pretrained(path))
        if getattr(self.model.config, "num_labels", None) != 1 or self.model.can_generate():
            raise ValueError(
                f"inputs.reward: {path} is no reward model (a sequence classifier with one output): "
                "give the artifact of `llmcycle reward`"
            )
        self.max_length, self.batch_size = max_length, batch_size

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **_: Sequence[Any]) -> list[float]:
        pairs = zip(prompts, completions, strict=True)
        encoded = [encode_prompt_completion(self.tokenizer, *pair, self.max_length)["input_ids"] for pair in pairs]
        batches = (encoded[i : i + self.batch_size] for i in range(0, len(encoded), self.batch_size))
        return [score for batch in batches for score in self._score(batch)]

    @torch.no_grad()
    def _score(self, rows: list[list[int]]) -> list[float]:
        input_ids = pad(rows, self.tokenizer.pad_token_id).to(self.model.device)
        attention_mask = pad([[1] * len(row) for row in rows], 0).to(self.model.device)
        scores: list[float] = self.model(input_ids=input_ids, attention_mask=attention_mask).logits[:, 0].tolist()
        return scores


class Match:
    """1 where the answer that `pattern` finds in a completion is the one it finds in the row's own answer, else 0.

    Args:
        pattern: a regular expression; its first group, or all of it, is the answer; its last match counts.
        column: of the data, with the right answer; text in which `pattern` finds nothing counts as a whole.
    """

    def __init__(self, pattern: str, column: str = "answer") -> None:
        self.pattern, self.column = re.compile(pattern), column

    def __call__(
        self,
        prompts: Sequence[Prompt],  # noqa: ARG002  part of every source's signature
        completions: Sequence[str],
        **columns: Sequence[Any],
    ) -> list[float]:
        if self.column not in columns:
            raise ValueError(
                f"reward.column: the data has no column {self.column}, only {', '.join(columns)}; "
                f"map one with data.columns.{self.column}=NAME"
            )
        right = [self._find(answer) or self._plain(answer) for answer in columns[self.column]]
        found = [self._find(completion) for completion in completions]
        return [float(a == b) for a, b in zip(found, right, strict=True)]

    def _find(self, text: str) -> str | None:
        matches = list(self.pattern.finditer(text))
        if not matches:
            return None
        return self._plain(matches[-1][1] if self.pattern.groups else matches[-1][0])

    def _plain(self, text: str) -> str:
        """Without thousands separators and what a sentence puts around a number."""
        return text.replace(",", "").strip(" $.\n")
