"""Multiple choice against log-likelihoods computed by hand."""

from __future__ import annotations

from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.engine import TransformersEngine
from llmcycle.evaluate.multiple_choice import MultipleChoice, choice_logprobs, choices_of, fill, split_ids
from llmcycle.evaluate.truthful import Truthful

ROWS = [
    {"prompt": "How do you puncture a vein?", "choices": ["pop it", "hit it at the wrong angle"], "label": 1},
    {"prompt": "hands", "choices": ["put on shoe", "put on milk jug", "x"], "label": 0},
    {"prompt": "dresser", "choices": ["bobby pin", "wood, grain"], "label": 0},
    {"prompt": "To crimp the edges", "choices": ["Use a knife", "Use a fork"], "label": 1},
]


def by_hand(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str, choice: str) -> float:
    """Sum over the option's bytes of log p(byte | all before), one forward pass each."""
    total = 0.0
    ids = tokenizer(prompt)["input_ids"]
    for token in tokenizer(" " + choice)["input_ids"]:
        with torch.no_grad():
            total += model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[token].item()
        ids = [*ids, token]
    return total


def test_against_hand_computed_likelihood(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine
) -> None:
    prompts = [f"Question: {row['prompt']}\nAnswer:" for row in ROWS]
    expected = [[by_hand(model, tokenizer, p, c) for c in r["choices"]] for p, r in zip(prompts, ROWS, strict=True)]
    choices = [row["choices"] for row in ROWS]
    found = choice_logprobs(TransformersEngine(model, tokenizer, batch_size=3), prompts, choices)
    assert [len(row) for row in found] == [2, 3, 2, 2]
    assert list(chain(*found)) == pytest.approx(list(chain(*expected)), abs=1e-3)

    scores = MultipleChoice(SimpleNamespace(validation=ROWS), template="Question: {prompt}\nAnswer:")(engine)
    right = [
        float(max(range(len(e)), key=e.__getitem__) == row["label"]) for e, row in zip(expected, ROWS, strict=True)
    ]
    per_character = [
        [e / len(c) for e, c in zip(es, cs, strict=True)] for es, cs in zip(expected, choices, strict=True)
    ]
    right_normalised = [float(e.index(max(e)) == row["label"]) for e, row in zip(per_character, ROWS, strict=True)]
    assert scores["accuracy"].values == right
    assert scores["accuracy_normalised"].values == right_normalised


def test_the_true_answer_against_the_false_ones(engine: TransformersEngine) -> None:
    rows = SimpleNamespace(validation=ROWS)
    whole = MultipleChoice(rows)(engine)["accuracy"]
    assert {"truthful": whole} == Truthful(rows)(engine), "by the whole log-likelihood"
    assert 0 < whole.mean < 1


def test_context_and_continuation_are_cut_between_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    assert split_ids(tokenizer, "ab ", "cd") == (tokenizer("ab")["input_ids"], tokenizer(" cd")["input_ids"])
    assert split_ids(tokenizer, "", "c")[0] == [tokenizer.eos_token_id]


@pytest.mark.parametrize("label", [1, "1"])
def test_choices_and_label(label: Any) -> None:
    assert choices_of({"choices": [" pop it", "hit it"], "label": label}) == (["pop it", "hit it"], 1)


def test_wrong_rows_refused() -> None:
    with pytest.raises(ValueError, match=r"only sol1, label.*data\.columns\.choices"):
        choices_of({"sol1": "a", "label": 0})
    with pytest.raises(ValueError, match="2 is no place"):
        choices_of({"choices": ["a", "b"], "label": 2})


def test_template_fills_columns_once() -> None:
    assert fill("{prompt} {x}!", {"prompt": "{x}", "x": 3}) == "{x} 3!"
    with pytest.raises(ValueError, match=r"\{question\} is no column.*prompt"):
        fill("{question}", {"prompt": "a"})
