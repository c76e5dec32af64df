"""Exact match of generated answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from transformers import GenerationConfig

from llmcycle.data.batches import Rows
from llmcycle.data.encode import Columns
from llmcycle.engine import Engine, texts
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores, row_id, to_show
from llmcycle.evaluate.text_match import TextMatch
from llmcycle.quantities import Count

REFERENCE_COLUMNS = ("answer", "completion", "chosen")
WRITTEN_COLUMNS = ("completion", "chosen", "answer")  # the text that a model learns to write, with its working


class ExactMatch:
    """`exact_match`: 1 where the generated answer equals the row's own, else 0.

    Rows may say what a right answer `measures`, the `chance` of guessing it, and of which `part` of the data they are:
    then a score of that name follows, corrected for chance, and one for each part, as in `kept` and `kept/tail`.

    Args:
        rows: {"prompt", "answer"} or {"prompt", "completion"}; those of `validation` are asked.
        match: when two answers are equal.
        generate: how to decode; greedy by default.
        limit: ask the first so many rows only.
    """

    scores: ClassVar[Mapping[str, Better]] = {"exact_match": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"answer"})

    rows_need: ClassVar[Columns] = (("prompt", "answer"), ("prompt", "completion"), ("prompt", "chosen"))

    def __init__(
        self,
        rows: Rows,
        match: TextMatch | None = None,
        generate: GenerationConfig | None = None,
        limit: Count | None = None,
    ) -> None:
        self.rows, self.match, self.config, self.limit = rows, match or TextMatch(), generate or None, limit

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        answers = texts(engine, [row["prompt"] for row in rows], self.config)
        expected = [reference(row) for row in rows]
        values = [float(self.match(answer, right)) for answer, right in zip(answers, expected, strict=True)]
        ids = [row_id(row["prompt"], right) for row, right in zip(rows, expected, strict=True)]
        shown = to_show([row["prompt"] for row in rows], expected, answers, values, ids)
        return {"exact_match": Scores(values, rows=ids, shown=shown), **by_measure(rows, values, ids)}


def by_measure(rows: Sequence[Mapping[str, Any]], values: Sequence[float], ids: Sequence[str]) -> dict[str, Scores]:
    """The scores by what rows say that they measure, and by their part where they name one."""
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if measure := row.get("measures"):
            places.setdefault(measure, []).append(place)
            if part := row.get("part"):
                places.setdefault(f"{measure}/{part}", []).append(place)
    in_order = sorted(places, key=lambda name: ("/" in name, name))
    return {
        name: Scores(
            [values[i] for i in places[name]],
            rows=[ids[i] for i in places[name]],
            chance=float(rows[places[name][0]].get("chance", 0.0)),
        )
        for name in in_order
    }


def reference(row: dict[str, Any], columns: tuple[str, ...] = REFERENCE_COLUMNS) -> str:
    """The right answer of a row: the first of `columns` that it has, the last message's text if it is a chat.

    Raises:
        ValueError: the row has none of them.
    """
    for column in columns:
        if column in row:
            value = row[column]
            return str(value if not isinstance(value, list) else value[-1]["content"])
    raise ValueError(
        f"data.columns: an answer is needed in one of {', '.join(REFERENCE_COLUMNS)}, but the rows have only "
        f"{', '.join(row)}: map a column, as in `data.columns.answer=NAME`"
    )
