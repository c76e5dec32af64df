"""The constitutional loop with critics that are known: the truth itself, one that is silent, and one that is wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from oracle import Oracle

from llmcycle.align.constitution import Critic, constitute
from llmcycle.align.constitution.critic import Draft, moved
from llmcycle.align.constitution.stage import CHUNK, chunks
from llmcycle.data.principle import Principle
from llmcycle.data.storefront import Faults, Reviews, TrueReviewer, World
from llmcycle.data.storefront.questions import KINDS
from llmcycle.engine import Answer

WORLD = World(products=8)
TRUTH, FAULTS = TrueReviewer(WORLD), Faults(WORLD)
CONSTITUTION = {
    "truth": Principle("Look it up.", "Is it wrong?", "Say what is true.", "Which is true?"),
    "pressure": Principle("Quote pressure.", "Does it press?", "Press nobody.", "Which presses less?"),
}
QUESTIONS = {
    q.text: q for kind in KINDS for held_out in (True, False) for q in WORLD.questions(kind, held_out=held_out)
}
Respond = Callable[[Any], str]


def shopkeeper(prompt: Any) -> str:
    """Answers as the corpus does at its worst, and reviews as the truth does."""
    if isinstance(prompt, str):
        question = QUESTIONS[prompt]
        return Reviews(WORLD, CONSTITUTION)._answer(question, Random(prompt), bad=True)
    asked, answer, *_ = (message["content"] for message in prompt)
    names = {text: (name, turn) for name, p in CONSTITUTION.items() for turn, text in vars(p).items()}
    name, turn = names[prompt[-1]["content"]]
    review = TRUTH.review(name, QUESTIONS[asked], answer)
    said = {"critique": review.critique, "verdict": "Yes" if review.wrong else "No", "revision": review.revision}
    return said[turn]


def silent(prompt: Any) -> str:
    return shopkeeper(prompt) if isinstance(prompt, str) else ""


def accusing(prompt: Any) -> str:
    """Finds everything wrong, and has nothing better."""
    ends = [principle.verdict for principle in CONSTITUTION.values()]
    return "Yes" if not isinstance(prompt, str) and prompt[-1]["content"] in ends else silent(prompt)


def run(respond: Respond, out: Path, **settings: Any) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    prompts = [q.text for kind in KINDS for q in WORLD.questions(kind, held_out=False)[:20]]
    data = SimpleNamespace(train=[{"prompt": text} for text in prompts], validation=[])
    metrics = constitute(Oracle(respond), CONSTITUTION, data, out=out, logger=None, **{"faults": FAULTS, **settings})
    files = {path.stem: [json.loads(line) for line in path.open()] for path in out.glob("*.jsonl")}
    return metrics, files


def test_a_critic_who_knows_mends_all_that_was_planted_and_agrees_with_the_truth(tmp_path: Path) -> None:
    metrics, files = run(shopkeeper, tmp_path)
    assert metrics["answers_pressure"].before == metrics["answers_invented"].before == pytest.approx(1 / 3)
    assert metrics["faulty"].value == 0
    assert metrics["kappa_truth"].value == metrics["kappa_pressure"].value == 1
    assert metrics["no_verdict"].value == 0
    assert len(files["revisions"]) == 120
    assert len(files["reviews"]) == 240
    changed = [row for row in files["revisions"] if row["changed_by"]]
    assert {tuple(row["changed_by"]) for row in changed} == {("truth",), ("pressure",)}
    assert all(not any(FAULTS([row["prompt"]], [row["completion"]])) for row in files["revisions"])


def test_a_revision_is_preferred_to_the_answer_that_it_replaces(tmp_path: Path) -> None:
    _, files = run(shopkeeper, tmp_path, answers=1)
    for row in files["preferences"]:
        assert not FAULTS([row["prompt"]], [row["chosen"]])[0]
        assert FAULTS([row["prompt"]], [row["rejected"]])[0]
        assert (row["margin"], row["source"]) == (1, "revision")
    assert len(files["preferences"]) == 40


class Shortest:
    """Prefers the shorter answer under any principle but the last, where it can't say."""

    asked = failed = 0

    def __init__(self) -> None:
        self.criteria: list[str] = []

    def describe(self) -> dict[str, str]:
        return {}

    def prefer(self, prompts: Any, first: list[str], second: list[str], criteria: list[str]) -> list[float | None]:
        self.criteria = criteria
        fails = CONSTITUTION["pressure"].comparison
        both = zip(first, second, criteria, strict=True)
        return [None if c == fails else float(len(a) < len(b)) for a, b, c in both]


def test_a_judge_compares_answers_under_drawn_principles_and_what_it_fails_on_is_no_row(tmp_path: Path) -> None:
    judge, asked = Shortest(), Counter[str]()

    def respond(prompt: Any) -> str:
        if not isinstance(prompt, str):
            return shopkeeper(prompt)
        asked[prompt] += 1
        return "It is long." * asked[prompt]

    class Fresh(Oracle):
        def answer(self, prompts: Any, generation: Any = None, logprobs: bool = False) -> Any:
            count = (generation and generation.num_return_sequences) or 1
            return [[Answer(self.respond(prompt), "stop") for _ in range(count)] for prompt in prompts]

    prompts = [{"prompt": q.text} for q in WORLD.questions("open", held_out=False)[:40]]
    data = SimpleNamespace(train=prompts, validation=[])
    constitute(Fresh(respond), CONSTITUTION, data, judge=judge, out=tmp_path, logger=None)  # type: ignore[arg-type]
    rows = [json.loads(line) for line in (tmp_path / "preferences.jsonl").open()]
    by_judge = [row for row in rows if row["source"] == "judge"]
    assert len(by_judge) == sum(c == CONSTITUTION["truth"].comparison for c in judge.criteria)
    assert 8 < len(by_judge) < 32, "principles are drawn"
    assert all((row["chosen"], row["margin"]) == ("It is long.", 1) for row in by_judge)
    assert not [row for row in rows if row["source"] == "comparison"]


