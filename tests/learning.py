"""Toy stages that log, save and can be killed, so that what trackers are told is tested in seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from toy import Rows

from llmcycle.evaluate.metric import Metrics
from llmcycle.evaluate.scores import Scores, change, write_scores

RECIPES = {
    "start": """\
# @package _global_
defaults: [/stage_schema, /base, /logger: [csv], _self_]
name: start
inputs: {}
data: {_target_: toy.Rows, train: rows.txt, count: 3}
stage: {_target_: learning.learn, data: "${..data}", steps: 4, rate: 0.5, settings: {}}
""",
    "tuned": """\
# @package _global_
defaults: [/stage_schema, /base, /logger: [csv], _self_]
name: tuned
inputs: {model: "???"}
stage: {_target_: learning.learn, model: "${..inputs.model}", steps: 4, rate: 0.25, settings: {}}
""",
    "whole": """\
defaults: [/base, /recipes@start: start, /recipes@tuned: tuned, /recipes@again: tuned, _self_]
lifecycle: [start, tuned, again]
tuned: {inputs: {model: "${artifact:start}"}}
again: {name: again, inputs: {model: "${artifact:tuned}"}}
""",
}


def learn(
    steps: int,
    rate: float,
    settings: dict[str, Any],
    data: Rows | None = None,
    model: str | None = None,
    *,
    out: Path,
    logger: Any,
    checkpoints: Path,
) -> Metrics:
    """Log a loss and save at every step; go on from the last one.

    It is killed at the step that the environment names, or fails at the end.
    """
    for step in range(len(list(checkpoints.glob("step-*"))), steps):
        if logger:
            logger.log_metrics({"train/loss": rate / (step + 1)}, step=step)
        folder = checkpoints / f"step-{step:08d}"
        folder.mkdir(parents=True)
        (folder / "checkpoint.json").write_text("{}")
        if os.environ.get("LEARNING_KILL") == str(step):
            time.sleep(2)  # W&B's process writes what it was told
            os.kill(os.getpid(), signal.SIGKILL)
    if "LEARNING_FAIL" in os.environ:
        raise ValueError("it was told to fail")
    (out / "model.txt").write_text(f"{model} {rate}")
    (out / "samples.jsonl").write_text(json.dumps({"prompt": "What is it?", "answer": f"{rate}"}) + "\n")
    rows = [format(row, "016x") for row in range(10)]
    own = [{"prompt": "How?", "expected": "so", "got": "thus", "score": 0.0, "row": rows[0]}]
    after = Scores([0.0, *[1.0] * 9], rows=rows, shown=own)
    write_scores(out, {"exact": after})
    return {"exact": change(Scores([0.0] * 10, rows=rows), after)}


def lay_out(folder: Path) -> None:
    """Recipes and rows in a working directory."""
    (folder / "recipes").mkdir()
    for name, body in RECIPES.items():
        (folder / "recipes" / f"{name}.yaml").write_text(body)
    (folder / "rows.txt").write_text("alpha\nbeta\n")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`llmcycle ARGUMENTS` in a process of its own."""
    allowed = ("--allow", "toy", "--allow", "learning")
    without = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "llmcycle.cli", *allowed, *arguments],
        env={**without, "WANDB_MODE": "offline", "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
