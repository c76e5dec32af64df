"""Open a model and serve it for good."""

from __future__ import annotations

import json
import os
import shlex
from contextlib import suppress
from pathlib import Path

import transformers

from llmcycle.deploy.app import build_app
from llmcycle.engine import Engine, LocalEngine
from llmcycle.port import API_KEY, check_reach, is_local, listen
from llmcycle.web import address, make_server


def open_engine(folder: str | Path, name: str | None = None) -> LocalEngine:
    """Whatever a stage handed on (weights, quantised weights, an adapter) or a Hub name, ready to answer.

    Raises:
        ValueError: see `llmcycle.model.load`.
    """
    transformers.logging.set_verbosity_error()
    engine = LocalEngine(str(folder), name=name)
    engine.open()
    return engine


def serve(
    folder: str | Path, host: str = "127.0.0.1", port: int = 8000, api_key: str | None = None, queue: int = 8
) -> None:
    """Serve the model in `folder` until Ctrl-C, after printing one line with the address and a command to try.

    Args:
        host: an address of this machine; one that others can reach needs a key.
        port: 0 takes a free one.
        api_key: what clients must send; by default the variable LLMCYCLE_API_KEY, and no key if that is not set.
        queue: requests inside at a time; the next gets 429.

    Raises:
        ValueError: no key for a public address, the port is taken, or the folder holds no model.
    """
    api_key = api_key or os.environ.get(API_KEY) or None
    check_reach(host, api_key)
    with listen(host, port) as sock:
        engine = open_engine(folder)
        # With a key, a proxy in front may be known by any name.
        app = build_app(engine, api_key, queue, local=is_local(host) and api_key is None)
        url = address(host, sock.getsockname()[1])
        print(f"{engine.name} is served at {url}/v1 (Ctrl-C ends it); try: {example(engine, url, api_key)}", flush=True)
        with suppress(KeyboardInterrupt):  # uvicorn passes it on once everything is closed
            make_server(app).run(sockets=[sock])


def example(engine: Engine, url: str, api_key: str | None) -> str:
    """A command that works when it is pasted; a key is named by its variable, never shown."""
    is_chat = engine.chats
    request = {"messages": [{"role": "user", "content": "Hello"}]} if is_chat else {"prompt": "Hello"}
    body = shlex.quote(json.dumps({"model": engine.name, **request}))
    key = f' -H "Authorization: Bearer ${API_KEY}"' if api_key else ""
    path = "chat/completions" if is_chat else "completions"
    return f"curl {url}/v1/{path} -H 'Content-Type: application/json'{key} -d {body}"
