"""A corpus as rows: mixture, split, filters in their order, report, refusals before anything runs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llmcycle.config import check, compose, locate
from llmcycle.config.errors import RecipeErrors
from llmcycle.data.corpus import Corpus, Exact, Length
from llmcycle.data.corpus.text import normalise, words

DECONTAMINATE = "_target_: llmcycle.data.corpus.Decontaminate"


@pytest.fixture
def books(tmp_path: Path) -> str:
    path = tmp_path / "books.txt"
    path.write_text("\n".join(f"book {i}" for i in range(400)))
    return str(path)


@pytest.fixture
def web(tmp_path: Path) -> str:
    path = tmp_path / "web.jsonl"
    path.write_text("".join(json.dumps({"body": f"page {i % 250}"}) + "\n" for i in range(300)))
    return str(path)


def texts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["text"] for row in rows]


def test_rows_are_mixed_by_weight_in_an_order_of_the_seed(books: str, web: str) -> None:
    given = {"books": {"path": books, "weight": 2.5}, "web": {"path": web, "text": "body"}}
    corpus = Corpus(given, {"exact": Exact()}, holdout=0)
    counts = Counter(texts(corpus.train))
    assert {counts[f"page {i}"] for i in range(250)} == {1}
    assert Counter(counts[f"book {i}"] for i in range(400)).keys() == {2, 3}
    assert 950 < sum(counts[f"book {i}"] for i in range(400)) < 1050
    assert texts(Corpus(given, {"exact": Exact()}, holdout=0).train) == texts(corpus.train)
    assert texts(Corpus(given, {"exact": Exact()}, holdout=0, seed=1).train) != texts(corpus.train)
    half = corpus.train[: len(corpus.train) // 2]
    assert 0.7 < Counter(row["source"] for row in half)["books"] / len(half) < 0.9, "mixed, not one after another"


def test_a_document_never_changes_its_side(tmp_path: Path, books: str, web: str) -> None:
    alone = Corpus({"books": books}, holdout=0.1)
    held = set(texts(alone.validation))
    assert 20 < len(held) < 60
    assert held.isdisjoint(texts(alone.train))
    more = tmp_path / "more.txt"
    more.write_text("\n".join(f"new {i}\n  BOOK  {i}" for i in range(400)))
    both = Corpus({"web": {"path": web, "text": "body"}, "more": str(more), "books": books}, holdout=0.1, seed=5)
    assert {text for text in texts(both.validation) if text.startswith("book")} == held
    assert {normalise(text) for text in texts(both.validation) if "BOOK" in text} == held, "nor does one of its kind"
    wider = Corpus({"books": books}, holdout=0.2)
    assert held < set(texts(wider.validation))
    fewer = Corpus({"books": books}, holdout=0.1, validation_limit=10)
    assert texts(fewer.validation) == texts(alone.validation)[:10]
    assert texts(fewer.train) == texts(alone.train)


def test_filters_are_asked_in_order_and_report_what_they_removed(books: str, web: str) -> None:
    given = {"books": books, "web": {"path": web, "text": "body"}}
    corpus = Corpus(given, {"length": Length(7), "exact": Exact()}, holdout=0.1)
    report = json.loads(json.dumps(corpus.report))
    assert report["filters"]["length"]["by_source"] == {"books": 10, "web": 20}
    assert report["filters"]["length"]["by_reason"] == {"short": 30}
    assert report["filters"]["exact"]["by_source"] == {"web": 40}
    assert report["filters"]["exact"]["examples"][0] == {
        **{"source": "web", "reason": "the same text", "evidence": "", "text": "page 10"}
    }
    assert len(report["filters"]["length"]["examples"]) == 5
    counts = report["sources"]["web"]["documents"]
    assert counts["read"] == 300
    assert counts["removed"] == 60
    assert counts["train"] + counts["validation"] == 240
    assert counts["train"] == sum(row["source"] == "web" for row in corpus.train)
    assert report["sources"]["books"]["share"] + report["sources"]["web"]["share"] == pytest.approx(1)
    assert report["validation"]["documents"] == len(corpus.validation)


def test_a_corpus_of_which_nothing_is_left_is_refused(books: str) -> None:
    with pytest.raises(ValueError, match=r"no document is left to train on.*'length': 400"):
        _ = Corpus({"books": books}, {"length": Length(100)}).train


def test_a_tokenizer_is_trained_on_a_sample_from_everywhere(books: str, web: str) -> None:
    corpus = Corpus({"books": books, "web": {"path": web, "text": "body"}}, holdout=0)
    sample = list(corpus.sample(4000))
    assert 4000 <= sum(map(len, sample)) < 4010
    assert {text.split()[0] for text in corpus.sample(10**6)} == {"book", "page"}


def test_words_leave_case_and_punctuation() -> None:
    assert words("Don't STOP - 漢字, thé!") == ["don", "t", "stop", "漢", "字", "thé"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.sources={a: none.txt}"], "data.sources.a: there is no file none.txt"),
        (["data.sources={a: {path: books.txt, wieght: 2}}"], "did you mean `weight`"),
        (["data.sources={a: {path: web.jsonl}}"], "no column `text`"),
        (["data.sources={a: books.txt}", "data.filters.length.leest=3"], "leest"),
        (
            ["data.sources={a: books.txt}", f"+data.filters.quiz={{{DECONTAMINATE}, against: {{q: none.csv}}}}"],
            "data.filters.against.q: there is no file none.csv",
        ),
    ],
    ids=["file", "setting", "column", "filter", "evaluation set"],
)
def test_wrong_recipes_are_refused_before_anything_runs(
    books: str, web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((RecipeErrors, ValueError)) as caught:
        check(compose(locate("pretrain"), ["data=corpus", "samples=general", *overrides]))
    assert message in str(caught.value)


def test_a_right_recipe_passes(books: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["data=corpus_web", "batches=streamed", "samples=general", "data.sources={a: {path: 'b*.txt', weight: 2}}"]
    check(compose(locate("pretrain"), given))
    root = compose(locate("pretrain"), [*given, "~data.filters", "data.holdout=0"])
    check(root)
    assert "filters" not in root.data
    check(compose(locate("pretrain"), [*given, "data.filters.quality=null", "+data.sources.b=null"]))


def test_a_part_that_is_null_is_none(books: str) -> None:
    corpus = Corpus({"books": books, "web": None}, {"length": None, "exact": Exact()})
    assert [source.name for source in corpus.sources] == ["books"]
    assert list(corpus.filters) == ["exact"]


def test_without_filters_and_holdout_nothing_is_read_beforehand(books: str, web: str) -> None:
    corpus = Corpus({"books": books, "web": {"path": web, "text": "body", "weight": 2}}, holdout=0)
    assert next(corpus.sample(1))
    assert corpus.validation == []
    assert corpus.report["sources"]["web"] == {"path": web, "weight": 2}
    assert corpus.fingerprint
    assert "survey" not in vars(corpus)
    assert len(corpus.train) == 400 + 2 * 300
