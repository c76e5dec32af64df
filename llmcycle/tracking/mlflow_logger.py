"""MLflow for a stage: one run of its own, kept in a file unless the environment names a server."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # these are read when mlflow is imported
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")

from pytorch_lightning.loggers import MLFlowLogger

URI = "MLFLOW_TRACKING_URI"
FILE = "mlflow.db"  # SQLite's, since MLflow refuses its old store of files


class MLflow(MLFlowLogger):
    """One MLflow run for one stage, told apart from others by its tags `group` and `job_type`.

    Args:
        experiment_name: MLflow's word for everything that is compared on one page.
        tracking_uri: where it is kept; by default as MLFLOW_TRACKING_URI says, else a file in `save_dir`.
        save_dir: where that file and MLflow's own artifacts are.
        group, job_type, run_name: given by the run; `run_name` holds only what a sweep varies.
    """

    LOGGER_JOIN_CHAR = "/"  # between a stage's name and that of a curve

    def __init__(
        self,
        experiment_name: str = "llmcycle",
        tracking_uri: str | None = None,
        *,
        save_dir: str = ".",
        group: str = "",
        job_type: str = "",
        run_name: str | None = None,
    ) -> None:
        folder = Path(save_dir).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(
            experiment_name=experiment_name,
            run_name=run_name,
            tracking_uri=tracking_uri or os.environ.get(URI) or f"sqlite:///{folder / FILE}",
            tags={"group": group, "job_type": job_type},
            save_dir=save_dir,
            prefix=job_type,
            artifact_location=None if tracking_uri or os.environ.get(URI) else folder.as_uri(),
        )
