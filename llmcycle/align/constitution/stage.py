"""The constitutional loop (arXiv:2212.08073): a model's answers are reviewed and revised, and become training rows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

from pytorch_lightning.loggers import Logger
from rich.console import Console
from rich.progress import track
from transformers import GenerationConfig

from llmcycle.align.constitution.agreement import Faults, agreement, length_bias, mended
from llmcycle.align.constitution.course import Course
from llmcycle.align.constitution.critic import Critic, Draft, Review
from llmcycle.align.constitution.preferences import Pair, compared, judged, revised
from llmcycle.data.batches import Rows
from llmcycle.data.chat import Prompt
from llmcycle.data.principle import Constitution
from llmcycle.engine import Engine
from llmcycle.engine.draws import seeded
from llmcycle.evaluate import Metric, Metrics
from llmcycle.evaluate.metric import led_by
from llmcycle.judge import Judge
from llmcycle.quantities import Count, Share

CHUNK = 256  # drafts between two moves of the progress bar


def constitute(
    engine: Engine,
    constitution: Constitution,
    data: Rows,
    critic: Critic | None = None,
    judge: Judge | None = None,
    faults: Faults | None = None,
    generate: GenerationConfig | None = None,
    answers: Count = 2,
    limit: Count | None = None,
    margin: Share = 0.2,
    seed: int = 0,
    *,
    out: Path,
    logger: Logger | None,  # noqa: ARG001  the runner logs what is returned
) -> Metrics:
    """Draw answers, review each under every principle, and write what training reads to `out`.

    reviews.jsonl has every critique, verdict and revision; revisions.jsonl {"prompt", "completion"} for `finetune`;
    preferences.jsonl {"prompt", "chosen", "rejected"} for `reward` and `align`: a revision above the answer that it
    replaces, and of two answers to a prompt the one that the critic finds less wrong. engine.json says who was asked.

    Args:
        engine: answers the prompts of `data.train`.
        constitution: principles by name; a revision under one is reviewed under the next.
        critic: reviews and revises; without an engine of its own it asks the model that answers.
        judge: compares the first two answers to each prompt, under a drawn principle, in the critic's place.
        faults: ground truth, for the critic's agreement with it; nothing that is written depends on it.
        generate: how answers are drawn; its number of answers is `answers`.
        answers: to each prompt.
        limit: the first so many prompts.
        margin: by how much the critic's probabilities of two answers must differ for a preference.
        seed: draws answers and principles.

    Raises:
        ValueError: there are no principles, or no prompts.
    """
    prompts = asked(data, limit)
    if not constitution:
        raise ValueError("constitution: there is no principle\n  try: constitution=[harmless,honest]")
    critic, faults = critic or Critic(), faults or None  # an option of comments alone composes to {}
    start = time.perf_counter()
    with closing(engine), closing(critic.engine or engine) as reviewer:
        engine.open()
        drafts = draw(engine, prompts, generate, answers, seed)
        reviewer.open()
        courses = review(replace(critic, engine=reviewer), constitution, drafts)
        who = {"model": engine.describe(), "critic": reviewer.describe()}
        pairs = preferences(judge, constitution, courses, answers, margin, seed)
    write(out, courses, pairs, who | ({} if judge is None else {"judge": judge.describe()}))
    seconds = {"seconds": Metric(time.perf_counter() - start, unit="s")}
    metrics = {**told(courses), **judge_failures(judge), **beside_truth(courses, faults), **seconds}
    return led_by("revised" if faults is None else "faulty", metrics)


def asked(data: Rows, limit: int | None) -> list[Prompt]:
    """The first prompts of the rows to train on, each once."""
    prompts = list({json.dumps(row["prompt"]): row["prompt"] for row in data.train if "prompt" in row}.values())
    if not prompts:
        raise ValueError("data: its rows have no prompt to answer; map a column, as in data.columns.prompt=question")
    return prompts[:limit]


def draw(
    engine: Engine, prompts: Sequence[Prompt], generate: GenerationConfig | None, answers: int, seed: int
) -> list[Draft]:
    """So many answers to each prompt, one after the other."""
    config = GenerationConfig.from_dict((generate or GenerationConfig(do_sample=True)).to_dict())
    config.num_return_sequences = answers
    with seeded(seed):
        groups = engine.answer(prompts, config)
    return [Draft(prompt, each.text) for prompt, group in zip(prompts, groups, strict=True) for each in group]


def review(critic: Critic, constitution: Constitution, drafts: Sequence[Draft]) -> list[Course]:
    """Each draft under every principle, as the one before has left it."""
    courses = [Course(draft.prompt, draft.answer, ()) for draft in drafts]
    parts = [(name, part) for name in constitution for part in chunks(len(courses))]
    for name, part in track(parts, "reviews", console=Console(stderr=True), transient=True):
        current = [Draft(c.prompt, c.revision if c.reviews else c.answer) for c in courses[part]]
        reviews = critic.review(name, constitution[name], current)
        courses[part] = [
            Course(c.prompt, c.answer, (*c.reviews, each)) for c, each in zip(courses[part], reviews, strict=True)
        ]
    return courses


def chunks(count: int) -> list[slice]:
    """Parts of nearly the same size: the critique of another answer needs another answer in its part."""
    parts = ceil(count / CHUNK)
    edges = [count * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def told(courses: Sequence[Course]) -> Metrics:
    """What the critic found, without ground truth."""
    changed = [course.revision != course.answer for course in courses]
    failed = sum(course.wrong is None for course in courses)
    names = {review.principle for course in courses for review in course.reviews}
    by_name = {name: [r.changed for c in courses for r in c.reviews if r.principle == name] for name in sorted(names)}
    return {
        "revised": Metric(sum(changed) / len(changed), n=len(changed)),
        **{f"wrong_{name}": Metric(sum(each) / len(each), n=len(each)) for name, each in by_name.items()},
        "no_verdict": Metric(failed / len(courses), better="lower", n=len(courses)),
    }


def judge_failures(judge: Judge | None) -> Metrics:
    """The share of comparisons without a verdict."""
    if judge is None or not judge.asked:
        return {}
    return {"judge_failed": Metric(judge.failed / judge.asked, better="lower", n=judge.asked)}


def beside_truth(courses: Sequence[Course], faults: Faults | None) -> Metrics:
    """How far the verdicts lean on length, and how well they and the revisions do by ground truth."""
    reviews: dict[str, list[Review]] = {}
    for each in (each for course in courses for each in course.reviews if each.wrong is not None):
        reviews.setdefault(each.principle, []).append(each)
    if faults is None:
        return length_bias(reviews)
    prompts, before, after = zip(*((c.prompt, c.answer, c.revision) for c in courses), strict=True)
    return {**mended(faults, prompts, before, after), **agreement(faults, reviews), **length_bias(reviews)}


def preferences(
    judge: Judge | None, constitution: Constitution, courses: Sequence[Course], answers: int, margin: float, seed: int
) -> list[Pair]:
    """Revisions above what they replace, and answers above others, by the judge or by the critic's verdicts."""
    if judge is None:
        others = compared(courses, answers, margin)
    else:
        others = judged(judge, constitution, courses, answers, margin, Random(f"principles {seed}"))
    return [*revised(courses), *others]


