"""A hundred gadgets, by every way in: none runs, none reads, none writes outside of `outputs`."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import gadgets
import pytest
import yaml
from gadgets import CANARY, PARTS, WRITERS
from toy import command

SECRET = "the-text-of-a-file-that-nobody-named"
ENVIRONMENT = ("PATH", "HOME", "PYTHONPATH", "LD_PRELOAD", "GIT_SSH_COMMAND", "WANDB_BASE_URL", "HF_ENDPOINT", "GADGET")
HEAD = "# @package _global_\n"


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (gadgets.TOUCH,)


@pytest.fixture
def trap(toys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which everything is laid out that a gadget could reach for."""
    (toys / "secret.txt").write_text(SECRET)
    (toys / "evil.py").write_text(f"open({CANARY!r}, 'w')\n")
    (toys / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    (toys / "evil.pt").write_bytes(pickle.dumps(Evil()))
    (toys / "model").mkdir()
    (toys / "model" / "config.json").write_text(
        json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}})
    )
    (toys / "model" / "own.py").write_text(f"open({CANARY!r}, 'w')\n")
    monkeypatch.setenv("GADGET", "os.system")
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    monkeypatch.syspath_prepend(str(toys))
    return toys


# Where in a recipe a gadget stands.
PLACES: tuple[Callable[[Any], dict[str, Any]], ...] = (
    lambda gadget: {"stage": gadget},
    lambda gadget: {"stage": {"_target_": "toy.spill", "words": [{"deep": [gadget]}]}},
    lambda gadget: {"data": gadget, "stage": {"_target_": "toy.spill", "words": "${..data}"}},
    lambda gadget: {"stage": {"_target_": "toy.spill", "words": 1}, "logger": gadget},
    lambda gadget: {"world": {"far": gadget}, "stage": {"_target_": "toy.spill", "words": "${..world.far}"}},
)


def body(keys: dict[str, Any]) -> dict[str, Any]:
    return {"defaults": ["/stage_schema", "/base", "_self_"], "name": "attack", "inputs": {}, **keys}


def written(value: Any) -> str:
    """A value as an override has it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value) if isinstance(value, str) else "null" if value is None else str(value).lower()


def by_file(keys: dict[str, Any]) -> list[str]:
    Path("recipes/attack.yaml").write_text(HEAD + yaml.safe_dump(body(keys)))
    return ["recipes/attack.yaml"]


def by_override(keys: dict[str, Any]) -> list[str]:
    by_file({"stage": {"_target_": "toy.spill", "words": 1}})
    return ["recipes/attack.yaml", *(f"++{key}={written(value)}" for key, value in keys.items())]


def by_option(keys: dict[str, Any]) -> list[str]:
    by_file({"stage": {"_target_": "toy.spill", "words": 1}})
    Path("conf/shelf").mkdir(exist_ok=True)
    Path("conf/shelf/mine.yaml").write_text(HEAD + "# Mine\n" + yaml.safe_dump(keys))
    return ["recipes/attack.yaml", "+shelf=mine"]


def by_artifact(keys: dict[str, Any]) -> list[str]:
    """What somebody has sent, with its recipe inside."""
    folder = Path("outputs/artifacts/attack-0123456789ab")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(HEAD + yaml.safe_dump(body(keys)))
    return [str(folder / "recipe.yaml")]


def by_lifecycle(keys: dict[str, Any]) -> list[str]:
    by_file(keys)
    text = yaml.safe_dump({"defaults": ["/base", {"/recipes@one": "attack"}, "_self_"], "lifecycle": ["one"]})
    Path("recipes/life.yaml").write_text(text)
    return ["recipes/life.yaml"]


WAYS = (by_file, by_override, by_option, by_artifact, by_lifecycle)
# What is typed around the recipe; of these the first three judge all of it, and the others show it.
VERBS: tuple[tuple[str, ...], ...] = (
    (),
    ("check",),
    ("-m", "seed=0,1"),
    ("--cfg", "job"),
    ("--cfg", "all", "--resolve"),
    ("--info", "all"),
    ("data",),
    ("--help",),
    ("complete",),
)
SHOWN = (("--help",), ("complete",))  # without a word on what is wrong


def typed(recipe: list[str], verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> int:
    if verb == ("complete",):
        line = " ".join(["llmcycle", *recipe, "seed="])
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        return command("-sc", "query=bash")
    return command(*verb, *recipe) if verb in (("check",), ("data",)) else command(*recipe, *verb)


def tree(folder: Path) -> set[str]:
    """Everything outside of the store and of what the test writes."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.parts[len(folder.parts)] not in OURS}


