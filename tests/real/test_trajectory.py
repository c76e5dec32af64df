"""Three steps of fine-tuning a real model have the losses of TRL's SFTTrainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from parity.trajectory import Run
from peft import LoraConfig
from transformers import AutoTokenizer

from llmcycle.model import load

pytestmark = pytest.mark.real


def sums(count: int) -> list[dict[str, list[dict[str, str]]]]:
    """Small sums in words; no two alike."""

    def turn(role: str, content: str) -> list[dict[str, Any]]:
        return [{"role": role, "content": content}]

    numbers = [(3 + 7 * i, 2 + 5 * i % 30) for i in range(count)]
    return [
        {
            "prompt": turn("user", f"Ann has {a} apples{' and no pears' * (a % 3)}. She buys {b}. How many has she?"),
            "completion": turn("assistant", f"{a} + {b} = {a + b}, so {a + b}."),
        }
        for a, b in numbers
    ]


@pytest.mark.parametrize(("method", "pack"), [("full", False), ("lora", False), ("lora", True)])
def test_three_losses_are_those_of_trl(smollm2: Path, tmp_path: Path, method: str, pack: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    lora = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear") if method == "lora" else None
    run = Run(sums(12), tokenizer, steps=3, batch=2, length=160, pack=pack, lr=1e-4, tokenised=True)
    ours, theirs = run.both(load(smollm2), lora, tmp_path)
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert len(set(ours)) == 3
