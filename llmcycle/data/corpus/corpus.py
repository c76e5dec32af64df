"""A training corpus by YAML: named sources with weights, filters, and a split that a document's hash decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from itertools import zip_longest
from typing import Any, ClassVar

from llmcycle.data.corpus import extents as pieces
from llmcycle.data.corpus.contamination import Decontaminate
from llmcycle.data.corpus.extents import Extent
from llmcycle.data.corpus.filters import Filter
from llmcycle.data.corpus.source import Spec, not_null, refuse_unreadable
from llmcycle.data.corpus.source import sources as all_sources
from llmcycle.data.corpus.survey import Survey, plain, survey
from llmcycle.data.corpus.text import digest, fraction
from llmcycle.data.encode import Row
from llmcycle.quantities import CountOrZero, Share


class Corpus:
    """Rows {"text", "source"} of several sources, built when first asked for.

    Filters and the holdout cost a first pass over all documents. Without both (`~data.filters data.holdout=0`) a stream
    begins at once, whatever the corpus's size, and the report has no counts.

    Args:
        sources: name to a path, or to a mapping of `llmcycle.data.corpus.source.Source`'s settings. A weight says how
            many times an epoch goes through a source; so nothing is dropped, and nothing waits for another source.
        filters: by name, asked in this order; each document that one of them objects to is left out. Like a source,
            one that is null is none, so that a recipe can take it back.
        holdout: share of the documents for validation. The hash of a document's normal form (Unicode, case, white
            space) decides, so it stays on its side whatever else changes.
        validation_limit: validation documents at most, those with the smallest hashes.
        seed: of the order, and of which documents a weight that is not whole takes.
    """

    rows_have: ClassVar[tuple[str, ...]] = ("text", "source")

    def __init__(
        self,
        sources: Mapping[str, Spec | None],
        filters: Mapping[str, Filter | None] | None = None,
        holdout: Share = 0.01,
        validation_limit: CountOrZero = 1000,
        seed: int = 0,
    ) -> None:
        if not 0 <= holdout < 1:
            raise ValueError(f"data.holdout={holdout}: it is a share of the documents, 0 or more and below 1")
        if validation_limit < 1:
            raise ValueError("data.validation_limit: at least 1; for no validation rows set `data.holdout=0`")
        self.sources, self.filters = all_sources(sources), not_null(filters)
        self.holdout, self.validation_limit, self.seed = holdout, validation_limit, seed
        self.surveyed = bool(self.filters) or holdout > 0

    @staticmethod
    def preflight(**arguments: Any) -> None:
        """Refuse, before anything runs, sources that are wrong, missing, empty or without their text."""
        sources = arguments.get("sources") or {}
        all_sources(sources)
        for name, spec in not_null(sources).items():
            refuse_unreadable(str(name), spec, "data.sources")
        for node in not_null(arguments.get("filters")).values():
            if "against" in node:
                Decontaminate.preflight(node["against"])

    @cached_property
    def extents(self) -> list[Extent]:
        """What it is read by."""
        return pieces.extents(self.sources)

    @cached_property
    def survey(self) -> Survey:
        """One pass over all documents.

        Raises:
            ValueError: nothing is left to train on.
        """
        result = survey(self.extents, self.sources, self.filters, self.holdout, self.validation_limit)
        if not any(mask.any() for mask in result.masks):
            counts = {name: entry["removed"] for name, entry in result.report["filters"].items()}
            raise ValueError(f"data: no document is left to train on; the filters removed {counts or 'none'}")
        return result

    @property
    def report(self) -> dict[str, Any]:
        """Plain values: `sources` (documents and characters read, removed, for validation and for training, share of
        an epoch), `filters` (removed by source and by reason, with examples) and `validation`."""
        return self.survey.report if self.surveyed else plain(self.sources)

    @property
    def validation(self) -> list[Row]:
        """Rows to score on, each once whatever its source's weight."""
        return self.survey.validation if self.surveyed else []

    @cached_property
    def train(self) -> list[Row]:
        """Rows of one epoch, in an order made of their hashes and the seed: new rows leave the others' order alone."""
        keyed: list[tuple[float, int, Row]] = []
        for place, extent in enumerate(self.extents):
            for text in self.documents(place):
                row, hashed = {"text": text, "source": extent.source.name}, digest(text)
                for copy in range(copies(extent.source.weight, fraction("share", self.seed, hashed))):
                    keyed.append((fraction("order", self.seed, copy, hashed), len(keyed), row))
        return [row for _, _, row in sorted(keyed, key=lambda entry: entry[:2])]

    def documents(self, place: int, part: int = 0, of: int = 1) -> Iterator[str]:
        """Texts to train on in the extent at `place`: among every `of`-th record of it, from the `part`-th on.

        Raises:
            ValueError: the file has changed since the first pass.
        """
        extent = self.extents[place]
        texts = pieces.read(extent, part, of)
        if not self.surveyed:
            return (text for text in texts if text.strip())
        return self._chosen(texts, self.survey.masks[place][part::of], extent)

    def _chosen(self, texts: Iterator[str], mask: Iterable[bool], extent: Extent) -> Iterator[str]:
        for text, keep in zip_longest(texts, mask):
            if text is None or keep is None:
                raise ValueError(f"{pieces.where(extent.source)}: {extent.path} has changed meanwhile; start again")
            if keep:
                yield text

    def sample(self, characters: int) -> Iterator[str]:
        """Training texts of about so many characters, from all over the corpus: what a tokenizer is trained on."""
        places = sorted(range(len(self.extents)), key=lambda place: fraction("sample", self.seed, place))
        for place in places:
            for text in self.documents(place):
                yield text
                characters -= len(text)
                if characters <= 0:
                    return

    @cached_property
    def fingerprint(self) -> str:
        """Digest of what a stream's order depends on: names and sizes of files, weights, what is left out, the seed."""
        told = [(e.path.rpartition("/")[2], e.start, e.stop, e.source.name, e.source.weight) for e in self.extents]
        counts = [int(mask.sum()) for mask in self.survey.masks] if self.surveyed else []
        return sha256(repr((told, counts, self.seed)).encode()).hexdigest()[:16]


def copies(weight: float, drawn: float) -> int:
    """How many times a document is shown in an epoch; `drawn` in [0, 1) decides on the part that is not whole."""
    whole = int(weight)
    return whole + (drawn < weight - whole)
