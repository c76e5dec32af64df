"""Data and templates with nothing wrong: the audit lets every one of them train."""

from __future__ import annotations

from typing import Any

import pytest
from chats import CHATML, MARKED, batches, called, known_to_trl, said, tokenizer

from llmcycle.data import shapes
from llmcycle.data.assistant import Assistant, training_template
from llmcycle.data.chat import IGNORE, MARKER_TEMPLATE, PLAIN_TEMPLATE
from llmcycle.data.encode import Completion, Packed, Preference, Prompts
from llmcycle.data.mixture import Mixture
from llmcycle.data.storefront import Instructions, Preferences, Questions, World
from llmcycle.data.windows import Windows
from llmcycle.pretrain.tokenizer import WordPiece

PAIRS = [{"prompt": f"Which colour has lamp {i}?", "completion": f"It is {c}."} for i, c in enumerate(("red", "blue"))]
TALKS = [{"messages": said("Hi", "Hello", f"Is lamp {i} red?", "Yes, it is.", system="Be brief.")} for i in range(3)]
SHARED = {"role": "assistant", "content": "Welcome!"}


def chat(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return shapes.convert(rows, shapes.recognise(rows[0]), "data.train")


SHAPES = {
    "prompt_completion": PAIRS,
    "prompts_of_messages": [{"prompt": said("Colour?"), "completion": said("", "red")[1:]}],
    "chat": TALKS,
    "sharegpt": [{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}],
    "sharegpt_with_system": [
        {"system": "Be kind.", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}
    ],
    "alpaca": [{"instruction": "Translate", "input": "rouge", "output": "red"}],
    "alpaca_without_input": [{"instruction": "Name a colour.", "input": "", "output": "red"}],
    "alpaca_with_history": [{"instruction": "And now?", "output": "blue", "history": [["Colour?", "red"]]}],
}


@pytest.mark.parametrize("encoder", [Completion, Assistant])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: str, encoder: Any) -> None:
    data = batches(chat(SHAPES[shape]), encoder(400), tokenizer(CHATML))
    assert data.findings == ()
    assert len(data.train) == len(SHAPES[shape])


# Special tokens, and what ends a turn.
FAMILIES: dict[str, tuple[dict[str, str], str]] = {
    "qwen2_5": ({}, "<|im_end|>"),
    "qwen3": ({}, "<|im_end|>"),
    "llama3": ({"eos_token": "<|eot_id|>", "bos_token": "<|endoftext|>"}, "<|eot_id|>"),
    "gemma": ({"eos_token": "<eos>", "bos_token": "<bos>"}, "<end_of_turn>"),
    "phi3": ({"eos_token": "<|endoftext|>"}, "<|end|>"),
    "lfm2": ({"bos_token": "<s>"}, "<|im_end|>"),
}


def learnt(data: Any, place: int = 0) -> str:
    labels = data.train[place]["labels"]
    return data.tokenizer.decode([label for label in labels if label != IGNORE])


@pytest.mark.parametrize("encoder", [Completion, Assistant])
@pytest.mark.parametrize("family", FAMILIES)
def test_templates_of_families(family: str, encoder: Any) -> None:
    special, end = FAMILIES[family]
    using = tokenizer(known_to_trl(family), **special)
    rows = chat([{"messages": said("Hi", "Hello", f"Is lamp {i} red?", "Yes")} for i in range(2)])
    data = batches(rows, encoder(800), using)
    assert data.findings == ()
    assert learnt(data).count(end) == (2 if encoder is Assistant else 1)
    assert ("Hello" in learnt(data)) == (encoder is Assistant)


@pytest.mark.parametrize(
    "template", [CHATML, MARKED, MARKER_TEMPLATE, PLAIN_TEMPLATE], ids=["chatml", "marked", "markers", "plain"]
)
@pytest.mark.parametrize("encoder", [Completion, Assistant])
def test_templates_of_ours(template: str, encoder: Any) -> None:
    using = tokenizer(template, eos_token="<|end|>" if template == MARKER_TEMPLATE else "<|im_end|>")
    rows = chat([{"messages": said("Hi", "Hello", "Is it red?", "Yes")}])
    data = batches(rows, encoder(400), using)
    assert data.findings == ()
    assert learnt(data).endswith(f"Yes{using.eos_token}")


def test_markers_and_prefixes_say_the_same() -> None:
    rows = chat(TALKS)
    marked, plain = tokenizer(MARKED), tokenizer(CHATML)
    assert training_template(marked) == MARKED
    assert training_template(plain) is None
    one, other = (Assistant(400).encode(rows, using) for using in (marked, plain))
    newline = marked("\n")["input_ids"]
    for left, right in zip(one, other, strict=True):
        assert left["input_ids"] == right["input_ids"] + newline
        assert left["labels"] == right["labels"] + [IGNORE]


