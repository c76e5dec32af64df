"""Whether a model's confidence in an answer is its chance of being right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, fsum
from typing import ClassVar, Literal

import numpy as np
from transformers import GenerationConfig

from llmcycle.data.batches import Rows
from llmcycle.engine import Answer, Engine
from llmcycle.evaluate.calibration import held_out_errors
from llmcycle.evaluate.exact_match import ExactMatch, reference
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.evaluate.text_match import TextMatch
from llmcycle.quantities import Count

Confidence = Literal["answer", "token"]


class AnswerCalibration(ExactMatch):
    """How well the probability of a model's own greedy answer says whether it equals the row's.

    - `answer_calibration_error`: the expected calibration error in ten bins (arXiv:1706.04599) of every other row; the
      rows between tell on which side a bin errs, so that it is 0 and not above for a calibrated model.
    - `brier`: the mean square of confidence less right; always answering with the accuracy gets a (1 - a).
    - `overconfidence`: mean confidence less accuracy; below 0 where the model is too modest.
    - `confidence`: its mean.
    - `risk_at_N`: the share of wrong answers among the N % of which the model is surest; of equals any is as likely.

    Args:
        rows: as for `ExactMatch`.
        confidence: `answer` for the probability of the whole answer, its end included; `token` for the geometric mean
            over its tokens, which long answers don't lower.
        coverages: the shares N that are answered, as percentages below 100.
        match, generate, limit: as for `ExactMatch`; `generate` must be greedy.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"answer"})

    def __init__(
        self,
        rows: Rows,
        match: TextMatch | None = None,
        generate: GenerationConfig | None = None,
        limit: Count | None = None,
        confidence: Confidence = "answer",
        coverages: Sequence[Count] = (50, 80),
    ) -> None:
        super().__init__(rows, match, generate, limit)
        self.preflight(coverages, generate.to_diff_dict() if generate else None)
        self.confidence, self.coverages = confidence, tuple(coverages)

    @staticmethod
    def preflight(
        coverages: Sequence[int] = (50, 80), generate: Mapping[str, object] | None = None, **_: object
    ) -> None:
        """Refuse, before anything is built, shares that are none, and answers that are drawn."""
        if wrong := next((share for share in coverages if not 0 < share < 100), None):
            raise ValueError(f"coverages: {wrong} is no percentage below 100\n  try: coverages=[50,80]")
        if (generate or {}).get("do_sample"):
            raise ValueError("generate: the model's own answer is the greedy one\n  try: generate.do_sample=false")

    @staticmethod
    def scores(coverages: Sequence[int] = (50, 80), **_: object) -> Mapping[str, Better]:  # type: ignore[override]
        """By the shares that are answered."""
        names: dict[str, Better] = {"answer_calibration_error": "lower", "brier": "lower", "overconfidence": "neutral"}
        return {**names, "confidence": "neutral", **{f"risk_at_{share}": "lower" for share in coverages}}

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class.

        Raises:
            ValueError: the engine does not tell how likely the tokens of an answer were.
        """
        rows = self.rows.validation[: self.limit]
        answers = [first for first, *_ in engine.answer([row["prompt"] for row in rows], self.config, logprobs=True)]
        sure = [self.sure(answer) for answer in answers]
        expected = [reference(row) for row in rows]
        right = [float(self.match(answer.text, text)) for answer, text in zip(answers, expected, strict=True)]
        ids = [row_id(row["prompt"], text) for row, text in zip(rows, expected, strict=True)]
        pairs = list(zip(sure, right, strict=True))
        wrong = [1 - each for each in right]
        return {
            "answer_calibration_error": Scores(held_out_errors(sure, right), "lower", rows=ids[1::2]),
            "brier": Scores([(p - r) ** 2 for p, r in pairs], "lower", rows=ids),
            "overconfidence": Scores([p - r for p, r in pairs], "neutral", rows=ids),
            "confidence": Scores(sure, "neutral", rows=ids),
            **{f"risk_at_{n}": Scores(wrong, "lower", weights=surest(sure, n), rows=ids) for n in self.coverages},
        }

    def sure(self, answer: Answer) -> float:
        """The probability of an answer, in [0, 1]."""
        if not answer.logprobs:
            raise ValueError(
                "evaluate.answer_calibration: this engine does not tell how likely its tokens were; "
                "leave it out with `~evaluate.answer_calibration`, or set engine=transformers"
            )
        total = fsum(answer.logprobs)
        return min(1.0, exp(total / len(answer.logprobs) if self.confidence == "token" else total))


def surest(confidences: Sequence[float], share: int) -> list[float]:
    """1 for the `share` per cent of rows with the highest confidence, 0 for the others, a part of 1 for those that tie
    at the edge."""
    values = np.asarray(confidences)
    room = len(values) * share / 100
    edge = np.sort(values)[::-1][max(0, int(np.ceil(room)) - 1)]
    above, ties = values > edge, values == edge
    part = (room - above.sum()) / ties.sum()
    weights: list[float] = np.where(above, 1.0, np.where(ties, part, 0.0)).tolist()
    return weights
