"""A chat in the terminal, with the very code that the server answers with; works in a pipe too."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from llmcycle.deploy.reply import Ask, BadPrompt, Replier
from llmcycle.deploy.serving import open_model

HELP = "/reset forgets the conversation, /quit ends it"


def chat(folder: str | Path, max_tokens: int = 512) -> None:
    """Read lines, print answers as they come. A model without a chat template continues each line on its own.

    Raises:
        ValueError: the folder holds no model.
    """
    replier = open_model(folder)
    if sys.stdin.isatty():
        kind = "chat" if replier.tokenizer.chat_template else "no chat template: each line is continued as it stands"
        print(f"{replier.name} ({kind}); {HELP}")
    history: list[dict[str, str]] = []
    for line in lines():
        if line == "/quit":
            return
        if line == "/reset":
            history = []
        elif line.startswith("/"):
            print(f"{line}: unknown; {HELP}")
        else:
            history = turn(replier, history, line, max_tokens)


def lines() -> Iterator[str]:
    """Lines with something in them, until the end of the input or Ctrl-C at the prompt."""
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if line:
            yield line


def turn(replier: Replier, history: list[dict[str, str]], line: str, max_tokens: int) -> list[dict[str, str]]:
    """Answer one line; the conversation with it, or without it if there was no answer. Ctrl-C stops an answer."""
    asked = [*history, {"role": "user", "content": line}]
    prompt = asked if replier.tokenizer.chat_template else line
    try:
        reply = replier.reply(Ask(prompt, max_tokens), say, threading.Event())
    except BadPrompt as reason:
        print(f"{reason}; /reset forgets the conversation")
        return history
    except KeyboardInterrupt:
        print(" (stopped)")
        return history
    print()
    return [*asked, {"role": "assistant", "content": reply.text}]


def say(piece: str) -> None:
    print(piece, end="", flush=True)
