"""Every engine over one small model that chats: what the contract is tested on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import save_chatting

from llmcycle.deploy.app import build_app
from llmcycle.engine import Engine, LocalEngine, TransformersEngine
from llmcycle.engine.openai import OpenAIEngine
from llmcycle.web import running


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with a chat template."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_chatting(folder)
    return folder


@pytest.fixture(scope="module")
def reference(chatting: Path) -> TransformersEngine:
    engine = LocalEngine(str(chatting))
    engine.open()
    return engine


def local(folder: Path, _: ExitStack) -> Engine:
    return LocalEngine(str(folder), batch_size=3)


def served(folder: Path, stack: ExitStack) -> Engine:
    url = stack.enter_context(running(build_app(LocalEngine(str(folder)), queue=8)))
    return OpenAIEngine(str(folder), f"{url}/v1", retries=8)


# A new engine is one line more: how it is opened on the folder of a model.
ENGINES: dict[str, Callable[[Path, ExitStack], Engine]] = {"transformers": local, "openai": served}


@pytest.fixture(scope="module", params=ENGINES)
def any_engine(request: pytest.FixtureRequest, chatting: Path) -> Iterator[Engine]:
    with ExitStack() as stack:
        engine = ENGINES[request.param](chatting, stack)
        yield engine
        engine.close()
