"""What two texts are compared by: a normal form, its digest, words, and hashed n-grams of words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b, sha256

import numpy as np
from numpy.typing import NDArray

# Han and kana are written without blanks: each character counts as a word.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses nothing modulo 2**64


def normalise(text: str) -> str:
    """Unicode NFC, lower case, and one blank for any white space."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def digest(text: str) -> bytes:
    """The first 16 bytes of the sha256 of the normal form."""
    return sha256(normalise(text).encode("utf-8", "replace")).digest()[:16]


def fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone, as good as drawn at random."""
    hashed = blake2b(digest_size=8)
    for part in parts:
        hashed.update(part if isinstance(part, bytes) else f"{part}/".encode())
    return (int.from_bytes(hashed.digest(), "big") >> 11) / 2**53  # 53 bits, or rounding could give 1


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return WORD.findall(unicodedata.normalize("NFC", text).lower())


def ngrams(tokens: Sequence[str], n: int) -> NDArray[np.uint64]:
    """A 64-bit hash of every run of `n` words, in order: [len(tokens) - n + 1], or nothing where there are fewer."""
    count = len(tokens) - n + 1
    if count < 1:
        return np.zeros(0, np.uint64)
    ids = np.fromiter(map(_word_id, tokens), np.uint64, len(tokens))
    hashes = np.zeros(count, np.uint64)
    for place in range(n):
        hashes = hashes * FACTOR + ids[place : place + count]
    return hashes


@lru_cache(maxsize=2**18)
def _word_id(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "big")
