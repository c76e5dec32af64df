"""The filter that keeps evaluation sets out of training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmcycle.data.corpus.filters import Judge, Removal
from llmcycle.data.corpus.source import Spec, refuse_unreadable, rows_of
from llmcycle.data.corpus.text import ngrams, words
from llmcycle.quantities import Count, CountOrZero


class Decontaminate:
    """Leaves out a document that shares a run of `n` words with a text of an evaluation set.

    The rule of GPT-3 (arXiv:2005.14165, appendix C), which there cut the run out of a document and here leaves the
    document out. Case and punctuation do not count. A text of fewer than `n` words is looked for whole, one of fewer
    than `least` not at all, because such words stand anywhere; the report says how many those are.

    Args:
        against: name of an evaluation set to where it is: a file, files by `*`, a name on the Hub, a mapping of
            `llmcycle.data.corpus.source.Source`'s settings, or rows (their validation part counts). Every string of a
            row is a text.
        n, least: words.
    """

    def __init__(self, against: Mapping[str, Spec | Any], n: Count = 13, least: CountOrZero = 8) -> None:
        if not 1 <= least <= n:
            raise ValueError(f"data.filters: least={least} must be between 1 and n={n}")
        if not against:
            raise ValueError("data.filters: `against` names no evaluation set; leave the filter out, or name one")
        self.against, self.n, self.least = dict(against), n, least

    @staticmethod
    def preflight(against: Mapping[str, Spec | Any], **_: object) -> None:
        """Refuse evaluation sets that are missing or empty before anything runs."""
        for name, spec in against.items():
            refuse_unreadable(name, spec, "data.filters.against")

    def judge(self) -> Judge:
        """See `llmcycle.data.corpus.filters.Filter`. Evaluation sets are read when it is called."""
        index = [(n, *hashed) for n, hashed in sorted(self._index().items())]

        def judge(text: str) -> Removal | None:
            text_words = words(text)
            for n, hashes, owners in index:
                here = ngrams(text_words, n)
                if not len(here):
                    continue
                places = np.minimum(np.searchsorted(hashes, here), len(hashes) - 1)
                hits = np.flatnonzero(hashes[places] == here)
                if len(hits):
                    return Removal(owners[int(places[hits[0]])], " ".join(text_words[hits[0] : hits[0] + n]))
            return None

        return judge

    def facts(self) -> dict[str, Any]:
        """Of each evaluation set: its texts, and how many of them are too short to look for."""
        counted = {name: [len(words(text)) for text in texts_of(name, spec)] for name, spec in self.against.items()}
        return {
            name: {"texts": len(sizes), "too short": sum(size < self.least for size in sizes)}
            for name, sizes in counted.items()
        }

    def _index(self) -> dict[int, tuple[NDArray[np.uint64], list[str]]]:
        """By length of run: sorted hashes, and the evaluation set that each comes from."""
        by_length: dict[int, dict[int, str]] = {}
        for name, spec in self.against.items():
            for text in texts_of(name, spec):
                tokens = words(text)
                n = min(self.n, len(tokens))
                if n >= self.least:
                    by_length.setdefault(n, {}).update(dict.fromkeys(ngrams(tokens, n).tolist(), name))
        return {n: _sorted(owners) for n, owners in by_length.items()}


def texts_of(name: str, spec: Spec | Any) -> Iterator[str]:
    """Every string of every row of an evaluation set, inside lists and mappings too."""
    for row in rows_of(name, spec, "data.filters.against"):
        yield from strings(row)


def strings(value: object) -> Iterator[str]:
    """Every string inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from strings(item)


def _sorted(owners: dict[int, str]) -> tuple[NDArray[np.uint64], list[str]]:
    hashes = np.array(sorted(owners), np.uint64)
    return hashes, [owners[int(value)] for value in hashes]
