"""Decontamination: every planted overlap is found, and only those."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from llmcycle.data.corpus import Corpus, Decontaminate
from llmcycle.data.rows import Table

RANDOM = Random(0)
VOCABULARY = [
    f"{a}{b}" for a in ("ba", "ke", "li", "mo", "nu", "ra", "se", "ti") for b in ("", "d", "lan", "mer", "st", "vo")
]


def prose(count: int) -> list[str]:
    return RANDOM.choices(VOCABULARY, k=count)


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    """Questions of 8 to 40 words, each with a short answer."""
    path = tmp_path / "questions.jsonl"
    rows = [{"question": " ".join(prose(8 + i % 33)), "choices": [" ".join(prose(20)), "no"]} for i in range(100)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def questions(path: Path) -> list[list[str]]:
    return [json.loads(line)["question"].split() for line in path.read_text().splitlines()]


def test_every_planted_overlap_is_found_and_nothing_else(evaluation: Path) -> None:
    judge = Decontaminate({"quiz": str(evaluation)}).judge()
    clean = [" ".join(prose(200)) for _ in range(300)]
    assert not any(map(judge, clean))
    for question in questions(evaluation):
        size = min(13, len(question))
        start = RANDOM.randint(0, len(question) - size)
        run = [word.upper() + RANDOM.choice(("", ",", ".\n", '"')) for word in question[start : start + size]]
        removal = judge(" ".join([*prose(RANDOM.randint(0, 100)), *run, *prose(RANDOM.randint(0, 100))]))
        assert removal is not None
        assert removal.reason == "quiz"
        assert removal.evidence == " ".join(question[start : start + size])


def test_shorter_overlaps_are_left(evaluation: Path) -> None:
    judge = Decontaminate({"quiz": str(evaluation)}).judge()
    long = [question for question in questions(evaluation) if len(question) > 13]
    assert not any(judge(" ".join(["other", *question[:12], "words"])) for question in long)
    stricter = Decontaminate({"quiz": str(evaluation)}, n=12).judge()
    assert all(stricter(" ".join(["other", *question[:12], "words"])) for question in long)


def test_strings_inside_lists_count_and_short_ones_are_reported(evaluation: Path) -> None:
    filter = Decontaminate({"quiz": {"path": str(evaluation)}})
    choice = json.loads(evaluation.read_text().splitlines()[3])["choices"][0]
    assert filter.judge()(f"so: {choice}.") is not None
    assert filter.facts() == {"quiz": {"texts": 300, "too short": 100}}


def test_rows_of_a_data_option_are_taken(evaluation: Path) -> None:
    rows = Table(str(evaluation), holdout=10)
    judge = Decontaminate({"quiz": rows}).judge()
    assert judge(rows.validation[0]["question"])
    assert not judge(rows.train[0]["question"]), "only what is scored on"


def test_a_corpus_reports_what_was_removed(tmp_path: Path, evaluation: Path) -> None:
    path = tmp_path / "corpus.txt"
    documents = [" ".join(prose(100)) for _ in range(50)]
    documents[7] += " " + " ".join(questions(evaluation)[20])
    path.write_text("\n".join(documents))
    corpus = Corpus({"web": str(path)}, {"quiz": Decontaminate({"quiz": str(evaluation)})}, holdout=0)
    assert documents[7] not in [row["text"] for row in corpus.train]
    found = corpus.report["filters"]["quiz"]
    assert found["removed"] == found["by_source"]["web"] == found["by_reason"]["quiz"] == 1
    assert found["examples"][0]["evidence"] in documents[7]


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="least=14"):
        Decontaminate({"a": "b.txt"}, least=14)
    with pytest.raises(ValueError, match="names no evaluation set"):
        Decontaminate({})
    with pytest.raises(ValueError, match=r"data\.filters\.against\.a: there is no file"):
        Decontaminate.preflight({"a": str(tmp_path / "none.jsonl")})
