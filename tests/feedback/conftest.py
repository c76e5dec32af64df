"""A desk with items, some of them gold questions, and a client of its page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from llmcycle.feedback.app import build_app
from llmcycle.feedback.desk import Desk
from llmcycle.feedback.items import Item, Task
from llmcycle.feedback.login import Doorkeeper

MASTER = "correct horse"
ANN, BOB = "ann", "bob"
EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"


def items(count: int = 4, answers: int = 2) -> list[Item]:
    """Items whose answers say which place they have; the last one is a gold question."""
    texts = [tuple(f"answer {place} to {n}" for place in range(answers)) for n in range(count)]
    gold = [None] * (count - 1) + [0.0]
    return [Item(f"question {n}", texts[n], ("a", "b")[:answers], gold[n]) for n in range(count)]


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Opens desks in one folder, one after the other."""
    desks: list[Desk] = []

    def open_one(task: Task = "choice", wanted: list[Item] | None = None) -> Desk:
        if desks:
            desks.pop().close()
        desks.append(Desk(tmp_path, wanted or items(answers=2 if task == "choice" else 1), task))
        return desks[0]

    yield open_one
    for desk in desks:
        desk.close()


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()


@pytest.fixture
def keeper() -> Doorkeeper:
    return Doorkeeper([ANN, BOB], MASTER)


@pytest.fixture
def stranger(desk: Desk, keeper: Doorkeeper) -> Iterator[TestClient]:
    """A client that has not logged in."""
    with client_of(desk, keeper) as client:
        yield client


def client_of(desk: Desk, keeper: Doorkeeper) -> TestClient:
    """A client on this machine."""
    app = build_app(desk, keeper)
    return TestClient(app, "http://127.0.0.1:8001", raise_server_exceptions=False, follow_redirects=False)


def log_in(client: TestClient, keeper: Doorkeeper, name: str) -> TestClient:
    """The same client, with a session of its own."""
    client.cookies.clear()
    answer = client.post("/login", data={"name": name, "password": keeper.passwords[name]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return client


@pytest.fixture
def ann(stranger: TestClient, keeper: Doorkeeper) -> TestClient:
    return log_in(stranger, keeper, ANN)


def state(client: TestClient) -> dict[str, Any]:
    """What the page would show."""
    answer = client.get("/api/state")
    assert answer.status_code == 200
    return dict(answer.json())


def label(client: TestClient, answer: Any, **fields: Any) -> Any:
    """The response to a label of the item that is shown."""
    item = (state(client)["item"] or {"id": "none"})["id"]
    return client.post("/api/label", json={"item": item, "answer": answer, "seconds": 1.5, **fields})
