"""Agreement of a reward model with the ratings that people gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from llmcycle.data.batches import Rows
from llmcycle.data.chat import encode_prompt_completion
from llmcycle.data.encode import Columns, column
from llmcycle.data.rated import number
from llmcycle.engine import Engine
from llmcycle.evaluate.correlation import jackknife, pearson, spearman
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.quantities import Count, Length


class RatingAgreement:
    """`rating_spearman`, `rating_pearson`: correlation of score and rating; `rating_error`: mean absolute difference.

    Intervals of the correlations are the jackknife's.

    Args:
        rows: {"prompt", "completion", "rating"}; those of `validation` are scored.
        max_length: tokens of prompt and answer; longer ones lose their end.
        limit: score the first so many rows only.
    """

    scores: ClassVar[Mapping[str, Better]] = {
        "rating_spearman": "higher",
        "rating_pearson": "higher",
        "rating_error": "lower",
    }
    needs: ClassVar[frozenset[str]] = frozenset({"reward"})
    rows_need: ClassVar[Columns] = (("prompt", "completion", "rating"),)
    least_rows: ClassVar[int] = 3  # of a correlation with an interval

    def __init__(self, rows: Rows, max_length: Length = 1024, limit: Count | None = None) -> None:
        self.rows, self.max_length, self.limit = rows, max_length, limit

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        table = [column(row, "prompt", "completion", "rating") for row in self.rows.validation[: self.limit]]
        pairs = [(prompt, completion) for prompt, completion, _ in table]
        encoded = [encode_prompt_completion(engine.tokenizer, *pair, self.max_length)["input_ids"] for pair in pairs]
        rewards, ratings = engine.reward(encoded), [number(row[2], "rating") for row in table]
        ids = [row_id(*row) for row in table]
        errors = [abs(reward - rating) for reward, rating in zip(rewards, ratings, strict=True)]
        return {
            "rating_spearman": Scores(jackknife(spearman, rewards, ratings), rows=ids),
            "rating_pearson": Scores(jackknife(pearson, rewards, ratings), rows=ids),
            "rating_error": Scores(errors, better="lower", unit="rating", rows=ids),
        }
