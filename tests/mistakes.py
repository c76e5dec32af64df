"""Mistakes made by rule from valid command lines and files, and what a reader does with the remedy that is printed.

A rule takes what is right and spoils one word or one line: drops a character, swaps two, puts a value of another type,
an option of another group, a file of another format. The seed is fixed, so that the mistakes are the same each time.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any

import matrix

from llmcycle.command_line import VERBS
from llmcycle.config import compose, locate
from llmcycle.config.near import dotted
from llmcycle.config.paths import groups, shipped
from llmcycle.config.plain_tree import plain

SEED = 10
Text = str | bytes


@dataclass(frozen=True)
class Mistake:
    """One wrong word of a command, or one wrong file that a right command reads.

    Args:
        rule: by which it was made.
        words: what is typed after `llmcycle`.
        place: the wrong word's index; -1 where a file is wrong.
        right: what the word, or the file, was before.
        path: of the wrong file; "" for a wrong word.
        text: what the file holds.
    """

    rule: str
    words: tuple[str, ...]
    place: int
    right: Text = ""
    path: str = ""
    text: Text = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.rule}: llmcycle {shlex.join(self.words)}" + (f" [{self.path}]" if self.path else "")


def every() -> list[Mistake]:
    """All mistakes, each once, in an order in which any part of them has all rules."""
    draw = Random(SEED)
    made = [mistake for recipe in matrix.recipes() for mistake in of_recipe(recipe, draw)]
    made += [*of_verbs(draw), *of_files(draw)]
    unique = list({(mistake.words, mistake.text): mistake for mistake in made}.values())
    draw.shuffle(unique)
    before: Counter[str] = Counter()
    rounds = []
    for mistake in unique:
        rounds.append(before[mistake.rule])
        before[mistake.rule] += 1
    # The first of each rule, then the second of each, so that a part of any size leaves out none.
    return [mistake for _, mistake in sorted(zip(rounds, unique, strict=True), key=itemgetter(0))]


# --- words -----------------------------------------------------------------------------------------------------------


def dropped(word: str, draw: Random) -> str:
    """Without one of its characters, the first aside."""
    place = draw.randrange(1, len(word))
    return word[:place] + word[place + 1 :]


def swapped(word: str, draw: Random) -> str:
    """With two neighbours in each other's place."""
    places = [place for place in range(len(word) - 1) if word[place] != word[place + 1]]
    place = draw.choice(places)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def doubled(word: str, draw: Random) -> str:
    """With a letter that does not belong there."""
    place = draw.randrange(1, len(word))
    return word[:place] + draw.choice("aeinst") + word[place:]


SPOILERS = (dropped, swapped, doubled)


@cache
def composed(recipe: str) -> dict[str, Any]:
    """A recipe as a plain mapping, with the options that it chooses by "group" or "group@place"."""
    root = compose(locate(recipe), list(matrix.TABLE.inputs.get(recipe, ())))
    return {
        "tree": plain(root, resolve=False),
        "choices": {str(key): str(name) for key, name in root.hydra.runtime.choices.items()},
    }


def numbers(recipe: str) -> dict[str, int | float]:
    """Settings that are numbers, with their values."""
    tree = composed(recipe)["tree"]
    known = {}
    for key in dotted(tree):
        value: Any = tree
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and not key.startswith(("hydra", "world")):
            known[key] = value
    return known


def swaps(recipe: str) -> dict[str, str]:
    """Groups of a recipe that have one option of their own, by what is typed before the "="."""
    return {
        key: name
        for key, name in composed(recipe)["choices"].items()
        if "@" not in key and "/" not in key and key in groups() and key not in ("stage", "recipes")
    }


def known_word(word: str, recipe: str) -> bool:
    """Whether a spoilt word happens to be right."""
    return word in set(dotted(composed(recipe)["tree"])) or word in groups() or word in groups()["recipes"]


