"""A request's body, read whole before any route sees it, and the host name that the request was sent to."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.types import Message, Receive

MAX_BODY = 2**20  # bytes
BODY_SECONDS = 30  # for the whole body to arrive
DRAINED = 8 * MAX_BODY  # bytes of a body that are read at most


class BodyTooLarge(Exception):
    """The body is larger than MAX_BODY."""

    status = 413

    def __str__(self) -> str:
        return f"the body is larger than {MAX_BODY} bytes"


class BodyTimeout(Exception):
    """The body did not arrive within BODY_SECONDS."""

    status = 408

    def __str__(self) -> str:
        return f"the body did not arrive within {BODY_SECONDS} seconds"


async def limited(receive: Receive) -> Receive:
    """A `receive` that gives the whole body, which has been read. Raises BodyTooLarge or BodyTimeout."""
    try:
        return replay(await read(receive), receive)
    except TimeoutError:
        raise BodyTimeout from None


async def read(receive: Receive) -> list[Message]:
    """The messages of one body. Raises BodyTooLarge, or TimeoutError.

    A body that is too large, or refused for another reason, is still read, up to DRAINED bytes, and dropped: a
    connection closed over unread bytes is reset, and its client would see a broken pipe in place of the answer.
    """
    messages, size = [], 0
    async with asyncio.timeout(BODY_SECONDS):
        while True:
            message = await receive()
            size += len(message.get("body", b""))
            if size <= MAX_BODY:
                messages.append(message)
            if size > DRAINED or not message.get("more_body"):
                break
    if size > MAX_BODY:
        raise BodyTooLarge
    return messages


def replay(messages: list[Message], receive: Receive) -> Receive:
    """A `receive` that gives `messages` first, then whatever comes later (the client's going away)."""

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return again


def host_name(host: str) -> str:
    """The name in a Host header, without the port; "" if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
