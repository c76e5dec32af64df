"""What the verbs take: see `verbs`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from llmcycle.config.errors import ConfigError, nearest
from llmcycle.port import API_KEY, LAST_PORT, PASSWORD
from llmcycle.surroundings import default_outputs


class Parser(argparse.ArgumentParser):
    """One that refuses as all of llmcycle does: why, and what to type."""

    def error(self, message: str) -> NoReturn:
        """Raises ConfigError."""
        raise ConfigError(self.prog, message, self.remedy(message))

    def remedy(self, message: str) -> str:
        """The flag that was meant, the usual value of one, or the words that are needed."""
        subject = message.rpartition("unrecognized arguments: ")[2].split(" ")[0]
        name, sign, value = subject.partition("=")
        flags = {flag: action for action in self._actions for flag in action.option_strings if flag.startswith("--")}
        if message.startswith("unrecognized") and (near := nearest(name, flags) if name.startswith("-") else None):
            following = message.rpartition(f"{name} ")[2] if not sign and f"{name} " in message else ""
            return f"{near}{sign}{value} {following}".strip()
        if (match := re.match(r"argument (--[\w-]+)", message)) and flags[match[1]].default:
            return f"{match[1]} {flags[match[1]].default}"
        needed = [action.dest.upper() for action in self._actions if not action.option_strings and action.required]
        if "are required" in message:
            return " ".join([self.prog, *needed])
        return f"{self.prog} --help, which says what it takes"


def port(text: str) -> int:
    """A port of this machine."""
    if not text.isdecimal() or int(text) > LAST_PORT:
        reason = f"{text}: a whole number from 0 to {LAST_PORT} is needed; 0 for any that is free"
        raise argparse.ArgumentTypeError(reason)
    return int(text)


def whole(text: str) -> int:
    """A number of rows or requests."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number of at least 1 is needed")
    return int(text)


def with_artifact(parser: argparse.ArgumentParser) -> None:
    """The argument that several verbs share."""
    parser.add_argument("artifact", help="a folder, NAME-ID, or the start of an id (4 digits or more)")
    with_outputs(parser)


def with_two_artifacts(parser: argparse.ArgumentParser) -> None:
    """What is compared with what."""
    for name in ("artifact", "other"):
        parser.add_argument(name, help="a folder, NAME-ID, or the start of an id (4 digits or more)")
    with_outputs(parser)


def with_tags(parser: argparse.ArgumentParser) -> None:
    """An artifact, and names to give to it or to take from it."""
    with_artifact(parser)
    parser.add_argument("names", nargs="*", metavar="NAME", help="none: only say which it has")
    parser.add_argument("--remove", action="store_true", help="take the names from it")


def with_removal(parser: argparse.ArgumentParser) -> None:
    """What is removed, and whether to ask before."""
    parser.add_argument("artifacts", nargs="+", metavar="ARTIFACT", help="NAME-ID, or the start of an id")
    with_outputs(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def with_outputs(parser: argparse.ArgumentParser) -> None:
    """Where the store is, as a recipe's `outputs` says it."""
    default = default_outputs()
    words = f"the folder that holds artifacts, also typed outputs=FOLDER (default: {default})"
    parser.add_argument("--outputs", default=default, help=words)


def with_server(parser: argparse.ArgumentParser) -> None:
    """What a server needs."""
    with_artifact(parser)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port, default=8000)
    parser.add_argument("--api-key", default=os.environ.get(API_KEY), help=f"default: ${API_KEY}")
    parser.add_argument("--queue", type=whole, default=8, help="requests inside at a time; one more gets 429")


def with_recipe(parser: argparse.ArgumentParser) -> None:
    """A recipe and its overrides."""
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value")
    parser.add_argument("--allow", action="append", default=[], metavar="MODULE")
    parser.add_argument("--outputs", help="the folder that holds artifacts, also typed outputs=FOLDER")


def with_arms(parser: argparse.ArgumentParser) -> None:
    """A recipe, or every combination of a sweep."""
    with_recipe(parser)
    parser.add_argument("-m", "--multirun", action="store_true", help="check every combination of a sweep")


def with_export(parser: argparse.ArgumentParser) -> None:
    """What is exported, and to which tool."""
    parser.add_argument("action", choices=["export"])
    with_recipe(parser)
    parser.add_argument("--to", choices=["wandb"], default="wandb", help="whose agents will run it (default: wandb)")


def with_rows(parser: argparse.ArgumentParser) -> None:
    """A recipe, and how much of its data."""
    with_recipe(parser)
    parser.add_argument("--rows", type=whole, default=3, help="rows whose tokens are shown (default: 3)")
    parser.add_argument("--stage", help="of a lifecycle, the stage whose data is shown")


def with_group(parser: argparse.ArgumentParser) -> None:
    """A group of options."""
    parser.add_argument("group", nargs="?")


def with_copy(parser: argparse.ArgumentParser) -> None:
    """Source and target of a copy."""
    parser.add_argument("recipe")
    parser.add_argument("file")


