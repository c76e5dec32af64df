"""Log-likelihoods against the definition, token by token."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.engine import TransformersEngine, completion_logprobs, likelihood, total

PAIRS = [([5, 6, 7], [8, 9]), ([5], [6, 7, 8, 9, 10, 11]), ([20] * 30, [21]), ([5, 6], [7])]


def by_hand(model: LlamaForCausalLM, context: list[int], completion: list[int]) -> float:
    total, ids = 0.0, list(context)
    for token in completion:
        with torch.no_grad():
            total += model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[token].item()
        ids.append(token)
    return total


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_completion_logprobs(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, batch_size: int) -> None:
    expected = [by_hand(model, context, completion) for context, completion in PAIRS]
    assert completion_logprobs(TransformersEngine(model, tokenizer, batch_size), PAIRS) == pytest.approx(
        expected, abs=1e-4
    )


def test_probabilities_of_all_continuations_sum_to_one(
    tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine
) -> None:
    logprobs = completion_logprobs(engine, [([5, 6], [token]) for token in range(len(tokenizer))])
    assert sum(torch.tensor(logprobs).exp().tolist()) == pytest.approx(1.0, abs=1e-5)


def test_first_token_and_ignored_labels_are_not_scored(model: LlamaForCausalLM, engine: TransformersEngine) -> None:
    scored = engine.score([([5, 6, 7], [5, 6, 7]), ([5, 6, 7], [-100, -100, 7]), ([5], [5])])
    assert [len(row) for row in scored] == [2, 1, 0]
    assert total(scored[2]) == 0.0
    assert total(scored[1]) == pytest.approx(by_hand(model, [5, 6], [7]), abs=1e-4)


def test_large_vocabulary_is_scored_in_small_batches(
    monkeypatch: pytest.MonkeyPatch, engine: TransformersEngine
) -> None:
    whole = completion_logprobs(engine, PAIRS)
    monkeypatch.setattr(likelihood, "MAX_LOGITS", 1)
    assert completion_logprobs(engine, PAIRS) == pytest.approx(whole, abs=1e-4)


def test_empty_context_refused(engine: TransformersEngine) -> None:
    with pytest.raises(ValueError, match="context"):
        completion_logprobs(engine, [([], [3])])
