from __future__ import annotations

import threading

import pytest
import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.deploy.reply import Ask, BadPrompt, Cancelled, Replier, Reply, held_back
from llmcycle.engine import TransformersEngine, texts

PROMPTS = ["Hello", "What is blue?", "ä 你好", "x" * 40]


def answer(replier: Replier, ask: Ask) -> tuple[Reply, list[str]]:
    pieces: list[str] = []
    return replier.reply(ask, pieces.append, threading.Event()), pieces


def messages(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


def test_greedy_answers_are_those_of_the_engine(replier: Replier) -> None:
    config = GenerationConfig(max_new_tokens=24)
    expected = texts(TransformersEngine(replier.model, replier.tokenizer), PROMPTS, config)
    assert [answer(replier, Ask(messages(p), 24, temperature=0))[0].text for p in PROMPTS] == expected


def test_a_base_model_continues_as_the_engine_does(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine
) -> None:
    replier = Replier("base", model, tokenizer)
    expected = texts(engine, PROMPTS)
    assert [answer(replier, Ask(p, 32, temperature=0))[0].text.strip() for p in PROMPTS] == expected
    assert answer(replier, Ask(messages("Hello"), 32))[0].text == expected[0]


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_pieces_add_up_to_the_text(replier: Replier, temperature: float) -> None:
    replier.defaults.eos_token_id = replier.model.generation_config.eos_token_id = None
    for prompt in ("Hello", messages("Hello")):
        reply, pieces = answer(replier, Ask(prompt, 200, temperature, seed=3, stop=("never", "\x01\x02\x03")))
        assert "".join(pieces) == reply.text
        assert len(pieces) > 10  # many, though not one a token: broken characters are held back


def test_a_stop_string_ends_the_answer_and_never_shows(replier: Replier) -> None:
    whole, _ = answer(replier, Ask("Hello", 60, temperature=0))
    stop = whole.text[20:23]
    assert len(stop.encode()) >= 3  # the tokens are bytes, so it spans several of them
    reply, pieces = answer(replier, Ask("Hello", 60, temperature=0, stop=("nowhere to be found", stop)))
    assert reply.text == whole.text[: whole.text.find(stop)] == "".join(pieces)
    assert reply.finish == "stop"
    assert reply.completion_tokens < whole.completion_tokens


def test_the_end_token_ends_it_and_counts(replier: Replier) -> None:
    end = replier.defaults.eos_token_id[0]
    logits = replier.model.lm_head
    with torch.no_grad():
        logits.weight.zero_()
        logits.bias = torch.nn.Parameter(torch.nn.functional.one_hot(torch.tensor(end), logits.out_features).float())
    reply, _ = answer(replier, Ask("Hello", 5, temperature=0))
    assert (reply.text, reply.finish, reply.completion_tokens) == ("", "stop", 1)


def test_an_answer_cut_off_says_so(replier: Replier) -> None:
    reply, _ = answer(replier, Ask("Hello", 3, temperature=0))
    assert (reply.finish, reply.completion_tokens, reply.prompt_tokens) == ("length", 3, 5)


def test_seeds_repeat_and_leave_the_global_generator_alone(replier: Replier) -> None:
    state = torch.random.get_rng_state()
    texts = [answer(replier, Ask("Hello", 20, 1.0, seed=seed))[0].text for seed in (1, 1, 2, None, None)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 4
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_small_top_p_is_greedy(replier: Replier) -> None:
    greedy, _ = answer(replier, Ask("Hello", 20, temperature=0))
    assert answer(replier, Ask("Hello", 20, temperature=2, top_p=1e-6))[0].text == greedy.text
    assert answer(replier, Ask("Hello", 20, top_p=1e-6))[0].text == greedy.text


def test_without_a_temperature_the_model_decides(replier: Replier) -> None:
    assert not replier.config(Ask("x"), 1).do_sample
    replier.model.generation_config.do_sample = True
    replier.model.generation_config.temperature = 0.7
    config = replier.config(Ask("x"), 1)
    assert (config.do_sample, config.temperature, config.top_k) == (True, 0.7, 0)
    assert not replier.config(Ask("x", temperature=0), 1).do_sample
    assert not replier.config(Ask("x", temperature=1e-300), 1).do_sample


def test_an_answer_stays_within_the_context(tokenizer: PreTrainedTokenizerFast, model: LlamaForCausalLM) -> None:
    model.config.max_position_embeddings = 10
    replier = Replier("small", model, tokenizer)
    assert answer(replier, Ask("1234567", temperature=0))[0].completion_tokens <= 3
    with pytest.raises(BadPrompt, match="10 tokens and the model's context is 10"):
        replier.encode("1234567890")


def test_a_template_that_refuses_is_a_bad_prompt(replier: Replier) -> None:
    replier.tokenizer.chat_template = "{{ raise_exception('no system turn') }}"
    with pytest.raises(BadPrompt, match="no system turn"):
        replier.encode(messages("Hello"))


def test_cancelling_stops_between_two_tokens(replier: Replier) -> None:
    cancelled, pieces = threading.Event(), []

    def say(piece: str) -> None:
        pieces.append(piece)
        cancelled.set()

    with pytest.raises(Cancelled):
        replier.reply(Ask("Hello", 500, temperature=0), say, cancelled)
    assert len(pieces) == 1


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
    assert held_back(text, stops) == held