def with_comparison(parser: argparse.ArgumentParser) -> None:
    """What is compared, by which metric, and with which method."""
    what = "of a sweep or of a run, or an artifact's id; results go into the first"
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help=what)
    with_outputs(parser)
    parser.add_argument("--metric", help="default: the headline of what was trained")
    parser.add_argument("--stage", help="default: the trained stage whose method varies most")
    parser.add_argument("--against", metavar="METHOD", help="default: full fine-tuning, else the best")


def with_feedback(parser: argparse.ArgumentParser) -> None:
    """What is labelled, by whom, and where."""
    add = parser.add_argument
    add("artifacts", nargs="*", metavar="ARTIFACT", help="models that are asked now: a folder, NAME-ID, or an id")
    with_outputs(parser)
    add("--rows", default="", metavar="FILE", help="a file of answers: `prompt`, and `answers` or `chosen`/`rejected`")
    add("--prompts", default="", metavar="FILE", help="what models are asked: rows with a `prompt`")
    add("--recipe", default="", help="ask its held-out prompts (default: the recipe that made the first artifact)")
    add("--task", choices=["choice", "rating", "edit"], default="choice", help="default: choice, of two answers")
    add("--items", dest="count", type=whole, default=100, help="how many, gold questions not counted (default: 100)")
    add("--samples", type=whole, help="answers of each model to a prompt (default: 2 of one model, 1 of several)")
    add("--temperature", type=temperature, default=1.0, help="of the draws; 0 is greedy (default: 1.0)")
    add("--max-tokens", type=whole, default=128, help="of an answer (default: 128)")
    add("--choose", choices=["random", "margin", "information"], default="random", help="which pairs (default: random)")
    add("--reward", default="", metavar="ARTIFACT", help="the reward model whose uncertainty chooses pairs")
    add("--seen", default="", metavar="FILE", help="pairs that it has learnt from, for --choose information")
    add("--gold", default="", metavar="FILE", help="rows whose right label is known, mixed in unseen")
    add("--stars", type=stars, default=5, help="the highest rating, 2 to 9 (default: 5)")
    own = os.environ.get("USER") or "annotator"
    add("--annotators", type=names, default=[own], metavar="NAME,NAME", help=f"who labels (default: {own})")
    add("--out", type=Path, default=Path("feedback"), metavar="FOLDER", help="of labels and rows (default: feedback)")
    add("--seed", type=int, default=0, help="of prompts, answers, pairs and orders (default: 0)")
    add("--terminal", action="store_true", help="label here, as the first annotator")
    add("--report", action="store_true", help="only say what has been labelled so far")
    add("--host", default="127.0.0.1")
    add("--port", type=port, default=8001)
    add("--password", default=os.environ.get(PASSWORD), help=f"of the page (default: ${PASSWORD}, else one is drawn)")


def names(text: str) -> list[str]:
    """Names of annotators, each once."""
    given = [name.strip() for name in text.split(",") if name.strip()]
    if not given or len(set(given)) < len(given) or not all(re.fullmatch(r"[\w.@-]{1,40}", name) for name in given):
        reason = f"{text}: different names are needed, of letters, digits and . _ @ -, with commas between them"
        raise argparse.ArgumentTypeError(reason)
    return given


def stars(text: str) -> int:
    """The highest rating: one key of the keyboard."""
    if not re.fullmatch("[2-9]", text):
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 2 to 9 is needed")
    return int(text)


def temperature(text: str) -> float:
    """How far draws stray from the likeliest token."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 10:
        raise argparse.ArgumentTypeError(f"{text}: a number from 0 to 10 is needed")
    return value


def with_contest(parser: argparse.ArgumentParser) -> None:
    """Who plays, on what, and who judges."""
    parser.add_argument("artifacts", nargs="+", metavar="ARTIFACT", help="a folder, NAME-ID, or the start of an id")
    with_outputs(parser)
    parser.add_argument("--judge", required=True, help="ARTIFACT, http://HOST/v1#MODEL, or storefront")
    parser.add_argument(
        "--rubric", default="default", help="an option of the group rubric, or a file (default: default)"
    )
    parser.add_argument(
        "--prompts", metavar="FILE", help="rows with a prompt (default: questions to the built-in shop)"
    )
    parser.add_argument("--count", type=whole, default=100, help="prompts at the most (default: 100)")
    parser.add_argument("--tokens", type=whole, default=64, help="of an answer at the most (default: 64)")


def with_gc(parser: argparse.ArgumentParser) -> None:
    """What may be collected."""
    with_outputs(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument("--checkpoints", action="store_true", help="of interrupted runs too: they would begin again")


ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "ls": with_group,
    "cp": with_copy,
    "check": with_arms,
    "sweep": with_export,
    "data": with_rows,
    "lineage": with_artifact,
    "artifacts": with_outputs,
    "runs": with_outputs,
    "show": with_artifact,
    "diff": with_two_artifacts,
    "tag": with_tags,
    "rm": with_removal,
    "compare": with_comparison,
    "arena": with_contest,
    "feedback": with_feedback,
    "gc": with_gc,
    "serve": with_server,
    "chat": with_artifact,
}
