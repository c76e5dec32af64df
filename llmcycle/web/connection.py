"""A connection whose client must send a whole header in time: uvicorn itself would wait for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20  # from a connection's opening, or a header's first byte, to that header's end


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 in pure Python, whichever parsers are installed, with a limit on the time of a header.

    The body's time is limited in `llmcycle.web.body`, and a connection at rest by uvicorn's own limit.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.await_header()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self.await_header()
        else:
            self.forget_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self.forget_header()
        super().connection_lost(exc)

    def await_header(self) -> None:
        """Start the clock, unless it runs: bytes that come one by one do not turn it back."""
        self.header_timer = self.header_timer or self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def forget_header(self) -> None:
        """Stop the clock."""
        if self.header_timer is not None:
            self.header_timer.cancel()
        self.header_timer = None
