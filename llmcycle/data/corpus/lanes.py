"""The order in which a corpus is streamed: lanes, each a sequence of documents that can be entered anywhere.

An epoch's extents are shuffled and dealt to a fixed number of lanes, whoever reads those. A lane opens a few of its
extents at a time and shuffles what it reads from them in windows. So a place is a few numbers, and going there costs
reading the open extents again, not the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil
from random import Random
from typing import NamedTuple

from llmcycle.data.corpus.corpus import Corpus
from llmcycle.data.corpus.text import fraction

TOGETHER = 4  # extents that a lane has open


class Place(NamedTuple):
    """Before a document: which of the window's, in which window of which group of extents, in which epoch."""

    epoch: int = 0
    group: int = 0
    window: int = 0
    document: int = 0


@dataclass(frozen=True, slots=True)
class Portion:
    """Every `of`-th record of an extent from the `part`-th on; of those, the share that a weight asks for."""

    extent: int
    part: int
    of: int
    copy: int
    share: float


@dataclass(frozen=True)
class Lanes:
    """Args:
    corpus: what is streamed.
    count: lanes. It fixes the order, so that a run may go on with other numbers of processes and workers.
    window: characters that a lane shuffles at a time.
    seed: of all shuffling.
    """

    corpus: Corpus
    count: int
    window: int
    seed: int

    def documents(self, lane: int, place: Place, epochs: int | None = None) -> Iterator[tuple[Place, str]]:
        """The documents of a lane from `place` on, each with its place; without end where `epochs` is None."""
        for epoch in count(place.epoch) if epochs is None else range(place.epoch, epochs):
            start = place if epoch == place.epoch else Place(epoch)
            mine = self.portions(epoch)[lane :: self.count]
            groups = [mine[first : first + TOGETHER] for first in range(0, len(mine), TOGETHER)]
            for group in range(start.group, len(groups)):
                inside = start if group == start.group else Place(epoch, group)
                yield from self._of_group(groups[group], lane, inside)

    def portions(self, epoch: int) -> list[Portion]:
        """All portions of an epoch, shuffled: each document is in as many of them as its source's weight says."""
        extents = self.corpus.extents
        of = ceil(self.count / max(1, len(extents)))  # a part for each lane where there are fewer extents than lanes
        portions = [
            Portion(place, part, of, copy, min(1.0, extent.source.weight - copy))
            for place, extent in enumerate(extents)
            for copy in range(ceil(extent.source.weight))
            for part in range(of)
        ]
        Random(f"{self.seed}/{epoch}").shuffle(portions)
        return portions

    def _of_group(self, portions: Sequence[Portion], lane: int, start: Place) -> Iterator[tuple[Place, str]]:
        readers = [self._texts(portion, start.epoch) for portion in portions]
        for number, texts in enumerate(windows(readers, self.window // TOGETHER)):
            if number < start.window:
                continue
            Random(f"{self.seed}/{start.epoch}/{lane}/{start.group}/{number}").shuffle(texts)
            first = start.document if number == start.window else 0
            for document in range(first, len(texts)):
                yield start._replace(window=number, document=document), texts[document]

    def _texts(self, portion: Portion, epoch: int) -> Iterator[str]:
        texts = self.corpus.documents(portion.extent, portion.part, portion.of)
        if portion.share == 1:
            return texts
        drawn = (self.seed, epoch, portion.extent, portion.part, portion.copy)
        return (text for number, text in enumerate(texts) if fraction(*drawn, number) < portion.share)


def windows(readers: Sequence[Iterator[str]], characters: int) -> Iterator[list[str]]:
    """Texts of all readers side by side, from each about `characters` a window, until all are at their end."""
    waiting = list(readers)
    while waiting:
        texts: list[str] = []
        left: list[Iterator[str]] = []
        for reader in waiting:
            room = characters
            for text in reader:
                texts.append(text)
                room -= len(text)
                if room <= 0:
                    left.append(reader)
                    break
        waiting = left
        if texts:
            yield texts
