"""A page that is labelled in and killed, over and over: what it acknowledged must be there. Used by tests and bench."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import httpx
from killed import forked

from llmcycle.feedback import journal
from llmcycle.feedback.desk import Desk
from llmcycle.feedback.items import read
from llmcycle.feedback.journal import read_events
from llmcycle.feedback.login import Doorkeeper
from llmcycle.feedback.start import serve
from llmcycle.port import listen

MASTER, ANNOTATORS = "correct horse", ("ann", "bob")
LABELS, ITEMS = "labels.jsonl", "items.jsonl"
Said = dict[str, Any]


class Tally(NamedTuple):
    """What happened: kills, lines that they tore, what was acknowledged, and what is missing or torn in the end."""

    kills: int
    torn: int
    acknowledged: int
    missing: int
    broken: int


class Slow:
    """`os`, whose writes take their time and fall into three, so that a kill falls into one often enough."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    @staticmethod
    def write(descriptor: int, content: bytes) -> int:
        for part in (content[:20], content[20:-1], content[-1:]):
            os.write(descriptor, part)
            time.sleep(0.003)
        return len(content)


class Page:
    """A process that serves the verb's own page; killed at the end of a `with` block."""

    def __init__(self, folder: Path, slow: bool) -> None:
        with listen("127.0.0.1", 0) as sock:
            self.port = sock.getsockname()[1]
        self.keeper = Doorkeeper(ANNOTATORS, MASTER)

        def work() -> None:
            if slow:
                journal.os = Slow()  # type: ignore[assignment]
            serve(Desk(folder, read(folder / ITEMS), "choice"), self.keeper, "127.0.0.1", self.port)

        self.child = forked(work, folder / "log.txt")

    def __enter__(self) -> Page:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise TimeoutError("the page did not start")

    def __exit__(self, *_: object) -> None:
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)


def clicks(page: Page, name: str, acknowledged: list[Said], draw: Random) -> None:
    """Label, and undo now and then, until the server is gone; notes what was acknowledged."""
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{page.port}", trust_env=False, timeout=20) as client:
            client.post("/login", data={"name": name, "password": page.keeper.passwords[name]})
            state = client.get("/api/state").json()
            while state["item"]:
                item, answer = state["item"]["id"], draw.choice([0, 1, "tie", None])
                state = client.post("/api/label", json={"item": item, "answer": answer}).json()
                acknowledged.append({"event": "label", "annotator": name, "item": item, "done": state["done"]})
                if draw.random() < 0.1:
                    state = client.post("/api/undo").json()
                    acknowledged.append({"event": "undo", "annotator": name, "item": state["item"]["id"]})
    except httpx.HTTPError:
        return


def killed(folder: Path, kills: int, seed: int = 0) -> Tally:
    """Label as two annotators at once, and kill the server at random moments; compare with what it acknowledged."""
    draw, acknowledged, torn = Random(seed), list[Said](), 0
    for number in range(kills):
        with Page(folder, slow=number % 2 == 0) as page:
            threads = [
                threading.Thread(target=clicks, args=(page, name, acknowledged, Random(f"{seed} {number} {name}")))
                for name in ANNOTATORS
            ]
            before = len(acknowledged)
            for thread in threads:
                thread.start()
            while len(acknowledged) < before + 2 and any(thread.is_alive() for thread in threads):
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.4))
        for thread in threads:
            thread.join()
        torn += not (folder / LABELS).read_bytes().endswith(b"\n")
    with Page(folder, slow=False):
        lines = (folder / LABELS).read_bytes().splitlines()
    return Tally(kills, torn, len(acknowledged), len(list(missing(folder, acknowledged))), sum(map(is_broken, lines)))


def missing(folder: Path, acknowledged: list[Said]) -> Iterator[Said]:
    """What was acknowledged and is not in the file, in the order in which each annotator did it."""
    for name in ANNOTATORS:
        events = iter([(e["event"], e["item"]) for e in read_events(folder / LABELS) if e["annotator"] == name])
        for said in acknowledged:
            # One that was saved, but not acknowledged before the kill, may stand between.
            if said["annotator"] == name and (said["event"], said["item"]) not in events:
                yield said


def is_broken(line: bytes) -> bool:
    """Whether a line is no JSON."""
    try:
        json.loads(line)
    except ValueError:
        return True
    return False
