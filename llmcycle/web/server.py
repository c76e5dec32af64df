"""Start an application's server, for good or for the length of a `with` block (`running`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from llmcycle.port import listen
from llmcycle.web.connection import Connection

START_SECONDS = 60
STOP_SECONDS = 5  # that running answers have to finish
# FastAPI would hand prompts and traces to any OpenTelemetry provider that the environment sets up.
NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


@contextmanager
def running(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `app` from a thread inside the block, and give its address, e.g. http://127.0.0.1:41234."""
    with listen(host, port) as sock:
        server = make_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start within {START_SECONDS} s; its log says why")
            time.sleep(0.01)
        try:
            yield address(host, sock.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def make_server(app: FastAPI) -> uvicorn.Server:
    """A server of `app` with limits on the time of a header and of its own end."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return uvicorn.Server(config)


def address(host: str, port: int) -> str:
    """The URL of a host and port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
