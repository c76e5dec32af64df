"""Agreement with preferences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from transformers import PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.chat import encode_prompt_completion
from llmcycle.data.encode import Columns
from llmcycle.engine import Engine, Labelled
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.quantities import Count, Length


class PreferenceAccuracy:
    """`preference_accuracy`: 1 where the chosen answer scores above the rejected one, else 0; a tie is 0.

    A sequence classifier with one output (a reward model) is asked for its score. A language model is asked for the
    log-likelihood of the whole answer, its end token included: what the policy itself prefers, as in DPO without a
    reference model.

    Args:
        rows: {"prompt", "chosen", "rejected"}; those of `validation` are scored.
        max_length: tokens of prompt and answer; longer ones lose their end.
        limit: score the first so many rows only.
    """

    scores: ClassVar[Mapping[str, Better]] = {"preference_accuracy": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"prefer"})

    rows_need: ClassVar[Columns] = (("prompt", "chosen", "rejected"),)

    def __init__(self, rows: Rows, max_length: Length = 1024, limit: Count | None = None) -> None:
        self.rows, self.max_length, self.limit = rows, max_length, limit

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        chosen = [self._encode(row, "chosen", engine.tokenizer) for row in rows]
        rejected = [self._encode(row, "rejected", engine.tokenizer) for row in rows]
        scores = engine.prefer(chosen + rejected)
        pairs = zip(scores[: len(rows)], scores[len(rows) :], strict=True)
        ids = [row_id(row["prompt"], row["chosen"], row["rejected"]) for row in rows]
        return {"preference_accuracy": Scores([float(high > low) for high, low in pairs], rows=ids)}

    def _encode(self, row: dict[str, Any], side: str, tokenizer: PreTrainedTokenizerBase) -> Labelled:
        if side not in row:
            raise ValueError(
                f"data.columns: preference accuracy needs prompt, chosen and rejected, but the rows have only "
                f"{', '.join(row)}: map a column, as in `data.columns.{side}=NAME`"
            )
        encoded = encode_prompt_completion(tokenizer, row["prompt"], row[side], self.max_length)
        return encoded["input_ids"], encoded["labels"]
