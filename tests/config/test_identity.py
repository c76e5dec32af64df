"""An id says what a stage was made from: the same alone and nested, by path and by artifact; it flows downstream."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmcycle.config import compose, hub, locate
from llmcycle.config.identity import stage_id, versions
from llmcycle.config.stages import Stage
from llmcycle.stage_run import origin

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


NEUTRAL_CHANGES = (
    "logger=none", "+logger.flush_logs_every_n_steps=7", "resume=never", "callbacks.progress.title=other",
    "~callbacks.progress", "callbacks.checkpoint.every_n_steps=5", "+trainer.enable_progress_bar=false",
    "trainer.logger=true",
)  # fmt: skip


def finetune(*overrides: str) -> str:
    return stage_id(Stage(compose(locate("finetune"), ["inputs.model=owner/name", *overrides])))


@pytest.mark.parametrize("override", NEUTRAL_CHANGES)
def test_what_is_shown_logged_or_saved_on_the_way_changes_no_id(here: Path, override: str) -> None:
    assert finetune(override) == finetune()


@pytest.mark.parametrize("override", ["callbacks.bad_steps.factor=5", "~callbacks.bad_steps", "trainer.max_steps=9"])
def test_what_else_the_trainer_is_given_changes_it(here: Path, override: str) -> None:
    assert finetune(override) != finetune()


def judged(*overrides: str) -> str:
    words = ["inputs.model=owner/name", "reward=judge", "+inputs.judge=owner/judge", *overrides]
    return stage_id(Stage(compose(locate("rlvr"), words)))


@pytest.mark.parametrize("override", ["reward.cache=null", "reward.cache=elsewhere"])
def test_where_a_judge_keeps_its_verdicts_changes_no_id(here: Path, override: str) -> None:
    assert judged(override) == judged()


OTHER_JUDGES = (
    "inputs.judge=owner/other",
    "reward.swap=false",
    "reward.rubric.criterion=x",
    "rubric@reward.rubric=storefront",
)


@pytest.mark.parametrize("override", OTHER_JUDGES)
def test_whom_a_judge_asks_and_what_changes_it(here: Path, override: str) -> None:
    assert judged(override) != judged()


@pytest.mark.parametrize("argument", ["checkpoint", "out", "progress", "logger", "resume"])
def test_an_argument_of_a_users_class_counts_whatever_its_name(toys: Path, argument: str) -> None:
    def second(value: int) -> str:
        return ids(f"+second.stage.text={{_target_: toy.Rows, {argument}: {value}}}")["second"]

    assert second(1) != second(2)


@pytest.mark.parametrize(
    ("overrides", "used"),
    [
        ([], set()),
        (["encode=assistant"], {"trl"}),
        (["model=nf4"], {"bitsandbytes"}),
        (["data=gsm8k"], {"datasets"}),
        (["data=json", "data.train=rows.jsonl"], set()),
    ],
)
def test_versions_of_libraries_count_where_they_are_used(here: Path, overrides: list[str], used: set[str]) -> None:
    Path("rows.jsonl").write_text("{}")
    stage = Stage(compose(locate("finetune"), ["inputs.model=owner/name", *overrides]))
    depends = set(versions(stage, stage.resolved({})))
    assert depends & {"trl", "bitsandbytes", "datasets"} == used
    assert {"torch", "transformers", "tokenizers", "peft", "torchao", "llmcycle", "source"} <= depends


def cached(kind: str, name: str, commit: str, revision: str = "main") -> None:
    """As huggingface_hub leaves it behind a download."""
    place = Path("hub") / f"{kind}s--{name.replace('/', '--')}" / "refs" / revision
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(commit)


def test_an_input_of_the_hub_counts_by_its_commit(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "hub")
    hub.commit.cache_clear()
    unknown = finetune()
    seen = {unknown}
    for branch, revision in (("main", []), ("old", ["+model.revision=old"])):
        for commit in ("1" * 40, "2" * 40):
            cached("model", "owner/name", commit, branch)
            hub.commit.cache_clear()  # as another process would begin
            seen.add(finetune(*revision))
    assert len(seen) == 5
    stage = Stage(compose(locate("finetune"), ["inputs.model=owner/name"]))
    assert origin(stage, "model") == {"hub": "owner/name", "revision": "2" * 40}


def test_a_download_in_between_renames_nothing_that_was_planned(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "hub")
    hub.commit.cache_clear()
    before = finetune()
    cached("model", "owner/name", "1" * 40)
    assert finetune() == before


def test_a_data_set_of_the_hub_counts_by_its_commit(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "hub")
    seen = set()
    for commit in ("1" * 40, "2" * 40):
        cached("dataset", "openai/gsm8k", commit)
        hub.commit.cache_clear()
        seen.add(finetune("data=gsm8k"))
    assert len(seen) == 2
