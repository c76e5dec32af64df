"""Loss on held-out rows: whole documents from their start, or completions after their prompts."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.chat import IGNORE, encode_document, encode_prompt_completion
from llmcycle.data.encode import split
from llmcycle.engine import Scored, score_sequences
from llmcycle.evaluate.exact_match import WRITTEN_COLUMNS, reference
from llmcycle.evaluate.scores import Scores, row_id

Sequence = tuple[list[int], list[int]]  # input_ids and labels of equal length


class HeldOutLoss:
    """`held_out_loss` in nats a token and `bits_per_byte`, each total over total, with one value a row.

    Of {"text"} rows each document is scored from its start, every token and the end token; of {"prompt", "completion"}
    rows (or `chosen`, or `answer`) the completion and its end token. Bytes are those of the text in UTF-8. Where the
    rows name several sources, `bits_per_byte/SOURCE` follows for each; where they know their exact `entropy` (in nats),
    `loss_over_entropy` comes first, 1 being the best that can be expected, and `entropy` in nats a token last.

    Args:
        rows: those of `validation` are scored.
        max_length: tokens seen at once. A longer document is scored in pieces, a longer completion loses its end.
        limit: score the first so many rows only.
        batch_size: sequences at once.
    """

    def __init__(self, rows: Rows, max_length: int = 1024, limit: int | None = None, batch_size: int = 64) -> None:
        self.rows, self.max_length, self.limit, self.batch_size = rows, max_length, limit, batch_size

    def __call__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        pieces = [self._encode(row, tokenizer) for row in rows]
        scored = self._score(model, pieces)
        nats, tokens = [-row.logprob for row in scored], [float(row.tokens) for row in scored]
        sizes = [float(self._bytes(*pair, tokenizer)) for pair in zip(rows, pieces, strict=True)]
        ids = [row_id(*contents(row)) for row in rows]
        scores = {
            "held_out_loss": ratio(nats, tokens, "nats/token", ids),
            "bits_per_byte": ratio([n / log(2) for n in nats], sizes, "bits/byte", ids),
        }
        scores |= by_source([row.get("source") for row in rows], scores["bits_per_byte"])
        entropy: list[float] | None = getattr(self.rows, "entropy", None)
        if entropy is None:
            return scores
        bound = replace(ratio(entropy[: self.limit], tokens, "nats/token", ids), better="neutral")
        return {"loss_over_entropy": ratio(nats, entropy[: self.limit], "x entropy", ids), **scores, "entropy": bound}

    def _encode(self, row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> list[Sequence]:
        if "text" in row:
            parts = split(encode_document(tokenizer, row["text"]), self.max_length)
            return [(ids, [IGNORE, *ids[1:]]) for ids in parts]
        encoded = encode_prompt_completion(tokenizer, row["prompt"], reference(row, WRITTEN_COLUMNS), self.max_length)
        return [(encoded["input_ids"], encoded["labels"])]

    def _score(self, model: PreTrainedModel, pieces: list[list[Sequence]]) -> list[Scored]:
        """One score a row, over all its pieces."""
        found = iter(score_sequences(model, [piece for row in pieces for piece in row], self.batch_size))
        rows = [[next(found) for _ in row] for row in pieces]
        return [Scored(sum(part.logprob for part in row), sum(part.tokens for part in row)) for row in rows]

    def _bytes(self, row: dict[str, Any], pieces: list[Sequence], tokenizer: PreTrainedTokenizerBase) -> int:
        if "text" in row:
            return len(row["text"].encode())
        ids, labels = pieces[0]
        if len(ids) < self.max_length:
            return len(reference(row, WRITTEN_COLUMNS).encode())
        kept: str = tokenizer.decode([label for label in labels if label != IGNORE], skip_special_tokens=True)
        return len(kept.encode())


def by_source(sources: list[str | None], bits: Scores) -> dict[str, Scores]:
    """`bits_per_byte/SOURCE` for each of several sources of a corpus; nothing for rows that name less than two."""
    names = sorted({name for name in sources if name is not None})
    places = {name: [i for i, source in enumerate(sources) if source == name] for name in names}
    return {f"bits_per_byte/{name}": bits.take(rows) for name, rows in (places.items() if len(names) > 1 else ())}


def contents(row: dict[str, Any]) -> tuple[Any, ...]:
    """What is scored of a row: its document, or its prompt and completion."""
    return (row["text"],) if "text" in row else (row["prompt"], reference(row, WRITTEN_COLUMNS))


def ratio(totals: list[float], weights: list[float], unit: str, rows: list[str] | None = None) -> Scores:
    """sum(totals) / sum(weights), lower being better, one value a row; a row without weight counts nothing."""
    values = [total / weight if weight else 0.0 for total, weight in zip(totals, weights, strict=True)]
    return Scores(values, "lower", unit, weights, rows)
