"""Loss on held-out rows: whole documents from their start, or completions after their prompts."""

from __future__ import annotations

from math import log
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.chat import IGNORE, encode_document, encode_prompt_completion
from llmcycle.engine import Scored, score_sequences
from llmcycle.evaluate.evaluator import Scores
from llmcycle.evaluate.exact_match import reference


class HeldOutLoss:
    """`held_out_loss` in nats a token and `bits_per_byte`, each total over total, with one value a row.

    Of {"text"} rows each document is scored from its start, its end token included; of {"prompt", "completion"} rows
    (or `answer`, or `chosen`) the completion and its end token. Bytes are those of the text in UTF-8. Where the rows
    know their exact `entropy` (in nats), `entropy` in nats a token and `loss_to_entropy` are added; 1.0 is the best
    possible.

    Args:
        rows: those of `validation` are scored.
        max_length: tokens a row; longer ones lose their end.
        limit: score the first so many rows only.
        batch_size: rows at once.
    """

    def __init__(self, rows: Rows, max_length: int = 1024, limit: int | None = None, batch_size: int = 64) -> None:
        self.rows, self.max_length, self.limit, self.batch_size = rows, max_length, limit, batch_size

    def __call__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        sequences = [self._encode(row, tokenizer) for row in rows]
        scored = score_sequences(model, sequences, self.batch_size)
        bits = [-row.logprob / log(2) for row in scored]
        sizes = [float(self._bytes(*pair, tokenizer)) for pair in zip(rows, sequences, strict=True)]
        nats, tokens = [-row.logprob for row in scored], [float(row.tokens) for row in scored]
        return {
            "held_out_loss": _ratio(nats, tokens, "nats/token"),
            "bits_per_byte": _ratio(bits, sizes, "bits/byte"),
            **self._to_entropy(scored),
        }

    def _encode(self, row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
        if "text" in row:
            ids = encode_document(tokenizer, row["text"])[: self.max_length]
            return ids, [IGNORE, *ids[1:]]
        encoded = encode_prompt_completion(tokenizer, row["prompt"], reference(row), self.max_length)
        return encoded["input_ids"], encoded["labels"]

    def _bytes(
        self, row: dict[str, Any], sequence: tuple[list[int], list[int]], tokenizer: PreTrainedTokenizerBase
    ) -> int:
        ids, labels = sequence
        if len(ids) < self.max_length:
            return len((row["text"] if "text" in row else reference(row)).encode())
        kept: str = tokenizer.decode([label for label in labels if label != IGNORE], skip_special_tokens=True)
        return len(kept.encode())

    def _to_entropy(self, scored: list[Scored]) -> dict[str, Scores]:
        entropy: list[float] | None = getattr(self.rows, "entropy", None)
        if entropy is None:
            return {}
        exact = entropy[: self.limit]
        per_token = _ratio(exact, [float(row.tokens) for row in scored], "nats/token")
        return {
            "entropy": Scores(per_token.values, "neutral", per_token.unit, per_token.weights),
            "loss_to_entropy": _ratio([-row.logprob for row in scored], exact, ""),
        }


def _ratio(totals: list[float], weights: list[float], unit: str) -> Scores:
    """sum(totals) / sum(weights), one value a row; a row without weight counts nothing."""
    values = [total / weight if weight else 0.0 for total, weight in zip(totals, weights, strict=True)]
    return Scores(values, "lower", unit, weights)
