"""Text of others on a terminal: a row or an answer must not move the cursor, set the title or hide a line."""

from __future__ import annotations

import re

SYMBOLS = 0x2400  # of Unicode: pictures of the control characters, in their order
PICTURES = {code: chr(SYMBOLS + code) for code in range(32) if chr(code) not in "\n\t"}
PICTURES |= {127: "␡"} | {code: f"\\x{code:02x}" for code in range(128, 160)}  # the last ones have no picture
# Marks that turn the direction of writing: https://www.unicode.org/reports/tr9/#Explicit_Directional_Embeddings
PICTURES |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
PICTURES |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}  # halves of surrogate pairs: UTF-8 has none


def printable(text: str) -> str:
    """The text with a picture or the code of each control character in its place; line ends and tabs stay."""
    return text.translate(PICTURES)


def in_double_quotes(text: str) -> str:
    """What to type for a text in which single quotes matter: one word of a shell; any other text as it is."""
    return text if "'" not in text else '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"'
