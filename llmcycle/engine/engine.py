"""What an engine is: an opened model that can be asked. Everything that asks a model asks through it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, NoReturn, Protocol

from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt

Stepped = tuple[list[int], list[int]]  # input_ids, and the places of the tokens that steps end with
Labelled = tuple[list[int], list[int]]  # input_ids and labels of equal length; -100 where nothing is scored


@dataclass(frozen=True)
class Answer:
    """One answer to a prompt.

    Args:
        text: without special tokens, stop strings and surrounding space.
        finish: "stop" where it ended by itself or at a stop string, "length" where it was cut.
        token_ids: through the token that ends it; empty where the engine does not know them.
        logprobs: of each of these tokens, in nats, under the distribution it was drawn from; None unless wanted.
        prompt_tokens, new_tokens: how many were read and written; 0 where the engine does not know.
    """

    text: str
    finish: Literal["stop", "length"]
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] | None = None
    prompt_tokens: int = 0
    new_tokens: int = 0


class Piece(NamedTuple):
    """New text of an answer that is being written, "" at times; the last piece has the whole answer beside it."""

    text: str
    answer: Answer | None = None


class BadPrompt(ValueError):
    """The prompt leaves no room for an answer, or the chat template refuses it."""


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
        name: what the model is called, by clients of a server and in records.
        offers: names of the methods that work: "answer", "sample", "score", "stream", "reward", "prefer", "steps",
            "masked".
            What an evaluator or a decoding strategy needs is compared with them.
    """

    name: str = "model"
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

    def stream(
        self, prompt: Prompt, generation: GenerationConfig | None = None, seed: int | None = None
    ) -> Generator[Piece, None, None]:
        """One answer while it is written; closing the generator ends it.

        A string is continued as it stands, with the white space around it; messages go through the chat template. What
        `generation` leaves open is as the model itself says it, at most 256 tokens by default.

        Args:
            seed: of the draws; None takes another one each time.

        Raises:
            BadPrompt: see the class.
        """
        self._refuse("stream")

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Tokens of a prompt as `stream` reads it; 0 where the engine does not know. Raises BadPrompt."""
        return 0

    @property
    def chats(self) -> bool:
        """Whether there is a chat template, so that messages are answered and strings are turns of a user."""
        return bool(self.tokenizer.chat_template)

    def score(self, sequences: Sequence[Labelled]) -> list[Tensor]:
        """Log-probability in nats of each labelled token, fp32 on the CPU; a row's first token is never scored."""
        self._refuse("score")

    def reward(self, rows: Sequence[list[int]]) -> list[float]:
        """The one output of a sequence classifier for each row of token ids."""
        self._refuse("reward")

    def prefer(self, sequences: Sequence[Labelled]) -> list[float]:
        """A number for each labelled completion, its reward or log-likelihood: higher for what the model prefers."""
        self._refuse("prefer")

    def steps(self, rows: Sequence[Stepped]) -> list[list[float]]:
        """The one output of a token classifier at each of a row's places: how right a step is that ends there."""
        self._refuse("steps")

    def masked(self, rows: Sequence[Hidden]) -> list[Restored]:
        """How well a model that reads both ways restores each row's hidden tokens."""
        self._refuse("masked")

    @staticmethod
    def refuses(settings: Mapping[str, Any], **_: object) -> list[str]:
        """Which settings of a GenerationConfig this engine can't honour; `check` asks this too."""
        return []

    def check_generation(self, generation: GenerationConfig) -> None:
        """ValueError where `generation` has a setting that this engine can't honour."""
        settings = generation.to_diff_dict()
        for name in self.refuses(settings):
            reason = f"generate.{name}={settings[name]}: {type(self).__name__} has no field for it"
            raise ValueError(f"{reason}; leave it out, or set engine=transformers")

    def open(self) -> None:
        """Load what will be asked; an engine that is not open yet opens at the first question."""
        return

    def describe(self) -> dict[str, str]:
        """What is asked, for records: where it is, and a digest of the weights where they are in this process."""
        return {"model": self.name}

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
    # A recipe without samples asks for no answer, which a model that cannot give one must not be refused for.
    return [answers[0].text for answers in engine.answer(prompts, generation)] if prompts else []
