"""What a training run is fed."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from llmcycle.data.batches import Batches
from llmcycle.data.encode import Completion, Packed, Preference, Prompts
from llmcycle.pretrain import ByteLevelBPE


@dataclass
class Rows:
    train: list[dict[str, Any]]
    validation: list[dict[str, Any]] = field(default_factory=list)


def batches(rows: list[dict[str, Any]], tokenizer: Any, encode: Any = None, seed: int = 0) -> Batches:
    return Batches(Rows(rows), encode or Completion(8), tokenizer, batch_size=2, eval_batch_size=2, seed=seed)


ROWS = [{"prompt": f"p{i}", "completion": "c"} for i in range(9)]


def order(data: Batches, count: int = 5) -> list[list[list[int]]]:
    return [batch["input_ids"].tolist() for batch in islice(data.train_dataloader(), count)]


def test_the_order_is_that_of_the_seed(tokenizer: PreTrainedTokenizerFast) -> None:
    assert order(batches(ROWS, tokenizer)) == order(batches(ROWS, tokenizer))
    assert order(batches(ROWS, tokenizer)) != order(batches(ROWS, tokenizer, seed=1))


def test_an_interrupted_run_gets_the_batches_that_it_has_not_had(tokenizer: PreTrainedTokenizerFast) -> None:
    resumed = batches(ROWS, tokenizer)
    resumed.load_state_dict({"position": 7})
    assert order(resumed) == order(batches(ROWS, tokenizer), 12)[7:]


def test_rows_without_a_label_are_refused_by_their_places(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [*ROWS[:2], {"prompt": "far too long for eight", "completion": "c"}, ROWS[3]]
    with pytest.raises(ValueError, match=r"1 of 4 train rows.*row 2;.*encode\.max_length=8"):
        batches(rows, tokenizer)


def test_a_pair_needs_a_label_on_both_sides(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.eos_token = None
    rows = [{"prompt": "a", "chosen": "b", "rejected": ""}]
    with pytest.raises(ValueError, match="row 0;"):
        batches(rows, tokenizer, Preference(8))


def test_prompts_need_no_label(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(batches(ROWS, tokenizer, Prompts(8)).train) == len(ROWS)


def test_no_rows_are_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="no training row"):
        batches([], tokenizer)


def test_a_tokenizer_that_does_not_exist_yet_is_trained_on_the_rows() -> None:
    data = batches([{"text": "oak oak oak oak", "kind": "zzz zzz"}], ByteLevelBPE(270), Packed(16))
    tokens = set(data.tokenizer.get_vocab())
    assert "Ġoak" in tokens
    assert "zz" not in tokens, "only what the model will read counts"


def test_the_probe_is_a_plain_padded_batch(tokenizer: PreTrainedTokenizerFast) -> None:
    probe = batches([ROWS[0], {"prompt": "longer", "completion": "c"}], tokenizer).probe()
    assert set(probe) == {"input_ids", "attention_mask"}
    assert probe["attention_mask"].sum(1).tolist() == [4, 8]
    pairs = batches([{"prompt": "a", "chosen": "b", "rejected": "c"}], tokenizer, Preference(8)).probe()
    assert pairs["input_ids"].shape == (1, 3)


def test_without_validation_rows_there_is_nothing_to_validate(tokenizer: PreTrainedTokenizerFast) -> None:
    assert batches(ROWS, tokenizer).val_dataloader() == []
