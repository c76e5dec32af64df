"""Every swap by config either trains or is refused in words: no third outcome.

Of all pairs of a recipe and an option a tenth is checked, always the same one, and one a group is run. All of them are
checked and run in the tier `matrix`: `pytest -m matrix tests/test_matrix.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import matrix
import pytest
from toy import command

from llmcycle.config import compose, locate
from llmcycle.config.plain_tree import plain
from llmcycle.config.stages import of

RECIPES = matrix.recipes()
# Numbers that decide how long a stage takes, by the ending of their key, and what they become.
SMALL = {
    "trainer.max_steps": 2,
    "trainer.devices": 1,
    ".count": 12,
    ".held_out": 6,
    ".holdout": 4,
    ".limit": 6,
    "hhh.count": 6,
    "stage.prompts": 2,
    "stage.max_new_tokens": 4,
    "sampling.max_new_tokens": 4,
    "sampling.group_size": 2,
    "batches.batch_size": 4,
    "batches.buffer": 4000,
    "generate.max_new_tokens": 4,
    "judge.every_n_steps": 1,
    "judge.rows": 3,
}
# What no machine without a GPU, a server or a package beside ours can run.
ELSEWHERE = {
    "trainer/deepspeed",
    "engine/openai",
    "judge/openai",
    "logger/wandb",
    "logger/tensorboard",
    "logger/mlflow",
}
ELSEWHERE |= {"trainer/ddp", "trainer/fsdp2"}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny language model and a reward model, and files of every form."""
    folder = tmp_path_factory.mktemp("shelf")
    matrix.models(folder)
    matrix.write(folder)
    return folder


@pytest.fixture
def bench(here: Path, shelf: Path) -> Path:
    """A working directory with links to all of it."""
    for path in shelf.iterdir():
        (here / path.name).symlink_to(path)
    return here


def endings(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every (dotted path, number or nothing) of a plain container."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from endings(item, f"{path}.{key}" if path else str(key))
    elif value is None or (isinstance(value, int) and not isinstance(value, bool)):
        yield path, value


def shrunk(pair: matrix.Pair) -> list[str]:
    """Overrides that make a pair as small as a test may be, of the settings that it has."""
    (stage,) = of(compose(locate(pair.recipe), list(pair.overrides)))
    known = plain(stage.node, resolve=False)
    known.pop("world", None)
    found = {}
    for path, value in endings({key: item for key, item in known.items() if key != "inputs"}, ""):
        ending = next((end for end in sorted(SMALL, key=len, reverse=True) if f".{path}".endswith(end)), None)
        if ending and (value is None or value > SMALL[ending]):
            found[path] = SMALL[ending]
    if pair.recipe in ("pretrain", "pretrain_mlm", "nanogpt"):
        found.pop("data.count", None)
        found |= {"data.count": 300} if "data.count" in dict(endings(known, "")) else {}
    if "truncation" in (known.get("encode") or {}):
        found["encode.max_length"] = 512  # of a tokenizer of bytes
    return [f"{path}={value}" for path, value in found.items()]


SHARE = 10  # one pair in so many is checked at every commit, since all of them take half an hour of a core


def drawn(pairs: Iterable[matrix.Pair]) -> list[matrix.Pair]:
    """The pairs of every commit: the same ones each time, spread over all groups."""
    return [pair for pair in pairs if crc32(str(pair).encode()) % SHARE == 0]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_share_of_the_pairs_passes_or_is_refused_with_a_remedy(bench: Path, recipe: str) -> None:
    judge(recipe, drawn(matrix.swaps(recipe)))


@pytest.mark.matrix
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_pair_passes_or_is_refused_with_a_remedy(bench: Path, recipe: str) -> None:
    pairs = list(matrix.swaps(recipe))
    assert judge(recipe, pairs) < len(pairs)


def judge(recipe: str, pairs: list[matrix.Pair]) -> int:
    """How many pairs are refused; the remedies, their placeholders filled, lead to a recipe that passes."""
    refused = [pair for pair in pairs if matrix.refusals(pair)]
    wrong = [f"{pair}: {reason}" for pair in refused if (reason := matrix.wrong(pair))]
    assert not wrong, f"{len(wrong)} pairs of {recipe}:\n" + "\n".join(wrong)
    return len(refused)


def runnable() -> dict[str, matrix.Pair]:
    """Of each group a pair that can run here: another option than the recipe's own."""
    chosen: dict[str, matrix.Pair] = {}
    for recipe in RECIPES:
        choices = compose(locate(recipe), list(matrix.TABLE.inputs.get(recipe, ()))).hydra.runtime.choices
        for pair in matrix.swaps(recipe):
            group = pair.group.partition("@")[0]
            elsewhere = f"{group}/{pair.option}" in ELSEWHERE or pair.option in matrix.LARGE
            if group in chosen or elsewhere or choices.get(pair.group) == pair.option or matrix.refusals(pair):
                continue
            chosen[group] = pair
    return chosen


def run(pair: matrix.Pair, capsys: pytest.CaptureFixture[str]) -> str:
    """Why a pair did not run; "" where it did."""
    code = command(pair.recipe, *pair.overrides, *shrunk(pair))
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if "steps/s" not in line]
    return "" if code == 0 else f"{pair}: exit {code}: {' '.join(lines[:3])[:300]}"


@pytest.mark.slow
def test_one_pair_of_each_group_runs(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = runnable()
    assert pairs.keys() >= {"peft", "optim", "data", "encode", "loss", "quant", "evaluate", "schedule", "generate"}
    failed = [reason for pair in pairs.values() if (reason := run(pair, capsys))]
    assert not failed, f"{len(failed)} of {len(pairs)}:\n" + "\n".join(failed)


@pytest.mark.matrix
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_pair_that_passes_the_check_runs(bench: Path, recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [pair for pair in matrix.swaps(recipe) if not matrix.refusals(pair)]
    here = [pair for pair in pairs if f"{pair.group.partition('@')[0]}/{pair.option}" not in ELSEWHERE]
    failed = [reason for pair in here if (reason := run(pair, capsys))]
    assert not failed, f"{len(failed)} of {len(here)}:\n" + "\n".join(failed)
