from __future__ import annotations

import unicodedata

from llmcycle.printable import printable


def test_no_control_character_is_left_but_line_ends_and_tabs() -> None:
    everything = "".join(map(chr, range(0x3000)))
    left = {c for c in printable(everything) if unicodedata.category(c) == "Cc"}
    assert left == {"\n", "\t"}
    assert not {"\u202e", "\u2066"} & set(printable(everything)), "no text is written backwards"


def test_letters_stay() -> None:
    text = "a é 数据 🙂\n\tb"
    assert printable(text) == text
    assert printable("\x1b]0;title\x07") == "␛]0;title␇"


def test_half_of_a_surrogate_pair_can_be_written() -> None:
    assert printable("a\ud800b").encode() == rb"a\ud800b"