def of_recipe(recipe: str, draw: Random) -> Iterator[Mistake]:
    """What can go wrong in one recipe's command line."""
    right = ("check", recipe, *matrix.TABLE.inputs.get(recipe, ()))
    end = len(right)

    def add(rule: str, word: str, was: str = "") -> Mistake:
        return Mistake(rule, (*right, word), end, was)

    settings, own = numbers(recipe), swaps(recipe)
    keys, chosen = list(settings), list(own)
    for spoil in SPOILERS:
        key = draw.choice(keys)
        if not known_word(wrong := spoil(key, draw), recipe):
            yield add(f"key {spoil.__name__}", f"{wrong}={settings[key]}", f"{key}={settings[key]}")
        group = draw.choice(chosen)
        name = own[group]
        if (wrong := spoil(name, draw)) not in groups()[group]:
            yield add(f"option {spoil.__name__}", f"{group}={wrong}", f"{group}={name}")
        if not known_word(wrong := spoil(group, draw), recipe):
            yield add(f"group {spoil.__name__}", f"{wrong}={name}", f"{group}={name}")
    for value in ("abc", "[1]", "{a:1}"):
        key = draw.choice(keys)
        yield add("type", f"{key}={value}", f"{key}={settings[key]}")
    group = draw.choice(chosen)
    other = draw.choice([name for name in groups() if name not in (group, "recipes")])
    strange = [name for name in groups()[other] if name not in groups()[group]]
    if strange:
        yield add("option of another group", f"{group}={draw.choice(strange)}", f"{group}={own[group]}")
    there = {*own, *composed(recipe)["tree"], *re.findall(r"\w+", " ".join(composed(recipe)["choices"]))}
    away = [name for name in groups() if name not in {*there, "recipes", "stage", "search"} and "/" not in name]
    if away:
        group = draw.choice(away)
        yield add("group of another recipe", f"{group}={draw.choice(groups()[group])}")
    yield add("no key", draw.choice([own[group], dropped(draw.choice(keys), draw)]))
    yield add("bracket", f"{draw.choice(keys)}={draw.choice(['[1', '{a:1', chr(34) + 'a', '1]'])}")
    yield add("taken out", f"~{dropped(draw.choice(keys), draw)}")
    yield add("group as a text", f"{draw.choice(chosen)}={draw.choice(['5', '[a]', '{a:1}', '0.1'])}")
    if inputs := [word for word in right if word.startswith("inputs.")]:
        yield from wrong_inputs(right, draw.choice(inputs), draw)
    yield from wrong_files(recipe, right, draw)
    yield Mistake("recipe", ("check", spoilt_recipe(recipe, draw), *right[2:]), 1, recipe)


def spoilt_recipe(recipe: str, draw: Random) -> str:
    """Its name misspelt, into none that there is."""
    wrong = (draw.choice(SPOILERS)(recipe, draw) for _ in range(20))
    return next(word for word in wrong if word not in groups()["recipes"])


def wrong_inputs(right: tuple[str, ...], word: str, draw: Random) -> Iterator[Mistake]:
    """A model that is not there, or is none."""
    place, (key, _, value) = right.index(word), word.partition("=")
    for what in draw.sample(["modl", "rows.jsonl", "empty", "a/b/c", "finetune-00ff", "./modle", "text.txt", ""], 2):
        yield Mistake("input", (*right[:place], f"{key}={what}", *right[place + 1 :]), place, f"{key}={value}")
    wrong = dropped(key, draw)
    yield Mistake("input's name", (*right[:place], f"{wrong}={value}", *right[place + 1 :]), place, word)


FILES = {"json": "json.jsonl", "csv": "rows.csv", "parquet": "rows.parquet", "text": "text.txt", "chat": "chat.jsonl"}
WRONG_FILES = ("absent.jsonl", "empty", "noise.bin", "noise.jsonl", "noise.csv", "noise.parquet", "model", "half.jsonl")


def wrong_files(recipe: str, right: tuple[str, ...], draw: Random) -> Iterator[Mistake]:
    """Rows that are not there, or are no rows."""
    if "data" not in swaps(recipe) or swaps(recipe)["data"] not in ("storefront_instructions", "storefront_documents"):
        return
    kind = "json" if swaps(recipe)["data"] == "storefront_instructions" else "text"
    options = (*right, f"data={kind}")
    for what in draw.sample(WRONG_FILES, 3):
        if kind == "text" and what in ("half.jsonl",):
            continue  # text all the same
        words = (*options, f"data.train={what}")
        yield Mistake("rows", words, len(words) - 1, f"data.train={FILES[kind]}")


