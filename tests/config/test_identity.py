"""An id says what a stage was made from: the same alone and nested, by path and by artifact; it flows downstream."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmcycle.config import compose, locate
from llmcycle.config.identity import stage_id
from llmcycle.config.stages import Stage

NAMES = ("first", "second", "third")


def ids(*overrides: str) -> dict[str, str]:
    root = compose(locate("recipes/toy.yaml"), overrides)
    return {name: stage_id(Stage(root, name)) for name in NAMES}


def changed(*overrides: str) -> list[str]:
    before, after = ids(), ids(*overrides)
    return [name for name in NAMES if before[name] != after[name]]


def test_ids_are_the_same_alone_and_nested(toys: Path) -> None:
    nested = ids()
    first = compose(locate("recipes/first.yaml"), ["data.train=rows.txt"])
    assert stage_id(Stage(first)) == nested["first"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=1", NAMES),
        ("second.seed=1", NAMES[1:]),
        ("second.peft.r=4", NAMES[1:]),
        ("peft@third.peft=dora", NAMES[2:]),
        ("third.stage.text=four", NAMES[2:]),
        ("outputs=elsewhere", ()),
        ("+logger@third.logger=quiet", ()),
        ("lifecycle=[first,second]", ()),
    ],
)
def test_changes_flow_downstream_only(toys: Path, override: str, expected: tuple[str, ...]) -> None:
    assert changed(override) == list(expected)


def test_data_counts_by_its_bytes_and_not_by_its_path(toys: Path) -> None:
    before = ids()
    Path("copy.txt").write_text(Path("rows.txt").read_text())
    assert ids("first.data.train=copy.txt") == before
    Path("rows.txt").write_text("alpha\ngamma\n")
    assert ids()["first"] != before["first"]


def corpus(*overrides: str) -> str:
    return stage_id(Stage(compose(locate("pretrain"), ["data=corpus", "samples=general", *overrides])))


def test_every_file_of_a_corpus_counts_by_its_bytes(here: Path) -> None:
    for name in ("a1.txt", "a2.txt", "b.txt", "quiz.txt"):
        Path(name).write_text(name)
    quiz = "+data.filters.quiz={_target_: llmcycle.data.corpus.Decontaminate, against: {q: quiz.txt}}"
    given = "data.sources={a: {path: 'a*.txt', weight: 2}, b: b.txt}", quiz
    Path("c.txt").write_text("b.txt")
    before = corpus(*given)
    assert corpus("data.sources={a: {path: 'a*.txt', weight: 2}, b: c.txt}", quiz) == before
    for name in ("a2.txt", "b.txt", "quiz.txt"):
        Path(name).write_text("other")
        assert corpus(*given) != before
        Path(name).write_text(name)
    Path("a3.txt").write_text("new")
    assert corpus(*given) != before


def test_rows_of_an_evaluator_count_by_their_bytes(here: Path) -> None:
    """General text to measure forgetting on."""

    def id_with(text: str, name: str) -> str:
        (here / name).write_text(text)
        rows = ["data@evaluate.forgetting.rows=text", f"evaluate.forgetting.rows.train={name}"]
        return stage_id(Stage(compose(locate("finetune"), ["inputs.model=owner/name", *rows])))

    first = id_with("one\ntwo\n", "a.txt")
    assert id_with("one\ntwo\n", "b.txt") == first
    assert id_with("one\nthree\n", "a.txt") != first


def test_inputs_count_by_what_they_are(toys: Path) -> None:
    for name in ("one", "two"):
        Path(name).mkdir()
        (Path(name) / "model.txt").write_text("same")
    one, two = ids("second.inputs.model=one"), ids("second.inputs.model=two")
    assert one == two
    assert ids("second.inputs.model=owner/name")["second"] not in (one["second"], ids()["second"])
