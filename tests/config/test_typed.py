from __future__ import annotations

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from llmcycle.config.typed import added, as_text, as_typed, in_quotes, in_shell

ODD = ["数据.jsonl", "rows (1).jsonl", "a=b.csv", "a~b", "#1", "x(", "räksmörgås och mer", "C:\\x y\\"]
QUOTES = ["it's é", 'say "hi" it\'s', "a\\'b", "back\\", "two\\\\", "[1", "{a", "é[1]"]


def read(override: str) -> object:
    """What Hydra takes for the value."""
    return OverridesParser.create().parse_override(override).value()


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("key", ["data.train", "inputs.model"])
def test_a_name_of_any_letters_is_read_as_it_is(key: str, name: str) -> None:
    assert read(as_text(f"{key}={name}")) == name


@pytest.mark.parametrize("name", ODD + QUOTES)
def test_any_text_can_be_quoted(name: str) -> None:
    assert read(f"data.train={in_quotes(name)}") == name


@pytest.mark.parametrize("override", ["world=tiny", "+world=tiny", "world.seed=3", "+peft.r=3", "world={a: 1}", "a=b"])
def test_a_world_is_shown_as_it_is_typed(override: str) -> None:
    assert as_typed(added(override)) == ("world=tiny" if override == "+world=tiny" else override)


def test_a_value_is_typed_in_a_shell() -> None:
    for value in (3, None, True, "it's", [1, "b c"], {"a": [0.5, "x(1)"]}):
        (word,) = shlex.split(f"a={in_shell(value)}")
        assert read(word) == value


@pytest.mark.parametrize("override", ["a=1", "a=b,c", "a=[1,2]", "a={b:1}", "a='x y'", "a=${b}", "a=choice(1,2)", "~a"])
def test_what_hydra_can_read_stays(override: str) -> None:
    assert as_text(override) == override
