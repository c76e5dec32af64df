"""The verbs that are not runs: ls, cp, check, data, lineage, compare, gc, serve and chat."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from llmcycle.config.errors import ConfigError, choose, nearest

if TYPE_CHECKING:
    from llmcycle.artifact import Store


PORTS = 65535  # the highest


def run(verb: str, arguments: list[str]) -> int:
    """Run one verb with its own arguments."""
    parser = Parser(prog=f"llmcycle {verb}", description=ACTIONS[verb].__doc__)
    ARGUMENTS[verb](parser)
    action = ACTIONS[verb]
    words = [f"--{word}" if word.startswith("outputs=") else word for word in arguments]
    return action(parser.parse_intermixed_args(words)) or 0


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


def ls(options: argparse.Namespace) -> int | None:
    """List the recipes and the options of each group."""
    from llmcycle.config import groups

    by_group = groups()
    if options.group is None:
        width = max(map(len, by_group))
        for group, names in by_group.items():
            print(f"{group:<{width}}  {' '.join(names)}")
        return None
    if options.group not in by_group:
        raise ConfigError(options.group, "there is no such group", f"llmcycle ls {choose(options.group, by_group)}")
    width = max(24, *(len(name) + 2 for name in by_group[options.group]))
    for name in by_group[options.group]:
        print(f"{name:<{width}}{summary(options.group, name)}".rstrip())
    return None


def summary(group: str, name: str) -> str:
    """The first comment of an option's file, which says what it is."""
    from llmcycle.config.paths import shipped

    own, ours = Path("conf") / group, shipped("recipes") if group == "recipes" else shipped("conf") / group
    path = next((folder / f"{name}.yaml" for folder in (own, ours) if (folder / f"{name}.yaml").exists()), None)
    lines = path.read_text("utf-8").splitlines() if path else []
    comments = [line.lstrip("# ") for line in lines if line.startswith("#") and "@package" not in line]
    return comments[0] if comments else ""


def cp(options: argparse.Namespace) -> int | None:
    """Copy a recipe to a file of your own, to edit it."""
    from llmcycle.config import locate

    target = Path(options.file)
    target = target / Path(f"{options.recipe}.yaml").name if target.is_dir() else target
    if target.exists():
        free = next(name for n in count(2) if not (name := target.with_stem(f"{target.stem}-{n}")).exists())
        remedy = f"llmcycle cp {options.recipe} {free.with_suffix('.yaml')}"
        raise ConfigError(str(target), "it exists already and is left alone", remedy)
    text = locate(options.recipe).read_text("utf-8")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    print(f"{target}\nnext: llmcycle ./{os.path.relpath(target)}")
    return None


def check(options: argparse.Namespace) -> int | None:
    """Compose a recipe and check everything that can be known before it runs; writes nothing."""
    from llmcycle.config import arms, compose, locate
    from llmcycle.config import check as check_root
    from llmcycle.config.allow import allow
    from llmcycle.quiet import hush

    hush()
    for name in options.allow:
        allow(name)
    recipe, overrides = locate(options.recipe), typed(options)
    combinations = arms(recipe, overrides) if options.multirun else [overrides]
    for combination in combinations:
        check_root(compose(recipe, combination))
    each = f" in any of {len(combinations)} combinations" if options.multirun else ""
    print(f"{options.recipe}: nothing wrong{each}")
    return None


def data(options: argparse.Namespace) -> int | None:
    """Show what a recipe would train on: tokens with and without loss, lengths, and what the audit finds."""
    from llmcycle.config.allow import allow
    from llmcycle.quiet import hush

    hush()
    from llmcycle.preview import preview

    for name in options.allow:
        allow(name)
    return preview(options.recipe, typed(options), options.rows, options.stage)


def typed(options: argparse.Namespace) -> list[str]:
    """A recipe's overrides, that of `outputs` among them."""
    return [*options.overrides, *([] if options.outputs is None else [f"outputs={options.outputs}"])]


def artifact_folder(reference: str, outputs: str) -> Path:
    """The folder of an artifact named by path, `name-id` or the start of its id; any model folder will do as well."""
    from llmcycle.artifact import Store

    store = Store(Path(outputs) / "artifacts")
    artifact = store.find(reference)
    if artifact is None and not Path(reference).is_dir():
        reason = f"there is no such folder, and no such artifact in {store.root}"
        raise ConfigError(reference, reason, there(reference, store))
    if artifact is not None:
        artifact.verify()
    return artifact.folder if artifact else Path(reference)


def model_folder(reference: str, outputs: str) -> Path:
    """The same, of what holds a model that can be asked."""
    from llmcycle.artifact import Store
    from llmcycle.config.sources import holds_model

    folder = artifact_folder(reference, outputs)
    if not holds_model(folder):
        reason = "it holds no model (no config.json, no adapter_config.json in it)"
        raise ConfigError(reference, reason, there(reference, Store(Path(outputs) / "artifacts")))
    return folder


def there(reference: str, store: Store) -> str:
    """The artifact, or the folder with a model, that has the nearest name; where there is none, what makes some."""
    made = [artifact.folder.name for artifact in store.artifacts()]
    here = [path.parent.name for path in Path().glob("*/config.json")]
    none = "llmcycle lifecycle, or outputs=FOLDER of another store"
    return choose(reference, [*made, *here]) if made or here else none


