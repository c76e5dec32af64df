"""One of the processes of a stage that trains in several: `llmcycle.processes` starts it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from pytorch_lightning import seed_everything

from llmcycle.building import build
from llmcycle.config import compose, locate, render
from llmcycle.config.allow import allow
from llmcycle.config.stages import Stage
from llmcycle.evaluate.metric import Metric, Metrics
from llmcycle.masking import screened
from llmcycle.peak_memory import peak_memory, reset_peak_memory
from llmcycle.processes import Job
from llmcycle.quiet import hush
from llmcycle.stage_run import call, options
from llmcycle.tracking import Run, Tracked, scalars


def work(job: Job) -> None:
    """What one process does: build the stage, call it, and if it is the first write down what came of it."""
    hush()
    for name in job.allowed:
        allow(name)
    root = compose(locate(job.recipe), [])
    stage = Stage(root)
    seed_everything(int(stage.node.seed), workers=True, verbose=False)
    first = os.environ["RANK"] == "0"
    reset_peak_memory()
    tracker = Tracked(options(stage) if first else None, Run(**job.run), Path(job.checkpoints))
    tracker.open()
    metrics: Metrics = {}
    try:
        metrics = call(build(stage), Path(job.out), tracker.loggers, Path(job.checkpoints))
        if tracker.loggers:
            tracker.loggers.pause(scalars(metrics, Path(job.out)))
    finally:
        if not metrics and tracker.loggers:
            tracker.loggers.close(None)
    if first:
        metrics |= {"peak_memory": Metric(peak_memory(), unit="bytes", better="lower")}
        Path(job.result).write_text(json.dumps({name: asdict(metric) for name, metric in metrics.items()}), "utf-8")


def main() -> None:
    """`python -m llmcycle.worker JOB`; a user's mistake becomes a message, said once."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text("utf-8")))
    with screened():
        try:
            work(job)
        except ValueError as error:
            if os.environ["RANK"] == "0":
                print(render(error), file=sys.stderr)
            sys.exit(1)


if __name__ == "__main__":
    main()
