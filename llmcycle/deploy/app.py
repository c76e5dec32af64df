"""The OpenAI-compatible routes over one engine.

transformers' own serving handlers (`transformers.cli.serving`) are not used: they check the names of a body's fields
but not their values, take a whole `generation_config` from clients, ignore what they can't do but for a line in the
log, send the texts of exceptions to clients, have no bound on what waits, go on when the client of a whole answer is
gone, and need a chat template.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from llmcycle.deploy.guard import Guard, error
from llmcycle.deploy.line import Ask, Failed, Full, Line, Ticket
from llmcycle.deploy.schema import ChatRequest, CompletionRequest, Sampling
from llmcycle.engine import Answer, BadPrompt, Engine
from llmcycle.web import NO_TELEMETRY

POLL_SECONDS = 0.1  # how often a waiting answer looks whether its client is still there


def build_app(engine: Engine, api_key: str | None = None, queue: int = 8, local: bool = True) -> FastAPI:
    """The application: /health, /v1/models, /v1/chat/completions and /v1/completions, and nothing else.

    Args:
        api_key: see `Guard`; None needs none.
        queue: requests inside at a time, the one being answered included; the next gets 429.
        local: answer only to this machine's names (see `Guard`).
    """
    line = Line(engine, queue)
    engine.prompt_tokens("warm up")  # a fast tokenizer drops its saved truncation at first, which no two threads may do
    created = int(time.time())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(line.close)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, telemetry=NO_TELEMETRY)
    app.add_middleware(Guard, api_key=api_key, local=local)
    _add_errors(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        model = {"id": engine.name, "object": "model", "created": created, "owned_by": "llmcycle"}
        return {"object": "list", "data": [model]}

    @app.post("/v1/chat/completions")
    async def chat(body: ChatRequest, request: Request) -> Response:
        return await answer(line, body, [message.plain() for message in body.messages], request)

    @app.post("/v1/completions")
    async def completions(body: CompletionRequest, request: Request) -> Response:
        return await answer(line, body, body.prompt, request)

    return app


async def answer(line: Line, body: Sampling, prompt: str | list[dict[str, str]], request: Request) -> Response:
    """Check what the schema cannot, join the line, and answer as a whole or as a stream."""
    if body.model != line.engine.name:
        message = f"there is no model {body.model!r} here; this server has {line.engine.name!r}"
        return error(404, message, code="model_not_found", param="model")
    try:
        ticket = await line.enter(Ask(prompt, body.generation, body.seed))
    except BadPrompt as reason:
        return error(400, str(reason), param="prompt" if isinstance(prompt, str) else "messages")
    except Full as full:
        message = f"{line.limit} requests are waiting already; try again in {full.retry_after} s"
        return error(429, message, code="queue_full", headers={"Retry-After": str(full.retry_after)})
    words = Words(line.engine.name, isinstance(body, ChatRequest))
    if body.stream:
        return StreamingResponse(stream(ticket, words, body.include_usage), media_type="text/event-stream")
    return await whole(ticket, words, request)


class Words:
    """The JSON of one answer, in the words of the chat or of the completion endpoint."""

    def __init__(self, model: str, is_chat: bool) -> None:
        self.is_chat = is_chat
        prefix, self.kind = ("chatcmpl", "chat.completion") if is_chat else ("cmpl", "text_completion")
        self.head = {"id": f"{prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self, answer: Answer) -> dict[str, Any]:
        content = {"message": {"role": "assistant", "content": answer.text}} if self.is_chat else {"text": answer.text}
        choice = {"index": 0, "finish_reason": answer.finish, "logprobs": None, **content}
        return {**self.head, "object": self.kind, "choices": [choice], "usage": usage(answer)}

    def chunk(self, text: str | None, finish: str | None = None, first: bool = False) -> dict[str, Any]:
        delta = ({"role": "assistant"} if first else {}) | ({} if text is None else {"content": text})
        content = {"delta": delta} if self.is_chat else {"text": text or ""}
        return self.chunks([{"index": 0, "finish_reason": finish, "logprobs": None, **content}])

    def chunks(self, choices: list[dict[str, Any]], **more: object) -> dict[str, Any]:
        return {
            **self.head,
            "object": "chat.completion.chunk" if self.is_chat else self.kind,
            "choices": choices,
            **more,
        }


def usage(answer: Answer) -> dict[str, int]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.new_tokens,
        "total_tokens": answer.prompt_tokens + answer.new_tokens,
    }


async def whole(ticket: Ticket, words: Words, request: Request) -> Response:
    """The answer in one piece; given up when the client goes away."""

    async def collect() -> Answer:
        async with aclosing(ticket.text()) as pieces:
            async for _ in pieces:
                pass
        assert ticket.answer is not None
        return ticket.answer

    task = asyncio.create_task(collect())
    with cancelling(task):
        while not (await asyncio.wait([task], timeout=POLL_SECONDS))[0]:
            if await request.is_disconnected():
                return Response(status_code=499)  # nobody reads it
        return JSONResponse(words.whole(await task))


@contextmanager
def cancelling(task: asyncio.Task[Any]) -> Iterator[None]:
    """Leaves no task behind."""
    try:
        yield
    finally:
        task.cancel()


async def stream(ticket: Ticket, words: Words, include_usage: bool) -> AsyncIterator[str]:
    """Server-sent events; Starlette cancels this when the client goes away, and that cancels the generation."""
    try:
        if words.is_chat:
            yield event(words.chunk("", first=True))
        async with aclosing(ticket.text()) as pieces:
            async for piece in pieces:
                yield event(words.chunk(piece))
        assert ticket.answer is not None
        yield event(words.chunk(None, ticket.answer.finish))
        if include_usage:
            yield event(words.chunks([], usage=usage(ticket.answer)))
        yield "data: [DONE]\n\n"
    except Failed:
        yield f"data: {bytes(internal_error().body).decode()}\n\n"
    finally:
        ticket.leave()


def event(chunk: dict[str, Any]) -> str:
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"


def internal_error() -> JSONResponse:
    return error(500, "the server could not answer this request; its log says why", code="internal_error")


def _add_errors(app: FastAPI) -> None:
    """Every error in OpenAI's words; none with a trace or with what the client sent."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, reason: RequestValidationError) -> Response:
        problems = [(".".join(map(str, e["loc"][1:])) or "body", e["msg"]) for e in reason.errors()]
        message = "; ".join(f"{where}: {what}" for where, what in problems[:5])
        return error(422, message, param=problems[0][0])

    @app.exception_handler(HTTPException)
    async def refused(_: Request, reason: HTTPException) -> Response:
        return error(reason.status_code, str(reason.detail), headers=dict(reason.headers or {}))

    @app.exception_handler(Failed)
    @app.exception_handler(Exception)
    async def failed(_request: Request, _reason: Exception) -> Response:
        return internal_error()
