"""`llmcycle data`: what a recipe would train on, shown."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from chats import CHATML, batches, said, tokenizer
from rich.console import Console
from toy import command

from llmcycle.data.assistant import Assistant
from llmcycle.data.audit import RULES
from llmcycle.data.encode import Completion, Preference, Prompts
from llmcycle.data.preview import show, tokens

PAIRS = [{"prompt": f"Colour of {i}?", "completion": "größe 你好\nred"} for i in range(4)]


def shown(data: object, colour: bool = False, width: int = 120, **options: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="truecolor" if colour else None)
    show(data, console, **{"count": 1, "packed": False, "allow": [], **options})
    return out.getvalue()


def test_tokens_with_loss_stand_in_brackets_with_and_without_colour() -> None:
    data = batches([{"prompt": said("Hi", "Hello", "So?"), "completion": "Yes"}], Assistant(200), tokenizer(CHATML))
    text = shown(data)
    assert "⟦Hello<|im_end|>⟧↵" in text
    assert "⟦Yes<|im_end|>⟧" in text
    assert "\x1b[" not in text
    assert "\x1b[30;42m" in shown(data, colour=True)


def test_no_character_is_lost() -> None:
    data = batches(PAIRS, Completion(200), tokenizer(CHATML))
    text = tokens(data.train[0], data.tokenizer).plain
    assert text == "<|im_start|>user↵\nColour of 0?<|im_end|>↵\n<|im_start|>assistant↵\n⟦größe 你好↵\nred<|im_end|>⟧"


def test_a_narrow_terminal_adds_no_end_of_line_to_a_row() -> None:
    data = batches(
        [{"prompt": "Which one is it, and why?", "completion": "the one "}] * 4, Completion(200), tokenizer(CHATML)
    )
    text = tokens(data.train[0], data.tokenizer).plain
    assert text in shown(data, width=20)


def test_lengths_fill_and_audit() -> None:
    text = shown(batches(PAIRS, Completion(150), tokenizer(CHATML)))
    assert "audit: nothing wrong" in text
    size = len(Completion(150).encode(PAIRS, tokenizer(CHATML))[0]["input_ids"])
    assert f"2 rows of 150 tokens are {4 * size / 300:.1%} full; padded, 100.0% of a batch" in text
    assert f"train 4 {size} {size} {size} {size} {size / 150:.0%}" in " ".join(text.split())


def test_findings_are_shown_as_refused_or_let_pass() -> None:
    rows = [*PAIRS, {"prompt": "?", "completion": ""}]
    data = batches(rows, Completion(150), tokenizer(CHATML), allow=list(RULES))
    assert "audit: empty: 1 of 5 train rows have an empty answer" in shown(data)
    assert "[refused]" in shown(data)
    assert "[let pass]" in shown(data, allow=["empty"])


@pytest.mark.parametrize("encode", [Preference(150), Prompts(150)])
def test_pairs_and_prompts(encode: object) -> None:
    text = shown(batches([{"prompt": "Q", "chosen": "good", "rejected": "bad"}], encode, tokenizer(CHATML)))
    assert ("⟦bad<|im_end|>⟧" in text) == isinstance(encode, Preference)


def test_the_verb(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tokenizer(CHATML).save_pretrained("model")
    Path("rows.jsonl").write_text("\n".join(json.dumps({"instruction": f"Q{i}", "output": "A"}) for i in range(9)))
    typed = ["data", "finetune", "--rows", "1", "inputs.model=model", "data=json", "data.train=rows.jsonl"]
    assert command(*typed, "data.holdout=2") == 0
    out = capfd.readouterr().out
    assert "rows of the form alpaca" in out
    assert "⟦A<|im_end|>⟧" in out
    assert not Path("outputs").exists()
    assert command(*typed, "data.holdout=2", "encode.max_length=20") == 2
    captured = capfd.readouterr()
    assert "[refused]" in captured.out
    assert "raise `encode.max_length`" in captured.err


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        (["lifecycle"], "--stage: there are several stages that train"),
        (["lifecycle", "--stage", "finetun"], "try: --stage finetune"),
        (["lifecycle", "--stage=finetune"], "artifact of `pretrain`, which is not in the store yet"),
        (["compress", "inputs.model=owner/name"], "no stage of this recipe trains on data"),
        (["finetun"], "try: llmcycle finetune"),
        (["finetune", "--peft=lora"], "an override has no dashes"),
    ],
)
def test_what_can_not_be_shown(typed: list[str], reason: str, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command("data", *typed) == 2
    assert reason in capfd.readouterr().err
