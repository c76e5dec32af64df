"""What a model's answers to held-out rows earn, by any reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from transformers import GenerationConfig

from llmcycle.data.batches import Rows
from llmcycle.data.encode import Columns
from llmcycle.engine import Engine
from llmcycle.evaluate.exact_match import REFERENCE_COLUMNS, reference
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.reward import Reward, fails, filled, raw
from llmcycle.evaluate.scores import Scores, row_id, to_show
from llmcycle.quantities import Count

ALONE = "reward"  # the score of a reward that is the only one, which has no name


class MeanReward:
    """`reward`, or of several one `reward_NAME` each, unweighted: the mean of what the answers earn.

    Answers that a judge fails on are left out of it, and their share is `reward_failed`.

    Args:
        rows: {"prompt", ...}, with the columns that the rewards read; those of `validation` are asked.
        reward: one, or several by name; one that does not apply to an answer pays 0, as in training.
        generate: how to decode; greedy by default.
        limit: ask the first so many rows only.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"answer"})
    rows_need: ClassVar[Columns] = (("prompt",),)

    def __init__(
        self,
        rows: Rows,
        reward: Reward | Mapping[str, Reward],
        generate: GenerationConfig | None = None,
        limit: Count | None = None,
    ) -> None:
        self.rows, self.generate, self.limit = rows, generate or None, limit
        named = {f"_{name}": each for name, each in reward.items()} if isinstance(reward, Mapping) else {"": reward}
        self.rewards = {f"{ALONE}{name}": each for name, each in named.items()}

    @staticmethod
    def scores(reward: Mapping[str, None] | None, **_: object) -> Mapping[str, Better]:
        """By the names of the rewards; None stands for one that has no name."""
        return dict.fromkeys([ALONE] if reward is None else [f"{ALONE}_{name}" for name in reward], "higher")

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        prompts = [row["prompt"] for row in rows]
        answers = [first for first, *_ in engine.answer(prompts, self.generate)]
        expected = [reference(row) if any(name in row for name in REFERENCE_COLUMNS) else "" for row in rows]
        ids = [row_id(prompt, right) for prompt, right in zip(prompts, expected, strict=True)]
        scores = {}
        for name, reward in self.rewards.items():
            values = raw(reward, rows, answers)
            numbers = filled(reward, prompts, values)
            shown = to_show(prompts, expected, [answer.text for answer in answers], numbers, ids)
            scores[name] = Scores(numbers, rows=ids, shown=shown)
            if fails(reward):
                scores |= without_failures(name, scores[name], values)
        return scores


def without_failures(name: str, scores: Scores, values: Sequence[float | None]) -> dict[str, Scores]:
    """A judge's scores over the rows that it did not fail on, by weights, as scores keep their rows; and its failures.

    Raises:
        ValueError: it failed on all of them.
    """
    failed = [float(value is None) for value in values]
    if values and all(failed):
        raise ValueError(f"{name}: the judge gave no verdict on any of {len(values)} answers; choose another one")
    kept = replace(scores, weights=[1 - lost for lost in failed]) if any(failed) else scores
    return {name: kept, f"{name}_failed": Scores(failed, "lower", rows=scores.rows)}