def write(out: Path, courses: Sequence[Course], pairs: Sequence[Pair], who: Mapping[str, Any]) -> None:
    """The four files: see `constitute`."""
    (out / "engine.json").write_text(json.dumps(who, indent=2) + "\n", "utf-8")
    lines(out / "reviews.jsonl", (line for place, course in enumerate(courses) for line in reviews_of(place, course)))
    # Of an answer without a word nothing can be learnt, and training refuses it.
    lines(out / "revisions.jsonl", (revision_of(course) for course in courses if course.revision.strip()))
    lines(out / "preferences.jsonl", (pair for pair in pairs if pair["chosen"].strip() and pair["rejected"].strip()))


def reviews_of(place: int, course: Course) -> Iterator[dict[str, Any]]:
    """A line for each principle."""
    for review in course.reviews:
        yield {
            "answer_id": place,
            "prompt": course.prompt,
            "answer": review.draft.answer,
            "principle": review.principle,
            "critique": review.critique,
            "wrong": review.wrong,
            "revision": review.revision,
        }


def revision_of(course: Course) -> dict[str, Any]:
    """A row for `finetune`."""
    changed = [review.principle for review in course.reviews if review.revision != review.draft.answer]
    return {
        "prompt": course.prompt,
        "completion": course.revision,
        "answer": course.answer,
        "changed_by": changed,
    }


def lines(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
