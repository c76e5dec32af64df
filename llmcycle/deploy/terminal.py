"""A chat in the terminal, with the very code that the server answers with; works in a pipe too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from transformers import GenerationConfig

from llmcycle.deploy.serving import open_engine
from llmcycle.engine import BadPrompt, Engine
from llmcycle.printable import printable

HELP = "/reset forgets the conversation, /quit ends it"


def chat(folder: str | Path, max_tokens: int = 512) -> None:
    """Read lines, print answers as they come. A model without a chat template continues each line on its own.

    Raises:
        ValueError: the folder holds no model.
    """
    engine = open_engine(folder)
    if sys.stdin.isatty():
        kind = "chat" if engine.chats else "no chat template: each line is continued as it stands"
        print(f"{engine.name} ({kind}); {HELP}")
    history: list[dict[str, str]] = []
    for line in lines():
        if line == "/quit":
            return
        if line == "/reset":
            history = []
        elif line.startswith("/"):
            print(f"{line}: unknown; {HELP}")
        else:
            history = turn(engine, history, line, max_tokens)


def lines() -> Iterator[str]:
    """Lines with something in them, until the end of the input or Ctrl-C at the prompt."""
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if line:
            yield line


def turn(engine: Engine, history: list[dict[str, str]], line: str, max_tokens: int) -> list[dict[str, str]]:
    """Answer one line; the conversation with it, or without it if there was no answer. Ctrl-C stops an answer."""
    messages = [*history, {"role": "user", "content": line}]
    text, limit = "", GenerationConfig(max_new_tokens=max_tokens)
    try:
        with closing(engine.stream(messages if engine.chats else line, limit)) as pieces:
            for piece in pieces:
                say(piece.text)
                text += piece.text
    except BadPrompt as reason:
        print(f"{reason}; /reset forgets the conversation")
        return history
    except KeyboardInterrupt:
        print(" (stopped)")
        return history
    print()
    return [*messages, {"role": "assistant", "content": text}]


def say(piece: str) -> None:
    """On a terminal a model must not move the cursor; a pipe gets what it wrote."""
    print(printable(piece) if sys.stdout.isatty() else piece, end="", flush=True)
