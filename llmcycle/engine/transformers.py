"""The reference engine: a transformers model in this process."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoTokenizer, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.abilities import ABILITIES, CAUSAL, CLASSIFIER, MASKED, STEPS
from llmcycle.data.chat import Prompt
from llmcycle.engine.engine import Answer, Engine, Hidden, Labelled, Piece, Restored, Stepped
from llmcycle.engine.generation import answer, sample
from llmcycle.engine.likelihood import classifier_scores, restore, score, step_scores, total
from llmcycle.engine.stream import encode, stream
from llmcycle.model import digest, load
from llmcycle.quantities import Count


class TransformersEngine(Engine):
    """Asks `model`, at most `batch_size` prompts or sequences at a time.

    It offers what the kind of model can do: a language model answers and scores, a classifier gives rewards, one
    of tokens judges steps, an encoder restores hidden tokens. The model's training mode is left as it was.
    """

    offers = frozenset({"answer", "sample", "stream", "score", "reward", "prefer", "steps", "masked"})

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: Count = 64, name: str = "model"
    ) -> None:
        self.model, self._tokenizer, self.batch_size, self.name = model, tokenizer, batch_size, name
        self.offers = abilities(model)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self._tokenizer

    def answer(
        self, prompts: Sequence[Prompt], generation: GenerationConfig | None = None, logprobs: bool = False
    ) -> list[list[Answer]]:
        self._need("answer")
        return answer(self.model, self.tokenizer, prompts, generation, self.batch_size, logprobs)

    def sample(
        self, prompts: Mapping[str, Tensor], generation: GenerationConfig, logprobs: bool = False
    ) -> list[list[Answer]]:
        self._need("sample")
        return sample(self.model, self.tokenizer, prompts, generation, logprobs)

    def stream(
        self, prompt: Prompt, generation: GenerationConfig | None = None, seed: int | None = None
    ) -> Generator[Piece, None, None]:
        self._need("stream")
        return stream(self.model, self.tokenizer, prompt, generation, seed)

    def prompt_tokens(self, prompt: Prompt) -> int:
        return len(encode(self.model, self.tokenizer, prompt))

    def score(self, sequences: Sequence[Labelled]) -> list[Tensor]:
        self._need("score")
        return score(self.model, sequences, self.batch_size)

    def reward(self, rows: Sequence[list[int]]) -> list[float]:
        self._need("reward")
        return classifier_scores(self.model, rows, self.batch_size)

    def prefer(self, sequences: Sequence[Labelled]) -> list[float]:
        if "reward" in self.offers:
            return self.reward([ids for ids, _ in sequences])
        return [total(logprobs) for logprobs in self.score(sequences)]

    def steps(self, rows: Sequence[Stepped]) -> list[list[float]]:
        self._need("steps")
        return step_scores(self.model, rows, self.batch_size)

    def masked(self, rows: Sequence[Hidden]) -> list[Restored]:
        self._need("masked")
        return restore(self.model, rows, self.batch_size)

    def describe(self) -> dict[str, str]:
        dtype = str(self.model.dtype).removeprefix("torch.")
        return {"model": self.name, "dtype": dtype, "digest": digest(self.model)}

    def close(self) -> None:
        self.__dict__.pop("model", None)

    def _need(self, ability: str) -> None:
        self.open()
        if ability not in self.offers:
            self._refuse(ability)


class LocalEngine(TransformersEngine):
    """Whatever a stage wrote (weights, quantised weights, an adapter) or a Hub name, opened when it is first asked.

    Args:
        source: a folder or Hub name.
        batch_size: prompts or sequences at a time.
        name: see `Engine`; by default the folder's.

    Raises:
        ValueError: when it is opened; see `llmcycle.model.load`.
    """

    def __init__(self, source: str, batch_size: Count = 64, name: str | None = None) -> None:
        self.source, self.batch_size, self.name = source, batch_size, name or Path(source).resolve().name

    def __getattr__(self, name: str) -> Any:
        if name not in ("model", "_tokenizer"):
            raise AttributeError(name)
        self.open()
        return self.__dict__[name]

    def open(self) -> None:
        if "model" in self.__dict__:
            return
        model = load(self.source)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        tokenizer = AutoTokenizer.from_pretrained(self.source)
        super().__init__(model, tokenizer, self.batch_size, self.name)

    def describe(self) -> dict[str, str]:
        path = str(Path(self.source).resolve()) if Path(self.source).exists() else self.source
        return {"path": path} | {name: fact for name, fact in super().describe().items() if name != "model"}


def abilities(model: PreTrainedModel) -> frozenset[str]:
    """What a model of this kind can be asked."""
    if model.can_generate():
        return ABILITIES[CAUSAL]
    if model.get_output_embeddings() is not None:
        return ABILITIES[MASKED]
    below = model.get_base_model() if isinstance(model, PeftModel) else model
    return ABILITIES[STEPS if type(below).__name__.endswith("ForTokenClassification") else CLASSIFIER]
