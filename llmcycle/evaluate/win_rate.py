"""How often a judge prefers a model's answers to those that the rows hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from transformers import GenerationConfig

from llmcycle.data.batches import Rows
from llmcycle.data.chat import encode_text
from llmcycle.data.encode import Columns
from llmcycle.engine import Answer, Engine
from llmcycle.evaluate.exact_match import WRITTEN_COLUMNS, reference
from llmcycle.evaluate.length_control import length_controlled
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.reward import Reward
from llmcycle.evaluate.scores import Scores, row_id, to_show
from llmcycle.evaluate.versus import is_tie, preferences
from llmcycle.quantities import Count


class WinRate:
    """`win_rate`: the probability that the judge prefers the model's answer to the row's own, a tie counting half.

    `win_rate_at_equal_length` is what it would be without the judge's liking for length, `ties` the share of rows in
    which neither is preferred, `verdicts_failed` the share without a verdict, which are left out of the others.

    Args:
        rows: {"prompt"} with "completion", "chosen" or "answer"; those of `validation` are asked.
        judge: a judge, or a reward, by which the higher one wins.
        generate: how to decode; greedy by default.
        limit: ask the first so many rows only.
    """

    scores: ClassVar[Mapping[str, Better]] = {"win_rate": "higher", "win_rate_at_equal_length": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"answer"})
    rows_need: ClassVar[Columns] = (("prompt", "completion"), ("prompt", "chosen"), ("prompt", "answer"))

    def __init__(
        self, rows: Rows, judge: Reward, generate: GenerationConfig | None = None, limit: Count | None = None
    ) -> None:
        self.rows, self.judge, self.generate, self.limit = rows, judge, generate or None, limit

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        prompts, own = [row["prompt"] for row in rows], [reference(row, WRITTEN_COLUMNS) for row in rows]
        answers = [first for first, *_ in engine.answer(prompts, self.generate)]
        values = preferences(self.judge, rows, answers, [answer_of(engine, text) for text in own])
        if values and all(value is None for value in values):
            raise ValueError(f"win_rate: the judge gave no verdict on any of {len(values)} rows; choose another one")
        ids = [row_id(prompt, text) for prompt, text in zip(prompts, own, strict=True)]
        texts = [answer.text for answer in answers]
        longer = [len(text) - len(other) for text, other in zip(texts, own, strict=True)]
        found = rates(values, longer, ids)
        shown = to_show(prompts, own, texts, found["win_rate"].values, ids)
        return {**found, "win_rate": replace(found["win_rate"], shown=shown)}


def rates(values: Sequence[float | None], longer: Sequence[float], ids: Sequence[str]) -> dict[str, Scores]:
    """Win rates of verdicts, rows without one weighing nothing.

    Args:
        longer: by how many characters the model's answer is longer.
    """
    wins = [0.5 if value is None else value for value in values]
    failed = [float(value is None) for value in values]
    weights = [1 - lost for lost in failed] if any(failed) else None
    rows = list(ids)
    return {
        "win_rate": Scores(wins, "higher", weights=weights, rows=rows),
        "win_rate_at_equal_length": Scores(
            length_controlled(wins, longer, weights), "higher", "", weights=weights, rows=rows
        ),
        "ties": Scores([float(is_tie(win)) for win in wins], "neutral", weights=weights, rows=rows),
        "verdicts_failed": Scores(failed, "lower", rows=rows),
    }


def answer_of(engine: Engine, text: str) -> Answer:
    """A row's own answer, with its tokens where the engine's model is in this process."""
    here = "score" in engine.offers
    return Answer(text, "stop", tuple(encode_text(engine.tokenizer, text)) if here else ())
