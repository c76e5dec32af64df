"""One pass over a corpus: what the filters leave out, which documents are for validation, and a report of both."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmcycle.data.corpus.extents import Extent, read
from llmcycle.data.corpus.filters import Filter, Removal
from llmcycle.data.corpus.source import Source
from llmcycle.data.corpus.text import digest, fraction
from llmcycle.data.encode import Row

EXAMPLES, EXCERPT = 5, 200  # texts that a report shows of each filter, and characters of each


@dataclass
class Tally:
    """What is counted of one source, in documents and characters."""

    documents: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)

    def add(self, part: str, text: str) -> None:
        """Count a document."""
        self.documents[part] += 1
        self.characters[part] += len(text)


@dataclass
class Removed:
    """What one filter has left out."""

    by_source: Counter[str] = field(default_factory=Counter)
    by_reason: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, source: str, removal: Removal, text: str) -> None:
        """Count a document, and show it where few are shown yet."""
        self.by_source[source] += 1
        self.by_reason[removal.reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append({"source": source, **removal._asdict(), "text": text[:EXCERPT]})


@dataclass(frozen=True)
class Survey:
    """Args:
    masks: of each extent, which of its records are trained on.
    validation: rows {"text", "source"}, ordered by the hash that chose them.
    report: plain values, see `Corpus.report`.
    """

    masks: list[NDArray[np.bool_]]
    validation: list[Row]
    report: dict[str, Any]


class Surveyor:
    """Looks at documents one after another.

    Args:
        filters: by name, in the order in which they are asked; the first that objects leaves a document out.
        holdout: share of the documents whose hash puts them aside for validation.
        limit: validation documents at most: those with the smallest hashes. The others are not trained on either.
    """

    def __init__(self, filters: Mapping[str, Filter], holdout: float, limit: int) -> None:
        self.holdout, self.limit = holdout, limit
        self.judges = {name: filter.judge() for name, filter in filters.items()}
        self.removed = {name: Removed() for name in filters}
        self.tallies: dict[str, Tally] = {}
        self._held: list[tuple[float, int, Row]] = []  # a heap with the greatest hash on top
        self._seen = 0

    def look(self, source: str, text: str) -> bool:
        """Whether this document is trained on; a blank one is none."""
        if not text.strip():
            return False
        self._seen += 1
        tally = self.tallies.setdefault(source, Tally())
        tally.add("read", text)
        part = self._part(source, text)
        tally.add(part, text)
        return part == "train"

    def validation(self) -> list[Row]:
        """Rows for validation so far, in an order that does not depend on the files'."""
        return [row for _, _, row in sorted(self._held, key=lambda held: (-held[0], held[2]["text"]))]

    def _part(self, source: str, text: str) -> str:
        for name, judge in self.judges.items():
            if removal := judge(text):
                self.removed[name].add(source, removal, text)
                return "removed"
        if not self.holdout:
            return "train"
        place = fraction("split", digest(text))
        if place >= self.holdout:
            return "train"
        push = heapq.heappush if len(self._held) < self.limit else heapq.heappushpop
        push(self._held, (-place, -self._seen, {"text": text, "source": source}))
        return "validation"


def survey(
    extents: Sequence[Extent], sources: Sequence[Source], filters: Mapping[str, Filter], holdout: float, limit: int
) -> Survey:
    """Look at every document of a corpus, in the order of its files."""
    surveyor = Surveyor(filters, holdout, limit)
    masks = [np.array([surveyor.look(e.source.name, text) for text in read(e)], np.bool_) for e in extents]
    rows = surveyor.validation()
    report = {
        "sources": of_sources(sources, surveyor.tallies),
        "filters": {name: of_filter(filters[name], removed) for name, removed in surveyor.removed.items()},
        "validation": {"documents": len(rows), "by_source": dict(Counter(row["source"] for row in rows))},
    }
    return Survey(masks, rows, report)


def plain(sources: Sequence[Source]) -> dict[str, Any]:
    """The report of a corpus that nobody has looked through."""
    told = {source.name: {"path": source.path, "weight": source.weight} for source in sources}
    return {"sources": told, "filters": {}, "validation": {"documents": 0, "by_source": {}}}


def of_sources(sources: Sequence[Source], tallies: Mapping[str, Tally]) -> dict[str, Any]:
    """Counts of each source, and its share of the characters of an epoch, which its weight decides."""
    tally_of = {source.name: tallies.get(source.name, Tally()) for source in sources}
    weighted = {source.name: source.weight * tally_of[source.name].characters["train"] for source in sources}
    total = sum(weighted.values()) or 1
    return {
        source.name: {
            "path": source.path,
            "weight": source.weight,
            "documents": _counts(tally_of[source.name].documents),
            "characters": _counts(tally_of[source.name].characters),
            "share": round(weighted[source.name] / total, 6),
        }
        for source in sources
    }


def of_filter(filter: Filter, removed: Removed) -> dict[str, Any]:
    """What a filter did; one that knows more says it through `facts`."""
    facts = getattr(filter, "facts", None)
    return {
        "removed": sum(removed.by_source.values()),
        "by_source": dict(removed.by_source),
        "by_reason": dict(removed.by_reason),
        "examples": removed.examples,
        **({"facts": facts()} if facts else {}),
    }


def _counts(counter: Counter[str]) -> dict[str, int]:
    return {part: counter[part] for part in ("read", "removed", "validation", "train")}
