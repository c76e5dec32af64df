"""Loss on held-out rows: whole documents from their start, or completions after their prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.chat import IGNORE, encode_document, encode_prompt_completion
from llmcycle.data.encode import Columns, split
from llmcycle.engine import Engine, Labelled, total
from llmcycle.evaluate.exact_match import WRITTEN_COLUMNS, reference
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.quantities import Count, Length


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
    """

    scores: ClassVar[Mapping[str, Better]] = {
        "held_out_loss": "lower",
        "bits_per_byte": "lower",
        "loss_over_entropy": "lower",
    }
    needs: ClassVar[frozenset[str]] = frozenset({"score"})

    rows_need: ClassVar[Columns] = (("text",), ("prompt", "completion"), ("prompt", "chosen"), ("prompt", "answer"))

    def __init__(self, rows: Rows, max_length: Length = 1024, limit: Count | None = None) -> None:
        self.rows, self.max_length, self.limit = rows, max_length, limit

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        rows, tokenizer = self.rows.validation[: self.limit], engine.tokenizer
        pieces = [self._encode(row, tokenizer) for row in rows]
        logprobs = self._score(engine, pieces)
        nats, tokens = [-total(row) for row in logprobs], [float(len(row)) for row in logprobs]
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

    def _encode(self, row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> list[Labelled]:
        if "text" in row:
            parts = split(encode_document(tokenizer, row["text"]), self.max_length)
            return [(ids, [IGNORE, *ids[1:]]) for ids in parts]
        encoded = encode_prompt_completion(tokenizer, row["prompt"], reference(row, WRITTEN_COLUMNS), self.max_length)
        return [(encoded["input_ids"], encoded["labels"])]

    def _score(self, engine: Engine, pieces: list[list[Labelled]]) -> list[Tensor]:
        """The log-probabilities of a row's tokens, over all its pieces."""
        scores = iter(engine.score([piece for row in pieces for piece in row]))
        return [torch.cat([next(scores) for _ in row]) for row in pieces]

    def _bytes(self, row: dict[str, Any], pieces: list[Labelled], tokenizer: PreTrainedTokenizerBase) -> int:
        if "text" in row:
            return len(row["text"].encode())
        ids, labels = pieces[0]
        if len(ids) < self.max_length:
            return len(reference(row, WRITTEN_COLUMNS).encode())
        text: str = tokenizer.decode([label for label in labels if label != IGNORE], skip_special_tokens=True)
        return len(text.encode())


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
