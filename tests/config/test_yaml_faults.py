"""Faults of a recipe's file: each names the place and has a remedy of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import command

HEAD = "# @package _global_\ndefaults: [/recipes/finetune@_here_, _self_]\nname: mine\n"
FAULTS = {
    "duplicate": (HEAD + "trainer: {max_steps: 6}\ntrainer: {max_steps: 9}\n", "mine.yaml:5", "under one `trainer:`"),
    "tab": ("name: x\n\tb: 1\n", "mine.yaml:2", "in the place of tabs"),
    "colon": ("name: x\ndesc: a: b\n", "mine.yaml:2", "in quotes"),
    "open": ("name: [x\ndesc: a\n", "mine.yaml:2", "a `]` at the end"),
    "quote": ('name: "x\n', "mine.yaml", "quotation mark"),
    "list": (HEAD + "inputs: [x]\n", "inputs: it is a list", "inputs: {NAME: VALUE}"),
    "list below": (HEAD + "data: {world: [x]}\n", "data.world: it is a list", "data.world: {NAME: VALUE}"),
    "no defaults": ("name: mine\ntrainer: {max_steps: 6}\n", "it has no defaults", "/recipes/finetune@_here_"),
    "other group": (HEAD.replace("_self_", "override /pefts: lora, _self_"), "override `pefts`", "override /peft:"),
    "order": (HEAD.replace("_self_", "override /peft: lora, /quant: int8, _self_"), "stands before", "at the end"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_with_its_place_and_remedy(
    here: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, place, remedy = FAULTS[fault]
    (here / "mine.yaml").write_text(text)
    assert command("check", "./mine.yaml", "inputs.model=o/n") == 2
    said = capsys.readouterr().err
    assert place in said
    assert remedy in said.partition("try:")[2]
    assert len(said.splitlines()) <= 3


def test_what_is_typed_is_not_the_files_fault(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.yaml").write_text(HEAD)
    assert command("check", "./mine.yaml", "inputs.model=o/n", "pefts=lora") == 2
    assert "try: peft=lora" in capsys.readouterr().err