def of_verbs(draw: Random) -> Iterator[Mistake]:
    """Wrong words and flags of the verbs."""
    for verb in VERBS:
        wrong = next(word for word in (spoil(verb, draw) for _ in range(20) for spoil in SPOILERS) if word not in VERBS)
        if len(verb) > 2:
            yield Mistake("verb", (wrong, "finetune"), 0, verb)
    lines = (
        ("ls", "pfet"), ("ls", "peft", "lora"), ("ls", "--all"), ("cp", "fintune", "own.yaml"), ("cp", "finetune"),
        ("cp", "finetune", "rows.csv"), ("check",), ("check", "finetune", "--strict"), ("check", "qlora", "--multrun"),
        ("check", "pretrain", "--peft=dora"), ("data", "pretrain", "--rows", "many"), ("data", "pretrain", "--row=0"),
        ("data", "pretrain", "--stage", "pretrian"), ("data", "prtrain"), ("lineage",), ("lineage", "model"),
        ("show",), ("show", "model"), ("show", "finetune-0000"), ("artifacts", "--outputs", "nowhere"), ("rm",),
        ("rm", "finetune-0000", "--yes"), ("diff", "finetune-0000"), ("diff", "model", "model"), ("rm", "--yess"),
        ("runs", "--output", "x", "y"),
        ("lineage", "finetune-0000"), ("compare",), ("compare", "nowhere"), ("compare", "model"), ("gc", "--dryrun"),
        ("gc", "--outputs", "nowhere"), ("gc", "all"), ("serve",), ("serve", "nowhere"),
        ("serve", "model", "--port", "99999"),
        ("serve", "model", "--port", "http"), ("serve", "model", "--queue", "0"), ("serve", "model", "--hots", "::1"),
        ("chat",), ("chat", "nowhere"), ("chat", "rows.csv"), ("chat", "empty"), ("serve", "empty"),
    )  # fmt: skip
    for words in lines:
        yield Mistake("flag or word of a verb", words, len(words) - 1)


# --- files -----------------------------------------------------------------------------------------------------------


def of_files(draw: Random) -> Iterator[Mistake]:
    """A user's own recipe, and own options, spoilt line by line."""
    for recipe in matrix.recipes():
        text = (shipped("recipes") / f"{recipe}.yaml").read_text("utf-8")
        words = ("check", "own.yaml", *matrix.TABLE.inputs.get(recipe, ()))
        for rule, spoil in draw.sample(RECIPE_RULES, 5):
            if (wrong := spoil(text, draw)) != text:
                yield Mistake(f"recipe file: {rule}", words, -1, text, "own.yaml", wrong)
    for group, name, recipe in OPTIONS:
        text = (shipped("conf") / group / f"{name}.yaml").read_text("utf-8")
        words = ("check", recipe, *matrix.TABLE.inputs.get(recipe, ()), f"{group}=own")
        for rule, spoil in draw.sample(OPTION_RULES, 4):
            if (wrong := spoil(text, draw)) != text:
                yield Mistake(f"option file: {rule}", words, -1, text, f"conf/{group}/own.yaml", wrong)


OPTIONS = (
    ("peft", "lora", "finetune"),
    ("peft", "vera", "align"),
    ("optim", "adamw", "pretrain"),
    ("schedule", "cosine", "reward"),
    ("trainer", "auto", "finetune"),
    ("model", "llama_3m", "pretrain"),
    ("loss", "dpo", "align"),
    ("generate", "greedy", "deploy"),
)


def lines_with(text: str, pattern: str) -> list[int]:
    """Numbers of the lines that a pattern is found in."""
    return [number for number, line in enumerate(text.split("\n")) if re.search(pattern, line) and "#" not in line]


def edited(text: str, number: int, edit: Callable[[str], str]) -> str:
    """A text with one line edited."""
    lines = text.split("\n")
    lines[number] = edit(lines[number])
    return "\n".join(lines)


def in_line(pattern: str, edit: Callable[[str, Random], str]) -> Callable[[str, Random], Text]:
    """A rule that edits one of the lines with a pattern; the text as it is where it has none."""

    def spoil(text: str, draw: Random) -> Text:
        numbers = lines_with(text, pattern)
        return edited(text, draw.choice(numbers), lambda line: edit(line, draw)) if numbers else text

    return spoil


def misspelt(pattern: str) -> Callable[[str, Random], Text]:
    """A rule that misspells what the first group of a pattern matches."""

    def edit(line: str, draw: Random) -> str:
        match = re.search(pattern, line)
        assert match
        return line[: match.start(1)] + draw.choice(SPOILERS)(match[1], draw) + line[match.end(1) :]

    return in_line(pattern, edit)


