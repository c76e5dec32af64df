"""An evaluator: how many words answers have."""

from __future__ import annotations

from llmcycle.data.batches import Rows
from llmcycle.engine import Engine, texts
from llmcycle.evaluate import Scores, row_id


class Words:
    needs = frozenset({"answer"})

    def __init__(self, rows: Rows, limit: int | None = None) -> None:
        self.rows, self.limit = rows, limit

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        rows = self.rows.validation[: self.limit]
        answers = texts(engine, [row["prompt"] for row in rows])
        ids = [row_id(row["prompt"]) for row in rows]
        return {"words": Scores([float(len(text.split())) for text in answers], "neutral", rows=ids)}
