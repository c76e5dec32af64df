"""Texts that spell a special token stay texts: nobody can end a turn, or begin one, by writing its marker.

Before the chat template, each such token inside a message becomes a sign that no template and no tokenizer knows; after
it, the sign becomes the token's letters again, tokenised as letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

OPEN, CLOSE = "\ue000", "\ue001"  # of the private use area of Unicode
SIGN = re.compile(f"{OPEN}(\\d+){CLOSE}")
KEPT = ("role", "type")  # keys of a message that templates compare with words of their own


def protect(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with signs in the place of special tokens."""
    signs = {text: f"{OPEN}{place}{CLOSE}" for place, text in enumerate(_reserved(tokenizer))}
    spelt = _pattern(signs)
    return [{k: v if k in KEPT else _signed(v, spelt, signs) for k, v in message.items()} for message in messages]


def spells(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, Any]]) -> str:
    """The first special token that a message spells; "" for none."""
    spelt = _pattern(_reserved(tokenizer))
    values = (value for message in messages for key, value in message.items() if key not in KEPT)
    return next((match[0] for value in values for text in _texts(value) if (match := spelt.search(text))), "")


def encode(tokenizer: PreTrainedTokenizerBase, rendered: str) -> list[int]:
    """Token ids of a rendered text without special tokens of the tokenizer's own making; signs become letters."""
    if OPEN not in rendered:
        return list(tokenizer(rendered, add_special_tokens=False)["input_ids"])
    texts = _reserved(tokenizer)
    ids: list[int] = []
    for place, part in enumerate(SIGN.split(rendered)):  # what stands between signs, and at odd places their numbers
        if place % 2:
            letters = tokenizer(texts[int(part)], add_special_tokens=False, split_special_tokens=True)
            ids += letters["input_ids"]
        elif part:
            ids += tokenizer(part, add_special_tokens=False)["input_ids"]
    return ids


def _reserved(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What a sign may stand for: special tokens, the longest first, and the sign's own first character."""
    added = tokenizer.added_tokens_decoder.values()
    special = {*tokenizer.all_special_tokens, *(str(token) for token in added if token.special)}
    return [*sorted(special, key=lambda token: (-len(token), token)), OPEN]


def _pattern(texts: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, texts)))


def _signed(value: object, spelt: re.Pattern[str], signs: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return spelt.sub(lambda match: signs[match[0]], value)
    if isinstance(value, Mapping):
        return {key: _signed(item, spelt, signs) for key, item in value.items()}
    return [_signed(item, spelt, signs) for item in value] if isinstance(value, list) else value


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for item in items for text in _texts(item)]
