"""Every control of the labelling page, by mouse and by keyboard, in a headless Chromium; prints what held.

python tests/bench/feedback_page.py [--shots FOLDER]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser import Tab, browser

from llmcycle.feedback.app import build_app
from llmcycle.feedback.desk import Desk
from llmcycle.feedback.items import Item, Task
from llmcycle.feedback.login import Doorkeeper
from llmcycle.web import running

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><b>bold</b>"
LONG = "A long answer. " * 60 + "one" + "word" * 60
ANN, BOB = "ann", "bob"
SIZES = ((1280, 800), (400, 800))
BUTTONS = "[...document.querySelectorAll('#controls button')]"


def items(task: Task) -> list[Item]:
    """Ordinary ones, one of markup, a long one, one with messages."""
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What does the Miro lamp cost?"}]
    pairs = [
        ("What does the Miro lamp cost?", "It costs 75 euros.", "The shop does not know."),
        (f"Is this shown as text? {EVIL}", EVIL, "plain text"),
        ("Which of the two lamps is cheaper?", LONG, "The first one."),
        (chat, "75", "\u202e45 backwards\u202c"),
        *((f"Question {n}?", f"Answer {n}.", f"Another answer {n}.") for n in range(5)),
    ]
    size = 2 if task == "choice" else 1
    return [Item(prompt, (first, second)[:size], ("a", "b")[:size]) for prompt, first, second in pairs]


@contextmanager
def page(task: Task) -> Iterator[tuple[Desk, Doorkeeper, str]]:
    """A desk, its passwords, and the address of its page."""
    with tempfile.TemporaryDirectory() as folder, closing(Desk(Path(folder), items(task), task)) as desk:
        keeper = Doorkeeper([ANN, BOB])
        with running(build_app(desk, keeper)) as url:
            yield desk, keeper, url


def log_in(tab: Tab, url: str, name: str, password: str) -> None:
    """By keyboard alone: the name has the focus."""
    tab.go(f"{url}/login")
    tab.run("document.querySelector('#name').value = ''")
    tab.write(name)
    tab.press("Tab")
    tab.write(password)
    tab.press("Enter")


def enter(tab: Tab, url: str, keeper: Doorkeeper, name: str) -> None:
    log_in(tab, url, name, keeper.passwords[name])
    tab.until("document.querySelector('#count') && document.querySelector('#count').textContent")


def done(tab: Tab, count: int) -> None:
    """Wait until the page says so."""
    tab.until(f"document.querySelector('#count').textContent.startsWith('{count} of') && !busy")


def last(desk: Desk, name: str = ANN) -> object:
    """The newest label's value, as it was shown: 0 for the left answer."""
    label = list(desk.labels.of(name).values())[-1]
    in_item = label.task == "choice" and label.value in (0, 1)
    return label.order.index(int(label.value or 0)) if in_item else label.value


def outside(tab: Tab) -> int:
    """Pixels by which the page is wider than the window."""
    return int(tab.run("document.documentElement.scrollWidth - innerWidth"))


class Report:
    """What held, one line each."""

    def __init__(self, shots: Path) -> None:
        self.shots, self.failed = shots, 0

    def __call__(self, what: str, held: bool) -> None:
        self.failed += not held
        print(f"{'held' if held else 'FAILED'}: {what}", flush=True)

    def shoot(self, tab: Tab, name: str) -> None:
        """A picture at both widths, and whether anything stands outside of them."""
        for width, height in SIZES:
            tab.resize(width, height)
            tab.shot(self.shots / f"{name}-{width}.png")
            self(f"{name} fits into {width} pixels", outside(tab) <= 0)
        tab.resize(*SIZES[0])


def try_login(tab: Tab, url: str, keeper: Doorkeeper, report: Report) -> None:
    tab.go(url)
    report("without a session the page leads to the login", tab.run("location.pathname") == "/login")
    report.shoot(tab, "login")
    log_in(tab, url, ANN, "wrong")
    tab.until("document.querySelector('.error').textContent")
    report("a wrong password is said", "do not belong" in tab.run("document.body.innerText"))
    report("the name that was typed is kept", tab.run("document.querySelector('#name').value") == ANN)
    report.shoot(tab, "login-wrong")
    log_in(tab, url, ANN, keeper.passwords[BOB])
    tab.until("document.querySelector('.error').textContent")
    enter(tab, url, keeper, ANN)
    report("the right one leads to the page", tab.run("location.pathname") == "/")
    report("no script reads the cookie", tab.run("document.cookie") == "")


