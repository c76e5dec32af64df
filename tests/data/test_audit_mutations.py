"""Data, templates and encoders with one thing wrong each: the audit refuses every one, and says why."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from chats import CHATML, MARKED, batches, called, known_to_trl, said, tokenizer

from llmcycle.data import shapes
from llmcycle.data.assistant import Assistant
from llmcycle.data.audit import RULES
from llmcycle.data.chat import IGNORE, MARKER_TEMPLATE
from llmcycle.data.encode import Completion, Example, Preference, Prompts

PAIRS = [{"prompt": f"Which colour has lamp {i}?", "completion": f"It is {c}."} for i, c in enumerate(("red", "blue"))]
TALK = {"prompt": said("Hi", "Hello", "Is it red?"), "completion": "Yes, it is."}
SYSTEM = {"prompt": said("Is it red?", system="Answer like a pirate."), "completion": "Aye."}
THOUGHT = {"role": "assistant", "content": "red", "reasoning_content": "A pirate would say red."}


@dataclass
class Case:
    """What is broken, the rule that says so, and a word of the reason."""

    rule: str
    rows: list[dict[str, Any]] = field(default_factory=lambda: PAIRS)
    encode: Any = field(default_factory=lambda: Completion(400))
    template: str | None = CHATML
    special: dict[str, str] = field(default_factory=dict)
    validation: list[dict[str, Any]] = field(default_factory=list)
    says: str = ""


class Broken(Completion):
    """An encoder with a fault in what it makes."""

    def __init__(self, fault: Callable[[Example], None]) -> None:
        super().__init__(400)
        self.fault = fault

    def encode(self, rows: Any, tokenizer: Any) -> list[Example]:
        examples = super().encode(rows, tokenizer)
        self.fault(examples[-1])
        return examples


def labels(change: Callable[[list[int], list[int]], list[int]]) -> Broken:
    """An encoder whose last example has other labels: made from its labels and ids."""

    def fault(example: Example) -> None:
        example["labels"] = change(example["labels"], example["input_ids"])

    return Broken(fault)


def first_label(labels: list[int]) -> int:
    return labels.count(IGNORE)


def marked(before: str = "", after: str = "") -> str:
    """MARKED with its markers elsewhere."""
    return MARKED.replace(
        "<|im_start|>assistant\n{% generation %}{{ m['content'] }}<|im_end|>{% endgeneration %}", before + after
    )


# A template that writes its own markers around something else.
AROUND_USERS = MARKED.replace("== 'assistant'", "== 'user'").replace("assistant\n{% gen", "user\n{% gen")
AROUND_ALL = "{% generation %}" + CHATML.replace("{% if add", "{% endgeneration %}{% if add")
AROUND_HEADER = marked("{% generation %}<|im_start|>assistant\n{{ m['content'] }}<|im_end|>", "{% endgeneration %}")
AROUND_WORDS = marked("<|im_start|>assistant\n{% generation %}{{ m['content'] }}", "{% endgeneration %}<|im_end|>")
AROUND_NOTHING = marked("{% generation %}{% endgeneration %}<|im_start|>assistant\n", "{{ m['content'] }}<|im_end|>")
ECHOING = CHATML.replace(
    "{{ m['content'] }}",
    "{% if m['role'] == 'assistant' and not loop.first %}{{ loop.previtem['content'] }} {% endif %}{{ m['content'] }}",
)
NO_END = CHATML.replace("<|im_end|>", "")
NO_SYSTEM = CHATML.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}")
NO_TOOL = CHATML.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'tool' %}")
NO_CALLS = CHATML.replace("{% for m", "{% if tools %}{{ tools | tojson }}{% endif %}{% for m")
HALF = CHATML.replace("{{ m['content'] }}", "{{ m['content'][:6] if m['role'] == 'assistant' else m['content'] }}")
FIRST_LINE = CHATML.replace("{{ m['content'] }}", "{{ m['content'].split('\n')[0] }}")

CASES = {
    "fully_masked_row": Case("labels", encode=labels(lambda one, ids: [IGNORE] * len(ids)), says="1 of 2 train rows"),
    "template_marks_nothing": Case("labels", [TALK], Assistant(400), AROUND_NOTHING),
    "end_token_masked": Case("end_token", encode=labels(lambda one, ids: [*one[:-1], IGNORE])),
    "end_token_masked_in_one_turn_of_several": Case(
        "end_token",
        [TALK],
        Assistant(400),
        MARKED.replace(
            "<|im_end|>{% endgen", "{% if loop.last %}<|im_end|>{% endif %}{% endgen"
        ).replace("{{ '\\n' }}", "{% if not loop.last %}<|im_end|>{% endif %}{{ '\\n' }}"),
    ),
    "markers_without_the_end_token": Case("end_token", [TALK], Assistant(400), AROUND_WORDS),
    "template_without_an_end_token": Case("end_token", template=NO_END),
    "tokenizer_without_an_end_token": Case("end_token", template=None, special={"eos_token": None}),
    "pad_equal_to_end": Case(
        "pad_token", encode=Broken(lambda example: None), template=None, special={"eos_token": "<|pad|>"}
    ),
    "pad_token_inside_an_answer": Case(
        "pad_token", [*PAIRS, {"prompt": "And?", "completion": "<|pad|> green"}], template=None
    ),
    "double_bos": Case(
        "double_bos", template="{{ bos_token }}{{ bos_token }}" + CHATML, special={"bos_token": "<s>"}
    ),
    "a_pair_of_equal_answers": Case(
        "equal", [{"prompt": "Hi?", "chosen": "Hello", "rejected": "Hello"}], Preference(400)
    ),
    "marker_around_the_users_turns": Case("answer", [TALK], Assistant(400), AROUND_USERS),
    "marker_around_everything": Case("prompt", [TALK], Assistant(400), AROUND_ALL, says="user Hi"),
    "marker_around_the_header": Case("prompt", [TALK], Assistant(400), AROUND_HEADER, says="assistant"),
    "prompt_in_the_labels": Case("prompt", encode=labels(lambda one, ids: ids), says="Which colour has lamp 1"),
    "a_word_of_the_prompt_in_the_labels": Case(
        "prompt", encode=labels(lambda one, ids: [*one[: (n := first_label(one)) - 30], *ids[n - 30 : n], *one[n:]])
    ),
    "template_repeats_the_question_in_the_answer": Case("prompt", template=ECHOING),
    "answer_loses_its_first_token": Case(
        "answer", encode=labels(lambda one, ids: [*one[: (n := first_label(one))], IGNORE, *one[n + 1 :]])
    ),
    "answer_of_another_row": Case(
        "answer", encode=Broken(lambda e: e.update(Completion(99).encode([PAIRS[0]], tokenizer(CHATML))[0], index=1))
    ),
    "template_writes_half_the_answer": Case("answer", template=HALF),
    "template_drops_later_lines": Case("answer", [{"prompt": "?", "completion": "one\ntwo"}], template=FIRST_LINE),
    "template_drops_the_reasoning": Case("answer", [{"prompt": "Colour?", "completion": [THOUGHT]}]),
    "labels_shifted_by_one": Case("shifted", encode=labels(lambda one, ids: [*one[1:], IGNORE])),
    "row_longer_than_allowed": Case(
        "max_length", [*PAIRS, {"prompt": "p" * 400, "completion": "x"}], says="row 2; .*encode.max_length=400"
    ),
    "answer_truncated": Case(
        "truncated", [*PAIRS, {"prompt": "p" * 90, "completion": "x" * 90}], Completion(150, "keep_start"), says="row 2"
    ),
    "end_truncated": Case("truncated", [{"prompt": "abc", "completion": "def"}], Completion(6, "keep_start"), None),
    "first_turns_truncated": Case("truncated", [TALK], Assistant(40, "keep_end")),
    "prompt_truncated": Case("max_length", [{"prompt": "p" * 40}], Prompts(30)),
    "empty_answer": Case("empty", [*PAIRS, {"prompt": "Colour?", "completion": " \n"}], says="row 2"),
    "empty_turn_among_others": Case("empty", [{**TALK, "prompt": said("Hi", "", "Is it red?")}], Assistant(400)),
    "empty_side_of_a_pair": Case("empty", [{"prompt": "a", "chosen": "b", "rejected": ""}], Preference(99)),
    "train_row_in_validation": Case(
        "shared", validation=[{"prompt": "New?", "completion": "Yes"}, PAIRS[1]], says="row 1 is row 1 of train"
    ),
    "train_pair_in_validation": Case(
        "shared",
        [pair := {"prompt": "a", "chosen": "b", "rejected": "c"}],
        Preference(99),
        validation=[{**pair, "id": 7}],
    ),
    "system_turn_lost": Case("turns", [SYSTEM], template=NO_SYSTEM, says="the turn of `system`"),
    "system_turn_lost_in_every_turn_training": Case("turns", [SYSTEM], Assistant(400), NO_SYSTEM, says="`system`"),
    "tool_turn_lost": Case("turns", [{**called(), "tools": None}], template=NO_TOOL, says="`(assistant|tool)`"),
    "call_lost": Case("turns", [called()], Completion(2000), NO_CALLS, says="the turn of `assistant`"),
    "call_not_learnt": Case("answer", [called()], Assistant(2000), NO_CALLS),
    "functions_lost": Case("turns", [{**PAIRS[0], "tools": called()["tools"]}], says="the function `get_weather`"),
    "prompt_to_generate_from_lacks_a_turn": Case("turns", [SYSTEM], Prompts(400), NO_SYSTEM),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str) -> None:
    case = CASES[name]
    using = tokenizer(case.template, **case.special)
    with pytest.raises(ValueError, match=r"^data: ") as raised:
        batches(case.rows, case.encode, using, case.validation)
    reason = str(raised.value)
    first = reason.splitlines()[0]
    assert RULES[case.rule].reason in first, reason
    assert RULES[case.rule].remedy in first
    assert "row" in first
    assert re.search(case.says, first), reason
    assert f"batches.allow=[{case.rule}" in reason


@pytest.mark.parametrize("name", CASES)
def test_let_pass_when_told_to(name: str) -> None:
    case = CASES[name]
    data = batches(case.rows, case.encode, tokenizer(case.template, **case.special), case.validation, allow=list(RULES))
    assert case.rule in [finding.rule for finding in data.findings]
    assert all(finding.allowed for finding in data.findings)


def test_letting_one_rule_pass_lets_no_other_pass() -> None:
    rows = [*PAIRS, {"prompt": "?", "completion": ""}]
    with pytest.raises(ValueError, match="for validation are trained on too"):
        batches(rows, Completion(400), tokenizer(CHATML), PAIRS, allow=["empty"])


def test_rules_are_known_by_name() -> None:
    with pytest.raises(
        ValueError, match=r"batches\.allow: `end_tokn` is no rule of the audit; did you mean `end_token`"
    ):
        batches(PAIRS, Completion(400), tokenizer(CHATML), allow=["end_tokn"])


def test_ten_rows_are_named() -> None:
    rows = [{"prompt": f"{i}", "completion": ""} for i in range(30)]
    with pytest.raises(ValueError, match=r"30 of 30 train rows .*row 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.; counted"):
        batches(rows, Completion(400), tokenizer(CHATML))


ENCODING = {
    "not_prefix_stable": ("{{ messages | length }}" + CHATML, [TALK], "not prefix-stable"),
    "drops_earlier_turns": (
        CHATML.replace("{% for m in messages %}", "{% for m in messages[-2:] %}"), [TALK], "not prefix-stable"
    ),
    "no_template": (None, [TALK], "tokenizer=chat"),
    "refuses_the_roles": (known_to_trl("gemma"), [SYSTEM], "chat template refuses the messages: System role"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODING)
def test_templates_that_can_not_be_used(name: str) -> None:
    template, rows, reason = ENCODING[name]
    with pytest.raises(ValueError, match=reason):
        batches(rows, Assistant(400), tokenizer(template, bos_token="<bos>"))


USER, BOT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
MALFORMED = {
    "a_role_that_is_none": ({"messages": [USER, {"role": "assistent", "content": "x"}]}, "did you mean `assistant`"),
    "a_turn_without_a_speaker": ({"messages": [USER, {"content": "x"}]}, "says neither by `role` nor by `from`"),
    "a_turn_without_a_text": ({"messages": [USER, {"role": "assistant", "content": None}]}, "must say a text"),
    "a_picture": ({"messages": [{"role": "user", "content": [{"type": "image", "url": "a"}]}, BOT]}, "must say a text"),
    "no_answer": ({"messages": [USER]}, "no message of the assistant"),
    "a_tools_result_at_the_end": ({"messages": [USER, BOT, {"role": "tool", "content": "5"}]}, "would be lost"),
    "no_list": ({"messages": 3}, "must be a list of messages"),
    "a_call_without_a_name": (
        {"messages": [USER, {"role": "assistant", "content": "", "tool_calls": [{"function": {"arguments": {}}}]}]},
        "must call a function by its `name`",
    ),
    "a_call_that_is_no_json": (
        {"conversations": [{"from": "human", "value": "x"}, {"from": "function_call", "value": "{broken"}]}, "not JSON"
    ),
    "alpaca_asks_nothing": ({"instruction": " ", "input": "", "output": "x"}, "nothing is asked"),
    "alpaca_with_a_list": ({"instruction": "a", "output": ["x"]}, "`output` must be a text"),
    "tools_without_names": ({"messages": [USER, BOT], "tools": [{"type": "function"}]}, "functions with names"),
    "a_prompt_that_is_no_text": ({"prompt": 5, "completion": "x"}, "`prompt` must be a text or a list"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_rows_that_are_refused_as_they_are_read(name: str) -> None:
    row, reason = MALFORMED[name]
    with pytest.raises(ValueError, match=r"^data\.train: row 0 \(counted from 0\): ") as raised:
        shapes.convert([row], shapes.recognise(row), "data.train")
    assert reason in str(raised.value)


def test_a_row_unlike_the_first_is_named() -> None:
    rows = [{"instruction": "a", "output": "b"}, {"instruction": "a", "output": None}]
    with pytest.raises(ValueError, match=r"row 1 .* its `output` is null"):
        shapes.convert(rows, "alpaca", "data.train")
    with pytest.raises(ValueError, match=r"data\.shape=alpacka: .*did you mean `alpaca`"):
        shapes.resolve("alpacka", rows[0])


def test_our_template_for_base_models_can_not_call_functions() -> None:
    using = tokenizer(MARKER_TEMPLATE, eos_token="<|end|>")
    with pytest.raises(ValueError, match="doesn't reach the model"):
        batches([called()], Completion(2000), using)