def test_what_trl_trains_on_is_what_is_trained_here() -> None:
    using = tokenizer(known_to_trl("qwen3"))
    template = training_template(using)
    assert template == known_to_trl("qwen3_training")
    row = called()
    example = Assistant(2000).encode([row], using)[0]
    messages = [*row["prompt"], {"role": "assistant", "content": row["completion"]}]
    theirs = using.apply_chat_template(
        messages, tools=row["tools"], chat_template=template, return_dict=True, return_assistant_tokens_mask=True
    )
    assert example["input_ids"] == theirs["input_ids"]
    assert [label != IGNORE for label in example["labels"]] == [bool(mask) for mask in theirs["assistant_masks"]]


@pytest.mark.parametrize("encoder", [Completion, Assistant])
def test_tools(encoder: Any) -> None:
    data = batches([called("Oslo"), called("Rome")], encoder(2000), tokenizer(known_to_trl("qwen3")))
    assert data.findings == ()
    assert ('"city": "Oslo"' in learnt(data)) == (encoder is Assistant)
    assert "degrees" not in learnt(data)


def test_a_call_as_the_last_answer() -> None:
    row = called()
    asked, call = row["prompt"][:1], row["prompt"][1:2]
    data = batches([{**row, "prompt": asked, "completion": call}], Completion(2000), tokenizer(known_to_trl("qwen3")))
    assert "get_weather" in learnt(data)


ANSWERS = {
    "short": "a",
    "a_word_of_the_template": "think",
    "the_question_itself": "Colour?",
    "the_header": "assistant",
    "unicode": "Größe: 5 µm, 你好, \N{PARTY POPPER}",
    "lines": "First\n\n  second\n",
    "blanks_around": "  red ",
    "code": "def f(x):\n    return {'a': x}",
    "numbers": "12\n#### 12",
    "brackets": "[[{}]]",
}


@pytest.mark.parametrize("template", [None, CHATML, "qwen3"], ids=str)
@pytest.mark.parametrize("answer", ANSWERS)
def test_answers(answer: str, template: str | None) -> None:
    using = tokenizer(known_to_trl(template) if template == "qwen3" else template)
    for encoder in (Completion(400), Assistant(400)) if template else (Completion(400),):
        assert batches([{"prompt": "Colour?", "completion": ANSWERS[answer]}], encoder, using).findings == ()


def test_a_greeting_comes_first() -> None:
    rows = chat([{"messages": [SHARED, *said("Hi", "Hello")]}])
    assert learnt(batches(rows, Assistant(400), tokenizer(CHATML))) == "Welcome!<|im_end|>Hello<|im_end|>"


def test_the_storefront() -> None:
    using, world = tokenizer(MARKER_TEMPLATE, eos_token="<|end|>"), World(products=4)
    for data, encode in (
        (Instructions(world), Completion(400)),
        (Preferences(world), Preference(400)),
        (Questions(world, count=9), Prompts(400)),
    ):
        assert batches(data.train[:200], encode, using, data.validation[:50]).findings == ()


def test_pairs_of_messages() -> None:
    rows = [{"prompt": said("Hi", "Hello", "Colour?"), "chosen": "red", "rejected": "I won't say"}]
    assert batches(rows, Preference(400), tokenizer(CHATML)).findings == ()


def test_text_has_no_rows_to_hold_it_against() -> None:
    rows = [{"text": "A red lamp."}] * 3
    for encode in (Packed(16), Windows(8, 4)):
        assert batches(rows, encode, tokenizer(), rows).findings == ()


def test_a_mixture() -> None:
    class Shop:
        def __init__(self, name: str) -> None:
            self.train = [{"prompt": f"{name} {i}", "completion": "yes"} for i in range(10)]
            self.validation = [{"prompt": f"{name} {i}", "completion": "no"} for i in range(2)]

    mixed = Mixture({"a": Shop("a"), "b": Shop("b"), "seed": 0}, {"a": 0.5, "b": 2})
    names = [row["source"] for row in mixed.train]
    assert (names.count("a"), names.count("b"), len(mixed.validation)) == (5, 20, 4)
    assert mixed.train == Mixture(mixed.sources, mixed.weights).train
    assert batches(mixed.train, Completion(40), tokenizer(CHATML), mixed.validation).findings == ()


@pytest.mark.parametrize("truncation", ["drop", "keep_end"])
def test_rows_that_were_dealt_with(truncation: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*PAIRS, {"prompt": "long " * 40, "completion": "yes"}]
    data = batches(rows, Completion(100, truncation), tokenizer(CHATML))
    assert data.findings == ()
    told = capsys.readouterr().err
    if truncation == "drop":
        assert [example["index"] for example in data.train] == [0, 1]
        assert data.truncation_counts == {"train_rows_dropped": 1}
        assert "train rows dropped 1" in told
    else:
        assert [len(example["input_ids"]) for example in data.train][-1] == 100
        assert data.truncation_counts["train_rows_cut"] == 1
        assert f"train tokens cut {data.truncation_counts['train_tokens_cut']}" in told
        assert learnt(data, 2) == "yes<|im_end|>"


def test_a_vocabulary_that_can_not_write_everything() -> None:
    using = WordPiece(400, lowercase=True).train(["The Lamp is Red, and so on. Colour?"] * 9)
    rows = [{"prompt": "Colour?", "completion": "The Lamp is Red, and so on."}]
    assert batches(rows, Completion(100), using).findings == ()