OURS = ("outputs", "recipes", "conf", "__pycache__")
# Each gadget once; over all of them every place, way and verb meets every other.
CASES = [
    (name, (number // 5) % len(PLACES), number % len(WAYS), number % len(VERBS)) for number, name in enumerate(PARTS)
]


def test_there_are_a_hundred() -> None:
    assert len(PARTS) + len(WRITERS) + len(FILES) >= 100
    every = set(product(range(len(PLACES)), range(len(WAYS)))), set(product(range(len(WAYS)), range(len(VERBS))))
    assert {case[1:3] for case in CASES} == every[0]
    assert {case[2:] for case in CASES} == every[1]


def attempt(
    trap: Path, words: list[str], verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> tuple[int, str]:
    before, environment = tree(trap), dict(os.environ)
    code = typed(words, verb, monkeypatch)
    said = capfd.readouterr()
    assert tree(trap) - before == set(), "something was written"
    changed = {name for name in ENVIRONMENT if os.environ.get(name) != environment.get(name)}
    assert not changed, "the environment was changed"
    assert SECRET not in said.out + said.err, "a file was read"
    assert "Traceback" not in said.out + said.err
    assert "not foreseen" not in said.err, said.err
    return code, said.out + said.err


@pytest.mark.parametrize(("name", "place", "way", "verb"), CASES)
def test_a_gadget_does_nothing(
    trap: Path, name: str, place: int, way: int, verb: int, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    words = WAYS[way](PLACES[place](PARTS[name]))
    code, said = attempt(trap, words, VERBS[verb], monkeypatch, capfd)
    if VERBS[verb] not in SHOWN:
        assert code == 2, said


@pytest.mark.matrix
@pytest.mark.parametrize("name", PARTS)
def test_a_gadget_does_nothing_by_any_way(trap: Path, name: str, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    for number, (way, verb) in enumerate(product(WAYS, VERBS)):
        words = way(PLACES[number % len(PLACES)](PARTS[name]))
        code, said = attempt(trap, words, verb, monkeypatch, capfd)
        assert code == 2 or verb[:1] in SHOWN, (number, way, verb, said)


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_is_written_outside_of_outputs(
    trap: Path, name: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """By the arguments of classes that a recipe may name."""
    keys = {"name": "attack", **WRITERS[name]}
    logger = [{"override /logger": "wandb" if name == "own_wandb" else "none"}]
    base = "pretrain_continued" if name == "downloads" else "pretrain"
    keys |= {"inputs": {"model": "owner/name"}} if name == "downloads" else {}
    text = yaml.safe_dump({"defaults": [f"/recipes/{base}@_here_", *logger, "_self_"], **keys})
    Path("recipes/attack.yaml").write_text(HEAD + text)
    code, said = attempt(trap, ["recipes/attack.yaml"], ("check",), monkeypatch, capfd)
    assert code == 2, said
    assert "outputs" in said


FILES: dict[str, str] = {
    "python_object": f"x: !!python/object/apply:os.system ['{gadgets.TOUCH}']\n",
    "python_name": "x: !!python/name:os.system\n",
    "python_module": "x: !!python/module:evil\n",
    "python_new": f"x: !!python/object/new:os.system [{gadgets.TOUCH}]\n",
    "unknown_tag": "x: !evil y\n",
    "include": "x: !include secret.txt\n",
    "bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
    "merge_bomb": "a: &a {x: 1}\n"
    + "".join(
        f"{b}: &{b} {{{','.join(f'{c}: *{a}' for c in 'pqrstuvw')}}}\n"
        for a, b in zip("abcdefg", "bcdefgh", strict=True)
    ),
    "cycle": "a: &a [*a]\n",
    "two_documents": "x: 1\n---\ny: 2\n",
    "defaults_above": "defaults: [/stage_schema, /base, ../../secret, _self_]\n",
    "defaults_absolute": "defaults: [/stage_schema, /base, //etc/passwd, _self_]\n",
    "defaults_of_a_file": "defaults: [/stage_schema, /base, /secret.txt, _self_]\n",
    "defaults_by_key": "defaults: [/stage_schema, /base, {../../x: secret}, _self_]\n",
    "defaults_package": "defaults: [/stage_schema, /base, {/peft@hydra.launcher: lora}, _self_]\nname: x\ninputs: {}\n",
    "searchpath": "defaults: [/stage_schema, /base, _self_]\nhydra: {searchpath: [pkg://evil]}\n",
    "searchpath_by_reference": "defaults: [/stage_schema, /base]\nhydra: {searchpath: '${x}'}\nx: ['pkg://evil']\n",
    "searchpath_inside_a_reference": "defaults: [/stage_schema, /base]\nhydra: '${x}'\nx: {searchpath: ['pkg://evil']}\n",
    "searchpath_by_scheme": "defaults: [/stage_schema, /base]\nhydra: {searchpath: ['${oc.env:NONE,pkg}://evil']}\n",
    "name_above": "defaults: [/stage_schema, /base]\nname: ../../x\nstage: {_target_: toy.spill, words: 1}\n",
}


@pytest.mark.parametrize("verb", [(), ("check",), ("--cfg", "job"), ("--info", "all"), ("--help",), ("complete",)])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_recipe_does_nothing(
    trap: Path, name: str, verb: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    Path("recipes/attack.yaml").write_text(HEAD + FILES[name])
    code, said = attempt(trap, ["recipes/attack.yaml"], verb, monkeypatch, capfd)
    if verb not in SHOWN:
        assert code == 2, said
