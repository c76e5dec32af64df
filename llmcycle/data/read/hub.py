"""Data sets of the Hub, through `datasets`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import datasets

from llmcycle.data.read.parquet import without_padding

T = TypeVar("T")


def read_hub(name: str, key: str, subset: str | None, split: str) -> list[dict[str, Any]]:
    """All rows of one split on the Hub.

    Raises:
        ValueError: there is no such data set, subset or split, or the Hub can't be reached.
    """
    rows: list[dict[str, Any]] = _explained(
        name, key, lambda: list(datasets.load_dataset(name, subset, split=split).to_list())
    )
    return [without_padding(row) for row in rows]


def stream_hub(name: str, key: str, subset: str | None, split: str) -> Any:
    """A split on the Hub as an iterable data set that is read while it is used. Raises as `read_hub` does."""
    return _explained(name, key, lambda: datasets.load_dataset(name, subset, split=split, streaming=True))


def hush() -> None:
    """No bars, no logged errors (they are raised too), and no word to the Hub that a data set was read."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False


def _explained(name: str, key: str, read: Callable[[], T]) -> T:
    try:
        hush()
        return read()
    except (datasets.exceptions.DatasetNotFoundError, ConnectionError, OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{key}: {name} is neither a file here nor a data set that the Hub gives: {reason}") from error
