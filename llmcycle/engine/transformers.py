"""The reference engine: a transformers model in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt
from llmcycle.engine.engine import Answer, Engine, Hidden, Labelled, Restored
from llmcycle.engine.generation import answer, sample
from llmcycle.engine.likelihood import classifier_scores, restore, score, total


class TransformersEngine(Engine):
    """Asks `model`, at most `batch_size` prompts or sequences at a time.

    It offers what the kind of model can do: a language model answers and scores, a classifier gives rewards, an encoder
    restores hidden tokens. The model's training mode is left as it was.
    """

    offers = frozenset({"answer", "sample", "score", "reward", "prefer", "masked"})

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int = 64) -> None:
        self.model, self._tokenizer, self.batch_size = model, tokenizer, batch_size
        self.offers = abilities(model)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self._tokenizer

    def answer(
        self, prompts: Sequence[Prompt], generation: GenerationConfig | None = None, logprobs: bool = False
    ) -> list[list[Answer]]:
        return answer(self.model, self.tokenizer, prompts, generation, self.batch_size, logprobs)

    def sample(
        self, prompts: Mapping[str, Tensor], generation: GenerationConfig, logprobs: bool = False
    ) -> list[list[Answer]]:
        return sample(self.model, self.tokenizer, prompts, generation, logprobs)

    def score(self, sequences: Sequence[Labelled]) -> list[Tensor]:
        return score(self.model, sequences, self.batch_size)

    def reward(self, rows: Sequence[list[int]]) -> list[float]:
        return classifier_scores(self.model, rows, self.batch_size)

    def prefer(self, sequences: Sequence[Labelled]) -> list[float]:
        if "reward" in self.offers:
            return self.reward([ids for ids, _ in sequences])
        return [total(logprobs) for logprobs in self.score(sequences)]

    def masked(self, rows: Sequence[Hidden]) -> list[Restored]:
        return restore(self.model, rows, self.batch_size)

    def close(self) -> None:
        self.__dict__.pop("model", None)


def abilities(model: PreTrainedModel) -> frozenset[str]:
    """What a model of this kind can be asked."""
    if model.can_generate():
        return frozenset({"answer", "sample", "score", "prefer"})
    return frozenset({"reward", "prefer"} if model.get_output_embeddings() is None else {"masked"})
