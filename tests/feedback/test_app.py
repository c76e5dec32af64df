"""The page's routes: who comes in, what each may see, and what a label does."""

from __future__ import annotations

import errno
import json
import os

import pytest
from fastapi.testclient import TestClient
from feedback.conftest import ANN, BOB, EVIL, MASTER, client_of, label, log_in, state

from llmcycle.feedback.desk import LABELS, Desk
from llmcycle.feedback.gate import HEADERS
from llmcycle.feedback.items import Item
from llmcycle.feedback.login import COOKIE, Doorkeeper

POSTS = ("/api/label", "/api/undo", "/logout")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password waits less than it would."""
    monkeypatch.setattr("llmcycle.feedback.login.FAILURE_SECONDS", 0.01)


def test_without_a_password_only_the_login_and_static_files_are_served(stranger: TestClient) -> None:
    assert "Log in" in stranger.get("/login").text
    for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css")):
        answer = stranger.get(f"/static/{name}")
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
    home = stranger.get("/")
    assert (home.status_code, home.headers["location"], home.text) == (303, "/login", "")
    for path in ("/api/state", "/labels.jsonl", "/docs", "/openapi.json", "/api/label", "/login/", "/Login"):
        assert stranger.get(path).status_code == 401, path
    for path in POSTS:
        assert stranger.post(path, json={}).status_code == 401, path
    for name in ("page.html", "login.html", "../page.html", "..%2f..%2fapp.py", "%2e%2e/app.py"):
        assert "annotator" not in stranger.get(f"/static/{name}").text, name


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (ANN, "wrong"),
        (ANN, ""),
        ("", ""),
        ("eve", MASTER),
        (ANN, MASTER),
        (BOB, "ANN'S"),
        (ANN, "ä\ud7ff"),
        (EVIL, "x"),
    ],
)
def test_a_wrong_password_lets_nobody_in(stranger: TestClient, keeper: Doorkeeper, name: str, password: str) -> None:
    password = keeper.passwords[ANN] if password == "ANN'S" else password
    answer = stranger.post("/login", data={"name": name, "password": password})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert "do not belong together" in answer.text
    assert EVIL not in answer.text
    assert stranger.get("/api/state").status_code == 401


def test_wrong_passwords_are_answered_one_after_the_other(monkeypatch: pytest.MonkeyPatch, keeper: Doorkeeper) -> None:
    import asyncio
    import time

    monkeypatch.setattr("llmcycle.feedback.login.FAILURE_SECONDS", 0.1)

    async def several() -> list[str | None]:
        return await asyncio.gather(*(keeper.enter(ANN, str(n)) for n in range(4)), keeper.enter(ANN, right))

    right, start = keeper.passwords[ANN], time.monotonic()
    *wrong, token = asyncio.run(several())
    assert wrong == [None] * 4
    assert token
    assert time.monotonic() - start >= 0.4


def test_passwords_are_each_annotators_own(keeper: Doorkeeper) -> None:
    assert len({*keeper.passwords.values(), MASTER}) == 3
    assert keeper.passwords == Doorkeeper([ANN, BOB], MASTER).passwords
    assert Doorkeeper([ANN], MASTER).passwords == {ANN: MASTER}
    assert Doorkeeper([ANN]).passwords != Doorkeeper([ANN]).passwords


def test_a_session_is_a_cookie_that_no_script_and_no_other_page_gets(
    stranger: TestClient, keeper: Doorkeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = stranger.post("/login", data={"name": ANN, "password": keeper.passwords[ANN]})
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
    assert stranger.get("/").status_code == 200
    stranger.cookies.set(COOKIE, "made up", domain="127.0.0.1")
    for cookie in ("made up", '"', f"{COOKIE}=", f"{COOKIE}=x; {COOKIE}=y"):
        assert stranger.get("/api/state", headers={"Cookie": cookie}).status_code == 401
    log_in(stranger, keeper, ANN)
    old = stranger.cookies[COOKIE]
    gone = stranger.post("/logout")
    assert (gone.status_code, gone.headers["location"]) == (303, "/login")
    assert stranger.get("/api/state", headers={"Cookie": f"{COOKIE}={old}"}).status_code == 401
    monkeypatch.setattr("llmcycle.feedback.login.SESSION_SECONDS", -1)
    log_in(stranger, keeper, ANN)
    assert stranger.get("/api/state").status_code == 401


def test_every_answer_forbids_what_the_page_does_not_need(ann: TestClient) -> None:
    for answer in (ann.get("/"), ann.get("/login"), ann.get("/nothing"), ann.get("/api/state"), ann.post("/api/label")):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_other_names_and_other_pages_are_refused(ann: TestClient) -> None:
    assert ann.get("/login", headers={"Host": "evil.example"}).status_code == 403
    assert ann.get("/login", headers={"Host": "localhost:8001"}).status_code == 200
    for origin in ("http://evil.example", "http://127.0.0.1:9", "null"):
        assert ann.post("/api/undo", headers={"Origin": origin}).status_code == 403
    assert ann.post("/api/undo", headers={"Origin": "http://127.0.0.1:8001"}).status_code == 200
    assert ann.post("/login", content=b"x" * (2**20 + 1)).status_code == 413


def test_a_public_page_is_known_by_any_name(desk: Desk, keeper: Doorkeeper) -> None:
    from llmcycle.feedback.app import build_app

    with TestClient(build_app(desk, keeper, local=False), "http://shop.example") as client:
        assert client.get("/login").status_code == 200


def test_labels_come_in_and_progress_is_told(ann: TestClient, desk: Desk) -> None:
    before = state(ann)
    assert (before["annotator"], before["task"], before["done"], before["total"]) == (ANN, "choice", 0, 4)
    for done, answer in enumerate((0, 1, "tie", None), 1):
        got = label(ann, answer)
        assert (got.status_code, got.json()["done"]) == (200, done)
    assert got.json()["item"] is None
    assert len((desk.folder / LABELS).read_text().splitlines()) == 4
    (first, *_) = desk.labels.of(ANN).values()
    assert (first.value, first.seconds) == (first.order[0], 1.5)


def test_items_tell_neither_sources_nor_gold(ann: TestClient, desk: Desk) -> None:
    shown = []
    for _ in desk.items:
        item = state(ann)["item"]
        shown.append(sorted(item))
        assert item["answers"] == [desk.by_id[item["id"]].answers[p] for p in desk.order(ANN, desk.by_id[item["id"]])]
        label(ann, 0)
    assert shown == [["answers", "before", "id", "prompt"]] * 4


def test_an_undo_shows_the_item_again_with_the_label_it_had(ann: TestClient) -> None:
    item = state(ann)["item"]
    label(ann, 1)
    undone = ann.post("/api/undo").json()
    assert undone["item"] == {**item, "before": 1}
    assert undone["done"] == 0
    assert ann.post("/api/undo").json() == {**undone, "item": item}


def test_an_annotator_sees_nothing_of_another(stranger: TestClient, keeper: Doorkeeper, desk: Desk) -> None:
    client = log_in(stranger, keeper, ANN)
    label(client, 0)
    label(client, "tie")
    client = log_in(stranger, keeper, BOB)
    seen = state(client)
    assert (seen["annotator"], seen["done"], seen["item"]["id"]) == (BOB, 0, desk.items[0].id)
    undone = client.post("/api/undo")
    assert undone.json()["done"] == 0
    assert len(desk.labels.of(ANN)) == 2
    texts = [client.get(path).text for path in ("/", "/api/state", "/static/page.js", "/labels.jsonl")]
    assert not any(ANN in json.dumps(text).replace("annotator", "").replace("answer", "") for text in texts)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"[]", 422),
        (b"{", 422),
        (b'{"item": "x"}', 422),
        (b'{"item": "x", "answer": 0, "annotator": "bob"}', 422),
        (b'{"item": "x", "answer": 0, "seconds": NaN}', 422),
        (b'{"item": "x", "answer": 0, "seconds": -1}', 422),
        (b'{"item": "x", "answer": [0]}', 422),
        (b'{"item": "x", "answer": true}', 422),
        (b'{"item": "x", "answer": 0}', 409),
        (b'{"item": "' + b"x" * 100 + b'", "answer": 0}', 422),
    ],
)
def test_what_is_no_label_is_refused_in_words(ann: TestClient, desk: Desk, body: bytes, status: int) -> None:
    answer = ann.post("/api/label", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]
    assert (desk.folder / LABELS).read_text() == ""


def test_no_answer_to_the_task_and_a_second_label_are_refused(ann: TestClient, desk: Desk) -> None:
    assert label(ann, 7).status_code == 409
    item = state(ann)["item"]["id"]
    assert label(ann, 0).status_code == 200
    again = ann.post("/api/label", json={"item": item, "answer": 1})
    assert (again.status_code, len(desk.labels.of(ANN))) == (409, 1)


def test_a_label_that_is_not_saved_is_not_acknowledged(
    ann: TestClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    item = state(ann)["item"]
    monkeypatch.setattr(os, "fsync", full)
    answer = label(ann, 0)
    assert answer.status_code == 507
    assert "NOT saved: No space left" in answer.json()["error"]
    monkeypatch.undo()
    assert (desk.folder / LABELS).read_text() == ""
    assert state(ann)["item"] == item
    assert label(ann, 0).status_code == 200


def test_markup_stays_text_and_messages_keep_their_roles(desk: Desk, keeper: Doorkeeper) -> None:
    prompt = [{"role": "system", "content": EVIL}, {"role": "user", "content": "hi"}]
    desk.items.insert(0, Item(prompt, (EVIL, "plain"), ("a", "b")))
    desk.by_id[desk.items[0].id] = desk.items[0]
    with client_of(desk, keeper) as client:
        seen = log_in(client, keeper, ANN).get("/api/state")
        assert seen.headers["content-type"] == "application/json"
        assert seen.json()["item"]["prompt"] == prompt
        assert EVIL in seen.json()["item"]["answers"]
        page, script = client.get("/").text, client.get("/static/page.js").text
    assert EVIL not in page
    assert "textContent" in script
    assert not [word for word in ("innerHTML", "insertAdjacent", "document.write", "eval(") if word in script]
    assert "<script>" not in page
    assert "onclick" not in page
