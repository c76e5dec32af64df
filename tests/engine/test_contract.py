"""What every engine keeps to: the reference's answers, stops, draws that follow the seed, and honest refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from llmcycle.engine import BadPrompt, Engine, TransformersEngine, texts
from llmcycle.engine.generation import encode_prompts

PROMPTS = ["Hello", "What is blue?", "ä 你好", "x" * 40, "", "Hello"]
ABILITIES: dict[str, tuple[Any, ...]] = {
    "answer": (["x"],),
    "sample": ({}, GenerationConfig()),
    "stream": ("x",),
    "score": ([([5], [5])],),
    "reward": ([[5]],),
    "prefer": ([([5], [5])],),
    "masked": ([],),
}


def test_greedy_answers_are_the_references(any_engine: Engine, reference: TransformersEngine) -> None:
    assert texts(any_engine, PROMPTS) == texts(reference, PROMPTS)
    assert any_engine.answer([]) == []
    messages = [[{"role": "user", "content": prompt}] for prompt in PROMPTS]
    assert texts(any_engine, messages) == texts(reference, PROMPTS)


def test_an_answer_says_why_it_ended_and_how_long_it_is(any_engine: Engine, reference: TransformersEngine) -> None:
    short, stop = GenerationConfig(max_new_tokens=3), texts(reference, ["Hello"])[0][2:4]
    ((cut,),) = any_engine.answer(["Hello"], short)
    assert (cut.finish, cut.new_tokens) == ("length", 3)
    assert cut.prompt_tokens == reference.answer(["Hello"], short)[0][0].prompt_tokens > 0
    ((ended,),) = any_engine.answer(["Hello"], GenerationConfig(max_new_tokens=32, stop_strings=[stop]))
    assert ended.finish == "stop"
    assert stop not in ended.text
    assert texts(reference, ["Hello"])[0].startswith(ended.text)


def test_draws_follow_torchs_generator(any_engine: Engine) -> None:
    draw = GenerationConfig(do_sample=True, max_new_tokens=8, num_return_sequences=3, top_k=0)
    answers = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        answers.append([[a.text for a in several] for several in any_engine.answer(PROMPTS[:3], draw)])
    assert answers[0] == answers[1] != answers[2]
    assert [len(several) for several in answers[0]] == [3] * 3
    assert len(set(answers[0][0])) > 1


def test_a_stream_is_the_answer(any_engine: Engine, reference: TransformersEngine) -> None:
    greedy = GenerationConfig(do_sample=False, max_new_tokens=32)
    for prompt, expected in zip(PROMPTS[:3], texts(reference, PROMPTS[:3]), strict=True):
        *pieces, last = any_engine.stream([{"role": "user", "content": prompt}], greedy)
        assert last.answer is not None
        assert last.answer.text == expected == "".join(piece.text for piece in [*pieces, last])
        assert all(piece.answer is None for piece in pieces)
        assert last.answer.new_tokens > 0


def test_a_stream_may_be_left(any_engine: Engine) -> None:
    stream = any_engine.stream("Once", GenerationConfig(max_new_tokens=1000))
    next(stream)
    stream.close()
    assert len(texts(any_engine, ["Hello"])) == 1


@pytest.mark.parametrize("ability", ABILITIES)
def test_what_is_not_offered_is_refused_by_name(any_engine: Engine, ability: str) -> None:
    any_engine.open()
    if ability in any_engine.offers:
        assert ability in type(any_engine).offers
        return
    with pytest.raises(ValueError, match=f"offers .* but not `{ability}`"):
        getattr(any_engine, ability)(*ABILITIES[ability])


def test_a_prompt_without_room_is_a_bad_prompt(any_engine: Engine) -> None:
    with pytest.raises(ValueError, match="context is 2048") as raised:
        list(any_engine.stream("x" * 3000, GenerationConfig(max_new_tokens=2)))
    assert isinstance(raised.value, BadPrompt) or "refuses a request (400)" in str(raised.value)


def test_log_probabilities_of_draws(reference: TransformersEngine) -> None:
    """Those of the distribution that was drawn from, as scoring the tokens afterwards gives them."""
    torch.manual_seed(0)
    draw = GenerationConfig(do_sample=True, max_new_tokens=12, top_k=0, temperature=1.0)
    answers = reference.answer(PROMPTS[:4], draw, logprobs=True)
    for (answer,), ids in zip(answers, encode_prompts(reference.tokenizer, PROMPTS[:4]), strict=True):
        assert answer.logprobs is not None
        assert len(answer.logprobs) == len(answer.token_ids) == answer.new_tokens
        (scored,) = reference.score([([*ids, *answer.token_ids], [-100] * len(ids) + list(answer.token_ids))])
        assert torch.allclose(scored, torch.tensor(answer.logprobs), atol=1e-4)
    with pytest.raises(ValueError, match="num_beams=1"):
        reference.answer(["x"], GenerationConfig(num_beams=2), logprobs=True)


def test_a_batch_of_prompts_is_sampled_as_it_stands(reference: TransformersEngine) -> None:
    """The draws are those of `generate` on the very batch, which rollouts rely on."""
    rows = reference.tokenizer(["Hello", "What?"], padding=True, padding_side="left", return_tensors="pt")
    draw = GenerationConfig(do_sample=True, max_new_tokens=6, top_k=0, num_return_sequences=2)
    torch.manual_seed(3)
    answers = reference.sample(rows, draw)
    torch.manual_seed(3)
    stops = [1, 4]
    output = reference.model.generate(**rows, generation_config=draw, eos_token_id=stops, pad_token_id=0)
    new_ids = output[:, rows["input_ids"].shape[1] :].tolist()
    for answer, row in zip([a for several in answers for a in several], new_ids, strict=True):
        assert row[: len(answer.token_ids)] == list(answer.token_ids)
    assert [several[0].prompt_tokens for several in answers] == [5, 5]
