"""Agreement with preferences."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.chat import encode_prompt_completion
from llmcycle.data.padding import pad
from llmcycle.engine import evaluation_mode, score_sequences
from llmcycle.evaluate.scores import Scores, row_id


class PreferenceAccuracy:
    """`preference_accuracy`: 1 where the chosen answer scores above the rejected one, else 0; a tie is 0.

    A sequence classifier with one output (a reward model) is asked for its score. A language model is asked for the
    log-likelihood of the whole answer, its end token included: what the policy itself prefers, as in DPO without a
    reference model.

    Args:
        rows: {"prompt", "chosen", "rejected"}; those of `validation` are scored.
        max_length: tokens of prompt and answer; longer ones lose their end.
        limit: score the first so many rows only.
        batch_size: sequences at once.
    """

    def __init__(self, rows: Rows, max_length: int = 1024, limit: int | None = None, batch_size: int = 64) -> None:
        self.rows, self.max_length, self.limit, self.batch_size = rows, max_length, limit, batch_size

    def __call__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        chosen = [self._encode(row, "chosen", tokenizer) for row in rows]
        rejected = [self._encode(row, "rejected", tokenizer) for row in rows]
        scores = self._score(model, chosen + rejected)
        pairs = zip(scores[: len(rows)], scores[len(rows) :], strict=True)
        ids = [row_id(row["prompt"], row["chosen"], row["rejected"]) for row in rows]
        return {"preference_accuracy": Scores([float(high > low) for high, low in pairs], rows=ids)}

    def _encode(
        self, row: dict[str, Any], side: str, tokenizer: PreTrainedTokenizerBase
    ) -> tuple[list[int], list[int]]:
        if side not in row:
            raise ValueError(
                f"data.columns: preference accuracy needs prompt, chosen and rejected, but the rows have only "
                f"{', '.join(row)}: map a column, as in `data.columns.{side}=NAME`"
            )
        encoded = encode_prompt_completion(tokenizer, row["prompt"], row[side], self.max_length)
        return encoded["input_ids"], encoded["labels"]

    def _score(self, model: PreTrainedModel, sequences: list[tuple[list[int], list[int]]]) -> list[float]:
        if model.can_generate():
            return [scored.logprob for scored in score_sequences(model, sequences, self.batch_size)]
        return classifier_scores(model, [ids for ids, _ in sequences], self.batch_size)


def classifier_scores(model: PreTrainedModel, rows: list[list[int]], batch_size: int = 64) -> list[float]:
    """The one output of a sequence classifier for each row of token ids.

    Raises:
        ValueError: the model has another number of outputs.
    """
    if model.config.num_labels != 1:
        raise ValueError(f"model: a reward model has one output, this one {model.config.num_labels}; set num_labels=1")
    filler = model.config.pad_token_id
    # Without a pad token the classifier can't find the last real one in a padded row.
    step = batch_size if filler is not None else 1
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
    scores = [0.0] * len(rows)
    with evaluation_mode(model), torch.no_grad():
        for start in range(0, len(order), step):
            batch = [rows[index] for index in order[start : start + step]]
            input_ids = pad(batch, filler or 0).to(model.device)
            mask = pad([[1] * len(row) for row in batch], 0).to(model.device)
            logits = model(input_ids=input_ids, attention_mask=mask).logits[:, 0].tolist()
            for index, score in zip(order[start : start + step], logits, strict=True):
                scores[index] = score
    return scores
