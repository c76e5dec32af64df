"""A critic's verdicts beside ground truth, by kind of fault, and what the revisions made of the faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from llmcycle.align.constitution.critic import Review
from llmcycle.data.chat import Prompt
from llmcycle.evaluate import Metrics, Scores, compare
from llmcycle.evaluate.correlation import cohen_kappa, jackknife, spearman

FEWEST = 3  # rows that an interval of a correlation needs


class Faults(Protocol):
    """Names what is wrong with answers, as ground truth.

    Attributes:
        found_by: by the name of a principle, the faults that it is there to find.
    """

    found_by: Mapping[str, tuple[str, ...]]

    def __call__(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> list[set[str]]:
        """The faults of each answer."""
        ...


def agreement(faults: Faults, reviews: Mapping[str, Sequence[Review]]) -> Metrics:
    """Cohen's kappa of verdicts and faults: `kappa_PRINCIPLE`, and `kappa_FAULT` of answers with this fault or none.

    Args:
        faults: of the answers that were reviewed.
        reviews: those with a verdict, by principle.
    """
    scores: dict[str, Scores] = {}
    for principle, each in reviews.items():
        wanted = faults.found_by.get(principle, ())
        kinds = faults([r.draft.prompt for r in each], [r.draft.answer for r in each])
        pairs = [(r.changed, kind & set(wanted)) for r, kind in zip(each, kinds, strict=True)]
        scores |= named(f"kappa_{principle}", [(flag, bool(kind)) for flag, kind in pairs])
        if len(wanted) > 1:
            for fault in wanted:
                scores |= named(f"kappa_{fault}", [(flag, fault in kind) for flag, kind in pairs if kind <= {fault}])
    return compare(None, scores)


def named(name: str, pairs: Sequence[tuple[bool, bool]]) -> dict[str, Scores]:
    """The kappa of (verdict, truth) under a name; nothing where no interval could be given."""
    if len(pairs) < FEWEST or len({truth for _, truth in pairs}) < 2:
        return {}
    flags, truths = zip(*pairs, strict=True)
    return {name: Scores(jackknife(cohen_kappa, flags, truths))}


def length_bias(reviews: Mapping[str, Sequence[Review]]) -> Metrics:
    """Spearman's correlation of an answer's length with the probability that it must be changed, by principle."""
    scores = {
        f"length_bias_{name}": Scores(
            jackknife(spearman, [len(r.draft.answer) for r in each], [r.wrong or 0.0 for r in each]), better="neutral"
        )
        for name, each in reviews.items()
        if len(each) >= FEWEST
    }
    return compare(None, scores)


def mended(faults: Faults, prompts: Sequence[Prompt], before: Sequence[str], after: Sequence[str]) -> Metrics:
    """The share of answers with any fault, and with each, before and after the revision, paired."""
    kinds = sorted({kind for each in faults.found_by.values() for kind in each})
    sides = [faults(prompts, answers) for answers in (before, after)]

    def scores(side: list[set[str]]) -> dict[str, Scores]:
        rates = {f"answers_{kind}": [float(kind in each) for each in side] for kind in kinds}
        every = {"faulty": [float(bool(each)) for each in side], **rates}
        return {name: Scores(values, better="lower") for name, values in every.items()}

    return compare(scores(sides[0]), scores(sides[1]))
