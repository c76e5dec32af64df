"""An endpoint as an engine: what goes wrong is told in words with a remedy, and the key is written nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig

from llmcycle.deploy.app import build_app
from llmcycle.engine import LocalEngine, TransformersEngine, texts
from llmcycle.engine.openai import OpenAIEngine
from llmcycle.port import listen
from llmcycle.web import running

KEY = "correct horse"


@pytest.fixture(scope="module")
def url(chatting: Path) -> Iterator[str]:
    with running(build_app(LocalEngine(str(chatting)), KEY, queue=2)) as address:
        yield f"{address}/v1"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_API_KEY", KEY)


def endpoint(url: str, **options: Any) -> OpenAIEngine:
    return OpenAIEngine(**{"model": "tiny", "base_url": url, "variable": "TINY_API_KEY", "retries": 0, **options})


@pytest.mark.usefixtures("key")
def test_the_key_comes_from_the_environment(url: str, reference: TransformersEngine) -> None:
    engine = endpoint(url)
    assert texts(engine, ["Hello"]) == texts(reference, ["Hello"])
    assert engine.describe() == {"endpoint": url, "model": "tiny"}
    assert KEY not in repr(vars(engine))


@pytest.mark.usefixtures("key")
def test_a_full_queue_is_waited_for(url: str, reference: TransformersEngine) -> None:
    prompts = [f"Question {i}" for i in range(12)]
    assert texts(endpoint(url, concurrency=6, retries=10), prompts) == texts(reference, prompts)


@pytest.mark.usefixtures("key")
def test_texts_are_continued_without_a_chat(url: str, reference: TransformersEngine) -> None:
    greedy = GenerationConfig(max_new_tokens=8, do_sample=False)
    *_, last = reference.stream("Once", greedy)
    assert last.answer is not None
    assert texts(endpoint(url, chat=False), ["Once"], greedy) == [last.answer.text.strip()]
    with pytest.raises(ValueError, match=r"engine\.chat=true"):
        endpoint(url, chat=False).answer([[{"role": "user", "content": "x"}]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "gpt-9"}, r"engine\.model=gpt-9: .* there is no model 'gpt-9' here; this server has 'tiny'"),
        (
            {"variable": "NO_API_KEY"},
            r"engine\.variable=NO_API_KEY: .* variable is not set; export it",
        ),
        ({"timeout": 1e-4}, r"engine\.timeout=0\.0001: .* took longer"),
    ],
)
@pytest.mark.usefixtures("key")
def test_failures_name_the_setting(url: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        endpoint(url, **options).answer(["x"])


def test_a_wrong_key_is_told_and_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_API_KEY", "battery staple")
    with pytest.raises(ValueError, match="holds no valid key") as raised:
        endpoint(url).answer(["x"])
    assert "staple" not in str(raised.value)


def test_nobody_there_is_told() -> None:
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(ValueError, match=r"engine\.base_url: nothing answers at .*llmcycle serve FOLDER"):
        endpoint(f"http://127.0.0.1:{port}/v1").answer(["x"])


@pytest.mark.usefixtures("key")
def test_a_full_queue_without_retries_is_told(url: str) -> None:
    with pytest.raises(ValueError, match=r"engine\.concurrency=8: .* lower it, or raise engine\.retries=0"):
        endpoint(url, concurrency=8).answer(["x"] * 16, GenerationConfig(max_new_tokens=200))


@pytest.mark.parametrize("generation", [{"num_beams": 4}, {"do_sample": True, "top_k": 5}, {"repetition_penalty": 1.3}])
def test_settings_without_a_field_are_refused(generation: dict[str, Any]) -> None:
    name = list(generation)[-1]
    with pytest.raises(ValueError, match=rf"generate\.{name}=.*OpenAIEngine has no field"):
        endpoint("http://127.0.0.1:1/v1").answer(["x"], GenerationConfig(**generation))


def test_log_probabilities_that_are_not_there_are_not_made_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_API_KEY", KEY)
    with pytest.raises(ValueError, match=r"refuses a request \(422\): logprobs"):
        endpoint(url).answer(["x"], logprobs=True)


def test_only_keys_are_sent() -> None:
    with pytest.raises(ValueError, match=r"engine\.variable: HOME does not end in API_KEY"):
        endpoint("http://127.0.0.1:1/v1", variable="HOME")


def test_an_address_is_one_of_http_up_to_its_version(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_API_KEY", KEY)
    with pytest.raises(ValueError, match=r"engine\.base_url: 127\.0\.0\.1:1/v1 does not begin with http://"):
        endpoint("127.0.0.1:1/v1")
    with pytest.raises(ValueError, match=r"engine\.model=tiny: .* engine\.base_url is the address up to /v1"):
        endpoint(url.removesuffix("/v1")).answer(["x"])
