"""Every swap that a recipe offers: each option of each group that it composes, with what the fixtures of a test bring.

A pair (recipe, option) either trains its first steps, or `check` refuses it with a remedy that clears the very error.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from conftest import save_chatting
from transformers import LlamaConfig, LlamaForSequenceClassification, LlamaForTokenClassification

from llmcycle.config.check import check
from llmcycle.config.compose import compose
from llmcycle.config.errors import ConfigError, RecipeErrors
from llmcycle.config.paths import groups, locate
from llmcycle.config.paths import recipes as shipped_recipes

LIFECYCLES = ("lifecycle", "rlaif")  # they run recipes that are here by themselves
FOLDERS = {
    "second_reward=FOLDER": "second_reward=scorer2",
    "reward=FOLDER": "reward=scorer",
    "FOLDER of a classifier of tokens, such as a process reward model": "steps",
    "FOLDER of a classifier, such as a reward model": "scorer",
    "FOLDER of a language model": "model",
    "FOLDER that `llmcycle constitution` made": "made",
}
WORDS = {"FOLDER": "model", "FILE": "rows.jsonl", "NUMBER": "1", "TEXT": "text", "PATH": "rows.jsonl", "VALUE": "model"}


@dataclass(frozen=True)
class Fixtures:
    """What stands in a test's folder, and what options that need a file or a larger machine are given.

    Args:
        inputs: of recipes that need some, by recipe; `{model}` and the like are names in `places`.
        options: overrides that come with an option, by "group/option".
        steps: overrides for every recipe that trains, so that it ends after a few steps.
    """

    inputs: Mapping[str, tuple[str, ...]]
    options: Mapping[str, tuple[str, ...]]
    steps: tuple[str, ...] = ("trainer.max_steps=2",)


ROWS = "rows.jsonl"
TABLE = Fixtures(
    inputs={
        "combine": ("inputs.base=model", "inputs.a=model", "inputs.b=model"),
        "nanogpt": ("data.train=text.txt",),
        "reinforce": ("inputs.model=model", "inputs.reward=scorer"),
        "ppo": ("inputs.model=model", "inputs.reward=scorer"),
        "best_of_n": ("inputs.model=model", "inputs.reward=scorer"),
        "online_dpo": ("inputs.model=model", "inputs.reward=scorer"),
        "pretrain": (),
        "pretrain_mlm": (),
        **dict.fromkeys(
            (
                "align",
                "compress",
                "constitution",
                "deploy",
                "evaluate",
                "reward_audit",
                "finetune",
                "judge_audit",
                "kto",
                "merge",
                "pretrain_continued",
                "prompt",
                "qlora",
            ),
            ("inputs.model=model",),
        ),
        "revise": ("inputs.model=model", "inputs.rows=made"),
        **dict.fromkeys(("process_reward", "rating", "reward", "rlvr"), ("inputs.model=model",)),
    },
    options={
        **dict.fromkeys(("data/json", "data/chat", "data/alpaca", "data/sharegpt"), ("{place}.train={option}.jsonl",)),
        "data/gsm8k": ("{place}.train=gsm8k.jsonl", "{place}.holdout=4"),
        "data/hh_rlhf": ("{place}.train=hh_rlhf.jsonl", "{place}.holdout=4"),
        "data/hub": ("{place}.train=json.jsonl", "{place}.holdout=4"),
        "data/piqa": ("{place}.train=piqa.jsonl", "{place}.holdout=4"),
        "data/truthfulqa": ("{place}.train=truthfulqa.jsonl",),
        **dict.fromkeys(("evaluate/truthful", "evaluate/hhh_real"), ("evaluate.truthful.rows.train=truthfulqa.jsonl",)),
        "data/multiple_choice": ("{place}.train=multiple_choice.jsonl",),
        **dict.fromkeys(("data/constitution_revisions", "data/constitution_preferences"), ("++inputs.rows=made",)),
        "data/csv": ("{place}.train=rows.csv",),
        "data/parquet": ("{place}.train=rows.parquet",),
        "data/text": ("{place}.train=text.txt",),
        "data/tinyshakespeare": ("{place}.train=text.txt", "{place}.holdout=4"),
        "data/contiguous": ("{place}.train=text.txt",),
        "data/corpus": ("+{place}.sources.own=text.txt", "{place}.holdout=0.2"),
        "data/corpus_web": ("+{place}.sources.own=web.txt", "{place}.holdout=0.2"),
        "data/mixture": ("+data@{place}.sources.own=storefront_instructions",),
        "reward/learned": ("++inputs.reward=scorer",),
        "reward/ensemble": ("++inputs.reward=scorer", "++inputs.second_reward=scorer2"),
        "reward/process": ("++inputs.reward=steps",),
        "reward/regex": ("{place}.pattern=blue",),
        "reward/function": ("{place}.function.path=trl.rewards.think_format_reward", "{place}.messages=true"),
    },
)
LONGEST = 12  # remedies in turn that lead to a recipe that passes
# Too large for a test: the same architecture, smaller, comes by overrides.
LARGE = ("llama_100m", "llama_135m", "llama_1b", "llama_30m", "llama_360m", "llama_3b", "llama_7b")
SHARING = ("llama_135m", "llama_1b", "llama_360m", "llama_3b")  # key and value heads among several attention heads
SMALL = (
    *("model.parameters=null", "model.config.hidden_size=64", "model.config.intermediate_size=128"),
    *("model.config.num_hidden_layers=2", "model.config.num_attention_heads=4"),
)


@dataclass(frozen=True)
class Pair:
    """A recipe with one option of one of its groups."""

    recipe: str
    group: str
    option: str
    overrides: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.recipe} {self.group}={self.option}"


def recipes() -> list[str]:
    """Shipped recipes of one stage, without those for a real model."""
    return [name for name in shipped_recipes() if "/" not in name and name not in LIFECYCLES]


def places(recipe: str, overrides: tuple[str, ...]) -> dict[str, str]:
    """Groups that a recipe composes: what is typed before the "=", and the group."""
    choices = compose(locate(recipe), list(overrides)).hydra.runtime.choices
    typed = [str(key) for key in choices if not str(key).startswith(("hydra/", "recipes"))]
    return {
        key: key.partition("@")[0].removeprefix("/")
        for key in typed
        if "_global_" not in key and "/" not in key and "_here_" not in key
    }


def swaps(recipe: str, fixtures: Fixtures = TABLE) -> Iterator[Pair]:
    """Every option of every group that a recipe composes."""
    base = fixtures.inputs.get(recipe, ())
    for key, group in places(recipe, base).items():
        for option in groups().get(group, ()):
            place = key.partition("@")[2] or group
            given = fixtures.options.get(f"{group}/{option}", ())
            own = tuple(one.format(option=option, place=place) for one in given)
            small = SMALL if group == "model" and option in LARGE else ()
            small += ("model.config.num_key_value_heads=2",) if small and option in SHARING else ()
            moved = tuple(one for one in base if not (key == "data" and one.startswith("data.")))
            yield Pair(recipe, key, option, (*moved, f"{key}={option}", *own, *small))


def refusals(pair: Pair, more: tuple[str, ...] = ()) -> list[ConfigError]:
    """What `check` says to a pair; nothing where it lets it pass."""
    try:
        check(compose(locate(pair.recipe), [*pair.overrides, *more]))
    except RecipeErrors as error:
        return error.errors
    except ConfigError as error:
        return [error]
    return []


def typed(error: ConfigError) -> list[str]:
    """A remedy as overrides, the first where there is a choice, its placeholders filled; [] where it is a sentence."""
    remedy = error.remedy
    for words, folder in FOLDERS.items():
        remedy = remedy.replace(words, folder)
    first = remedy.removeprefix("one of: ").partition(", ")[0] if remedy.startswith("one of: ") else remedy
    first = re.split(r" or |,? which |, an artifact's id|, (?=[+~]?\w+[.=@])", first)[0]
    filled = re.sub(r"\b(FOLDER|FILE|NUMBER|TEXT|PATH|VALUE|NAME)\b", lambda match: filler(error, match[1]), first)
    typed_out = shlex.split(filled)
    return typed_out if all("=" in word or word.startswith("~") for word in typed_out) else []


def wrong(pair: Pair) -> str:
    """What is wrong with the remedies of a refused pair, typed in turn until it passes; "" where nothing is."""
    seen: list[set[str]] = []
    while errors := refusals(pair):
        error = errors[0]
        words = typed(error)
        if set(pair.overrides) in seen or len(seen) > LONGEST:
            return f"{len(seen)} remedies later the same again: {error}"
        seen.append(set(pair.overrides))
        if error.remedy == "leave it out":
            pair = replace(pair, overrides=kept(pair.overrides, [f"{error.key}="]))
        elif not words:  # another recipe has its own pairs
            return "" if error.remedy.startswith("llmcycle ") else f"nothing to type: {error}"
        pair = replace(pair, overrides=(*kept(pair.overrides, words), *added(pair.overrides, words)))
    return ""


def added(overrides: tuple[str, ...], words: list[str]) -> list[str]:
    """Words that are typed again, with the "+" that they had before."""
    keys = {override.partition("=")[0] for override in overrides}
    return [f"+{word}" if f"+{word.partition('=')[0]}" in keys else word for word in words]


def kept(overrides: tuple[str, ...], words: list[str]) -> tuple[str, ...]:
    """Overrides without options that are given up for others, and their settings."""
    keys = [word.partition("=")[0].lstrip("+") for word in words if "=" in word]
    gone = tuple(start for key in keys for start in (f"{key}=", f"{key.rpartition('@')[2]}."))
    return tuple(override for override in overrides if not override.lstrip("+~").startswith(gone))


def filler(error: ConfigError, placeholder: str) -> str:
    """What a user may put in the place of a word in capitals."""
    if placeholder == "NAME":  # a column, of those that the reason tells
        return error.reason.rpartition(" ")[2]
    if placeholder == "VALUE" and error.key.endswith("vocab_size"):
        return "512"
    return WORDS[placeholder]


def models(folder: Path) -> None:
    """The models of the table: one that chats, two reward models, and one of steps."""
    tokenizer = save_chatting(folder / "model")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), pad_token_id=0, num_labels=1, **sizes)
    for name in ("scorer", "scorer2"):
        LlamaForSequenceClassification(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    LlamaForTokenClassification(config).save_pretrained(folder / "steps")
    tokenizer.save_pretrained(folder / "steps")


def write(folder: Path) -> None:
    """The files of the table, beside its `models`."""
    pairs = [{"prompt": f"What is {n} and {n}?", "completion": f"It is {2 * n}."} for n in range(24)]
    lines(folder / ROWS, pairs)
    lines(folder / "json.jsonl", pairs)
    chats = [[("user", row["prompt"]), ("assistant", row["completion"])] for row in pairs]
    lines(folder / "chat.jsonl", [{"messages": [{"role": r, "content": c} for r, c in chat]} for chat in chats])
    lines(
        folder / "sharegpt.jsonl",
        [{"conversations": [{"from": NAMES[r], "value": c} for r, c in chat]} for chat in chats],
    )
    lines(
        folder / "alpaca.jsonl",
        [{"instruction": row["prompt"], "input": "", "output": row["completion"]} for row in pairs],
    )
    lines(
        folder / "gsm8k.jsonl",
        [{"question": row["prompt"], "answer": f"Add them.\n#### {2 * n}"} for n, row in enumerate(pairs)],
    )
    lines(
        folder / "hh_rlhf.jsonl",
        [
            {side: f"\n\nHuman: {row['prompt']}\n\nAssistant: {side}" for side in ("chosen", "rejected")}
            for row in pairs
        ],
    )
    lines(folder / "piqa.jsonl", [{"goal": r["prompt"], "sol1": "Two", "sol2": "Six", "label": 0} for r in pairs])
    lines(
        folder / "truthfulqa.jsonl",
        [{"question": r["prompt"], "best_answer": "Two", "incorrect_answers": ["Six", "Ten"]} for r in pairs],
    )
    lines(
        folder / "multiple_choice.jsonl",
        [{"question": row["prompt"], "options": "A. Two\nB. Six", "answer": "A. Two"} for row in pairs],
    )
    (folder / "rows.csv").write_text(
        "prompt,completion\n" + "".join(f'"{row["prompt"]}","{row["completion"]}"\n' for row in pairs), "utf-8"
    )
    (folder / "text.txt").write_text("\n\n".join(f"{r['prompt']} {r['completion']}" * 3 for r in pairs), "utf-8")
    (folder / "web.txt").write_text("\n\n".join(prose(seed) for seed in range(24)), "utf-8")
    parquet(folder / "rows.parquet", pairs)
    (folder / "made").mkdir()
    lines(folder / "made" / "revisions.jsonl", pairs)
    lines(folder / "made" / "preferences.jsonl", [{**r, "chosen": r["completion"], "rejected": "No."} for r in pairs])


def prose(seed: int, words: int = 90) -> str:
    """A document that the rules for web pages keep: words in no order, stop words among them."""
    draw = Random(seed)
    own = ["".join(draw.choices("abcdefghijklmnoprstuvw", k=draw.randint(3, 8))) for _ in range(words)]
    common = ("the", "be", "to", "of", "and", "that", "have", "with")
    return " ".join(draw.choice(common) if place % 5 == 0 else word for place, word in enumerate(own))


NAMES = {"user": "human", "assistant": "gpt"}


def lines(path: Path, rows: list[dict[str, object]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def parquet(path: Path, rows: list[dict[str, str]]) -> None:
    """A table of texts."""
    import pyarrow
    from pyarrow import parquet as writer

    writer.write_table(pyarrow.table({name: [row[name] for row in rows] for name in rows[0]}), path)
