"""Filters that judge a document by itself: its length, and rules of quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from llmcycle.quantities import Count, CountOrZero, NotNegative, Share

STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
BULLETS = ("•", "‣", "▶", "◀", "◦", "■", "□", "▪", "▫", "–", "-", "*")  # noqa: RUF001  as they are found in texts
ELLIPSES = ("...", "…")
TOP_GRAMS = {2: 0.20, 3: 0.18, 4: 0.16}
DUPLICATE_GRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


class Removal(NamedTuple):
    """Why a document is left out: a reason to count by, and what shows it in this document."""

    reason: str
    evidence: str = ""


Judge = Callable[[str], Removal | None]


class Filter(Protocol):
    """Settings of a filter. `judge` begins anew: what it returns may remember the documents that it has been shown."""

    def judge(self) -> Judge: ...


class Length:
    """Keeps documents of `least` to `most` characters."""

    def __init__(self, least: CountOrZero = 1, most: Count | None = None) -> None:
        if most is not None and most < least:
            raise ValueError(f"data.filters: most={most} is below least={least}, which would leave nothing")
        self.least, self.most = least, most

    def judge(self) -> Judge:
        """See `Filter`."""
        return self._judge

    def _judge(self, text: str) -> Removal | None:
        if len(text) < self.least:
            return Removal("short", f"{len(text)} characters")
        if self.most is not None and len(text) > self.most:
            return Removal("long", f"{len(text)} characters")
        return None


class Gopher:
    """The quality rules of Gopher, for English (arXiv:2112.11446, appendix A.1.1).

    Args:
        least_words, most_words: words a document (split at blanks).
        word_length: least and greatest mean length of a word, in characters.
        symbols: "#" or ellipses for each word, at most.
        bullets, ellipses: share of lines that begin with a bullet, or end with an ellipsis, at most.
        alphabetic: share of words with a letter, at least.
        stop_words: how many different ones of the, be, to, of, and, that, have, with, at least.
    """

    def __init__(
        self,
        least_words: CountOrZero = 50,
        most_words: Count = 100_000,
        word_length: Sequence[float] = (3, 10),
        symbols: NotNegative = 0.1,
        bullets: Share = 0.9,
        ellipses: Share = 0.3,
        alphabetic: Share = 0.8,
        stop_words: CountOrZero = 2,
    ) -> None:
        self.least_words, self.most_words = least_words, most_words
        self.shortest, self.longest = word_length
        self.symbols, self.bullets, self.ellipses = symbols, bullets, ellipses
        self.alphabetic, self.stop_words = alphabetic, stop_words

    def judge(self) -> Judge:
        """See `Filter`."""
        return self._judge

    def _judge(self, text: str) -> Removal | None:
        text_words = text.split()
        if not self.least_words <= len(text_words) <= self.most_words:
            return Removal("words", str(len(text_words)))
        return self._of_words(text, text_words) or self._of_lines(text)

    def _of_words(self, text: str, text_words: Sequence[str]) -> Removal | None:
        count = max(1, len(text_words))
        mean = sum(map(len, text_words)) / count
        if not self.shortest <= mean <= self.longest:
            return Removal("word length", f"{mean:.1f}")
        symbols = max(text.count("#"), sum(map(text.count, ELLIPSES))) / count
        if symbols > self.symbols:
            return Removal("symbols", f"{symbols:.2f}")
        letters = sum(any(map(str.isalpha, word)) for word in text_words) / count
        if letters < self.alphabetic:
            return Removal("letters", f"{letters:.2f}")
        stops = len(STOP_WORDS & set(map(str.lower, text_words)))
        return Removal("stop words", str(stops)) if stops < self.stop_words else None

    def _of_lines(self, text: str) -> Removal | None:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        bullets = sum(line.startswith(BULLETS) for line in lines) / max(1, len(lines))
        if bullets > self.bullets:
            return Removal("bullets", f"{bullets:.2f}")
        ellipses = sum(line.endswith(ELLIPSES) for line in lines) / max(1, len(lines))
        return Removal("ellipses", f"{ellipses:.2f}") if ellipses > self.ellipses else None


class Repetition:
    """The repetition rules of Gopher (arXiv:2112.11446, table A1): shares that may be repeated, at most.

    Args:
        lines: of lines, and of paragraphs, that repeat an earlier one.
        characters: of characters inside such lines, or such paragraphs.
        top: of characters inside the most frequent n-gram, by n.
        duplicate: of characters inside n-grams that stand there more than once, by n.
    """

    def __init__(
        self,
        lines: Share = 0.30,
        characters: Share = 0.20,
        top: dict[int, float] | None = None,
        duplicate: dict[int, float] | None = None,
    ) -> None:
        self.lines, self.characters = lines, characters
        self.top = TOP_GRAMS if top is None else top
        self.duplicate = DUPLICATE_GRAMS if duplicate is None else duplicate

    def judge(self) -> Judge:
        """See `Filter`."""
        return self._judge

    def _judge(self, text: str) -> Removal | None:
        for name, parts in (("lines", text.split("\n")), ("paragraphs", text.split("\n\n"))):
            count, size = repeated([part.strip() for part in parts if part.strip()], len(text))
            if count > self.lines:
                return Removal(f"repeated {name}", f"{count:.2f}")
            if size > self.characters:
                return Removal(f"characters of repeated {name}", f"{size:.2f}")
        return self._of_grams(text.split())

    def _of_grams(self, text_words: Sequence[str]) -> Removal | None:
        size = max(1, sum(map(len, text_words)))
        for measure, limits in ((top_gram, self.top), (duplicate_grams, self.duplicate)):
            for n, most in limits.items():
                share = measure(text_words, n) / size
                if share > most:
                    return Removal(f"{measure.__name__.replace('_', ' ')} of {n}", f"{share:.2f}")
        return None


def repeated(parts: Sequence[str], size: int) -> tuple[float, float]:
    """Of parts of a text of `size` characters: share of those that were there before, and of their characters."""
    seen: set[str] = set()
    again = [part for part in parts if part in seen or seen.add(part)]  # type: ignore[func-returns-value]
    return len(again) / max(1, len(parts)), sum(map(len, again)) / max(1, size)


def top_gram(text_words: Sequence[str], n: int) -> int:
    """Characters inside the n-gram of words that covers most, where it stands more than once."""
    counts = Counter(zip(*(text_words[place:] for place in range(n)), strict=False))
    return max((count * sum(map(len, gram)) for gram, count in counts.items() if count > 1), default=0)


def duplicate_grams(text_words: Sequence[str], n: int) -> int:
    """Characters inside n-grams of words that stood there before, none counted twice."""
    seen: set[tuple[str, ...]] = set()
    total, place = 0, 0
    while place + n <= len(text_words):
        gram = tuple(text_words[place : place + n])
        again = gram in seen
        seen.add(gram)
        total += sum(map(len, gram)) if again else 0
        place += n if again else 1
    return total
