"""Multiple choice in a chat, against a model of known likelihoods and against log-likelihoods computed by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from conftest import byte_tokenizer
from oracle import Uniform
from transformers import LlamaForCausalLM

from llmcycle.data.chat import encode_prompt, encode_text, set_chat_template
from llmcycle.engine import TransformersEngine
from llmcycle.evaluate.chat_choice import ChatChoice

ROWS = [
    {"prompt": "a or bc?", "choices": ["a", "bc"], "label": 0, "measures": "cheaper", "chance": 0.5},
    {"prompt": "bc or a?", "choices": ["bc", "a"], "label": 1, "measures": "cheaper", "chance": 0.5},
    {"prompt": "a or bb?", "choices": ["a", "bb"], "label": 1, "measures": "cheaper", "chance": 0.5},
]
SAYS_BC = Uniform(lambda prompt: "bc", logprob=-1.0)


def test_a_name_is_chosen_by_its_likelihood_and_one_that_is_no_choice_is_counted() -> None:
    scores = ChatChoice(SimpleNamespace(train=[], validation=ROWS))(SAYS_BC)
    assert scores["chat_accuracy"].values == [1.0, 1.0, 0.0], "the shorter one is likelier"
    assert scores["malformed"].values == [0.0, 0.0, 1.0]
    assert scores["malformed"].better == "lower"
    assert (scores["cheaper"].values, scores["cheaper"].chance) == ([1.0, 1.0, 0.0], 0.5)


def test_likelihoods_are_those_of_the_answer_after_the_rendered_prompt(model: LlamaForCausalLM) -> None:
    tokenizer = set_chat_template(byte_tokenizer())
    right = []
    for row in ROWS:
        prompt, totals = encode_prompt(tokenizer, str(row["prompt"])), []
        for option in row["choices"]:  # type: ignore[attr-defined]
            ids = encode_text(tokenizer, option)
            with torch.no_grad():
                logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
            totals.append(logits.log_softmax(-1).gather(1, torch.tensor(ids)[:, None]).sum().item())
        right.append(float(totals.index(max(totals)) == row["label"]))
    engine = TransformersEngine(model, tokenizer)
    assert ChatChoice(SimpleNamespace(train=[], validation=ROWS))(engine)["chat_accuracy"].values == right


def test_rows_without_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="choices"):
        ChatChoice(SimpleNamespace(train=[], validation=[{"prompt": "a", "answer": "b"}]))(SAYS_BC)