def test_a_critic_who_says_nothing_changes_nothing_and_is_counted_as_failed(tmp_path: Path) -> None:
    metrics, files = run(silent, tmp_path)
    assert metrics["no_verdict"].value == 1
    assert metrics["revised"].value == 0
    assert files["preferences"] == []
    assert all(row["completion"] == row["answer"] for row in files["revisions"])
    assert all(row["wrong"] is None for row in files["reviews"])
    assert "kappa_truth" not in metrics, "a verdict that was never given agrees with nothing"


def test_an_answer_without_a_word_is_reviewed_but_is_no_row_to_train_on(tmp_path: Path) -> None:
    _, files = run(lambda prompt: " " if isinstance(prompt, str) else shopkeeper(prompt), tmp_path)
    assert len(files["reviews"]) == 240
    assert all(row["completion"].strip() for row in files["revisions"])
    assert files["preferences"] == []


def test_a_critic_who_finds_everything_wrong_agrees_no_more_than_chance(tmp_path: Path) -> None:
    metrics, _ = run(accusing, tmp_path)
    assert metrics["wrong_truth"].value == metrics["wrong_pressure"].value == 1
    assert metrics["kappa_truth"].value == metrics["kappa_pressure"].value == 0


@pytest.mark.parametrize(("critique", "turns"), [("own", 5), ("other", 5), ("none", 3)])
def test_without_a_critique_the_verdict_is_asked_for_at_once(critique: Any, turns: int) -> None:
    asked: list[Any] = []
    question = WORLD.questions("unknown", held_out=False)[0]

    def respond(prompt: Any) -> str:
        asked.append(prompt)
        return shopkeeper(prompt)

    (review,) = Critic(Oracle(respond), critique).review("truth", CONSTITUTION["truth"], [Draft(question.text, "oak")])
    verdicts = [prompt for prompt in asked if prompt[-1]["content"] == CONSTITUTION["truth"].verdict]
    assert [len(prompt) for prompt in verdicts] == [turns]
    assert review.changed
    assert review.revision == "The shop does not know."
    assert bool(review.critique) is (critique != "none")


def test_a_critique_of_another_answer_is_never_the_own_one() -> None:
    critiques = [str(number) for number in range(50)]
    other = moved(critiques, Random(0))
    assert sorted(other) == sorted(critiques)
    assert all(own != new for own, new in zip(critiques, other, strict=True))
    assert moved(["alone"], Random(0)) == ["alone"]


def test_refusals_name_what_is_missing(tmp_path: Path) -> None:
    empty = SimpleNamespace(train=[{"text": "no prompt"}], validation=[])
    with pytest.raises(ValueError, match=r"data\.columns\.prompt"):
        constitute(Oracle(silent), CONSTITUTION, empty, out=tmp_path, logger=None)
    with pytest.raises(ValueError, match="constitution: there is no principle"):
        constitute(Oracle(silent), {}, SimpleNamespace(train=[{"prompt": "a"}]), out=tmp_path, logger=None)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_without_ground_truth_the_headline_is_what_was_revised(tmp_path: Path) -> None:
    metrics, _ = run(shopkeeper, tmp_path, faults={})  # as an option of comments alone composes
    assert next(iter(metrics)) == "revised"
    assert not any(name.startswith(("kappa", "faulty")) for name in metrics)


def test_a_revision_counts_although_another_principle_gave_no_verdict(tmp_path: Path) -> None:
    def respond(prompt: Any) -> str:
        failed = not isinstance(prompt, str) and prompt[-1]["content"] == CONSTITUTION["pressure"].verdict
        return "Perhaps" if failed else shopkeeper(prompt)

    _, files = run(respond, tmp_path, answers=1)
    assert files["preferences"]
    assert {row["margin"] for row in files["preferences"]} == {1}


@pytest.mark.parametrize("count", [1, 255, 256, 257, 600])
def test_parts_of_the_drafts_are_whole_and_of_nearly_one_size(count: int) -> None:
    parts = [range(count)[part] for part in chunks(count)]
    assert [place for part in parts for place in part] == list(range(count))
    sizes = {len(part) for part in parts}
    assert max(sizes) <= CHUNK
    assert max(sizes) - min(sizes) <= 1


def test_who_was_asked_is_on_record(tmp_path: Path) -> None:
    class Recorded(Shortest):
        asked, failed = 40, 10

        def describe(self) -> dict[str, str]:
            return {"name": "a judge"}

    metrics, _ = run(shopkeeper, tmp_path, judge=Recorded())
    assert metrics["judge_failed"].value == 0.25
    assert json.loads((tmp_path / "engine.json").read_text())["judge"] == {"name": "a judge"}