def try_choice(tab: Tab, desk: Desk, report: Report) -> None:
    report.shoot(tab, "choice")
    wanted = [("1", 0), ("ArrowRight", 1), ("0", "tie"), ("s", None)]
    for count, (key, value) in enumerate(wanted, 1):
        if count == 2:
            shown = tab.run(
                "document.querySelector('#answers').innerText + document.querySelector('#prompt').innerText"
            )
            report("script and markup are shown as text", shown.count(EVIL) == 2)
            report(
                "no element was made of them", tab.run("document.querySelectorAll('main script, img, b').length") == 0
            )
            report("no script of an answer ran", tab.run("document.title") == "Feedback")
            report.shoot(tab, "choice-markup")
        if count == 3:
            report.shoot(tab, "choice-long")
        if count == 4:
            report("marks of direction turn nothing", "\\u202e45 backwards" in tab.run("document.body.innerText"))
        tab.press(key)
        done(tab, count)
        report(f"key {key} is {value!r}", last(desk) == value)
    for place, (back, key, value) in enumerate([("u", "2", 1), ("u", "ArrowLeft", 0), ("u", "ArrowDown", "tie")]):
        tab.press(back)
        done(tab, 3)
        if place == 1:
            marked = tab.run(f"{BUTTONS}.findIndex(b => b.classList.contains('before'))")
            report("after u the item is back, its former label marked", marked == 2)
            report.shoot(tab, "choice-undone")
        tab.press(key)
        done(tab, 4)
        report(f"key {key} is {value!r}", last(desk) == value)
    for count, (place, value) in enumerate([(0, 0), (1, "tie"), (2, 1), (3, None)], 5):
        tab.click(f"#controls button:nth-child({place + 1})")
        done(tab, count)
        report(f"button {place + 1} is {value!r}", last(desk) == value)
    tab.click("#controls button:nth-child(5)")
    done(tab, 7)
    report("the button Undo takes back", len(desk.labels.of(ANN)) == 7)
    for count in (8, 9):
        tab.press("1")
        done(tab, count)
    report("the end is said", "All done" in tab.run("document.querySelector('main').innerText"))
    report.shoot(tab, "end")
    tab.press("u")
    done(tab, 8)
    report("u works at the end too", len(desk.labels.of(ANN)) == 8)


def try_other(desk: Desk, url: str, keeper: Doorkeeper, report: Report) -> None:
    """A second annotator, in a browser of their own and in the same one after the first has left."""
    with browser() as tab:
        enter(tab, url, keeper, BOB)
        seen = tab.run("document.body.innerText") + tab.run("fetch('/api/state').then(r => r.text())")
        report("a second annotator begins at nothing", "0 of 9" in seen and not desk.labels.of(BOB))
        report("and sees nothing of the first", not {ANN, *keeper.passwords.values()} & set(re.findall(r"\w+", seen)))
        tab.press("u")
        tab.press("2")
        done(tab, 1)
        report("their undo takes nothing of the first", (len(desk.labels.of(ANN)), last(desk, BOB)) == (8, 1))
        tab.click("#logout")
        tab.until("location.pathname === '/login'")
        report("Log out leads to the login", tab.run("fetch('/api/state').then(r => r.status)") == 401)


def try_rating(report: Report) -> None:
    with page("rating") as (desk, keeper, url), browser() as tab:
        enter(tab, url, keeper, ANN)
        report.shoot(tab, "rating")
        for value in range(1, 6):
            tab.press(str(value))
            done(tab, value)
            report(f"key {value} rates {value}", last(desk) == value)
        tab.click("#controls button:nth-child(2)")
        done(tab, 6)
        report("button 2 rates 2", last(desk) == 2)
        tab.press("7")
        tab.press("u")
        done(tab, 5)
        report("key 7 does nothing, u takes back", len(desk.labels.of(ANN)) == 5)
        report(f"no errors in the page {tab.problems}", not tab.problems)


def try_edit(report: Report) -> None:
    with page("edit") as (desk, keeper, url), browser() as tab:
        enter(tab, url, keeper, ANN)
        tab.until("document.activeElement.id === 'text'")
        report(
            "the text has the answer and the focus",
            tab.run("document.querySelector('#text').value") == items("edit")[0].answers[0],
        )
        report.shoot(tab, "edit")
        tab.press("a", ctrl=True)
        tab.run("document.querySelector('#text').select()")
        tab.write("It costs 75 euros, s u 1 2.")
        report("letters in the text are no commands", not desk.labels.of(ANN))
        tab.press("Enter", ctrl=True)
        done(tab, 1)
        report("Ctrl Enter saves what is written", last(desk) == "It costs 75 euros, s u 1 2.")
        tab.press("Escape")
        tab.press("u")
        done(tab, 0)
        report("Esc, then u: the own text is back", "75 euros, s u" in tab.run("document.querySelector('#text').value"))
        tab.click("#controls button:nth-child(1)")
        done(tab, 1)
        report("the button Save saves", len(desk.labels.of(ANN)) == 1)
        tab.press("Escape")
        tab.press("s")
        done(tab, 2)
        report("Esc, then s: skipped", last(desk) is None)
        tab.press("Escape")
        tab.press("Enter")
        report("Enter goes back to the text", tab.run("document.activeElement.id") == "text")
        tab.run("document.querySelector('#text').value = ' '")
        tab.press("Enter", ctrl=True)
        tab.until("!document.querySelector('#error').hidden")
        report("an empty text is refused, and said", len(desk.labels.of(ANN)) == 2)
        report.shoot(tab, "edit-refused")


def try_all(report: Report) -> None:
    with page("choice") as (desk, keeper, url), browser() as tab:
        tab.resize(*SIZES[0])
        try_login(tab, url, keeper, report)
        try_choice(tab, desk, report)
        try_other(desk, url, keeper, report)
        rows = [json.loads(line) for line in (desk.folder / "preferences.jsonl").read_text().splitlines()]
        report("rows have who and when", all({"annotator", "time"} <= set(row) for row in rows) and len(rows) == 6)
        expected = [text for text in tab.problems if "401" not in text]
        report(f"no errors in the page {expected}", not expected)
    try_rating(report)
    try_edit(report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=Path, default=Path(tempfile.gettempdir()) / "feedback-page")
    options = parser.parse_args()
    options.shots.mkdir(parents=True, exist_ok=True)
    told = Report(options.shots)
    try_all(told)
    print(f"{told.failed} failed; pictures are in {options.shots}")
    sys.exit(1 if told.failed else 0)
