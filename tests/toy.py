"""A stage without a model, so that runs, skips, ids and refusals are tested in milliseconds."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from llmcycle.evaluate.metric import Metric, Metrics

RECIPES = {
    "first": """\
# @package _global_
defaults: [/stage_schema, /base, _self_]
name: first
inputs: {}
data: {_target_: toy.Rows, train: "???", count: 3}
stage: {_target_: toy.write, data: "${..data}", text: one}
""",
    "second": """\
# @package _global_
defaults: [/stage_schema, /base, /peft: lora, /loss: dpo, _self_]
name: second
inputs: {model: "???"}
stage: {_target_: toy.write, text: two, model: "${..inputs.model}", peft: "${..peft}", loss: "${..loss}"}
""",
    "third": """\
# @package _global_
defaults: [/recipes/second@_here_, _self_]
name: third
stage: {text: three}
""",
    "hill": """\
# @package _global_
defaults: [/stage_schema, /base, _self_]
name: hill
stage: {_target_: toy.climb, x: 0.5, side: left, step: 1, seed: "${..seed}"}
""",
    "toy": """\
defaults: [/base, /recipes@first: first, /recipes@second: second, /recipes@third: third, _self_]
lifecycle: [first, second, third]
first: {data: {train: rows.txt}}
second: {inputs: {model: "${artifact:first}"}}
third: {inputs: {model: "${artifact:second}"}}
""",
}
OPTIONS = {
    "logger/quiet.yaml": "_target_: pytorch_lightning.loggers.CSVLogger\n",
    "quant/eight.yaml": "_target_: torchao.quantization.Int8WeightOnlyConfig\n",
}


class Rows:
    """Lines of a file."""

    def __init__(self, train: str, count: int) -> None:
        self.lines = Path(train).read_text().splitlines()[:count]

    @staticmethod
    def preflight(train: str, count: int) -> None:
        """Refuse an empty file."""
        if not Path(train).read_text().strip():
            raise ValueError(f"{train} has no rows")


class NeverBuilt(Rows):
    """Rows that whoever builds them is told of."""

    def __init__(self, train: str, count: int) -> None:
        raise AssertionError(f"{count} rows of {train} were built")


def write(
    text: str,
    data: Rows | None = None,
    model: str | None = None,
    peft: Any = None,
    loss: Any = None,
    *,
    out: Path,
    logger: Any,
) -> Metrics:
    """Write what it was made of; fail, or dawdle, where the environment says so."""
    if os.environ.get("TOY_FAIL") == text:
        raise ValueError(f"{text} was told to fail")
    time.sleep(float(os.environ.get("TOY_SLEEP", "0")))
    came = (Path(model) / "model.txt").read_text() if model else ""
    (out / "model.txt").write_text(came + text + "".join(data.lines if data else []))
    (out / "samples.jsonl").write_text(json.dumps({"prompt": "?", "answer": text}) + "\n")
    return {"length": Metric(len(text), better="higher"), "optimizer_steps": Metric(7)}


def climb(x: float, side: str, step: int, seed: int, *, out: Path, logger: Any) -> Metrics:
    """A hill with its top at x = 0.3 on the left side, a little higher with another seed; a third side there is not."""
    if side == "none":
        raise ValueError("there is no such side")
    time.sleep(float(os.environ.get("TOY_SLEEP", "0")))
    (out / "model.txt").write_text(side)
    height = 1 - (x - 0.3) ** 2 - (0.5 if side == "right" else 0.0) + 0.01 * seed
    threads = Metric(float(os.environ.get("OMP_NUM_THREADS", "0")))
    return {
        "height": Metric(height, better="higher", headline=True),
        "x": Metric(x, better="lower"),
        "threads": threads,
    }


def spill(words: Any, *, out: Path, logger: Any) -> Metrics:
    """Print and write what it was told, a secret of the environment too, and say it again in the error of a failure."""
    said = json.dumps({"words": words, "environment": os.environ.get("TOY_TOKEN")}, ensure_ascii=False)
    print(said, words)
    (out / "model.txt").write_text("spilt")
    (out / "samples.jsonl").write_text(json.dumps({"prompt": "?", "answer": said}) + "\n")
    (out / "engine.json").write_text(json.dumps({"endpoint": said, "model": "x"}) + "\n")
    if os.environ.get("TOY_FAIL") == "spill":
        raise RuntimeError(f"it was told to fail: {words}")
    return {"length": Metric(1.0, better="higher")}


def lay_out(folder: Path) -> None:
    """Recipes and rows of the toy cycle in a working directory."""
    (folder / "recipes").mkdir()
    for name, body in RECIPES.items():
        (folder / "recipes" / f"{name}.yaml").write_text(body)
    for option, body in OPTIONS.items():
        (folder / "conf" / option).parent.mkdir(parents=True, exist_ok=True)
        (folder / "conf" / option).write_text(body)
    (folder / "rows.txt").write_text("alpha\nbeta\n")


def command(*arguments: str) -> int:
    """`llmcycle ARGUMENTS` in this process; gives its exit code."""
    from llmcycle.cli import main

    argv = sys.argv
    try:
        main(list(arguments))
    except SystemExit as left:
        return int(left.code or 0)
    finally:
        sys.argv = argv
    raise AssertionError("main always leaves by SystemExit")


def artifacts(folder: Path = Path("outputs/artifacts")) -> list[str]:
    """Names of the artifacts in the store."""
    return sorted(path.parent.name for path in folder.glob("*/artifact.json"))
