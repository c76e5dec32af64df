"""TensorBoard and MLflow are told what W&B is: curves, the configuration, the final scores, and whose run it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from llmcycle.artifact import Store
from llmcycle.evaluate.metric import Metric
from llmcycle.tracking import Result, Run, open_loggers

CONF = Path(__file__).parents[2] / "conf" / "logger"
CONFIG = {"optim": {"lr": 0.5}, "api_key": "hunter"}


def logged(option: str, here: Path) -> None:
    """Two steps and a result, logged under an option as it is shipped."""
    text = (CONF / f"{option}.yaml").read_text("utf-8").replace("${outputs}", "outputs")
    node: Any = OmegaConf.to_container(OmegaConf.create(text))
    loggers = open_loggers(node, Run(str(here / "logs"), "finetune/sweep", "finetune", "peft=lora", CONFIG))
    assert loggers is not None
    for step in range(2):
        loggers.log_metrics({"train/loss": 1.0 / (step + 1)}, step=step)
    with Store(here / "store").write("finetune", "ab" * 32) as draft:
        artifact = draft.commit({})
    loggers.close(Result(artifact, {"exact": Metric(0.75)}))
    assert not loggers.broken


def test_tensorboard(here: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logged("tensorboard", here)
    events = accumulator.EventAccumulator(str(here / "logs")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(0, 1.0), (1, 0.5)]
    assert [event.value for event in events.Scalars("final/exact")] == [0.75]
    assert "hunter" not in "".join(path.read_text(errors="replace") for path in (here / "logs").iterdir())
    assert "lr: 0.5" in (here / "logs" / "hparams.yaml").read_text()


def test_mlflow(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("alembic")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    logged("mlflow", here)
    client = MlflowClient(f"sqlite:///{here}/outputs/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("llmcycle")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("peft=lora", "FINISHED")
    assert (run.data.tags["group"], run.data.tags["job_type"]) == ("finetune/sweep", "finetune")
    assert run.data.params == {"optim/lr": "0.5", "api_key": "***"}
    assert run.data.metrics["finetune/final/exact"] == 0.75
    history = client.get_metric_history(run.info.run_id, "finetune/train/loss")
    assert [(each.step, each.value) for each in history] == [(0, 1.0), (1, 0.5)]
