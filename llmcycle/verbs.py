"""The verbs that are not runs: what `llmcycle --help` lists beside the recipes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path

from llmcycle import store_verbs
from llmcycle.config.errors import ConfigError, choose
from llmcycle.references import model_folder, run_folder
from llmcycle.verb_arguments import ARGUMENTS, Parser


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
        remedy = f"llmcycle cp {options.recipe} {unused(target.with_suffix('.yaml'))}"
        raise ConfigError(str(target), "it exists already and is left alone", remedy)
    text = locate(options.recipe).read_text("utf-8")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    print(f"{target}\nnext: llmcycle ./{os.path.relpath(target)}")
    return None


def check(options: argparse.Namespace) -> int | None:
    """Compose a recipe and check everything that can be known before it runs; writes nothing."""
    from llmcycle.config import check as check_root
    from llmcycle.config import check_arms, compose, is_search, locate, plan_search
    from llmcycle.config.allow import allow
    from llmcycle.quiet import hush

    hush()
    for name in options.allow:
        allow(name)
    recipe, overrides = locate(options.recipe), typed(options)
    if options.multirun or is_search(recipe, overrides):
        search = plan_search(recipe, overrides, check_root)
        count = len(search.arms if search else check_arms(recipe, overrides, check_root))
        print(f"{options.recipe}: nothing wrong in any of {count} {'corners' if search else 'combinations'}")
    else:
        check_root(compose(recipe, overrides))
        print(f"{options.recipe}: nothing wrong")
    return None


def sweep(options: argparse.Namespace) -> int | None:
    """Write a sweep as a file for the agents of another tool: `llmcycle sweep export RECIPE [key=value] --to wandb`."""
    import yaml

    from llmcycle.config import check as check_root
    from llmcycle.config import check_arms, compose, locate, override_values, plan_search
    from llmcycle.config.allow import allow
    from llmcycle.quiet import hush

    hush()
    for name in options.allow:
        allow(name)
    recipe, overrides = locate(options.recipe), typed(options)
    plan = plan_search(recipe, overrides, check_root)
    words = list(plan.every) if plan else overrides
    root = plan.root if plan else compose(recipe, check_arms(recipe, overrides, check_root)[0])
    from llmcycle.search.export import wandb_sweep
    from llmcycle.search.space import Space

    space = Space.read([override for override, _ in override_values(recipe, words)])
    if not space.distributions:
        reason = "no setting has several values, so there is nothing to sweep"
        raise ConfigError("sweep", reason, "'optim.lr=tag(log, interval(1e-4, 1e-2))', a range to draw from")
    target = unused(Path(f"{Path(options.recipe).stem}-{options.to}.yaml"))
    target.write_text(yaml.safe_dump(wandb_sweep(options.recipe, root, space), sort_keys=False), "utf-8")
    print(f"{target}\nnext: wandb sweep {target}")
    return None


def unused(target: Path) -> Path:
    """The path, with a number behind its name where there is such a file already."""
    names = (target.with_stem(f"{target.stem}-{n}") for n in count(2))
    return target if not target.exists() else next(name for name in names if not name.exists())


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


def compare(options: argparse.Namespace) -> int | None:
    """Set the methods of a sweep beside each other on the rows that they answered: a table and a plot.

    Folders of prompt runs put their cells on the same axis.
    """
    from llmcycle.comparison import collect, write

    folders = [run_folder(reference, options.outputs) for reference in options.folders]
    metric, points = collect(folders, options.metric, options.stage)
    print(write(folders[0], metric, points, options.against))
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


def feedback(options: argparse.Namespace) -> int | None:
    """Label answers: choose between two, rate one or edit one, on a page of this machine or in the terminal.

    Models are asked now, or --rows has their answers. What is written is read by `reward`, `rating`, `align` and
    `finetune`; the same command goes on where labelling stopped, and so does --out FOLDER alone.
    """
    from llmcycle.quiet import hush

    hush()
    from llmcycle.port import listen

    if not (options.terminal or options.report):
        listen(options.host, options.port).close()  # told at once, and not when models have answered
    folders = tuple(str(model_folder(reference, options.outputs)) for reference in options.artifacts)
    reward = str(model_folder(options.reward, options.outputs)) if options.reward else ""
    from llmcycle.feedback import Settings, report
    from llmcycle.feedback import feedback as start

    if options.report:
        report(options.out)
        return None
    settings = Settings(
        **{name: getattr(options, name) for name in SETTINGS},
        models=folders,
        reward=reward,
        outputs=options.outputs,
        draw={
            "samples": options.samples or (2 if len(folders) == 1 else 1),
            "temperature": options.temperature,
            "max_tokens": options.max_tokens,
        },
    )
    server = {name: getattr(options, name) for name in ("host", "port", "password", "terminal")}
    start(options.out, settings, options.annotators, **server)
    return None


SETTINGS = ("task", "count", "seed", "choose", "stars", "rows", "prompts", "recipe", "gold", "seen")  # of `feedback`


def arena(options: argparse.Namespace) -> int | None:
    """Let models answer the same prompts and a judge compare them: win rates and strengths, with intervals.

    The judge is a folder or an artifact, an endpoint (http://HOST/v1#MODEL), or storefront, the shop's verifier.
    """
    from llmcycle.quiet import hush

    hush()
    from llmcycle.arena import play, standings, write

    asked = (options.judge, options.rubric, options.prompts, options.count, options.tokens, options.outputs)
    contest = play(options.artifacts, *asked)
    folder = Path(options.outputs) / "arena" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{os.urandom(3).hex()}"
    print(write(folder, contest, standings(contest.matches)))
    return None


ACTIONS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "ls": ls,
    "cp": cp,
    "check": check,
    "sweep": sweep,
    "data": data,
    "runs": store_verbs.runs,
    "artifacts": store_verbs.artifacts,
    "show": store_verbs.show,
    "diff": store_verbs.diff,
    "lineage": store_verbs.lineage,
    "compare": compare,
    "arena": arena,
    "tag": store_verbs.tag,
    "rm": store_verbs.rm,
    "gc": store_verbs.gc,
    "serve": serve,
    "chat": chat,
    "feedback": feedback,
}
