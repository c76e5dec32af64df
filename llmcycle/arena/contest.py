"""A contest from the command line's words: who plays, on which prompts, and who judges."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf
from transformers import GenerationConfig

from llmcycle.align.rewards import Verifier
from llmcycle.arena.matches import Matches, judged
from llmcycle.config import compose, locate
from llmcycle.config.errors import ConfigError
from llmcycle.data.read import read_files
from llmcycle.data.storefront import Questions, World
from llmcycle.engine import Answer, LocalEngine
from llmcycle.engine.openai import OpenAIEngine
from llmcycle.evaluate.reward import Reward
from llmcycle.judge import Judge, Rubric
from llmcycle.references import model_folder

SHOP = "storefront"  # as a judge: the shop's verifier
NAMED = "#"  # between an endpoint's address and the model's name there


@dataclass(frozen=True)
class Contest:
    """What was played.

    Args:
        rows: {"prompt"}.
        answers: of each model, one to each row.
        judge: as it was typed.
    """

    rows: list[dict[str, Any]]
    answers: list[list[Answer]]
    matches: Matches
    judge: str
    rubric: str


def play(
    models: Sequence[str], judge: str, rubric: str, prompts: str | None, count: int, tokens: int, outputs: str
) -> Contest:
    """Let all models answer, one after the other, and judge every two of them.

    Args:
        models: folders, artifacts, or the start of their ids.
        judge, rubric: see `judge_by`.
        prompts: a file of rows with a prompt; None for the shop's questions.
        count: of prompts at the most.
        tokens: of an answer at the most.
        outputs: where the store is.
    """
    refuse_few(models)
    folders, by = [model_folder(model, outputs) for model in models], judge_by(judge, rubric, outputs)
    rows = asked(prompts, count)
    answers = [answered(folder, rows, tokens) for folder in folders]
    matches = judged(by, rows, named(models, folders), answers)
    return Contest(rows, answers, matches, judge, "" if judge == SHOP else rubric)


def named(models: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """What the models are called: by their folders, or as they were typed where two folders have one name."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else list(models)


def refuse_few(models: Sequence[str]) -> None:
    """ConfigError unless there are two different models or more."""
    if len(set(models)) < max(2, len(models)):
        raise ConfigError("arena", f"two different models or more are needed, not {' '.join(models)}", "llmcycle ls")


def judge_by(words: str, rubric: str, outputs: str) -> Reward:
    """Who judges: `storefront`, an endpoint's `http://HOST/v1#MODEL`, or a model's folder or artifact.

    Args:
        rubric: an option of the group `rubric`, or a YAML file.

    Raises:
        ConfigError: there is no such model or rubric, or the endpoint's model has no name.
    """
    if words == SHOP:
        return Verifier(world())
    cache = str(Path(outputs) / "verdicts")
    if not words.startswith(("http://", "https://")):
        return Judge(LocalEngine(str(model_folder(words, outputs))), rubric_of(rubric), cache)
    url, _, name = words.partition(NAMED)
    if not name:
        raise ConfigError("--judge", f"what is the model at {url} called?", f"--judge '{url}{NAMED}NAME'")
    return Judge(OpenAIEngine(name, url), rubric_of(rubric), cache)


def rubric_of(words: str) -> Rubric:
    """A rubric by its option's name or its file."""
    if words.endswith((".yaml", ".yml")):
        if not Path(words).is_file():
            raise ConfigError("--rubric", f"there is no file {words}", "--rubric default")
        return built(OmegaConf.to_container(OmegaConf.load(words)))
    overrides = ["inputs.model=-", "reward=judge", "+inputs.judge=-", f"rubric@reward.rubric={words}"]
    return built(OmegaConf.to_container(compose(locate("rlvr"), overrides).reward.rubric))


def built(node: Any) -> Rubric:
    """The rubric of a node of a recipe."""
    settings = {key: value for key, value in dict(node).items() if key != "_target_"}
    return Rubric(**settings)


def world() -> World:
    """The shop of the shipped recipes, or of the user's own `conf`."""
    shop: World = instantiate(compose(locate("evaluate"), ["inputs.model=-"]).world)
    return shop


def asked(prompts: str | None, count: int) -> list[dict[str, Any]]:
    """The rows that are played on.

    Raises:
        ConfigError: the file has no rows with a prompt.
    """
    if prompts is None:
        return list(Questions(world(), count=count).validation)
    rows = read_files(prompts, "--prompts", "line")[:count]
    if not rows or not all("prompt" in row for row in rows):
        reason = f"rows with a `prompt` are needed, and {prompts} has {', '.join(rows[0]) if rows else 'nothing'}"
        raise ConfigError("--prompts", reason, "--prompts FILE.jsonl")
    return rows


def answered(folder: Path, rows: Sequence[dict[str, Any]], tokens: int) -> list[Answer]:
    """A model's greedy answers; it is closed afterwards."""
    config = GenerationConfig(max_new_tokens=tokens, do_sample=False)
    with closing(LocalEngine(str(folder))) as engine:
        return [first for first, *_ in engine.answer([row["prompt"] for row in rows], config)]
