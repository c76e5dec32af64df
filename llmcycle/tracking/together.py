"""Several loggers as one, which a stage and Lightning are given: none of them is ever in a run's way."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import Logger

from llmcycle.masking import masked
from llmcycle.tracking.result import Result
from llmcycle.tracking.warning import warn_once


class Together(Logger):
    """Everything that is logged goes to each logger; one that fails is left out from then on, after a warning.

    Args:
        loggers: by the names of their options.
        folder: where they write.
    """

    def __init__(self, loggers: Mapping[str, Logger], folder: str) -> None:
        super().__init__()
        self.every, self.folder = dict(loggers), folder
        self.broken: set[str] = set()

    @property
    def experiment(self) -> Any:
        """That of the first, as Lightning means it by a module's `self.logger`."""
        first: Any = next(iter(self.every.values()))
        return first.experiment

    @property
    def name(self) -> str:
        """The names of the options."""
        return ",".join(self.every)

    @property
    def version(self) -> str:
        """None of them alone has one for all."""
        return ""

    @property
    def save_dir(self) -> str:
        """The folder in which each of them writes."""
        return self.folder

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """A module's hyperparameters, without credentials."""
        values = masked(vars(params) if isinstance(params, Namespace) else params)
        self.each(lambda logger: logger.log_hyperparams(values, *args, **kwargs))

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """One row of the history."""
        self.each(lambda logger: logger.log_metrics(metrics, step))

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """The graph of a model, for those that show it."""
        self.each(lambda logger: logger.log_graph(model, input_array))

    def save(self) -> None:
        """Write what is waiting."""
        self.each(lambda logger: logger.save())

    def after_save_checkpoint(self, checkpoint_callback: Checkpoint) -> None:
        """Tell them of a checkpoint."""
        self.each(lambda logger: logger.after_save_checkpoint(checkpoint_callback))

    def finalize(self, status: str) -> None:
        """Lightning says it after each fit; a stage may go on."""
        self.each(lambda logger: logger.finalize(status))

    def place(self) -> dict[str, dict[str, Any]]:
        """Where those that keep runs elsewhere keep this one, by option: see `Wandb.place`."""
        keeping = {name: logger for name, logger in self.every.items() if hasattr(logger, "place")}
        return {name: logger.place() for name, logger in keeping.items() if name not in self.broken}

    def close(self, result: Result | None) -> None:
        """Log what the stage made and end each run, as a failed one without a result; a broken logger is ended too."""
        for name, logger in self.every.items():
            self.attempt(name, partial(end, logger, result, name in self.broken))

    def pause(self, final: Mapping[str, float]) -> None:
        """End each run, for now where another process goes on with it, else with the final numbers."""
        self.each(lambda logger: logger.pause() if hasattr(logger, "pause") else write_end(logger, final))

    def each(self, action: Callable[[Any], object]) -> None:
        """Do something with each logger that has not failed yet."""
        for name, logger in self.every.items():
            if name not in self.broken:
                self.attempt(name, partial(action, logger))

    def attempt(self, name: str, action: Callable[[], object]) -> None:
        """Do it; whatever goes wrong in a tracker must not cost the run."""
        try:
            action()
        except Exception as error:
            self.broken.add(name)
            warn_once(f"logging to {name}", error)


def end(logger: Any, result: Result | None, broken: bool) -> None:
    """The end of one logger."""
    if hasattr(logger, "conclude"):  # one of ours
        logger.conclude(None if broken else result, failed=result is None)
        return
    if result and not broken:
        write_end(logger, result.scalars)
    else:
        logger.finalize("success" if result else "failed")


def write_end(logger: Any, final: Mapping[str, float]) -> None:
    """The final numbers, and the end of a run that went well."""
    logger.log_metrics(dict(final))
    logger.save()
    logger.finalize("success")
