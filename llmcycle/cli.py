"""`llmcycle RECIPE [overrides]`: read the command line, refuse what is wrong, and hand over to Hydra.

Imports nothing heavy: `--help` must answer at once and completion runs at every key press.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from llmcycle.command_line import VERBS, Command, first_word, parse, refuse_dashed
from llmcycle.guard import guard, say
from llmcycle.masking import notice
from llmcycle.surroundings import ARMS, FORCE, OUTPUTS, set_for, typed

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from llmcycle.lifecycle import Outcome

HELP = """\
llmcycle: one declarative framework for the whole life of a language model

  llmcycle RECIPE [key=value ...]     run a recipe: {recipes}
                                      or a YAML file of your own
  llmcycle RECIPE -m key=a,b [...]    run every combination
  llmcycle RECIPE --cfg job           show the composed recipe
  llmcycle RECIPE --info              show how it was composed

  llmcycle ls [GROUP]                 recipes and options that can be swapped in
  llmcycle cp RECIPE FILE             copy a recipe to edit it
  llmcycle check RECIPE [key=value]   only check it
  llmcycle sweep export RECIPE [key=value] --to wandb    a sweep as a file for `wandb sweep`
  llmcycle data RECIPE [key=value]    what it would train on, token by token [--rows N --stage NAME]
  llmcycle runs | artifacts           what is in the store
  llmcycle show ARTIFACT              what made it, its curve, answers, metrics and lineage
  llmcycle diff ARTIFACT ARTIFACT     settings, metrics and answers that are not the same
  llmcycle lineage ARTIFACT           from a model back to its data
  llmcycle compare FOLDER [...]       methods of a sweep beside each other, and prompts
  llmcycle arena ARTIFACT [...] --judge JUDGE    win rates and strengths of models, by a judge [--rubric --prompts]
  llmcycle tag ARTIFACT NAME [...]    give it a name of your own [--remove]
  llmcycle rm ARTIFACT [...] [--yes]  remove artifacts and what was made of them
  llmcycle gc [--dry-run --checkpoints]  remove artifacts that no run refers to
  llmcycle serve ARTIFACT [--host --port --api-key --queue]
  llmcycle chat ARTIFACT
  llmcycle feedback ARTIFACT [...]    people label its answers, on a page or here [--task --rows --gold --terminal]

  key=value           change a setting:           trainer.max_steps=50
  group=option        swap a part:                peft=dora
  group@stage.group=  the same in a lifecycle:    peft@finetune.peft=dora
  recipes@stage=      swap a whole stage:         recipes@align=reinforce
  outputs=FOLDER      where runs and artifacts are kept, for recipes and verbs; or the variable LLMCYCLE_OUTPUTS

