"""The storefront's data sets: determinism, splits, rates, and what each row promises."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from llmcycle.data.storefront import (
    Comparisons,
    Documents,
    Instructions,
    Preferences,
    Questions,
    World,
    grammar,
    samples,
    vocabulary,
)

WORLD, SMALL = World(), World(products=4, attributes=3, values=3, phrasings=4, facts=2)


TEMPLATES = (
    *(*vocabulary.QUESTIONS, *vocabulary.OTHER_QUESTIONS, *vocabulary.TWO_QUESTIONS),
    *(*vocabulary.COMPARISONS, *vocabulary.MATCHES, *vocabulary.REQUESTS),
)


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


RICH = World(products=48, attributes=7, taught=1, skew=1.0, instruction_skew=1.0, phrasings=6)


def test_knowledge_stands_where_it_is_said_to_stand() -> None:
    """Facts of the corpus, of the instructions alone, and of neither."""
    corpus = " ".join(row["text"] for row in Documents(RICH, 3000, 1).train)
    kinds = ("known", "taught", "unknown", "two", "rephrased")
    rows = Instructions(RICH, kinds=(*kinds, "open"))
    assert {row["measures"] for row in rows.validation} == {"kept", "learnt", "admitted", "two_facts", "rephrased"}
    taught = RICH.questions("taught", held_out=False)
    for question in taught[:200]:
        assert f"{question.product}'s {question.attribute}" not in corpus
    assert {q[:2] for q in RICH.questions("taught", held_out=True)} <= {q[:2] for q in taught}
    assert not RICH.questions("rephrased", held_out=False)
    assert [row["measures"] for row in Instructions(RICH, kinds=("open", "taught")).validation[:2]] == ["learnt"] * 2
    for row in Questions(RICH, count=100, kinds=kinds).validation:
        assert RICH.verify(row["prompt"], row["answer"]).good
    known = [row for row in rows.validation if row["measures"] == "kept"]
    assert {row["part"] for row in known} == {"head", "middle", "tail"}
    assert {row["chance"] for row in known} == {1 / 8}
    assert {row["chance"] for row in rows.validation if row["measures"] == "two_facts"} == {1 / 64}


def test_a_limited_number_of_rows_follows_the_ranks_and_repeats_none() -> None:
    rows = Instructions(RICH, kinds=("known",), count=400, held_out=50)
    assert len(rows.train) == len(_prompts(rows.train)) == 400
    assert len(rows.validation) == 50
    first, last = RICH.truth.product_names[:16], RICH.truth.product_names[-16:]
    mentions = [sum(any(name in row["prompt"] for name in names) for row in rows.train) for names in (first, last)]
    assert mentions[0] > 2 * mentions[1] > 0


@pytest.mark.parametrize("kind", ["cheaper", "match"])
def test_pairs_that_are_held_out_stand_in_training_in_no_order_and_no_words(kind: Any) -> None:
    train, held_out = (RICH.questions(kind, held_out=held_out) for held_out in (False, True))
    grounds = [{frozenset({q.product, q.other, *q.values}) for q in questions} for questions in (train, held_out)]
    if kind == "match":
        grounds = [{frozenset(q.values) for q in questions} for questions in (train, held_out)]
    assert held_out
    assert not grounds[0] & grounds[1]
    for question in held_out:
        answer = grammar.sample(RICH.answer(question), Random(0))
        assert RICH.verify(question.text, answer).good


def test_people_err_at_their_rate_and_prefer_length_where_they_are_biased() -> None:
    def wrong(**rates: float) -> float:
        rows = Preferences(WORLD, **rates).train
        return sum(WORLD.score(r["prompt"], r["chosen"]) < WORLD.score(r["prompt"], r["rejected"]) for r in rows) / len(
            rows
        )

    assert wrong() == 0
    assert wrong(human_error=0.2) == pytest.approx(0.2, abs=0.03)
    biased = Preferences(WORLD, length_bias=1.0).train
    assert all(len(row["chosen"]) >= len(row["rejected"]) for row in biased)
    assert wrong(length_bias=1.0) > 0.2
    assert Preferences(WORLD, human_error=0.5).validation == Preferences(WORLD).validation


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
    words = {w for t in TEMPLATES for w in t.lower().replace("?", " ").split()}
    assert not values & words
    assert sum(map(len, vocabulary.ATTRIBUTES.values())) == len(values)


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"values": 99}, "world.values=8"),
        ({"made_up": -2}, "world.made_up=0"),
        ({"facts": 9}, "world.facts=5"),
        ({"text_share": 0.9, "two_share": 0.3}, "world.text_share=0.5 world.two_share=0.1"),
    ],
)
def test_parameters_out_of_range_are_refused_with_the_nearest_in_it(wrong: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=rf"^world\.{next(iter(wrong))}: ") as caught:
        World(**wrong)
    assert f"\n  try: {remedy}" in str(caught.value)
    named = dict(setting.removeprefix("world.").split("=") for setting in remedy.split())
    World(**wrong | {name: type(wrong[name])(value) for name, value in named.items()})


def test_shares_of_documents_that_sum_to_one_leave_no_single_questions() -> None:
    world = World(text_share=0.7, two_share=0.1, cheaper_share=0.1, match_share=0.1, products=6)
    texts = [row["text"] for row in Documents(world, 300, 1).train]
    single = {f"Question: {q.text}" for q in world.questions("known", held_out=False)}
    assert not single & {text.partition("\nAnswer:")[0] for text in texts}
    assert 0.6 < sum(not text.startswith("Question: ") for text in texts) / len(texts) < 0.8


def test_more_questions_than_there_are_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"count: 3000 needs 1000.*larger world\.products(.|\n)*try: count=\d+"):
        _ = Questions(WORLD, count=3000).validation


@pytest.mark.parametrize("rows", [Documents, Instructions, Preferences, Questions])
def test_preflight_refuses_only_a_world_that_the_rows_would_stumble_over(rows: Any) -> None:
    rows.preflight({"_target_": "llmcycle.data.storefront.World", "seed": 3})
    rows.preflight({"unknown": 0}, **({"kinds": ["known"]} if rows is Questions else {}))
    with pytest.raises(ValueError, match=r"world\.products: 999.*between 1 and"):
        rows.preflight({"products": 999})
    if rows is not Documents:
        with pytest.raises(ValueError, match=r"^world\.held_out: .*held.out(.|\n)*try: world\.held_out=0\.36"):
            rows.preflight({"held_out": 0})
        rows.preflight({"held_out": 0.36})


def test_preflight_of_questions_counts_as_the_rows_do() -> None:
    with pytest.raises(
        ValueError, match=r"count: 300 needs 100 held-out \w+ questions, and the world has \d+"
    ) as caught:
        Questions.preflight({"products": 4})
    count = int(str(caught.value).rpartition("try: count=")[2])
    Questions.preflight({"products": 4}, count=count)
    with pytest.raises(ValueError, match=f"try: count={count}"):
        Questions.preflight({"products": 4}, count=count + 3)
    assert Questions(World(products=4), count=9).validation
    with pytest.raises(ValueError, match=r"kinds: 'knwon' is none(.|\n)*try: kinds=\[known\]"):
        Questions.preflight({}, kinds=["knwon"])


def test_a_kind_that_a_world_does_not_have_is_given_by_a_setting_of_the_world() -> None:
    with pytest.raises(ValueError, match=r"^world\.unknown: count=300 needs 100 held-out unknown(.|\n)*unknown=1$"):
        Questions.preflight({"unknown": 0})
    Questions.preflight({"unknown": 1})
    with pytest.raises(ValueError, match=r"^kinds: no question with one right answer(.|\n)*try: kinds=\[known\]$"):
        Instructions.preflight({}, kinds=["open"])


def test_instructions_need_a_kind_that_has_one_right_answer() -> None:
    with pytest.raises(ValueError, match=r"one right answer \(of open, cheaper\) is held out"):
        Instructions.preflight({}, kinds=["open", "cheaper"])
    with pytest.raises(ValueError, match=r"try: world\.held_out=0\.36"):
        Instructions.preflight({"held_out": 0}, kinds=["known", "rephrased"])


def test_comparisons_are_labelled_with_the_cheaper_product() -> None:
    world = World(compared=10)
    rows = Comparisons(world, count=50, seed=1)
    assert 20 < len(rows.validation) <= 50
    assert not _prompts(rows.train) & _prompts(rows.validation)
    for row in (*rows.train, *rows.validation):
        prices = [int(world.truth.known[name]["price"]) for name in row["choices"]]
        assert row["label"] == prices.index(min(prices))
        assert row["answer"] == row["choices"][row["label"]]
        assert world.verify(row["prompt"], row["answer"]) == (True, True, True)
    assert {row["label"] for row in rows.validation} == {0, 1}
    assert {(row["measures"], row["chance"]) for row in rows.validation} == {("cheaper", 0.5)}
