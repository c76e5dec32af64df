"""Verdicts by probability and by text, in both orders, with ties and failures."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from conftest import save_chatting
from judges import PLAIN, Writing, kinder
from transformers import AutoTokenizer

from llmcycle.deploy.app import build_app
from llmcycle.engine import LocalEngine, TransformersEngine
from llmcycle.engine.openai import OpenAIEngine
from llmcycle.judge import Judge
from llmcycle.judge.verdict import encode
from llmcycle.web import running


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_chatting(folder)
    return folder


@pytest.mark.parametrize("template", [True, False])
def test_a_rating_is_the_mean_value_of_the_words_by_their_probability(chatting: Path, template: bool) -> None:
    engine = LocalEngine(str(chatting))
    if not template:
        engine.tokenizer.chat_template = None
    (value,) = Judge(engine, PLAIN).rate(["Hi"], ["Hello"])
    pairs = encode(engine.tokenizer, PLAIN.rating("Hi", "Hello"), ["yes", "no"])
    nats = []
    for context, word in pairs:
        with torch.no_grad():
            logits = engine.model(torch.tensor([context + word])).logits[0].log_softmax(-1)
        nats.append(sum(float(logits[len(context) + i - 1, token]) for i, token in enumerate(word)))
    assert value == pytest.approx(1 / (1 + math.exp(nats[1] - nats[0])), abs=1e-5)
    assert value not in (0, 0.5, 1)


def test_a_word_follows_the_question_as_an_answer_would_and_nothing_ends_it(chatting: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(chatting)
    context, word = encode(tokenizer, "Good?", ["yes"])[0]
    whole = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Good?"}, {"role": "assistant", "content": "yes"}], tokenize=False
    )
    assert whole.startswith(tokenizer.decode(context + word))
    assert tokenizer.decode(word).strip() == "yes"


@pytest.mark.parametrize("template", [True, False])
def test_special_tokens_that_an_answer_spells_stay_letters(chatting: Path, template: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(chatting)
    if not template:
        tokenizer.chat_template = None
    plain, forged = (encode(tokenizer, f"Good? {text}", ["yes"])[0][0] for text in ("", tokenizer.eos_token))
    assert forged.count(tokenizer.eos_token_id) == plain.count(tokenizer.eos_token_id)


def test_both_orders_are_asked_and_averaged() -> None:
    judge = Judge(Writing(kinder), PLAIN)
    texts = ["go", "please go", "go", "please"], ["please", "go", "stay", "please stay"]
    assert judge.prefer(["p"] * 4, *texts) == [0.0, 1.0, 0.5, 0.5]
    first = Judge(Writing(lambda _: "A"), PLAIN)
    assert first.prefer(["p"], ["a"], ["b"]) == [0.5]
    assert first.orders(["p"], ["a"], ["b"]) == [(1.0, 0.0)]
    assert Judge(Writing(lambda _: "A"), PLAIN, swap=False).prefer(["p"], ["a"], ["b"]) == [1.0]


def test_a_failure_is_none_and_counted_and_spoils_both_orders() -> None:
    judge = Judge(Writing(lambda question: "A" if "|a|b|" in question else "hm"), PLAIN)
    assert judge.prefer(["p", "p"], ["a", "c"], ["b", "d"]) == [None, None]
    assert (judge.asked, judge.failed) == (4, 3)
    assert Judge(Writing(lambda _: "no"), PLAIN).rate(["p"], ["a"]) == [0.0]


def test_a_verdict_that_was_cut_is_none_unless_it_is_a_word() -> None:
    assert Judge(Writing(lambda _: "yes" + " " * 20 + "or not"), PLAIN).rate(["p"], ["a"]) == [1.0]
    assert Judge(Writing(lambda _: "yes, because it is so"), PLAIN).rate(["p"], ["a"]) == [None]


def test_a_question_that_alone_is_refused_fails_alone() -> None:
    def reply(question: str) -> str:
        if "long" in question:
            raise ValueError("too long")
        return "yes"

    assert Judge(Writing(reply), PLAIN).rate(["p"] * 3, ["a", "long", "b"]) == [1.0, None, 1.0]
    with pytest.raises(ValueError, match="too long"):
        Judge(Writing(reply), PLAIN).rate(["p"] * 2, ["long", "too long"])


def test_a_criterion_a_row() -> None:
    judge = Judge(Writing(lambda question: "yes" if "short" in question else "no"), PLAIN)
    assert judge.rate(["p", "p", "p"], ["a", "a", "a"], ["Be short.", "Be true.", "Be short."]) == [1.0, 0.0, 1.0]
    with pytest.raises(ValueError, match="zip"):
        judge.rate(["p", "p"], ["a", "a"], ["one"])


def test_no_rows_ask_nothing() -> None:
    engine = Writing(kinder)
    assert Judge(engine, PLAIN).rate([], []) == Judge(engine, PLAIN).prefer([], [], []) == []
    assert not engine.questions


class Blank(TransformersEngine):
    def score(self, sequences: object) -> list[torch.Tensor]:
        return [torch.tensor([math.nan])] * len(list(sequences))  # type: ignore[call-overload]


def test_numbers_that_are_none_are_a_failure(chatting: Path) -> None:
    local = LocalEngine(str(chatting))
    assert Judge(Blank(local.model, local.tokenizer), PLAIN).rate(["p"], ["a"]) == [None]


def test_a_real_endpoint_is_read_by_its_text(chatting: Path) -> None:
    with running(build_app(LocalEngine(str(chatting)), queue=8)) as url:
        judge = Judge(OpenAIEngine("tiny", f"{url}/v1", retries=8), PLAIN)
        values = judge.rate(["p", "q"], ["a", "b"])
    assert values == [None, None]  # random weights write no verdict
    assert judge.failed == 2
