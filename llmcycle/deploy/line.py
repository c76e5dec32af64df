"""The bounded waiting line in front of an engine: one request is answered, a few wait, the next is turned away."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import AsyncGenerator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

from transformers import GenerationConfig

from llmcycle.data.chat import Prompt
from llmcycle.engine import Answer, Engine, Piece

log = logging.getLogger(__name__)


class Full(Exception):
    """The line is full; try again in `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after


class Failed(Exception):
    """Generation failed; the reason is in the server's log and not for clients."""


class Left(Exception):
    """Nobody waits for this answer any more."""


class Ask(NamedTuple):
    """One request, as an engine's `stream` takes it."""

    prompt: Prompt
    generation: GenerationConfig
    seed: int | None


class Line:
    """Lets at most `limit` requests in, the one being answered included. Lives in one event loop."""

    def __init__(self, engine: Engine, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"queue: {limit} requests can't be served; give at least 1")
        self.engine, self.limit = engine, limit
        self.seconds = 1.0  # of the last request
        self.inside: set[Ticket] = set()
        # One thread: a model is no place for two requests at once, and torch uses all cores for one.
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="generate")
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="tokenise")  # beside the model, one prompt at a time

    async def enter(self, ask: Ask) -> Ticket:
        """Join the line. A prompt is tokenised only once it has a place: a long one takes seconds and memory.

        Raises:
            Full: there is no place.
            BadPrompt: the engine can't answer this prompt; its place is free again.
        """
        if len(self.inside) >= self.limit:
            raise Full(max(1, math.ceil(self.seconds * len(self.inside))))
        ticket = Ticket(self, ask)
        self.inside.add(ticket)
        try:
            await ticket.loop.run_in_executor(self.reader, self.engine.prompt_tokens, ask.prompt)
            ticket.job = self.pool.submit(ticket.work)
        finally:
            if ticket.job is None:
                self.inside.discard(ticket)
        return ticket

    def close(self) -> None:
        """Cancel everyone inside and wait for the thread."""
        for ticket in self.inside:
            ticket.cancelled.set()
        for pool in (self.reader, self.pool):
            pool.shutdown(cancel_futures=True)


class Ticket:
    """One request in the line: iterate over its text, then read `answer`."""

    def __init__(self, line: Line, ask: Ask) -> None:
        self.line, self.ask = line, ask
        self.loop, self.cancelled = asyncio.get_running_loop(), threading.Event()
        self.pieces: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        self.answer: Answer | None = None
        self.job: Future[None] | None = None

    def work(self) -> None:
        """Generate, in the line's thread."""
        start = time.perf_counter()
        try:
            self._follow()
        except Left as error:
            self._put(error)
        except Exception as error:
            log.exception("generation failed")
            self._put(error)
        finally:
            self.line.seconds = time.perf_counter() - start
            self._call(self.line.inside.discard, self)

    def _follow(self) -> None:
        if self.cancelled.is_set():
            raise Left
        with closing(self.line.engine.stream(*self.ask)) as pieces:
            for piece in pieces:
                if self.cancelled.is_set():
                    raise Left
                self._put(piece)

    def _put(self, piece: Piece | Exception) -> None:
        self._call(self.pieces.put_nowait, piece)

    def _call(self, function: object, argument: object) -> None:
        if not self.loop.is_closed():  # it is when the server was stopped while this request ran
            self.loop.call_soon_threadsafe(function, argument)  # type: ignore[arg-type]

    async def text(self) -> AsyncGenerator[str, None]:
        """Pieces of text until `answer` is known. Leaving the loop early cancels the generation.

        Raises:
            Failed: generation failed, or was cancelled by the server's end.
        """
        try:
            while self.answer is None:
                piece = await self.pieces.get()
                if isinstance(piece, Exception):
                    raise Failed from piece
                self.answer = piece.answer
                if piece.text:
                    yield piece.text
        finally:
            self.leave()

    def leave(self) -> None:
        """End the generation, or give the place back at once if it has not begun."""
        self.cancelled.set()
        if self.job is not None and self.job.cancel():
            self.line.inside.discard(self)
