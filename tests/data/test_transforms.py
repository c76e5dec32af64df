"""Rows of well-known data sets."""

from __future__ import annotations

import pytest

from llmcycle.data.transforms import final_answer, hh_dialogues, lettered_options, true_answers


def test_gsm8k() -> None:
    row = final_answer({"prompt": "?", "completion": "48/2 = <<48/2=24>>24\n#### 1,072"})
    assert row["answer"] == "1072"
    assert row["completion"].startswith("48/2")


SHARED = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: A joke?\n\nAssistant:"


def test_hh_rlhf() -> None:
    row = hh_dialogues({"chosen": f"{SHARED} Knock,\n\nknock.", "rejected": f"{SHARED} No."})
    assert row["prompt"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "A joke?"},
    ]
    assert (row["chosen"], row["rejected"]) == ("Knock,\n\nknock.", "No.")


def test_hh_rlhf_dialogues_that_part_early() -> None:
    row = hh_dialogues(
        {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello\n\nAssistant: Yes", "rejected": "\n\nHuman: Hi\n\nAssistant: Go"}
    )
    assert [message["content"] for message in row["prompt"]] == ["Hi"]
    assert (row["chosen"], row["rejected"]) == ("Hello", "Go")


@pytest.mark.parametrize("other", ["", "\n\nHuman: Hi", "\n\nHuman: Bye\n\nAssistant: Go"])
def test_hh_rlhf_refuses_what_is_no_pair(other: str) -> None:
    with pytest.raises(ValueError, match="dialogue"):
        hh_dialogues({"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": other})


def test_multiple_choice() -> None:
    row = {"prompt": "dresser", "options": "A. replace A. drawer \nB. finish it", "answer": "B. finish it"}
    assert lettered_options(row) == {"prompt": "dresser", "choices": ["replace A. drawer", "finish it"], "label": 1}
    with pytest.raises(ValueError, match="none of its options"):
        lettered_options({**row, "answer": "C. other"})


def test_truthfulqa() -> None:
    both = {"prompt": "Seeds?", "correct": "Nothing happens ", "incorrect": ["They grow", " ", "You die"]}
    choices = ["Nothing happens", "They grow", "You die"]
    assert true_answers(both) == {"prompt": "Seeds?", "completion": choices[0], "choices": choices, "label": 0}
    several = {"prompt": "Seeds?", "correct": ["Nothing happens", "They pass"], "question": "Seeds?"}
    assert true_answers(several) == {"prompt": "Seeds?", "completion": "Nothing happens"}
    with pytest.raises(ValueError, match="this one has none"):
        true_answers({"prompt": "Seeds?", "correct": [], "incorrect": ["They grow"]})
