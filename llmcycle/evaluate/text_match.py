"""When two answers are the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TextMatch:
    """Equality of answers after extraction and normalisation.

    Normalised is: Unicode NFKC, case folded, runs of white space made one blank, no space or full stop at the end.

    Args:
        extract: regular expression that finds the answer in a longer text: its last match, in it the group that
            matched. A prediction without a match is wrong; a reference without one is taken whole.
        ignore: regular expressions removed from the answer, e.g. the comma of "1,000".
    """

    extract: str | None = None
    ignore: Sequence[str] = ()

    def __call__(self, prediction: str, reference: str) -> bool:
        """Whether `prediction` is the answer that `reference` gives."""
        expected = self.answer(reference)
        return self.answer(prediction) == (self.normalise(reference) if expected is None else expected)

    def answer(self, text: str) -> str | None:
        """The normalised answer in `text`, or None where `extract` finds nothing."""
        if self.extract is None:
            return self.normalise(text)
        matches = list(re.finditer(self.extract, text))
        if not matches:
            return None
        last = matches[-1]
        return self.normalise(last[last.lastindex or 0])

    def normalise(self, text: str) -> str:
        """See the class."""
        for pattern in self.ignore:
            text = re.sub(pattern, "", text)
        return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(". ")
