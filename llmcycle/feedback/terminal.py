"""The same in a terminal, and in a pipe: an item at a time, an answer a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from llmcycle.data.chat import as_messages
from llmcycle.feedback.desk import Desk, Refused, Shown
from llmcycle.feedback.items import Task
from llmcycle.feedback.labels import TIE, Value
from llmcycle.printable import printable

HELP: dict[Task, str] = {
    "choice": "1 first, 2 second, 0 tie",
    "rating": "1 (worst) to {stars} (best)",
    "edit": "e to write your own, ended by a line with a single dot; = to keep it as it is",
}
CHOICES: dict[str, Value] = {"1": 0, "2": 1, "0": TIE}


def label_here(desk: Desk, annotator: str) -> None:
    """Show items and read answers until all are labelled, or until q, Ctrl-C or the end of the input."""
    print(f"{annotator}: {HELP[desk.task].format(stars=desk.stars)}, s skip, u undo, q quit")
    words = lines()
    while shown := desk.next(annotator):
        show(desk, annotator, shown)
        word = next(words, "q")
        if word == "q":
            return
        try:
            act(desk, annotator, shown, word, words)
        except Refused as reason:
            print(reason)
    print("all done")


def act(desk: Desk, annotator: str, shown: Shown, word: str, words: Iterator[str]) -> None:
    """Do what one line says. Raises Refused."""
    if word == "u":
        undone = desk.undo(annotator)
        print("taken back" if undone else "there is nothing to take back")
        return
    desk.label(annotator, shown.item.id, None if word == "s" else value(desk.task, word, shown, words))


def value(task: Task, word: str, shown: Shown, words: Iterator[str]) -> Value:
    """The answer that a line stands for; a word that stands for none is judged by the desk."""
    if task == "choice":
        return CHOICES.get(word, word)
    if task == "rating":
        return int(word) if word.isdecimal() else word
    if word not in ("e", "="):
        raise Refused(f"{word[:40]!r} is neither e nor =")
    return shown.answers[0] if word == "=" else written(words)


def written(words: Iterator[str]) -> str:
    """Lines up to a single dot."""
    text = []
    for line in words:
        if line == ".":
            break
        text.append(line)
    return "\n".join(text)


def show(desk: Desk, annotator: str, shown: Shown) -> None:
    """One item, its texts unable to move the cursor."""
    print(f"\n--- {len(desk.labels.of(annotator)) + 1} of {len(desk.items)} ---")
    messages = as_messages(shown.item.prompt)
    for message in messages:
        role = f"{message['role']}: " if len(messages) > 1 else ""
        print(printable(f"{role}{message['content']}"))
    for number, answer in enumerate(shown.answers, 1):
        print(f"\n[{number}] {printable(answer)}" if len(shown.answers) > 1 else f"\n{printable(answer)}")


def lines() -> Iterator[str]:
    """Lines as they are typed, until the end of the input or Ctrl-C."""
    while True:
        try:
            yield input("> " if sys.stdin.isatty() else "")
        except (EOFError, KeyboardInterrupt):
            return
