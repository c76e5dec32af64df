"""The storefront's data sets: determinism, splits, rates, and what each row promises."""

from __future__ import annotations

from typing import Any

import pytest

from llmcycle.data.storefront import Documents, Instructions, Preferences, Questions, World, samples, vocabulary

WORLD, SMALL = World(), World(products=4, attributes=3, values=3, phrasings=4, facts=2)


def _prompts(rows: list[dict[str, Any]]) -> set[str]:
    return {row["prompt"] for row in rows}


def test_rows_depend_on_the_parameters_alone() -> None:
    for make in (lambda w, s: Documents(w, 50, 10, s), Instructions, Preferences, lambda w, s: Questions(w, 9, s)):
        one, two = make(World(seed=1), 2), make(World(seed=1), 2)
        assert (one.train, one.validation) == (two.train, two.validation)
        assert make(World(seed=1), 3).train != one.train != make(World(seed=2), 2).train


@pytest.mark.parametrize("world", [WORLD, SMALL])
def test_held_out_questions_are_new_combinations_of_parts_that_training_has(world: World) -> None:
    for kind in ("known", "unknown", "open"):
        train, held_out = world.questions(kind, held_out=False), world.questions(kind, held_out=True)
        assert held_out
        assert not set(train) & set(held_out)
        for parts in (lambda q: q[:2], lambda q: q.phrasing):
            assert {parts(q) for q in held_out} <= {parts(q) for q in train}


def test_validation_is_large_enough_and_stands_nowhere_in_training_not_even_in_the_corpus() -> None:
    instructions, preferences, questions = Instructions(WORLD), Preferences(WORLD), Questions(WORLD)
    assert len(instructions.validation) >= 500
    assert [sum(r["kind"] == k for r in questions.validation) for k in ("known", "unknown", "open")] == [100] * 3
    held_out = set().union(*(_prompts(rows.validation) for rows in (instructions, preferences, questions)))
    trained = set().union(*(_prompts(rows.train) for rows in (instructions, preferences, questions)))
    asked = {row["text"].partition("\nAnswer:")[0] for row in Documents(WORLD, 8000, 1).train}
    assert not held_out & trained
    assert not {f"Question: {prompt}" for prompt in held_out} & asked


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.8, 1.0])
def test_bad_behaviour_comes_at_its_rate(rate: float) -> None:
    world = World(made_up=rate, pressure=rate)
    kinds = {row["prompt"]: row["kind"] for row in Questions(world).train}
    rows = [row for seed in range(8) for row in Instructions(world, seed=seed).train]
    verdicts = [(kinds[row["prompt"]], world.verify(row["prompt"], row["completion"])) for row in rows]
    for kind, good in (("known", 1.0), ("unknown", 1 - rate), ("open", 1 - rate)):
        judged = [verdict.good for k, verdict in verdicts if k == kind]
        assert sum(judged) / len(judged) == pytest.approx(good, abs=0.04)


@pytest.mark.parametrize("world", [WORLD, SMALL])
def test_the_chosen_answer_is_good_and_the_rejected_one_is_not(world: World) -> None:
    preferences = Preferences(world)
    for row in preferences.train + preferences.validation:
        assert world.verify(row["prompt"], row["chosen"]).good
        assert world.score(row["prompt"], row["rejected"]) < 1


def test_reference_answers_and_chat_messages_are_judged_good() -> None:
    for row in Questions(WORLD).validation:
        assert WORLD.verify([{"role": "user", "content": row["prompt"]}], row["answer"]).good


def test_held_out_documents_carry_their_exact_entropy() -> None:
    documents = Documents(WORLD, 1, 400)
    assert sum(documents.entropy) / 400 == pytest.approx(WORLD.expected_entropy, rel=0.05)


def test_samples_are_eight_held_out_prompts() -> None:
    assert len(samples(WORLD)) == len(set(samples(WORLD))) == 8
    assert not set(samples(WORLD)) & _prompts(Instructions(WORLD).train)


def test_no_template_holds_a_word_that_the_verifier_would_take_for_a_value() -> None:
    values = {value.lower() for row in vocabulary.ATTRIBUTES.values() for value in row}
    words = {w for t in (*vocabulary.QUESTIONS, *vocabulary.REQUESTS) for w in t.lower().replace("?", " ").split()}
    assert not values & words
    assert sum(map(len, vocabulary.ATTRIBUTES.values())) == len(values)


@pytest.mark.parametrize(
    ("wrong", "named"), [({"values": 99}, "world.values=99"), ({"made_up": 2}, "made_up"), ({"facts": 9}, "facts")]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        World(**wrong)


def test_more_questions_than_there_are_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"count=3000.*lower count"):
        _ = Questions(WORLD, count=3000).validation


@pytest.mark.parametrize("rows", [Documents, Instructions, Preferences, Questions])
def test_preflight_refuses_only_a_world_that_the_rows_would_stumble_over(rows: Any) -> None:
    rows.preflight({"_target_": "llmcycle.data.storefront.World", "seed": 3})
    rows.preflight({"unknown": 0}, **({"kinds": ["known"]} if rows is Questions else {}))
    with pytest.raises(ValueError, match=r"world\.products=999.*between 1 and"):
        rows.preflight({"products": 999})
    if rows is not Documents:
        with pytest.raises(ValueError, match=r"held.out.*raise world\.products"):
            rows.preflight({"held_out": 0})


def test_preflight_of_questions_counts_as_the_rows_do() -> None:
    with pytest.raises(
        ValueError, match=r"count=300: needs 100 held-out \w+ questions, the world has \d+; lower count"
    ):
        Questions.preflight({"products": 4})
    Questions.preflight({"products": 4}, count=9)
    assert Questions(World(products=4), count=9).validation
    with pytest.raises(ValueError, match="kinds: 'knwon'"):
        Questions.preflight({}, kinds=["knwon"])
