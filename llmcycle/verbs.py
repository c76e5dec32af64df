"""The verbs that are not runs: what `llmcycle --help` lists beside the recipes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from llmcycle.config.errors import ConfigError, alike, choose, nearest
from llmcycle.verb_arguments import ARGUMENTS, Parser

if TYPE_CHECKING:
    from llmcycle.artifact import Artifact, Store


def run(verb: str, arguments: list[str]) -> int:
    """Run one verb with its own arguments."""
    parser = Parser(prog=f"llmcycle {verb}", description=ACTIONS[verb].__doc__)
    ARGUMENTS[verb](parser)
    action = ACTIONS[verb]
    words = [f"--{word}" if word.startswith("outputs=") else word for word in arguments]
    return action(parser.parse_intermixed_args(words)) or 0


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
    from llmcycle.config import check as check_root
    from llmcycle.config import check_arms, compose, locate
    from llmcycle.config.allow import allow
    from llmcycle.quiet import hush

    hush()
    for name in options.allow:
        allow(name)
    recipe, overrides = locate(options.recipe), typed(options)
    if options.multirun:
        count = len(check_arms(recipe, overrides, check_root))
        print(f"{options.recipe}: nothing wrong in any of {count} combinations")
    else:
        check_root(compose(recipe, overrides))
        print(f"{options.recipe}: nothing wrong")
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
    return few(reference, made, here) if made or here else none


def few(reference: str, made: list[str], here: Sequence[str] = ()) -> str:
    """The nearest of the artifacts and folders, or a choice of a few."""
    from llmcycle.config.options import choice

    near = nearest(reference, here)
    return choice([near] if near else alike(reference, made) or [*made, *here])


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
        near = few(options.artifact, made) if made else "llmcycle pretrain, for an artifact of its own"
        raise ConfigError(str(folder), f"it is no artifact: it holds no {MANIFEST}", near)
    print(tree(store, Artifact(folder)))
    return None


def artifacts(options: argparse.Namespace) -> int | None:
    """List the artifacts of the store: headline, size, when they were made and from what."""
    from llmcycle.catalogue import artifact_rows
    from llmcycle.report.sweep import render

    print(render(artifact_rows(store_of(options))))
    return None


def runs(options: argparse.Namespace) -> int | None:
    """List the runs and sweeps whose reports are there."""
    from llmcycle.catalogue import run_rows
    from llmcycle.report.sweep import render

    print(render(run_rows(Path(options.outputs))))
    return None


def show(options: argparse.Namespace) -> int | None:
    """Show an artifact: what made it, its curve, answers, metrics, lineage, and what was made of it."""
    from llmcycle.catalogue import card

    default = os.environ.get("LLMCYCLE_OUTPUTS") or "outputs"
    where = "" if options.outputs == default else f" outputs={options.outputs}"
    card(store_of(options), known(options.artifact, options), where)
    return None


def diff(options: argparse.Namespace) -> int | None:
    """Say what sets two artifacts apart: settings, metrics with paired intervals, answers."""
    from llmcycle.catalogue import difference

    print(difference(known(options.artifact, options), known(options.other, options)))
    return None


def rm(options: argparse.Namespace) -> int | None:
    """Remove artifacts, with all that was made of them."""
    from llmcycle.artifact import with_dependants

    store = store_of(options)
    with store.referring():
        going = with_dependants(store, [known(reference, options) for reference in options.artifacts])
        print("\n".join(artifact.folder.name for artifact in going))
        question = f"remove {'it' if len(going) == 1 else f'these {len(going)}'}? [y/N] "
        if not options.yes and not sys.stdin.isatty():
            reason = "there is no terminal to ask for a yes"
            raise ConfigError("rm", reason, f"llmcycle rm {' '.join(options.artifacts)} --yes")
        if not options.yes and input(question).strip().lower() not in ("y", "yes"):
            print("nothing was removed")
            return 1
        for artifact in going:
            store.remove(artifact)
    print(f"{len(going)} removed")
    return None


def store_of(options: argparse.Namespace) -> Store:
    """The store below `outputs`; ConfigError where there is none."""
    from llmcycle.artifact import Store

    store = Store(Path(options.outputs) / "artifacts")
    if not store.root.is_dir():
        raise ConfigError(str(store.root), "there is no store here", "--outputs FOLDER, the one that holds artifacts")
    return store


def known(reference: str, options: argparse.Namespace) -> Artifact:
    """An artifact of the store; ConfigError with the nearest one where there is none of this name."""
    store = store_of(options)
    artifact = store.find(reference)
    if artifact is None:
        made = [each.folder.name for each in store.artifacts()]
        near = few(reference, made) if made else "llmcycle pretrain, for an artifact of its own"
        raise ConfigError(reference, f"there is no such artifact in {store.root}", near)
    return artifact


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
    from llmcycle.artifact import gc as collect
    from llmcycle.artifact import roots

    store = store_of(options)
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
    from llmcycle.port import check_reach, listen

    check_reach(options.host, options.api_key or None)
    listen(options.host, options.port).close()  # told at once, and not when the model has been read
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


ACTIONS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "ls": ls,
    "cp": cp,
    "check": check,
    "data": data,
    "runs": runs,
    "artifacts": artifacts,
    "show": show,
    "diff": diff,
    "lineage": lineage,
    "compare": compare,
    "rm": rm,
    "gc": gc,
    "serve": serve,
    "chat": chat,
}
