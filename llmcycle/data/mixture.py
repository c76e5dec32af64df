"""Several data options as one, each with a weight."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from rapidfuzz import process

from llmcycle.data.encode import Row


class Mixture:
    """The rows of all sources, each with its source's name in `source`.

    Args:
        sources: data options by name; what is none (a seed that they refer to) is passed over.
        weights: of a source's training rows, how often each is taken: 2 takes all of them twice, 0.5 half of them.
            1 where nothing is said. Validation rows are taken once.
        seed: which rows a weight that is not whole takes.

    Raises:
        ValueError: no source, a weight for none of them, or weights that leave nothing to train on.
    """

    def __init__(self, sources: Mapping[str, Any], weights: Mapping[str, float] | None = None, seed: int = 0) -> None:
        self.sources = members(sources)
        self.weights, self.seed = dict(weights or {}), seed
        self.preflight(sources, self.weights)

    @staticmethod
    def rows_have(sources: Mapping[str, Any], **_: object) -> tuple[str, ...] | None:
        """Columns that the rows of all sources have, each given by its own; None where one is not known."""
        own = [columns for columns in sources.values() if isinstance(columns, tuple) or columns is None]
        known = [set(columns) for columns in own if columns is not None]
        return ("source", *sorted(set.intersection(*known))) if known and len(known) == len(own) else None

    @staticmethod
    def preflight(sources: Mapping[str, Any], weights: Mapping[str, float] | None = None, **_: object) -> None:
        """Refuse, before anything runs, a mixture of nothing and weights that mean nothing."""
        known = members(sources)
        if not known:
            raise ValueError(
                "data.sources: every source is missing; add one or more, as in `+data@data.sources.NAME=gsm8k`"
            )
        for name, weight in (weights or {}).items():
            if name not in known:
                near = process.extractOne(name, list(known), score_cutoff=60)
                hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
                raise ValueError(f"data.weights.{name}: there is no source of this name; {hint}")
            if not isinstance(weight, int | float) or weight < 0:
                raise ValueError(f"data.weights.{name}={weight}: a number from 0 on is needed, as 0.5 or 2")
        if all((weights or {}).get(name, 1) == 0 for name in known):
            raise ValueError("data.weights: all are 0, which leaves nothing to train on; raise one")

    @cached_property
    def train(self) -> list[Row]:
        """Rows source after source; training shuffles them."""
        return [row for name, rows in self.sources.items() for row in self._taken(name, rows.train)]

    @cached_property
    def validation(self) -> list[Row]:
        """Rows to score on, each once, of every source that is trained on."""
        used = {name: rows for name, rows in self.sources.items() if self.weights.get(name, 1)}
        return [{**row, "source": name} for name, rows in used.items() for row in rows.validation]

    @property
    def recognised(self) -> dict[str, str | None]:
        """The form that each source's rows had."""
        forms = {name: getattr(rows, "recognised", {}) for name, rows in self.sources.items()}
        return {f"{name}.{part}": shape for name, parts in forms.items() for part, shape in parts.items()}

    def _taken(self, name: str, rows: list[Row]) -> list[Row]:
        weight = self.weights.get(name, 1)
        whole = int(weight)
        some = round((weight - whole) * len(rows))
        # By name, so that a source keeps its rows when another one comes or goes.
        generator = torch.Generator().manual_seed(self.seed + sum(name.encode()))
        chosen = sorted(torch.randperm(len(rows), generator=generator)[:some].tolist())
        return [{**row, "source": name} for row in [*rows * whole, *(rows[index] for index in chosen)]]


def members(sources: Mapping[str, Any]) -> dict[str, Any]:
    """The data sets among what `sources` holds: built ones, or their nodes in a recipe that is only checked."""
    return {name: part for name, part in sources.items() if isinstance(part, Mapping) or hasattr(part, "train")}