def run_folder(reference: str, outputs: str) -> Path:
    """A folder as it is typed, or that of the last run that an artifact was made or used in."""
    from llmcycle.artifact import Store, reported

    store = Store(Path(outputs) / "artifacts")
    if any([*Path(reference).glob("report.json"), *Path(reference).glob("*/report.json")]):
        return Path(reference)
    artifact = None if Path(reference).is_dir() else store.find(reference)
    if runs := reported(artifact, Path(outputs)) if artifact else []:
        return runs[-1]
    made = sorted(str(path.parent) for path in Path(outputs).glob("*/*/report.json"))
    near = choose(reference, made) if made else "llmcycle pretrain, for a run to compare"
    known = "no run reports this artifact" if artifact else ""
    reason = known or "there is no report.json in it, so it is no folder of a run or of a sweep"
    raise ConfigError(reference, reason, near)


def lineage(options: argparse.Namespace) -> int | None:
    """Print the tree from an artifact back to the data."""
    from llmcycle.artifact import MANIFEST, Artifact, Store, tree

    store, folder = Store(Path(options.outputs) / "artifacts"), artifact_folder(options.artifact, options.outputs)
    if not (folder / MANIFEST).is_file():
        made = [artifact.folder.name for artifact in store.artifacts()]
        near = choose(options.artifact, made) if made else "llmcycle pretrain, for an artifact of its own"
        raise ConfigError(str(folder), f"it is no artifact: it holds no {MANIFEST}", near)
    print(tree(store, Artifact(folder)))
    return None


def compare(options: argparse.Namespace) -> int | None:
    """Set the methods of a sweep beside each other on the rows that they answered: a table and a plot.

    Folders of prompt runs put their cells on the same axis.
    """
    from llmcycle.comparison import collect, write

    folders = [run_folder(reference, options.outputs) for reference in options.folders]
    metric, points = collect(folders, options.metric, options.stage)
    print(write(folders[0], metric, points, options.against))
    return None


def gc(options: argparse.Namespace) -> int | None:
    """Remove artifacts that no run refers to, living ones included, and what interrupted runs left."""
    from llmcycle.artifact import Store, roots
    from llmcycle.artifact import gc as collect

    store = Store(Path(options.outputs) / "artifacts")
    if not store.root.is_dir():
        raise ConfigError(str(store.root), "there is no store here", "--outputs FOLDER, the one that holds artifacts")
    with store.referring():
        needed = roots(store, Path(options.outputs))
        freed = collect(store, needed, checkpoints=options.checkpoints, dry_run=options.dry_run)
    for item in freed:
        print(item)
    print(f"{len(freed)} {'would be ' if options.dry_run else ''}removed")
    return None


def serve(options: argparse.Namespace) -> int | None:
    """Serve a model behind an OpenAI-compatible API, on this machine alone unless --host says otherwise."""
    from llmcycle.quiet import hush

    hush()
    from llmcycle.deploy import serve as start

    folder = model_folder(options.artifact, options.outputs)
    start(folder, host=options.host, port=options.port, api_key=options.api_key, queue=options.queue)
    return None


def chat(options: argparse.Namespace) -> int | None:
    """Talk to a model in the terminal."""
    from llmcycle.quiet import hush

    hush()
    from llmcycle.deploy import chat as start

    start(model_folder(options.artifact, options.outputs))
    return None


def with_artifact(parser: argparse.ArgumentParser) -> None:
    """The argument that several verbs share."""
    parser.add_argument("artifact", help="a folder, NAME-ID, or the start of an id (4 digits or more)")
    with_outputs(parser)


def whole(text: str) -> int:
    """A number of rows or requests."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number of at least 1 is needed")
    return int(text)


def port(text: str) -> int:
    """A port of this machine."""
    if not text.isdecimal() or int(text) > PORTS:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 0 to {PORTS} is needed; 0 for any that is free")
    return int(text)


def with_outputs(parser: argparse.ArgumentParser) -> None:
    """Where the store is, as a recipe's `outputs` says it."""
    default = os.environ.get("LLMCYCLE_OUTPUTS") or "outputs"
    words = f"the folder that holds artifacts, also typed outputs=FOLDER (default: {default})"
    parser.add_argument("--outputs", default=default, help=words)


def with_server(parser: argparse.ArgumentParser) -> None:
    """What a server needs."""
    with_artifact(parser)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port, default=8000)
    parser.add_argument("--api-key", default=os.environ.get("LLMCYCLE_API_KEY"), help="default: $LLMCYCLE_API_KEY")
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


def with_gc(parser: argparse.ArgumentParser) -> None:
    """What may be collected."""
    with_outputs(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument("--checkpoints", action="store_true", help="of interrupted runs too: they would begin again")


ACTIONS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "ls": ls,
    "cp": cp,
    "check": check,
    "data": data,
    "lineage": lineage,
    "compare": compare,
    "gc": gc,
    "serve": serve,
    "chat": chat,
}
ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "ls": with_group,
    "cp": with_copy,
    "check": with_arms,
    "data": with_rows,
    "lineage": with_artifact,
    "compare": with_comparison,
    "gc": with_gc,
    "serve": with_server,
    "chat": with_artifact,
}