def again(line: str, _: Random) -> str:
    """A line twice."""
    return f"{line}\n{line}"


KEY = r"^(\w{3,}):(?= *\S)"
YAML_RULES: list[tuple[str, Callable[[str, Random], Text]]] = [
    ("a tab", in_line(r"^\w+:", lambda line, _: f"\t{line}")),
    ("no colon", in_line(r"^\w+: +\w", lambda line, _: line.replace(":", "", 1))),
    ("an open bracket", in_line(r"[\]}]", lambda line, _: re.sub(r"[\]}](?=[^\]}]*$)", "", line))),
    ("an open quote", in_line(r"^\w+: +\w", lambda line, _: line.replace(": ", ': "', 1))),
    ("a key twice", in_line(r"^(name|inputs|r|lr|_target_):", again)),
    ("empty", lambda text, draw: ""),
    ("a list", lambda text, draw: "- a\n- b\n"),
    ("a text", lambda text, draw: "finetune\n"),
    ("bytes", lambda text, draw: b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe"),
]
RECIPE_RULES = [
    *YAML_RULES,
    ("a group misspelt", misspelt(r"/(data|peft|evaluate|objective|model|loss|prompt|quant|tokenizer)\b")),
    ("an option misspelt", misspelt(r"/\w+(?:@\w+)?: (\w{3,})")),
    ("a key misspelt", misspelt(KEY)),
    ("no defaults", lambda text, draw: re.sub(r"^defaults:.*?(?=^\w)", "", text, flags=re.M | re.S)),
    ("a list for a mapping", in_line(r"^\w+: \{", lambda line, _: re.sub(r"\{.*\}", "[1, 2]", line))),
    ("a number for a mapping", in_line(r"^\w+: \{", lambda line, _: re.sub(r"\{.*\}", "7", line))),
    ("an unknown key", lambda text, draw: f"{text}\nsomethnig: 3\n"),
]
OTHER_TYPE = "a setting of another type"  # the recipes set `max_steps` over that of the option
OPTION_RULES = [
    *YAML_RULES[:5],
    ("a target misspelt", misspelt(r"^_target_: (?:\w+\.)*(\w+)$")),
    ("a setting misspelt", misspelt(r"^(?!defaults)([a-z]\w{2,}): ")),
    (OTHER_TYPE, in_line(r"^(?!max_steps)[a-z]\w+: [\d.]", lambda line, _: re.sub(r": \S+", ": {a: b}", line))),
    ("an unknown setting", lambda text, draw: f"{text}\nsomethnig: 3\n"),
]


def write(folder: Path) -> None:
    """The files that are no rows, beside those of `matrix.write`."""
    (folder / "empty").mkdir()
    noise = Random(SEED).randbytes(400)
    for name in ("noise.bin", "noise.jsonl", "noise.csv", "noise.parquet"):
        (folder / name).write_bytes(b"\x00\xff" + noise)
    (folder / "half.jsonl").write_text('{"prompt": "a", "compl\n{"prompt": "a", "completion": "b"}\n', "utf-8")


# --- what a reader does with a remedy --------------------------------------------------------------------------------

FILL = {
    "FOLDER": "model",
    "ARTIFACT": "model",
    "FILE": "rows.jsonl",
    "RECIPE": "pretrain",
    "PATH": "rows.jsonl",
    "NAME": "own",
    "NUMBER": "1",
    "TEXT": "text",
    "VALUE": "1",
}
PLACEHOLDER = re.compile(rf"\b({'|'.join(FILL)})\b")


def first_choice(remedy: str) -> str:
    """The first thing that a remedy says to type, its placeholders filled."""
    said = remedy.removeprefix("one of: ").partition(", ")[0] if remedy.startswith("one of: ") else remedy
    said = re.split(r" or (?=\S+=)|, or |, where | which |, which|, (?=an artifact's id|[+~]?[\w.@]+=)", said)[0]
    said = re.sub(r" of an? [\w ]+$", "", said)  # FOLDER of a language model
    filled = PLACEHOLDER.sub(lambda match: FILL[match[1]], said)
    return filled.replace("inputs.reward=model", "inputs.reward=scorer")


def mended(mistake: Mistake, remedy: str, where: str = "") -> Iterator[Mistake]:
    """The mistake with its remedy typed: as a whole command, in the place of the wrong word, or after the rest.

    Args:
        where: the file, or the key, that the error is said of.
    """
    said = first_choice(remedy)
    try:
        words = shlex.split(said)
    except ValueError:
        words = []
    if words[:1] == ["llmcycle"]:
        yield from whole_command(mistake, words[1:])
    elif words and all("=" in word or word.startswith("~") for word in words):
        if mistake.place >= 0:
            before, after = mistake.words[: mistake.place], mistake.words[mistake.place + 1 :]
            yield replace(mistake, words=(*before, *words, *after))
        yield replace(mistake, words=(*mistake.words, *words))
    elif len(words) == 1 and mistake.place >= 0 and not words[0].startswith("-"):
        yield replace(mistake, words=(*mistake.words[: mistake.place], *words, *mistake.words[mistake.place + 1 :]))
    elif words and words[0].startswith("--"):
        value = mistake.place if mistake.words[mistake.place - 1].startswith("--") else -1
        others = [word for place, word in enumerate(mistake.words) if place != value and not word.startswith("--")]
        yield replace(mistake, words=(*others, *words))
    if mistake.path:
        yield from mended_file(mistake, said, where)


def whole_command(mistake: Mistake, words: Sequence[str]) -> Iterator[Mistake]:
    """A command in full: `check` says whether a recipe would run, with what else was typed for it."""
    if words[:1] and words[0] in VERBS:
        rest = mistake.words[2:] if mistake.words[0] not in VERBS and len(words) == 1 else ()
        yield Mistake(mistake.rule, (*words, *rest), -1)
        return
    kept = [word for place, word in enumerate(mistake.words[2:], 2) if place != mistake.place]
    yield Mistake(mistake.rule, ("check", *words, *kept), -1)
    yield Mistake(mistake.rule, ("check", *words, *matrix.TABLE.inputs.get(words[0], ())), -1)


def mended_file(mistake: Mistake, said: str, where: str) -> Iterator[Mistake]:
    """The file edited as the remedy says: at the line that is named, or where the key stands."""
    if not isinstance(mistake.text, str):
        return
    lines, number = mistake.text.split("\n"), re.search(rf"{re.escape(Path(mistake.path).name)}:(\d+)", where)
    for pattern, edit in EDITS:
        if match := re.search(pattern, said):
            line = min(int(number[1]) - 1 if number else 0, len(lines) - 1)
            yield replace(mistake, text="\n".join(edit(list(lines), line, match)))
    wrong, better = re.split(r"[./=@~]", where)[-1], re.split(r"[./]", said.partition("=")[0])[-1]
    if wrong and better:
        yield replace(mistake, text=re.sub(rf"\b{re.escape(wrong)}\b", better, mistake.text))
    if "_target_" in where:
        yield replace(mistake, text=re.sub(r"(_target_: )\S+?(?=[,}\s])", rf"\g<1>{said}", mistake.text))


Edit = Callable[[list[str], int, re.Match[str]], list[str]]


def on_line(change: Callable[[str, re.Match[str]], str], above: int = 0) -> Edit:
    """An edit of one line."""

    def edit(lines: list[str], number: int, match: re.Match[str]) -> list[str]:
        place = max(0, number - above)
        return [*lines[:place], change(lines[place], match), *lines[place + 1 :]]

    return edit


# What a sentence of a remedy means for the lines of a file.
EDITS: list[tuple[str, Edit]] = [
    (r"in the place of tabs", on_line(lambda line, _: line.replace("\t", ""))),
    (r"all of it under one", lambda lines, number, _: [*lines[:number], *lines[number + 1 :]]),
    (r"a `(.)` at the end", on_line(lambda line, match: line + match[1], above=1)),
    (r"a `(.)` at the end", on_line(lambda line, match: line + match[1])),
    (r"the quotation mark that ends", on_line(lambda line, _: f'{line}"')),
    (r"NAME: VALUE, with a colon|own: 1, with a colon", on_line(lambda line, _: re.sub(r"^(\w+) ", r"\1: ", line))),
    (r"(defaults: \[.*\]) at the beg", lambda lines, _, match: [match[1], *lines]),
    (
        r"^(\w+): \{own: 1\}$",
        lambda lines, _, match: [re.sub(rf"^{match[1]}:.*", f"{match[1]}: {{}}", line) for line in lines],
    ),
]
