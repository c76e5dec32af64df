"""An answer while it is written: the same as a whole one, in pieces that nothing later changes, and it can be left."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.data.chat import set_chat_template
from llmcycle.engine import Answer, BadPrompt, TransformersEngine, texts
from llmcycle.engine.stream import held_back, settled

PROMPTS = ["Hello", "What is blue?", "ä 你好", "x" * 40]


@pytest.fixture
def chat(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> TransformersEngine:
    return TransformersEngine(model, set_chat_template(tokenizer))


def answer(
    engine: TransformersEngine, prompt: Any, count: int, temperature: float | None = 0, **options: Any
) -> tuple[Answer, list[str]]:
    seed = options.pop("seed", None)
    wish = GenerationConfig(max_new_tokens=count, do_sample=temperature is None or temperature > 0, **options)
    if temperature is None:
        wish.do_sample = None
    elif temperature:
        wish.temperature = temperature
    pieces = list(engine.stream(prompt, wish, seed))
    assert pieces[-1].answer is not None
    return pieces[-1].answer, [piece.text for piece in pieces]


def messages(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


def test_greedy_answers_are_those_of_the_engine(chat: TransformersEngine) -> None:
    config = GenerationConfig(max_new_tokens=24)
    expected = texts(chat, PROMPTS, config)
    assert [answer(chat, messages(p), 24)[0].text for p in PROMPTS] == expected


def test_a_base_model_continues_as_the_engine_does(
    engine: TransformersEngine,
) -> None:
    expected = texts(engine, PROMPTS)
    assert [answer(engine, p, 32)[0].text.strip() for p in PROMPTS] == expected
    assert answer(engine, messages("Hello"), 32)[0].text == expected[0]


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_pieces_add_up_to_the_text(chat: TransformersEngine, temperature: float) -> None:
    never = torch.zeros(len(chat.tokenizer))
    never[chat.tokenizer.all_special_ids] = -1e4
    chat.model.lm_head.bias = torch.nn.Parameter(never)
    for prompt in ("Hello", messages("Hello")):
        reply, pieces = answer(chat, prompt, 200, temperature, seed=3, stop_strings=["never", "\x01\x02\x03"])
        assert "".join(pieces) == reply.text
        assert sum(map(bool, pieces)) > 10  # many, though not one a token: broken characters are held back


def test_a_stop_string_ends_the_answer_and_never_shows(chat: TransformersEngine) -> None:
    whole, _ = answer(chat, "Hello", 60)
    stop = whole.text[20:23]
    assert len(stop.encode()) >= 3  # the tokens are bytes, so it spans several of them
    reply, pieces = answer(chat, "Hello", 60, temperature=0, stop_strings=["nowhere to be found", stop])
    assert reply.text == whole.text[: whole.text.find(stop)] == "".join(pieces)
    assert reply.finish == "stop"
    assert reply.new_tokens < whole.new_tokens


def test_the_end_token_ends_it_and_counts(chat: TransformersEngine) -> None:
    end = chat.tokenizer.eos_token_id
    logits = chat.model.lm_head
    with torch.no_grad():
        logits.weight.zero_()
        logits.bias = torch.nn.Parameter(torch.nn.functional.one_hot(torch.tensor(end), logits.out_features).float())
    reply, _ = answer(chat, "Hello", 5)
    assert (reply.text, reply.finish, reply.new_tokens) == ("", "stop", 1)


def test_an_answer_cut_off_says_so(chat: TransformersEngine) -> None:
    reply, _ = answer(chat, "Hello", 3)
    assert (reply.finish, reply.new_tokens, reply.prompt_tokens) == ("length", 3, 5)


def test_seeds_repeat_and_leave_the_global_generator_alone(chat: TransformersEngine) -> None:
    state = torch.random.get_rng_state()
    texts = [answer(chat, "Hello", 20, 1.0, seed=seed)[0].text for seed in (1, 1, 2, None, None)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 4
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_small_top_p_is_greedy(chat: TransformersEngine) -> None:
    greedy, _ = answer(chat, "Hello", 20)
    assert answer(chat, "Hello", 20, temperature=2, top_p=1e-6)[0].text == greedy.text
    assert answer(chat, "Hello", 20, 1.0, top_p=1e-6)[0].text == greedy.text


def test_without_a_temperature_the_model_decides(chat: TransformersEngine) -> None:
    def wished(**options: Any) -> GenerationConfig:
        return settled(chat.model, chat.tokenizer, GenerationConfig(**options), 1)

    assert not wished().do_sample
    chat.model.generation_config.do_sample = True
    chat.model.generation_config.temperature = 0.7
    config = wished()
    assert (config.do_sample, config.temperature, config.top_k) == (True, 0.7, 0)
    assert not wished(do_sample=False).do_sample


def test_an_answer_stays_within_the_context(engine: TransformersEngine) -> None:
    engine.model.config.max_position_embeddings = 10
    assert answer(engine, "1234567", 100)[0].new_tokens <= 3
    with pytest.raises(BadPrompt, match="10 tokens and the model's context is 10"):
        engine.prompt_tokens("1234567890")


def test_a_template_that_refuses_is_a_bad_prompt(chat: TransformersEngine) -> None:
    chat.tokenizer.chat_template = "{{ raise_exception('no system turn') }}"
    with pytest.raises(BadPrompt, match="no system turn"):
        chat.prompt_tokens(messages("Hello"))


def test_a_stream_that_is_left_ends_between_two_tokens(chat: TransformersEngine) -> None:
    calls = Counter[str]()
    chat.model.register_forward_hook(lambda *_: calls.update(["forward"]))
    stream = chat.stream("Hello", GenerationConfig(max_new_tokens=500))
    next(stream)
    stream.close()
    assert calls["forward"] < 100
    assert not [thread for thread in threading.enumerate() if thread.name == "generate"]


@pytest.mark.parametrize(
    ("text", "stops", "held"),
    [
        ("abc", (), 0),
        ("abc", ("cd",), 1),
        ("abc", ("bcd", "cx"), 2),
        ("abc", ("abcd",), 3),
        ("abc", ("xyz",), 0),
        ("ab\ufffd", (), 1),
        ("ab\ufffd\ufffd", ("\ufffdx",), 2),
        ("\ufffdab", (), 0),
    ],
)
def test_held_back(text: str, stops: tuple[str, ...], held: int) -> None:
    assert held_back(text, list(stops)) == held


def test_failures_reach_the_reader(chat: TransformersEngine) -> None:
    with pytest.raises(BadPrompt, match="context is 2048"):
        next(chat.stream("x" * 2048))


def test_a_prompt_of_too_many_characters_is_refused_before_it_is_tokenised(
    chat: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(chat.tokenizer), "__call__", lambda *_, **__: pytest.fail("it was tokenised"))
    for prompt in ("x" * 1_000_000, messages("x" * 1_000_000)):
        with pytest.raises(BadPrompt, match="1000000 characters"):
            chat.prompt_tokens(prompt)
