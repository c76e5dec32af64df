"""A judge against people or a verifier: agreement, and what it goes by beside the answers' worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmcycle.data.batches import Rows
from llmcycle.data.encode import Columns
from llmcycle.engine import Answer, Engine
from llmcycle.evaluate.interval import t_quantile
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.reward import Reward
from llmcycle.evaluate.reward_audit import as_text
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.evaluate.versus import higher, orders
from llmcycle.judge import Value, mean
from llmcycle.quantities import Count

Array = NDArray[np.float64]

SURE = 2.576  # standard errors beyond which a bias is taken out of the noise: 99 %
LEAST = 0.05  # share of verdicts that must be left for the answers' worth


class Estimate(NamedTuple):
    """A number, and N times what each row moves it by; the mean of these is 0."""

    value: float
    influence: Array

    @property
    def error(self) -> float:
        """Its standard error."""
        return float(np.sqrt((self.influence**2).mean() / (len(self.influence) - 1)))

    def scores(self, rows: list[str], better: Better = "neutral") -> Scores:
        """As scores of the rows, whose mean it is."""
        return Scores((self.value + self.influence).tolist(), better, rows=rows)


class JudgeAudit:
    """Of a judge, on pairs of which it is known which answer is the better one:

    - `kappa`: Cohen's kappa between its verdict over both orders and the label. With both orders each of the two picks
      the first answer half of the time, so that chance agrees on half of the pairs;
    - `position_bias`: how much more often it picks an answer that is shown first: the share of verdicts that go by the
      place alone, in [-1, 1]; below 0 it prefers the second;
    - `length_bias`: how much more often the better answer wins where it is the longer one (in characters): the share of
      verdicts that go by length alone; below 0 it prefers the shorter. Where longer answers are also easier to judge,
      that is in it too;
    - `noise`: the share of wrong verdicts among those that go by neither. A wrong label counts as a wrong verdict;
    - `verdicts_failed`: the share of pairs without a verdict, which are left out of the others.

    Args:
        rows: {"prompt", "chosen", "rejected"}; those of `validation` are judged.
        judge: a judge that shows both orders, or a reward, which sees none.
        limit: judge the first so many rows only.
    """

    scores: ClassVar[Mapping[str, Better]] = {"kappa": "higher", "position_bias": "neutral", "noise": "lower"}
    needs: ClassVar[frozenset[str]] = frozenset()
    rows_need: ClassVar[Columns] = (("prompt", "chosen", "rejected"),)

    def __init__(self, rows: Rows, judge: Reward, limit: Count | None = None) -> None:
        self.rows, self.judge, self.limit = rows, judge, limit

    def __call__(self, engine: Engine) -> dict[str, Scores]:  # noqa: ARG002
        """See the class; the model that the stage asks is not asked."""
        rows = self.rows.validation[: self.limit]
        chosen, rejected = ([as_text(row[side]) for row in rows] for side in ("chosen", "rejected"))
        pair = [[Answer(text, "stop") for text in texts] for texts in (chosen, rejected)]
        verdicts = orders(self.judge, rows, *pair)
        ids = [row_id(row["prompt"], row["chosen"], row["rejected"]) for row in rows]
        longer = [len(a) - len(b) for a, b in zip(chosen, rejected, strict=True)]
        return audit(verdicts, longer, ids)


def audit(verdicts: Sequence[tuple[Value, ...]], longer: Sequence[float], ids: Sequence[str]) -> dict[str, Scores]:
    """See `JudgeAudit`.

    Args:
        verdicts: of each pair P(the better answer is picked) when it was shown first, and when it was shown second.
        longer: by how many characters the better answer is longer.

    Raises:
        ValueError: fewer than three pairs have a verdict.
    """
    there = [place for place, values in enumerate(verdicts) if None not in values]
    if len(there) < 3:
        raise ValueError(f"judge_audit: {len(there)} of {len(ids)} pairs have a verdict; choose another judge")
    shown = np.array([[verdicts[place][0], verdicts[place][-1]] for place in there], dtype=np.float64)
    sides = np.sign(np.array([longer[place] for place in there], dtype=np.float64))
    rows = [ids[place] for place in there]
    picked = [higher(mean(verdicts[place]), 0.5) for place in there]
    found = {"kappa": Scores([2 * float(right or 0) - 1 for right in picked], "higher", rows=rows)}
    if len(verdicts[0]) > 1:
        found["position_bias"] = position_bias(shown).scores(rows)
    if min((sides > 0).sum(), (sides < 0).sum()) > 1:
        found["length_bias"] = length_bias(shown, sides).scores(rows)
    if (wrong := noise(shown, sides)) is not None:
        found["noise"] = wrong.scores(rows, "lower")
    failed = [float(None in values) for values in verdicts]
    return {**found, "verdicts_failed": Scores(failed, "lower", rows=list(ids))}


def average(values: Array) -> Estimate:
    """The mean."""
    return Estimate(float(values.mean()), values - values.mean())


def position_bias(shown: Array) -> Estimate:
    """Of verdicts [N, 2] by the order in which the better answer was shown."""
    return average(shown[:, 0] - shown[:, 1])


def length_bias(shown: Array, sides: Array) -> Estimate:
    """The difference between pairs whose better answer is longer and those where it is shorter."""
    right = shown.mean(1)
    parts = [group_mean(right, sides == side) for side in (1, -1)]
    return Estimate(parts[0].value - parts[1].value, parts[0].influence - parts[1].influence)


def group_mean(values: Array, members: NDArray[np.bool_]) -> Estimate:
    """The mean of some rows, by what all rows add to it."""
    value, count = float(values[members].mean()), int(members.sum())
    scale = np.sqrt(count / (count - 1))  # of few rows the deviations from their own mean are too small
    return Estimate(value, np.where(members, (values - value) * len(values) / count * scale, 0.0))


def noise(shown: Array, sides: Array) -> Estimate | None:
    """Wrong verdicts among those that go by no bias; None where hardly any do.

    Of all verdicts a share p goes by the place, a share q by length, and of the rest a share e is wrong. The better
    answer then wins in p / 2 + q s + (1 - p - q)(1 - e) of them, s being the share of pairs in which a liking for
    length is right. Solved for e, its error by the delta method. A bias that could be chance is taken for none, since
    the size of what is zero can only be overestimated; one that is too small to be told so stays in the noise.
    """
    right, left, gone = average(shown.mean(1)), 1.0, np.zeros(len(shown))
    lost, lost_by = 0.0, np.zeros(len(shown))
    for bias, share in biases(shown, sides):
        size = abs(bias.value)
        left, gone = left - size, gone - np.sign(bias.value) * bias.influence
        lost, lost_by = lost + size * share, lost_by + np.sign(bias.value) * share * bias.influence
    if left < LEAST:
        return None
    kept = (right.value - lost) / left
    return Estimate(1 - kept, -((right.influence - lost_by) - kept * gone) / left)


def biases(shown: Array, sides: Array) -> list[tuple[Estimate, float]]:
    """The biases that are no chance, each with the share of its verdicts that are right."""
    found = [(position_bias(shown), 0.5)]
    if min((sides > 0).sum(), (sides < 0).sum()) > 1:
        bias = length_bias(shown, sides)
        longer = float((sides > 0).mean() + (sides == 0).mean() / 2)
        found.append((bias, longer if bias.value > 0 else 1 - longer))
    surely = SURE * t_quantile(len(shown) - 1) / t_quantile(10**6)
    return [(bias, share) for bias, share in found if abs(bias.value) > surely * bias.error]
