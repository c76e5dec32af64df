"""Filters that leave out what was there before: the same text, or nearly the same."""

from __future__ import annotations

import numpy as np
from datasketch import MinHash as Sketch
from datasketch import MinHashLSH
from numpy.typing import NDArray

from llmcycle.data.corpus.filters import Judge, Removal
from llmcycle.data.corpus.text import digest, ngrams, words
from llmcycle.quantities import Count, Share


class Exact:
    """Leaves out a text whose normal form (Unicode, case, white space) was there before, by its sha256."""

    def judge(self) -> Judge:
        """See `llmcycle.data.corpus.filters.Filter`. It remembers 16 bytes of each document."""
        seen: set[bytes] = set()

        def judge(text: str) -> Removal | None:
            key = digest(text)
            if key in seen:
                return Removal("the same text")
            seen.add(key)
            return None

        return judge


class MinHash:
    """Leaves out a document that shares at least `threshold` of its n-grams of words (Jaccard) with one before it.

    MinHash and locality-sensitive hashing (Broder 1997; arXiv:2107.06499 on language models' data) through
    `datasketch`. Candidates that the hashing finds are compared by their whole sketches before one is left out. A
    changed word changes `n` of the n-grams: with one word in 20 changed, about 0.75 of the 3-grams and 0.63 of the
    5-grams are common. Speeches and word problems that nobody copied hardly ever share half of their 3-grams.

    Args:
        threshold: Jaccard similarity from which on two documents are one. Texts made from templates need more.
        n: words of an n-gram. A shorter document is one n-gram.
        permutations: hashes of a sketch; more find more and cost time and memory.
    """

    def __init__(self, threshold: Share = 0.5, n: Count = 3, permutations: Count = 128) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"data.filters: threshold={threshold} must be in (0, 1]; 0.5 to 0.8 are usual")
        self.threshold, self.n = threshold, n
        # At its own threshold the search finds every second pair: search below it, then compare.
        self.index = {"threshold": 0.8 * threshold, "num_perm": permutations, "weights": (0.3, 0.7)}
        self.empty = Sketch(permutations, seed=1, hashfunc=int)

    def judge(self) -> Judge:
        """See `llmcycle.data.corpus.filters.Filter`. It remembers each document that it keeps, in about 13 kB."""
        index, hashes = MinHashLSH(**self.index), list[NDArray[np.uint32]]()

        def judge(text: str) -> Removal | None:
            sketch = self.sketch(text)
            candidates = index.query(sketch)
            if candidates:
                shared = np.mean(np.stack([hashes[c] for c in candidates]) == sketch.hashvalues, axis=1).max()
                if shared >= self.threshold:
                    return Removal("nearly the same text", f"{shared:.2f} of its {self.n}-grams")
            index.insert(len(hashes), sketch, check_duplication=False)
            hashes.append(sketch.hashvalues)
            return None

        return judge

    def sketch(self, text: str) -> Sketch:
        """The MinHash sketch of a document's set of n-grams."""
        text_words = words(text)
        hashes = ngrams(text_words, min(self.n, max(1, len(text_words))))
        sketch = self.empty.copy()
        sketch.update_batch((hashes >> np.uint64(32)).tolist())
        return sketch