flags, anywhere:  -m  --force (make stages again)  --allow MODULE (let recipes name your code)  --version
tab completion:   eval "$(llmcycle -sc install=bash)"
"""


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `llmcycle`; leaves by SystemExit with 0, 1 (a stage failed), 2 (refused) or 130 (interrupted)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments in ([], ["--help"], ["-h"], ["help"]):
        sys.exit(guard(lambda: print(HELP.format(recipes=shipped_recipes()), flush=True)))
    if arguments == ["--version"]:
        from llmcycle import __version__

        sys.exit(guard(lambda: print(__version__, flush=True)))
    place = first_word(arguments)
    if place is not None and arguments[place] in VERBS:
        rest = [*arguments[:place], *arguments[place + 1 :]]
        sys.exit(guard(lambda: run_verb(arguments[place], *rest)))
    sys.exit(guard(lambda: run(parse(arguments), arguments)))


def take_notice(arguments: list[str]) -> None:
    """Know the credentials of a command line before anything is said of it."""
    notice([*arguments, " ".join(arguments)])


def run_verb(verb: str, *arguments: str) -> int:
    """Run a verb; one that takes overrides is told of dashes before them."""
    from llmcycle import verbs

    take_notice(list(arguments))
    if verb in ("check", "data", "sweep"):
        own = ("--allow=", "--outputs=", "--rows=", "--stage=", "--to=")
        refuse_dashed([word for word in arguments if not word.startswith(own)])
    return verbs.run(verb, list(arguments))


def shipped_recipes() -> str:
    """Names of the shipped recipes, without importing Hydra."""
    here = Path(__file__).resolve().parent
    folder = next((root / "recipes" for root in (here, here.parent) if (root / "recipes").is_dir()), here)
    return ", ".join(sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")))


def run(command: Command, arguments: list[str]) -> int:
    """Do what a command line without a verb says."""
    from llmcycle.quiet import hush

    take_notice(arguments)
    hush()
    if "-sc" in command.flags or "--shell-completion" in command.flags:
        return complete(command)
    from llmcycle.config import compose, corners, describe, is_search
    from llmcycle.config.allow import allow

    for name in command.allow:
        allow(name)
    if not command.words:
        raise ValueError("no recipe is named\n  try: llmcycle --help")
    refuse_dashed(command.flags)
    command.overrides += command.words[1:]  # a forgotten `key=`, or a recipe too many: composing them says which
    if command.asks_help:
        recipe = recipe_or_verb(command.words[0])
        arm = corners(recipe, command.overrides)[0]  # of a sweep the first
        print(describe(compose(recipe, arm), recipe, command.words[0]))
        return 0
    with set_for({FORCE: "1"} if command.force else {}):
        if command.multirun or is_search(recipe_or_verb(command.words[0]), command.overrides):
            return run_arms(command, arguments)
        return 0 if all(outcome.succeeded for outcome in outcomes(command, arguments)) else 1


def outcomes(command: Command, arguments: list[str]) -> list[Outcome]:
    """Check a recipe, run it or show it, and give what became of the run."""
    from llmcycle.config import check, check_shown, compose
    from llmcycle.config.compose import in_full

    recipe = recipe_or_verb(command.words[0])
    (check_shown if command.inspects else check)(compose(recipe, command.overrides))
    return hand_over(recipe, [*in_full(recipe, command.overrides), *command.flags], arguments)


def run_arms(command: Command, arguments: list[str]) -> int:
    """The same of every arm of a sweep, and the exit code of the whole.

    What became of the arms is read where they left it, since a launcher may run them in other processes.
    """
    from llmcycle.config import check, check_arms, check_shown, compose, for_hydra, plan_search
    from llmcycle.config.compose import in_full
    from llmcycle.config.typed import in_quotes

    recipe = recipe_or_verb(command.words[0])
    judge = check_shown if command.inspects else check
    search = plan_search(recipe, command.overrides, judge)
    every = search.arms if search else check_arms(recipe, command.overrides, judge)
    words, flags = for_hydra(in_full(recipe, command.overrides), every), command.flags
    if command.inspects:
        hand_over(recipe, [*(words if command.multirun else every[0]), *flags], arguments)
        return 0
    if search:
        from llmcycle.search.run import run_search

        flags = flags if command.multirun else [*flags, "-m"]
        return run_search(search, lambda own: hand_over(recipe, [*words, *own, *flags], arguments))
    from llmcycle.launchers import share_of_cores
    from llmcycle.report import print_sweep, read_arms

    hydra = compose(recipe, every[0]).hydra
    folder = Path(hydra.sweep.dir)
    print(f"sweep: {len(every)} {'arm' if len(every) == 1 else 'arms'}, logged in {os.path.relpath(folder)}")
    with set_for({ARMS: str(len(every)), **share_of_cores(hydra.launcher, len(every))}):
        hand_over(recipe, [*words, f"hydra.sweep.dir={in_quotes(str(folder))}", *flags], arguments)
    print_sweep(folder)
    ended = read_arms(folder)
    return 0 if len(ended) >= len(every) and all(arm.error is None for arm in ended) else 1


def recipe_or_verb(word: str) -> Path:
    """The file of a recipe.

    Raises:
        ConfigError: there is none, and it may be a verb that is meant.
    """
    from llmcycle.config import locate
    from llmcycle.config.errors import ConfigError, nearest

    try:
        return locate(word)
    except ConfigError:
        near = nearest(word, [*VERBS, *shipped_recipes().split(", ")])
        if near not in VERBS:
            raise
        raise ConfigError(word, "there is no verb and no recipe of this name", f"llmcycle {near}") from None


def hand_over(recipe: Path, rest: list[str], arguments: list[str]) -> list[Outcome]:
    """Let `hydra.main` take the run, under the command line that it understands.

    Raises:
        SystemExit: caused by what went wrong outside of a stage, which has been said.
    """
    import hydra

    from llmcycle.config.compose import register, split, take_outputs
    from llmcycle.config.usual import VERSION_BASE

    register()
    folder, name = split(recipe)
    ended: list[Outcome] = []

    def task(config: DictConfig) -> float | None:
        """What is optimised, for sweepers that search."""
        from llmcycle.quiet import hush

        hush()  # a launcher runs this in a process of its own
        from llmcycle.lifecycle import execute

        try:
            ended.append(execute(config, arguments))
        except Exception as error:  # Hydra would print its traceback
            raise SystemExit(say(error)) from error
        return ended[-1].headline

    overrides, outputs = take_outputs(rest)
    with typed(overrides), set_for({} if outputs is None else {OUTPUTS: outputs}):  # conf/base.yaml reads it
        hydra.main(version_base=VERSION_BASE, config_path=str(folder), config_name=name)(task)()
    return ended


def complete(command: Command) -> int:
    """Answer the shell: the first word is a recipe or a verb, the rest are Hydra's to complete."""
    line = os.environ.get("COMP_LINE", "").split()
    typed = parse(line[1:])
    current = "" if os.environ.get("COMP_LINE", "").endswith(" ") or not line else line[-1]
    if "query=bash" in command.overrides and (not typed.words or (typed.words == [current] and current)):
        print(" ".join(word for word in [*shipped_recipes().split(", "), *VERBS] if word.startswith(current)))
        return 0
    from llmcycle import completion

    word = typed.words[0] if typed.words else ""
    choices = completion.choices(word, current, word in VERBS, shipped_recipes().split(", "))
    if choices is not None:
        print(" ".join(choice for choice in choices if choice.startswith(current)))
        return 0
    recipe = completion.recipe(word or "lifecycle")
    if recipe is None:
        return 0
    if typed.words:
        os.environ["COMP_LINE"] = os.environ["COMP_LINE"].replace(f"{typed.words[0]} ", "", 1)
    hand_over(recipe, [*command.flags, *command.overrides], [])
    return 0


if __name__ == "__main__":
    main()
