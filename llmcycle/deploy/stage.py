"""The deploy stage: serve a model from its own folder, and prove over HTTP that it still is the same model."""

from __future__ import annotations

import json
import secrets
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import openai
import torch
from pytorch_lightning.loggers import Logger
from transformers import AutoTokenizer, GenerationConfig

from llmcycle.data.batches import Rows
from llmcycle.data.chat import Prompt
from llmcycle.deploy.app import build_app
from llmcycle.deploy.serving import open_engine
from llmcycle.engine import LocalEngine, texts, write_samples
from llmcycle.evaluate.interval import mean_interval
from llmcycle.evaluate.metric import Metric, Metrics, led_by
from llmcycle.handoff import Copy, hand_on, probe_of
from llmcycle.model import load
from llmcycle.quantities import Count, CountOrZero
from llmcycle.web import running


@dataclass(frozen=True)
class Answered:
    """One prompt, answered in this process and over HTTP; `seconds` from the request to the last character."""

    prompt: Prompt
    local: str
    http: str
    tokens: int
    seconds: float
    first_seconds: float  # until the first character, of the same request streamed


def deploy(
    source: str,
    data: Rows | None,
    samples: Sequence[str],
    prompts: CountOrZero = 48,
    max_new_tokens: Count = 32,
    queue: Count = 8,
    *,
    out: Path,
    logger: Logger | None,  # noqa: ARG001  nothing to log while it runs; the runner logs what is returned
) -> Metrics:
    """Put the model into `out`, serve it from there on a free port, and compare it with `source` in this process.

    Args:
        source: a folder, or a Hub name.
        data: rows with a "prompt"; the first `prompts` of its validation rows are questions besides `samples`. None
            for no more than these.
        max_new_tokens: length of an answer, in tokens.
        queue: requests inside the server at a time.

    Returns:
        The share of greedy answers over HTTP that equal the local ones (always 1), latencies and tokens/s.

    Raises:
        ValueError: an answer over HTTP differs from the local one, streamed or not; no prompts.
    """
    rows = (data.validation or data.train)[:prompts] if data is not None else []
    questions = [*samples, *(row["prompt"] for row in rows)]
    if not questions:
        raise ValueError("prompts: none to compare; raise stage.prompts, or choose data with a prompt column")
    local = answers_here(source, questions, max_new_tokens)
    put(source, out, questions)
    answered = answers_over_http(out, questions, local, max_new_tokens, queue)
    write_samples(out, samples, [row.http for row in answered[: len(samples)]])
    (out / "answers.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in answered))
    metrics = measure(answered)
    (out / "serving.md").write_text(report(metrics))
    return metrics


def answers_here(source: str, questions: Sequence[Prompt], max_new_tokens: int) -> list[str]:
    """Greedy answers one at a time, as the server computes them: in a batch, rounding may decide a tie otherwise."""
    config = GenerationConfig(max_new_tokens=max_new_tokens, do_sample=False)
    return texts(LocalEngine(source, batch_size=1), questions, config)


def put(source: str, out: Path, prompts: Sequence[Prompt]) -> None:
    """The files that serving needs, compared with the source on the prompts: see `llmcycle.handoff.Copy`."""
    model, tokenizer = load(source), AutoTokenizer.from_pretrained(source)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    hand_on(model.to(device), tokenizer, out, Copy(source), probe_of(tokenizer, prompts, device))


def answers_over_http(
    folder: Path, questions: Sequence[Prompt], local: Sequence[str], max_new_tokens: int, queue: int
) -> list[Answered]:
    """Ask a real server, with a key, through the official client; raises ValueError at the first other answer."""
    engine, key = open_engine(folder, name="llmcycle"), secrets.token_urlsafe()
    is_chat = engine.chats
    answered = []
    # Proxies of the environment are for other machines.
    with running(build_app(engine, key, queue)) as url, openai.DefaultHttpxClient(trust_env=False) as transport:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=transport)
        for prompt, expected in zip(questions, local, strict=True):
            row = ask(client, is_chat, prompt, expected, max_new_tokens)
            answered.append(row)
            if row.http != expected:
                raise ValueError(
                    f"deploy: over HTTP the model answers {row.http!r} to {prompt!r}, in this process {expected!r}; "
                    "the served model is not the one that was handed in"
                )
    return answered


def ask(client: openai.OpenAI, is_chat: bool, prompt: Prompt, local: str, max_new_tokens: int) -> Answered:
    """The same greedy request twice, whole and streamed; raises ValueError if these differ."""
    request: dict[str, Any] = {"model": "llmcycle", "max_tokens": max_new_tokens, "temperature": 0}
    endpoint: Any = client.chat.completions if is_chat else client.completions
    if is_chat:
        request["messages"] = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    else:
        request["prompt"] = prompt
    start = time.perf_counter()
    answer = endpoint.create(**request)
    seconds = time.perf_counter() - start
    text = content(answer.choices[0].message.content if is_chat else answer.choices[0].text)
    streamed, first_seconds = stream(endpoint, is_chat, request)
    if streamed != text:
        raise ValueError(f"deploy: {prompt!r} is answered {text!r} whole and {streamed!r} streamed")
    return Answered(prompt, local, text, answer.usage.completion_tokens, seconds, first_seconds)


def stream(endpoint: Any, is_chat: bool, request: dict[str, Any]) -> tuple[str, float]:
    """The streamed answer, and the seconds until its first character (until its end if it has none)."""
    start, first, text = time.perf_counter(), 0.0, ""
    for chunk in endpoint.create(**request, stream=True):
        choice = chunk.choices[0]
        text += (choice.delta.content if is_chat else choice.text) or ""
        first = first or (time.perf_counter() - start if text else 0.0)
    return content(text), first or time.perf_counter() - start


def content(text: str | None) -> str:
    """Without surrounding space, as `generate` gives answers; completions keep it, chats have none."""
    return (text or "").strip()


def measure(answered: Sequence[Answered]) -> Metrics:
    n, seconds = len(answered), sorted(row.seconds for row in answered)
    equal = [float(row.http == row.local) for row in answered]
    first = statistics.median(row.first_seconds for row in answered)
    rate = sum(row.tokens for row in answered) / sum(seconds)
    metrics = {
        "http_agreement": Metric(statistics.fmean(equal), interval=mean_interval(equal), better="higher", n=n),
        "latency_p50": Metric(statistics.median(seconds), better="lower", unit="s", n=n),
        "latency_p95": Metric(seconds[max(0, -(-95 * n // 100) - 1)], better="lower", unit="s", n=n),
        "first_token_p50": Metric(first, better="lower", unit="s", n=n),
        "tokens_per_second": Metric(rate, better="higher", unit="tokens/s", n=n),
    }
    return led_by("http_agreement", metrics)


def report(metrics: Metrics) -> str:
    rows = "".join(f"| {name} | {m.value:.4g} | {m.unit} | {m.n} |\n" for name, m in metrics.items())
    return (
        "# Serving this model\n\n"
        "`llmcycle serve FOLDER` starts an OpenAI-compatible server, `llmcycle chat FOLDER` a chat.\n\n"
        "Measured one request at a time, with client and server in one process on the loopback interface:\n\n"
        f"| metric | value | unit | prompts |\n|---|---|---|---|\n{rows}"
    )
