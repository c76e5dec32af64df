"""What every evaluator keeps to: rows that are known by digests, a limit that takes the first, intervals on all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from transformers import ModernBertConfig, ModernBertForMaskedLM, PreTrainedTokenizerFast

from llmcycle.align.rewards import Length, Match
from llmcycle.data.masked import Masked
from llmcycle.data.storefront import World
from llmcycle.engine import TransformersEngine
from llmcycle.evaluate import compare
from llmcycle.evaluate.evaluator import limited
from llmcycle.evaluate.exact_match import ExactMatch
from llmcycle.evaluate.forgetting import Forgetting
from llmcycle.evaluate.hhh import HHH
from llmcycle.evaluate.loss import HeldOutLoss
from llmcycle.evaluate.masked_loss import MaskedLoss
from llmcycle.evaluate.mean_reward import MeanReward
from llmcycle.evaluate.multiple_choice import MultipleChoice
from llmcycle.evaluate.preference import PreferenceAccuracy

WORDS = ("red", "blue", "oak", "tin")
ROWS = {
    "text": [{"text": f"Lamp {i} is {WORDS[i % 4]} and {'very ' * i}large.", "source": "ab"[i % 2]} for i in range(8)],
    "answers": [{"prompt": f"Lamp {i}?", "completion": WORDS[i % 4]} for i in range(8)],
    "pairs": [{"prompt": f"Lamp {i}?", "chosen": WORDS[i % 4], "rejected": "no"} for i in range(8)],
    "choices": [{"prompt": f"Lamp {i}?", "choices": list(WORDS), "label": i % 4} for i in range(8)],
}


def rows(kind: str) -> Any:
    return SimpleNamespace(train=ROWS[kind], validation=ROWS[kind])


EVALUATORS = {
    "exact_match": lambda: ExactMatch(rows("answers")),
    "held_out_loss": lambda: HeldOutLoss(rows("text")),
    "held_out_loss of answers": lambda: HeldOutLoss(rows("answers")),
    "forgetting": lambda: Forgetting(rows("text")),
    "preference_accuracy": lambda: PreferenceAccuracy(rows("pairs")),
    "mean_reward": lambda: MeanReward(rows("answers"), {"right": Match(column="completion"), "long": Length(4, 1.0)}),
    "multiple_choice": lambda: MultipleChoice(rows("choices")),
    "hhh": lambda: HHH(World(products=12), count=12, max_new_tokens=2),
}


@pytest.mark.parametrize("name", EVALUATORS)
def test_rows_limits_and_intervals(name: str, engine: TransformersEngine) -> None:
    evaluator = EVALUATORS[name]()
    whole, few = (
        evaluator(engine),
        limited(name, evaluator, 5)(engine),
    )
    assert evaluator.limit != 5, "only a copy of it is limited"
    first = next(iter(whole))
    assert len(few[first].values) == 5
    for score, scores in few.items():
        n = len(scores.values)
        assert scores.rows == whole[score].rows[:n]
        assert scores.values == pytest.approx(whole[score].values[:n], abs=1e-4)
    for metric in [*compare(None, whole).values(), *compare(whole, whole).values()]:
        assert metric.interval is not None
    assert len(set(whole[first].rows)) == len(whole[first].rows)


def test_masked_rows(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.add_special_tokens({"mask_token": "<|mask|>"})
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = ModernBertConfig(vocab_size=len(tokenizer), **sizes, pad_token_id=0, attn_implementation="sdpa")
    evaluator = MaskedLoss(rows("text"), Masked(64))
    model = ModernBertForMaskedLM(config).eval()
    whole, few = (
        evaluator(TransformersEngine(model, tokenizer)),
        limited("masked_loss", evaluator, 3)(TransformersEngine(model, tokenizer)),
    )
    assert len(few["masked_loss"].values) < len(whole["masked_loss"].values)
    assert len(set(whole["masked_loss"].rows)) == len(whole["masked_loss"].values)
    assert compare(whole, whole)["masked_accuracy"].interval is not None


def test_an_evaluator_without_a_limit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"evaluate\.mine: .* set callbacks\.judge\.rows=null"):
        limited("mine", object(), 3)
