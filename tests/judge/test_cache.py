"""Verdicts are kept by content: by every judge, in several processes, through a kill."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

from conftest import save_chatting
from judges import PLAIN, Writing, kinder

from llmcycle.engine import LocalEngine
from llmcycle.judge import Judge, Rubric
from llmcycle.judge.cache import FILE, Cache
from llmcycle.judge.verdict import Verdict


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    first, second = Writing(kinder), Writing(kinder)
    values = Judge(first, PLAIN, str(tmp_path)).prefer(["p", "p"], ["please", "please"], ["b", "b"])
    assert len(first.questions) == 2  # an order each, of two equal rows
    assert Judge(second, PLAIN, str(tmp_path)).prefer(["p", "p"], ["please", "please"], ["b", "b"]) == values
    assert not second.questions


def test_whatever_shapes_a_verdict_is_asked_anew(tmp_path: Path) -> None:
    def asked(engine: Writing, rubric: Rubric = PLAIN, criterion: str = "x", answer: str = "a") -> int:
        Judge(engine, rubric, str(tmp_path)).rate(["p"], [answer], [criterion])
        return len(engine.questions)

    other = Rubric(single=PLAIN.single, ratings={"yes": 1.0, "no": 0.1}, quote="")
    assert asked(Writing(lambda _: "yes")) == 1
    assert asked(Writing(lambda _: "yes")) == 0
    assert asked(Writing(lambda _: "yes", "another")) == 1
    assert asked(Writing(lambda _: "yes"), other) == 1
    assert asked(Writing(lambda _: "yes"), criterion="y") == 1
    assert asked(Writing(lambda _: "yes"), answer="b") == 1


def test_weights_count_and_not_where_they_lie(tmp_path: Path) -> None:
    values = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        save_chatting(tmp_path / place)
        engine = LocalEngine(str(tmp_path / place))
        if seed:
            engine.model.lm_head.weight.data *= 2
        values += Judge(engine, PLAIN, str(tmp_path)).rate(["p"], ["a"])
        assert len((tmp_path / FILE).read_text().splitlines()) == 1 + seed
    assert values[0] == values[1] != values[2]


def test_failures_are_kept_and_refusals_are_not(tmp_path: Path) -> None:
    refuse = True

    def reply(question: str) -> str:
        if refuse and "long" in question:
            raise ValueError("too long")
        return "hm"

    engine = Writing(reply)
    assert Judge(engine, PLAIN, str(tmp_path)).rate(["p", "p"], ["a", "long"]) == [None, None]
    refuse, engine.questions = False, []
    assert Judge(engine, PLAIN, str(tmp_path)).rate(["p", "p"], ["a", "long"]) == [None, None]
    assert len(engine.questions) == 1


def test_a_torn_line_is_passed_over_and_ended(tmp_path: Path) -> None:
    Cache(str(tmp_path)).add({"one": Verdict(1.0, "yes")})
    with (tmp_path / FILE).open("a") as file:
        file.write('{"key": "two", "val')
    late = Cache(str(tmp_path))
    late.refresh()
    assert list(late.verdicts) == ["one"]
    late.add({"three": Verdict(None, "hm")})
    fresh = Cache(str(tmp_path))
    for cache in (fresh, late):
        cache.refresh()
        assert cache.verdicts == {"one": Verdict(1.0, "yes"), "three": Verdict(None, "hm")}


def test_what_others_write_is_read_later(tmp_path: Path) -> None:
    here, there = Cache(str(tmp_path)), Cache(str(tmp_path))
    for name in ("one", "two"):
        there.add({name: Verdict(1.0, "yes")})
        here.refresh()
        assert name in here.verdicts


def add_many(folder: str, writer: int) -> None:
    cache = Cache(folder)
    for i in range(50):
        cache.add({f"{writer}-{i}": Verdict(0.5, "x" * 5000)})


def test_several_processes_lose_no_line(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=add_many, args=(str(tmp_path), writer)) for writer in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = (tmp_path / FILE).read_text().splitlines()
    assert len({json.loads(line)["key"] for line in lines}) == len(lines) == 150
