"""The server, over real sockets on the loopback interface."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

import openai
import pytest
from deploy.conftest import NAME, Got, asked, send
from transformers import GenerationConfig

from llmcycle.deploy.app import build_app
from llmcycle.deploy.schema import CompletionRequest
from llmcycle.engine import Answer, Engine, Piece, TransformersEngine, texts
from llmcycle.engine.openai import OpenAIEngine
from llmcycle.port import listen
from llmcycle.web import MAX_BODY, running

CONTEXT = 2048  # tokens, of the model
KEY = "correct horse"
BEARER = {"Authorization": f"Bearer {KEY}"}
CHAT, COMPLETE = "/v1/chat/completions", "/v1/completions"
PROMPTS = ["Hello", "What is blue?", "ä 你好", "x" * 40]


@pytest.fixture
def url(engine: TransformersEngine) -> Iterator[str]:
    with running(build_app(engine, KEY, queue=2)) as address:
        yield address


@pytest.fixture
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


def words(content: str) -> list[Any]:
    return [{"role": "user", "content": content}]


def test_greedy_answers_are_those_of_the_engine(client: openai.OpenAI, engine: TransformersEngine) -> None:
    expected = texts(engine, PROMPTS, GenerationConfig(max_new_tokens=16))
    answers = [
        client.chat.completions.create(model=NAME, messages=words(p), max_tokens=16, temperature=0) for p in PROMPTS
    ]
    assert [answer.choices[0].message.content for answer in answers] == expected
    assert len(set(expected)) == len(PROMPTS)


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"temperature": 2, "top_p": 0.9, "seed": 7}])
def test_a_streamed_chat_is_the_whole_one(client: openai.OpenAI, sampling: dict[str, Any]) -> None:
    for prompt in PROMPTS:
        request: dict[str, Any] = {"model": NAME, "messages": words(prompt), "max_completion_tokens": 40, **sampling}
        whole = client.chat.completions.create(**request)
        *chunks, last = client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
        assert chunks[0].choices[0].delta.role == "assistant"
        assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
        assert last.usage == whole.usage
        assert len({chunk.id for chunk in chunks}) == 1


def test_a_streamed_completion_is_the_whole_one(client: openai.OpenAI) -> None:
    request: dict[str, Any] = {"model": NAME, "prompt": "Once", "max_tokens": 30, "temperature": 0}
    whole = client.completions.create(**request)
    streamed = client.completions.create(**request, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == whole.choices[0].text
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == len("Once")
    assert whole.usage.total_tokens == len("Once") + whole.usage.completion_tokens
    cut = client.completions.create(**request, stop=[whole.choices[0].text[3:5]])
    assert cut.choices[0].finish_reason == "stop"
    assert whole.choices[0].text.startswith(cut.choices[0].text)
    assert len(cut.choices[0].text) <= 3


def test_the_model_is_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [NAME]


def test_health_needs_no_key_and_all_else_does(url: str) -> None:
    assert send(f"{url}/health").json == {"status": "ok"}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}, {"Authorization": f"Basic {KEY}"}):
        for path, body in [("/v1/models", None), (CHAT, asked()), (COMPLETE, {}), ("/nothing", None)]:
            got = send(url + path, body, headers)
            assert (got.status, got.json["error"]["code"]) == (401, "invalid_api_key")
            assert got.headers["www-authenticate"] == "Bearer"
    assert send(f"{url}/v1/models", headers={"Authorization": f"bearer {KEY}"}).status == 200


def test_without_a_key_everyone_is_let_in(engine: TransformersEngine) -> None:
    with running(build_app(engine)) as url:
        assert send(url + CHAT, asked()).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/load_model", "/reset", "/docs", "/redoc", "/openapi.json", "/v1/responses", "/metrics"]
)
def test_there_are_no_other_routes(url: str, path: str) -> None:
    for body in (None, {}):
        got = send(url + path, body, BEARER)
        assert (got.status, got.message) == (404, "Not Found")


def test_another_model_is_refused(url: str) -> None:
    got = send(url + CHAT, asked() | {"model": "gpt-9"}, BEARER)
    assert (got.status, got.json["error"]["code"]) == (404, "model_not_found")
    assert got.message == "there is no model 'gpt-9' here; this server has 'tiny'"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 2.5}, "max_tokens"),
        ({"max_completion_tokens": 4}, "body"),
        ({"stop": ["a", ""]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"seed": -1}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"generation_config": "{}"}, "generation_config"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"stop": "a\ud800"}, "stop"),
        ({"user": "\udfff"}, "user"),
        ({"\ud800": 1}, "body"),
        ({"messages": [{"role": "user", "content": "a\ud800"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "\ud800"}]}]}, "messages.0.content"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
    ],
)
def test_a_bad_body_is_refused_with_its_field(url: str, change: dict[str, Any], field: str) -> None:
    got = send(url + CHAT, asked() | change, BEARER)
    assert got.status == 422
    assert got.json["error"]["param"].startswith(field)
    assert got.message.startswith(field)


NOTHING: list[dict[str, Any]] = [
    *({"n": 1}, {"stop": []}, {"stop": None}, {"presence_penalty": 0}, {"frequency_penalty": 0.0}, {"user": "me"}),
    *({"logit_bias": {}}, {"logit_bias": None}, {"seed": None}, {"stream": False}, {"stream_options": None}),
]
NOTHING_OF_CHATS: list[dict[str, Any]] = [
    *({"logprobs": False}, {"logprobs": None}, {"top_logprobs": None}, {"top_logprobs": 0}, {"tools": []}),
    *({"tools": None}, {"tool_choice": "none"}, {"parallel_tool_calls": None}, {"store": False}, {"metadata": {}}),
    *({"response_format": {"type": "text"}}, {"modalities": ["text"]}, {"service_tier": "auto"}),
]
NOTHING_OF_COMPLETIONS: list[dict[str, Any]] = [
    *({"logprobs": None}, {"suffix": None}, {"suffix": ""}, {"best_of": 1}, {"echo": False}),
]


def test_fields_that_ask_for_nothing_change_nothing(url: str) -> None:
    chat, text = asked(max_tokens=1, temperature=0), {"model": NAME, "prompt": "a", "max_tokens": 1, "temperature": 0}
    for path, body, fields in ((CHAT, chat, NOTHING_OF_CHATS), (COMPLETE, text, NOTHING_OF_COMPLETIONS)):
        plain = send(url + path, body, BEARER).json["choices"]
        for field in [*NOTHING, *fields]:
            got = send(url + path, body | field, BEARER)
            assert (got.status, got.json.get("choices")) == (200, plain), field


def test_a_prompt_that_spells_the_beginning_begins_once(engine: TransformersEngine) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = engine.tokenizer
    plain = engine.prompt_tokens("Hi")
    bos = tokenizer.bos_token = str(tokenizer.eos_token)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)]
    )
    assert engine.prompt_tokens("Hi") == engine.prompt_tokens(f"{bos}Hi") == plain + 1
    assert engine.prompt_tokens(f"{bos}{bos}Hi") == plain + 2  # a second one that was typed stays


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"[" * 100_000, b"\xff\xfe"])
def test_a_body_that_is_no_json_object_is_refused(url: str, body: bytes) -> None:
    got = send(url + CHAT, body, BEARER)
    assert got.status in (400, 422)
    assert "Traceback" not in got.text


def test_a_form_is_no_json(url: str) -> None:  # what a web page can send elsewhere without asking
    import json

    got = send(url + CHAT, json.dumps(asked()).encode(), BEARER | {"Content-Type": "text/plain"})
    assert got.status == 422


def test_content_may_come_in_parts(url: str) -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    got = send(url + CHAT, asked() | {"messages": [{"role": "user", "content": parts}], "temperature": 0}, BEARER)
    assert got.json["choices"] == send(url + CHAT, asked(temperature=0), BEARER).json["choices"]


def test_a_prompt_without_room_is_refused(url: str) -> None:
    got = send(url + CHAT, asked("x" * CONTEXT), BEARER)
    assert (got.status, got.json["error"]["param"]) == (400, "messages")
    assert f"context is {CONTEXT}" in got.message


def test_a_large_body_is_refused(url: str) -> None:
    got = send(url + CHAT, asked("x" * MAX_BODY), BEARER)
    assert (got.status, got.message) == (413, f"the body is larger than {MAX_BODY} bytes")


def test_a_large_body_of_unknown_length_is_refused(url: str) -> None:
    import http.client

    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    chunks = iter([b"x" * 2**16] * 20)
    connection.request("POST", CHAT, chunks, BEARER, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_slow_body_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import http.client

    monkeypatch.setattr("llmcycle.web.body.BODY_SECONDS", 0.2)
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    connection.putrequest("POST", CHAT)
    for name, value in {**BEARER, "Content-Length": "100"}.items():
        connection.putheader(name, value)
    connection.endheaders(b"{")
    assert connection.getresponse().status == 408
    connection.close()


@pytest.mark.parametrize("answered", [0, 1])
def test_a_slow_header_is_given_up(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch, answered: int) -> None:
    import socket

    monkeypatch.setattr("llmcycle.web.connection.HEADER_SECONDS", 0.5)
    with running(build_app(engine)) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as client:
            for _ in range(answered):
                client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert b"200 OK" in client.recv(4096)
            start = time.monotonic()
            with suppress(OSError):
                while time.monotonic() - start < 10:
                    client.sendall(b"GET" if time.monotonic() == start else b"T")
                    client.settimeout(0.1)
                    with suppress(TimeoutError):
                        if client.recv(10) == b"":
                            break
        assert time.monotonic() - start < 5


def test_connections_do_not_wait_for_acknowledgements() -> None:
    import socket

    with listen("127.0.0.1", 0) as server, socket.create_connection(server.getsockname()):
        accepted, _ = server.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_foreign_host_name_is_refused(url: str) -> None:
    got = send(f"{url}/v1/models", headers={**BEARER, "Host": "evil.example"})
    assert got.status == 403
    assert send(f"{url}/v1/models", headers={**BEARER, "Host": "localhost:99"}).status == 200


def test_nothing_is_told_to_tracers(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    assert not build_app(engine)._native_telemetry.enabled()


class Patient(Engine):
    """Answers a word, and ends when it is let go."""

    name, chats = NAME, True

    def __init__(self) -> None:
        self.release, self.began, self.cancels = threading.Event(), 0, 0

    def stream(
        self, prompt: Any, generation: GenerationConfig | None = None, seed: int | None = None
    ) -> Generator[Piece, None, None]:
        self.began += 1
        try:
            yield Piece("word")
            while not self.release.wait(0.01):
                yield Piece("")
            yield Piece("", Answer("word", "stop"))
        except GeneratorExit:
            self.cancels += 1
            raise


@pytest.fixture
def patient() -> Patient:
    return Patient()


@pytest.fixture
def slow_url(patient: Patient) -> Iterator[str]:
    with running(build_app(patient, queue=2)) as address:
        yield address
        patient.release.set()


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def open_stream(url: str) -> Any:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    stream = client.chat.completions.create(**asked(), stream=True)
    next(iter(stream))
    return stream


def test_past_the_queue_it_is_429(slow_url: str, patient: Patient) -> None:
    inside = [open_stream(slow_url), open_stream(slow_url)]
    got = send(slow_url + CHAT, asked())
    assert (got.status, got.json["error"]["code"]) == (429, "queue_full")
    assert int(got.headers["retry-after"]) >= 1
    patient.release.set()
    assert ["".join(c.choices[0].delta.content or "" for c in stream) for stream in inside] == ["word", "word"]
    until(lambda: send(slow_url + CHAT, asked()).status == 200)


def test_a_prompt_is_tokenised_only_once_it_has_a_place(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    go_on = threading.Event()

    def slow(prompt: Any) -> int:
        read.append(threading.current_thread().name)
        go_on.wait(20)
        return 1

    with running(build_app(patient, queue=1)) as url:
        monkeypatch.setattr(patient, "prompt_tokens", slow)
        patient.release.set()
        sender = threading.Thread(target=send, args=(url + CHAT, asked()))
        sender.start()
        until(lambda: len(read) == 1)
        statuses = [send(url + CHAT, asked()).status, send(f"{url}/health").status]
        go_on.set()
        sender.join(20)
        assert statuses == [429, 200]
    assert len(read) == 1  # the one that was turned away was not tokenised
    assert read[0].startswith("tokenise")


def test_a_stream_that_is_left_is_cancelled(slow_url: str, patient: Patient) -> None:
    open_stream(slow_url).close()
    until(lambda: patient.cancels == 1)


def test_a_whole_answer_that_nobody_waits_for_is_cancelled(slow_url: str, patient: Patient) -> None:
    client = openai.OpenAI(base_url=f"{slow_url}/v1", api_key="none", max_retries=0, timeout=0.5)
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(**asked())
    until(lambda: patient.cancels == 1)


def test_a_place_in_the_line_that_is_left_is_free_at_once(slow_url: str, patient: Patient) -> None:
    first, second = open_stream(slow_url), open_stream(slow_url)
    second.close()

    def admitted() -> bool:
        try:
            open_stream(slow_url).close()
        except openai.RateLimitError:
            return False
        return True

    until(admitted)
    assert patient.began == 1  # the first one is still being answered
    first.close()


def test_the_end_of_the_server_ends_answers(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmcycle.web.server.STOP_SECONDS", 0.2)
    with running(build_app(patient)) as url:
        stream = open_stream(url)
    assert patient.cancels == 1
    stream.close()
    with pytest.raises(OSError, match="refused"):
        send(f"{url}/health")


class Broken(Patient):
    def stream(
        self, prompt: Any, generation: GenerationConfig | None = None, seed: int | None = None
    ) -> Generator[Piece, None, None]:
        if seed == 1:
            raise RuntimeError("secret path /home/me")
        yield Piece("well", Answer("well", "stop"))


def test_a_failure_stays_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), running(build_app(Broken())) as url:
        answers: list[Got] = [send(url + CHAT, asked(seed=1, stream=stream)) for stream in (False, True)]
        assert send(url + CHAT, asked(seed=2)).json["choices"][0]["message"]["content"] == "well"
    assert [answer.status for answer in answers] == [500, 200]
    for answer in answers:
        assert "internal_error" in answer.text
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
    assert "secret path" in caplog.text


@pytest.mark.parametrize(
    ("body", "sampled", "temperature"),
    [
        ({}, None, None),
        ({"temperature": 0}, False, None),
        ({"temperature": 1e-300}, False, None),
        ({"temperature": 0.5}, True, 0.5),
        ({"top_p": 0.9}, True, None),
    ],
)
def test_a_request_is_what_the_engine_is_asked(body: Any, sampled: bool | None, temperature: float | None) -> None:
    wish = CompletionRequest(model=NAME, prompt="x", max_tokens=3, stop="a", **body).generation
    assert (wish.do_sample, wish.max_new_tokens, wish.stop_strings) == (sampled, 3, ["a"])
    assert temperature is None or wish.temperature == temperature


def test_another_endpoint_may_stand_behind_the_server(url: str, client: openai.OpenAI, monkeypatch: Any) -> None:
    """The server knows engines, not models."""
    monkeypatch.setenv("TINY_API_KEY", KEY)
    behind = OpenAIEngine(NAME, f"{url}/v1", variable="TINY_API_KEY")
    request: dict[str, Any] = {"model": NAME, "messages": words("Hello"), "max_tokens": 16, "temperature": 0}
    with running(build_app(behind)) as front:
        through = openai.OpenAI(base_url=f"{front}/v1", api_key="none").chat.completions.create(**request)
    direct = client.chat.completions.create(**request)
    assert through.choices[0].message == direct.choices[0].message
    assert (through.choices[0].finish_reason, through.usage) == (direct.choices[0].finish_reason, direct.usage)
