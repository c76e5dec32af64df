"""Reviews of the shop's answers: what a critic who knows it says, and rows that teach a model to say it."""

from __future__ import annotations

from typing import Any

import pytest

from llmcycle.data.principle import Principle, Turn
from llmcycle.data.storefront import (
    Faults,
    Instructions,
    ReviewedInstructions,
    Reviews,
    TrueReviewer,
    World,
    vocabulary,
)
from llmcycle.data.storefront.questions import Question

WORLD = World()
REVIEWER, FAULTS = TrueReviewer(WORLD), Faults(WORLD)
CONSTITUTION = {
    "truth": Principle("Look it up.", "Is it wrong?", "Say what is true.", "Which is true?"),
    "pressure": Principle("Quote pressure.", "Does it press?", "Press nobody.", "Which presses less?"),
}
KNOWN, UNKNOWN, OPEN = (WORLD.questions(kind, held_out=True)[0] for kind in ("known", "unknown", "open"))
VALUE = WORLD.truth.known[KNOWN.product][str(KNOWN.attribute)]
OTHER = next(value for value in WORLD.truth.attribute_values[str(KNOWN.attribute)] if value != VALUE)
REFUSAL, PRESSURE = vocabulary.UNKNOWN, vocabulary.PRESSURE[0][1]


@pytest.mark.parametrize(
    ("question", "answer", "faults", "wrong", "revision"),
    [
        (KNOWN, VALUE, set(), False, VALUE),
        (KNOWN, OTHER, {"false_value"}, True, VALUE),
        (KNOWN, REFUSAL, {"over_refusal"}, True, VALUE),
        (UNKNOWN, REFUSAL, set(), False, REFUSAL),
        (UNKNOWN, "oak", {"invented"}, True, REFUSAL),
    ],
)
def test_the_truth_is_looked_up_and_said(
    question: Question, answer: str, faults: set[str], wrong: bool, revision: str
) -> None:
    review = REVIEWER.review("truth", question, answer)
    known = WORLD.truth.known[question.product].get(str(question.attribute), "not known")
    assert review == (f"{question.attribute}: {known}.", wrong, revision)
    assert FAULTS([question.text], [answer]) == [faults]
    assert FAULTS([question.text], [revision]) == [set()]


def test_pressure_is_quoted_and_taken_out_and_nothing_else_is() -> None:
    attribute, value = next(iter(WORLD.truth.known[OPEN.product].items()))
    fact = f"The {OPEN.product}'s {attribute} is {value}."
    assert REVIEWER.review("pressure", OPEN, f"{fact} {PRESSURE}") == (PRESSURE, True, fact)
    assert REVIEWER.review("pressure", OPEN, fact) == ("It does not.", False, fact)
    assert FAULTS([OPEN.text] * 2, [f"{fact} {PRESSURE}", fact]) == [{"pressure"}, set()]
    false = next(v for v in WORLD.truth.attribute_values[attribute] if v != value)
    lie = fact.replace(value, false)
    assert REVIEWER.review("truth", OPEN, lie) == (f"{attribute}: {value}.", True, fact)
    assert FAULTS([OPEN.text], [lie]) == [{"false_value"}]


def test_a_principle_that_the_shop_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match=r"constitution\.kindness: the shop's reviewer knows truth, pressure alone"):
        REVIEWER.review("kindness", KNOWN, VALUE)


def test_good_answers_stand_beside_bad_ones_and_every_turn_is_taught() -> None:
    rows = Reviews(WORLD, CONSTITUTION).train
    assert {row["turn"] for row in rows} == {turn.name for turn in Turn}
    assert all(len(row["prompt"]) == 3 + 2 * list(Turn).index(Turn[row["turn"]]) for row in rows)
    verdicts = [row for row in rows if row["turn"] == "VERDICT"]
    assert {row["completion"] for row in verdicts} == {"Yes", "No"}
    of = {name: [r for r in verdicts if r["prompt"][-1]["content"] == p.verdict] for name, p in CONSTITUTION.items()}
    wrong = {name: sum(row["completion"] == "Yes" for row in each) / len(each) for name, each in of.items()}
    assert 0.45 < wrong["truth"] < 0.55
    requests = {question.text for question in WORLD.questions("open", held_out=False)}
    open_ones = [row for row in of["pressure"] if row["prompt"][0]["content"] in requests]
    assert 0.35 < sum(row["completion"] == "Yes" for row in open_ones) / len(open_ones) < 0.65
    sides = {v: [len(r["prompt"][1]["content"]) for r in open_ones if r["completion"] == v] for v in ("Yes", "No")}
    assert abs(sum(sides["Yes"]) / len(sides["Yes"]) - sum(sides["No"]) / len(sides["No"])) < 25


def test_no_revision_that_is_taught_has_the_fault_of_its_principle() -> None:
    rows = [row for row in Reviews(WORLD, CONSTITUTION).train if row["turn"] == "REVISION"]
    by_text = {principle.revision: name for name, principle in CONSTITUTION.items()}
    names = [by_text[row["prompt"][-1]["content"]] for row in rows]
    faults = FAULTS([row["prompt"][0]["content"] for row in rows], [row["completion"] for row in rows])
    assert not [each for name, each in zip(names, faults, strict=True) if each & set(FAULTS.found_by[name])]


def test_some_products_can_be_left_out_of_training_but_not_of_validation() -> None:
    reviews = Reviews(WORLD, CONSTITUTION, reviewed=0.5)

    def products(rows: list[dict[str, Any]]) -> set[str]:
        texts = [row["prompt"][0]["content"] for row in rows]
        return {name for text in texts for name in WORLD.truth.product_names if name in text}

    assert len(products(reviews.train)) == 12
    assert len(products(reviews.validation)) > 20


def test_who_learns_to_answer_learns_to_review_and_is_scored_on_answers_alone() -> None:
    plain, reviews = Instructions(WORLD), Reviews(WORLD, CONSTITUTION)
    both = ReviewedInstructions(WORLD, reviews=reviews)
    assert both.validation == plain.validation

    def texts(rows: list[dict[str, Any]]) -> list[str]:
        return sorted(repr(row) for row in rows)

    assert texts(both.train) == texts([*plain.train, *reviews.train])
