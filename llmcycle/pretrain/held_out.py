"""Loss on whole held-out documents, beside the exact entropy of the process that wrote them where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.chat import IGNORE, encode_document
from llmcycle.data.encode import split
from llmcycle.engine import score_sequences
from llmcycle.evaluate import Scores


class HeldOut:
    """Scores a model on documents, each alone and from its start; every token counts, the end token too.

    Args:
        texts: the documents.
        max_length: tokens that the model was trained to see; a longer document is scored in pieces of that length.
        entropy: nats of each document under the process that wrote it: no model can be expected to get below their sum.
    """

    def __init__(self, texts: Sequence[str], max_length: int, entropy: Sequence[float] | None = None) -> None:
        self.texts, self.max_length, self.entropy = list(texts), max_length, entropy

    def __call__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Scores]:
        """Loss over entropy (where that is known), loss in nats a token, and bits a byte of text (arXiv:2101.00027)."""
        nats, tokens = self._nats(model, tokenizer)
        size = [float(len(text.encode())) for text in self.texts]
        bits = [n / log(2) for n in nats]
        scores = {"held_out_loss": ratio(nats, tokens, "nats/token"), "bits_per_byte": ratio(bits, size, "bits/byte")}
        if self.entropy is None:
            return scores
        return {"loss_over_entropy": ratio(nats, list(self.entropy), "x entropy"), **scores}

    def tokens(self, tokenizer: PreTrainedTokenizerBase) -> int:
        """Tokens that are scored in all documents together."""
        return sum(len(encode_document(tokenizer, text)) - 1 for text in self.texts)

    def _nats(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[list[float], list[float]]:
        """Of each document: its negative log-probability, and the number of tokens it stands on."""
        pieces = [split(encode_document(tokenizer, text), self.max_length) for text in self.texts]
        scored = iter(score_sequences(model, [(ids, [IGNORE, *ids[1:]]) for parts in pieces for ids in parts]))
        documents = [[next(scored) for _ in parts] for parts in pieces]
        nats = [-sum(part.logprob for part in parts) for parts in documents]
        return nats, [float(sum(part.tokens for part in parts)) for parts in documents]


def ratio(values: list[float], weights: list[float], unit: str) -> Scores:
    """sum(values) / sum(weights) as a score that keeps the documents apart, for its interval."""
    return Scores([v / w for v, w in zip(values, weights, strict=True)], "lower", unit, weights)
