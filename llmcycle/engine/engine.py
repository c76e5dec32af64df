"""What an engine is: an opened model that can be asked. Everything that asks a model asks through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, NoReturn, Protocol

from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt

Labelled = tuple[list[int], list[int]]  # input_ids and labels of equal length; -100 where nothing is scored


@dataclass(frozen=True)
class Answer:
    """One answer to a prompt.

    Args:
        text: without special tokens, stop strings and surrounding space.
        finish: "stop" where it ended by itself or at a stop string, "length" where it was cut.
        token_ids: through the token that ends it; empty where the engine does not know them.
        logprobs: of each of these tokens, in nats, under the distribution it was drawn from; None unless wanted.
    """

    text: str
    finish: Literal["stop", "length"]
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] | None = None


class Hidden(NamedTuple):
    """A row with hidden tokens: what the model sees, what is hidden (-100 elsewhere), and places in each document."""

    input_ids: list[int]
    labels: list[int]
    position_ids: list[int]


class Restored(NamedTuple):
    """Of each hidden token of a row: its log-probability in nats, and whether it was the likeliest."""

    logprobs: Tensor
    right: Tensor


class Engine(Protocol):
    """An opened model. A class that derives from this one writes the methods that it `offers`; the others refuse.

    Attributes:
        offers: names of the methods that work: "answer", "sample", "score", "stream", "reward", "prefer", "masked".
            What an evaluator or a decoding strategy needs is compared with them.
    """

    offers: frozenset[str] = frozenset()

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer. Raises ValueError where there is none in this process."""
        self._refuse("tokenizer")

    def answer(
        self, prompts: Sequence[Prompt], generation: GenerationConfig | None = None, logprobs: bool = False
    ) -> list[list[Answer]]:
        """`generation.num_return_sequences` answers to each prompt, by default one of at most 32 tokens, greedy.

        A prompt is rendered with the chat template where there is one. `logprobs` also gives each token's.
        """
        self._refuse("answer")

    def sample(
        self, prompts: Mapping[str, Tensor], generation: GenerationConfig, logprobs: bool = False
    ) -> list[list[Answer]]:
        """As `answer`, from one left-padded batch of input_ids and attention_mask [P, T]."""
        self._refuse("sample")

    def score(self, sequences: Sequence[Labelled]) -> list[Tensor]:
        """Log-probability in nats of each labelled token, fp32 on the CPU; a row's first token is never scored."""
        self._refuse("score")

    def reward(self, rows: Sequence[list[int]]) -> list[float]:
        """The one output of a sequence classifier for each row of token ids."""
        self._refuse("reward")

    def prefer(self, sequences: Sequence[Labelled]) -> list[float]:
        """A number for each labelled completion, its reward or log-likelihood: higher for what the model prefers."""
        self._refuse("prefer")

    def masked(self, rows: Sequence[Hidden]) -> list[Restored]:
        """How well a model that reads both ways restores each row's hidden tokens."""
        self._refuse("masked")

    def close(self) -> None:
        """Give memory and connections back; the engine can't be asked afterwards."""
        return

    def _refuse(self, ability: str) -> NoReturn:
        able = ", ".join(sorted(self.offers)) or "nothing"
        raise ValueError(f"engine: {type(self).__name__} offers {able}, but not `{ability}`; choose another `engine`")


def texts(engine: Engine, prompts: Sequence[Prompt], generation: GenerationConfig | None = None) -> list[str]:
    """The text of one answer to each prompt.

    Raises:
        ValueError: `generation` wants several answers a prompt.
    """
    if generation is not None and (generation.num_return_sequences or 1) > 1:
        raise ValueError("num_return_sequences: one answer a prompt is needed here; set it to 1")
    return [answers[0].text for answers in engine.answer(prompts, generation)]
