"""Forgetting is measured on plain text, in the same way before and after a model learns to chat."""

from __future__ import annotations

from math import log
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.data.chat import END, set_chat_template
from llmcycle.engine import TransformersEngine
from llmcycle.evaluate import compare
from llmcycle.evaluate.forgetting import Forgetting

TEXTS = ["The Alder lamp's colour is red.", "Größe: 5", "xyz", "It is made in Bergen."]
ROWS = SimpleNamespace(validation=[{"text": text} for text in TEXTS])


def test_it_is_the_library_loss_of_the_text_alone(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine
) -> None:
    with torch.no_grad():
        ids = [tokenizer(text, return_tensors="pt")["input_ids"] for text in TEXTS]
        nats = [float(model(input_ids=row, labels=row).loss) * (row.shape[1] - 1) for row in ids]
    scores = Forgetting(ROWS, max_length=64)(engine)["general_bits_per_byte"]
    assert scores.mean == pytest.approx(sum(nats) / log(2) / sum(len(text.encode()) for text in TEXTS), abs=1e-5)
    assert scores.better == "lower"


def test_a_chat_template_and_its_end_token_change_nothing(
    tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine
) -> None:
    before = Forgetting(ROWS)(engine)
    set_chat_template(tokenizer)
    assert tokenizer.eos_token == END
    after = Forgetting(ROWS)(engine)
    metric = compare(before, after)["general_bits_per_byte"]
    assert metric.value == metric.before
    assert metric.interval == (0.0, 0.0)


def test_what_is_unlearnt_shows(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine
) -> None:
    rows = SimpleNamespace(validation=[{"text": f"The lamp of room {i} is red."} for i in range(12)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    ids = torch.tensor([tokenizer(row["text"])["input_ids"][:24] for row in rows.validation])

    def learn(steps: int, ids: torch.Tensor) -> None:
        for _ in range(steps):
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    learn(30, ids)
    known = Forgetting(rows)(engine)
    learn(30, ids.flip(1))
    metric = compare(known, Forgetting(rows)(engine))["general_bits_per_byte"]
    assert metric.value > metric.before
    assert metric.interval[0] > 0


def test_the_drawn_rows_are_the_same_every_time(engine: TransformersEngine) -> None:
    few = [Forgetting(ROWS, limit=2, seed=s)(engine)["general_bits_per_byte"].rows for s in (1, 1, 2, 3)]
    assert few[0] == few[1]
    assert len({tuple(rows) for rows in few}) > 1
    assert set(few[0]) < set(Forgetting(ROWS)(engine)["general_bits_per_byte"].rows)


@pytest.mark.parametrize("rows", [[], [{"prompt": "a", "completion": "b"}]])
def test_rows_without_text_are_refused(rows: list[dict[str, str]], engine: TransformersEngine) -> None:
    with pytest.raises(ValueError, match=r"evaluate\.forgetting\.rows: .* `text`"):
        Forgetting(SimpleNamespace(validation=rows))(engine)
