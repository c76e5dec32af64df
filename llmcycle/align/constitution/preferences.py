"""Pairs of answers in which one is preferred, by a critic's verdicts or by a judge under drawn principles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from llmcycle.align.constitution.course import Course
from llmcycle.data.principle import Constitution
from llmcycle.judge import Judge

Pair = dict[str, Any]  # prompt, chosen, rejected, margin in [0, 1], and `source`, where it comes from


def revised(courses: Sequence[Course]) -> Iterator[Pair]:
    """A revision above the answer that it replaces."""
    for course in courses:
        if course.revision != course.answer:
            # Another principle may have given no verdict; the revision comes from those that did.
            wrong = max(each.wrong for each in course.reviews if each.changed and each.wrong is not None)
            yield pair(course, course.revision, course.answer, wrong, "revision")


def compared(courses: Sequence[Course], answers: int, margin: float) -> Iterator[Pair]:
    """Of so many answers to a prompt the one that the critic finds least wrong, above those that it tells from it."""
    for start in range(0, len(courses), answers):
        group = courses[start : start + answers]
        verdicts = [(course.wrong, course.answer) for course in group if course.wrong is not None]
        best, chosen = min(verdicts, default=(0.0, ""))
        for wrong, answer in verdicts:
            if answer != chosen and wrong - best >= margin:
                yield pair(group[0], chosen, answer, wrong - best, "comparison")


def judged(
    judge: Judge, constitution: Constitution, courses: Sequence[Course], answers: int, margin: float, rng: Random
) -> Iterator[Pair]:
    """Of the first two answers to a prompt the one that a judge prefers, under a principle that is drawn for it."""
    groups = [courses[start : start + 2] for start in range(0, len(courses), answers)]
    pairs = [(first, second) for first, second in (g for g in groups if len(g) > 1) if first.answer != second.answer]
    wishes = [rng.choice(list(constitution.values())).comparison for _ in pairs]
    prompts, texts = [first.prompt for first, _ in pairs], [(first.answer, second.answer) for first, second in pairs]
    values = judge.prefer(prompts, [a for a, _ in texts], [b for _, b in texts], wishes)
    for (first, second), value in zip(pairs, values, strict=True):
        if value is not None and abs(2 * value - 1) >= margin:
            better, worse = (first, second) if value > 0.5 else (second, first)
            yield pair(first, better.answer, worse.answer, abs(2 * value - 1), "judge")


def pair(course: Course, chosen: str, rejected: str, margin: float, source: str) -> Pair:
    """A row for `reward` and `align`."""
    return {"prompt": course.prompt, "chosen": chosen, "rejected": rejected, "margin": margin, "source": source}
