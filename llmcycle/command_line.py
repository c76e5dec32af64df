"""A command line, sorted into recipe or verb, flags and overrides; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field

VALUE_FLAGS = {"--cfg", "-c", "--package", "-p", "--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp"}
INSPECT = {"--cfg", "-c", "--info", "-i", "--hydra-help", "-sc", "--shell-completion", "--help", "-h"}
INFO = {"all", "config", "defaults", "defaults-tree", "plugins", "searchpath"}
VERBS = (
    *("ls", "cp", "check", "sweep", "data", "runs", "artifacts", "show", "diff", "lineage", "compare", "arena"),
    *("tag", "rm", "gc", "serve", "chat", "feedback"),
)


@dataclass
class Command:
    """A command line, sorted: the recipe or verb first, then Hydra's flags, then overrides and a verb's own words."""

    words: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    allow: list[str] = field(default_factory=list)
    force: bool = False

    @property
    def inspects(self) -> bool:
        """Whether it only shows something, for which an input may still be missing."""
        return any(flag.partition("=")[0] in INSPECT for flag in self.flags)

    @property
    def asks_help(self) -> bool:
        """Whether it asks what a recipe does."""
        return "--help" in self.flags or "-h" in self.flags

    @property
    def multirun(self) -> bool:
        """Whether it is a sweep."""
        return "-m" in self.flags or "--multirun" in self.flags


def parse(arguments: list[str]) -> Command:
    """Sort a command line; flags may stand anywhere."""
    command = Command()
    waiting = iter(arguments)
    for word in waiting:
        if word == "--force":
            command.force = True
        elif word == "--allow":
            command.allow.append(next(waiting, ""))
        elif word.startswith("--allow="):
            command.allow.append(word.partition("=")[2])
        elif word == "--outputs":
            command.overrides.append(f"outputs={next(waiting, '')}")
        elif word.startswith("--outputs="):
            command.overrides.append(word.removeprefix("--"))
        elif word in VALUE_FLAGS:
            command.flags += [word, next(waiting, "")]
        elif (command.flags and command.flags[-1] in ("--info", "-i") and word in INFO) or word.startswith("-"):
            command.flags.append(word)
        elif "=" in word or (command.words and word.startswith(("~", "+"))):
            command.overrides.append(word)
        else:
            command.words.append(word)
    return command


def first_word(arguments: list[str]) -> int | None:
    """Where the recipe or the verb stands: flags, and the values that follow some of them, may come before it."""
    takes = {"--allow", "--outputs", *VALUE_FLAGS}
    words = (
        place
        for place, word in enumerate(arguments)
        if not word.startswith("-") and "=" not in word and (place == 0 or arguments[place - 1] not in takes)
    )
    return next(words, None)


def refuse_dashed(words: list[str]) -> None:
    """`--peft=dora` is an override with dashes too many; Hydra would only show its usage."""
    for word in words:
        name = word.partition("=")[0]
        known = VALUE_FLAGS | INSPECT | {"--experimental-rerun"}
        if word.startswith("--") and "=" in word and name not in known:
            raise ValueError(f"{word}: an override has no dashes before it\n  try: {word.lstrip('-')}")
