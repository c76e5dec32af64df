from __future__ import annotations

import subprocess
import unicodedata

from llmcycle.printable import in_double_quotes, printable


def test_no_control_character_is_left_but_line_ends_and_tabs() -> None:
    everything = "".join(map(chr, range(0x3000)))
    left = {c for c in printable(everything) if unicodedata.category(c) == "Cc"}
    assert left == {"\n", "\t"}
    assert not {"\u202e", "\u2066"} & set(printable(everything)), "no text is written backwards"


def test_letters_stay() -> None:
    text = "a é 数据 🙂\n\tb"
    assert printable(text) == text
    assert printable("\x1b]0;title\x07") == "␛]0;title␇"


def test_a_text_with_single_quotes_is_one_word_of_a_shell() -> None:
    for text in ("a=['b.[0-1]']", "a='$HOME `ls` \\ \"x\"'"):
        typed = ["sh", "-c", f"printf %s {in_double_quotes(text)}"]
        assert subprocess.run(typed, capture_output=True, text=True, check=True).stdout == text
    assert in_double_quotes("a=[b]") == "a=[b]"


def test_half_of_a_surrogate_pair_can_be_written() -> None:
    assert printable("a\ud800b").encode() == rb"a\ud800b"
