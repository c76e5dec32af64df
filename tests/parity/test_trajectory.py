"""Twenty steps of fine-tuning have the losses of TRL's SFTTrainer."""

from __future__ import annotations

from pathlib import Path

import pytest
from parity.trajectory import Run
from peft import LoraConfig
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.data.chat import set_chat_template

LORA = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
WORDS = ["blue", "oak", "lamp", "shop", "chair", "price", "maker", "room"]


def chats(count: int) -> list[dict[str, list[dict[str, str]]]]:
    """Prompts and completions of mixed length; no two alike."""

    def words(number: int, most: int) -> str:
        return " ".join(WORDS[(number * (i + 1)) % 8] for i in range(number % most + 1))

    return [
        {
            "prompt": [{"role": "user", "content": f"{i} {words(i, 5)}?"}],
            "completion": [{"role": "assistant", "content": words(3 * i + 1, 4)}],
        }
        for i in range(count)
    ]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("pack", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_twenty_losses_are_those_of_trl(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    method: str,
    pack: bool,
    accumulate: int,
) -> None:
    set_chat_template(tokenizer)
    run = Run(chats(40), tokenizer, steps=20, batch=4, length=160, pack=pack, accumulate=accumulate)
    ours, theirs = run.both(model, LORA if method == "lora" else None, tmp_path)
    assert len(ours) == len(theirs) == 20
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert ours[-1] < ours[0] - 0.01, "it learns, so that a wrong update would show"
