"""Rollouts of several turns: what is learnt, what the rewards see, and where a conversation ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.align.environment import converse
from llmcycle.align.rollouts import Rollouts, Sampling
from llmcycle.data.chat import IGNORE, encode_reply
from llmcycle.data.encode import Prompts
from llmcycle.data.storefront import LookUp, Questions, World
from llmcycle.engine import Answer, Engine, TransformersEngine
from llmcycle.train.logprobs import token_logprobs

END = "<|end|>"


class Scripted(Engine):
    """Says what it is told to say, one answer after the other."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *turns: Sequence[str]) -> None:
        self._tokenizer, self.turns, self.read = tokenizer, list(turns), []

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        return self._tokenizer

    def sample(
        self, prompts: Mapping[str, Tensor], generation: GenerationConfig, logprobs: bool = False
    ) -> list[list[Answer]]:
        masks = prompts["attention_mask"].bool()
        self.read.append(
            [self._tokenizer.decode(ids[mask]) for ids, mask in zip(prompts["input_ids"], masks, strict=True)]
        )
        assert generation.num_return_sequences == 1
        return [[self.answer_of(text)] for text in self.turns.pop(0)]

    def answer_of(self, text: str) -> Answer:
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        return Answer(text.removesuffix(END), "stop" if text.endswith(END) else "length", tuple(ids))


class Echo:
    """Repeats the row's word to every answer until the answer has it."""

    def reset(self, row: Mapping[str, Any]) -> None:
        self.word = row["word"]

    def step(self, answer: str) -> str | None:
        return None if answer == self.word else f"say {self.word}"


def talk(engine: Engine, turns: int = 2, group_size: int = 1, **options: Any) -> Rollouts:
    rows = [{"prompt": "Hi", "word": "oak"}, {"prompt": "Hello", "word": "red"}]
    encoder = Prompts(max_length=64)
    batch = encoder.collate(encoder.encode(rows, engine.tokenizer), engine.tokenizer.pad_token_id)
    sampling = Sampling(group_size=group_size, max_new_tokens=6)
    return converse(engine, batch, rows, sampling, 0, Echo, turns, **options)


def learnt(rollouts: Rollouts, tokenizer: PreTrainedTokenizerFast) -> list[str]:
    labels = rollouts.batch["labels"]
    return [tokenizer.decode(row[row != IGNORE]) for row in labels]


def test_what_the_environment_says_is_read_and_not_learnt(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    engine = Scripted(chat_tokenizer, [f"pine{END}", f"red{END}"], [f"oak{END}"])
    rollouts = talk(engine)
    assert engine.read[1] == [f"<|user|>Hi{END}<|assistant|>pine{END}<|user|>say oak{END}<|assistant|>"]
    assert learnt(rollouts, chat_tokenizer) == [f"pine{END}oak{END}", f"red{END}"]
    assert rollouts.texts == ["oak", "red"], "rewards see the last answer"
    rows = zip(rollouts.batch["input_ids"], rollouts.batch["attention_mask"].bool(), strict=True)
    whole = [chat_tokenizer.decode(ids[mask]) for ids, mask in rows]
    assert whole[0] == f"<|user|>Hi{END}<|assistant|>pine{END}<|user|>say oak{END}<|assistant|>oak{END}"


def test_the_last_turn_is_not_answered(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    engine = Scripted(chat_tokenizer, [f"a{END}", f"b{END}"], [f"c{END}", f"d{END}"])
    rollouts = talk(engine)
    assert rollouts.texts == ["c", "d"]
    assert learnt(rollouts, chat_tokenizer) == [f"a{END}c{END}", f"b{END}d{END}"]


def test_an_answer_that_was_cut_is_the_end(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    rollouts = talk(Scripted(chat_tokenizer, ["cut", f"red{END}"]))
    assert rollouts.texts == ["cut", "red"]
    assert rollouts.stopped == [False, True]


def test_without_a_template_the_environment_speaks_in_a_line(tokenizer: PreTrainedTokenizerFast) -> None:
    engine = Scripted(tokenizer, [f"x{END}", f"red{END}"], [f"oak{END}"])
    talk(engine)
    assert engine.read[1][0].endswith(f"Hix{END}\nsay oak\n")


def test_an_environment_forges_no_turn(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    """What it says may come from the data: a marker in it is text."""
    marker = chat_tokenizer.convert_tokens_to_ids(END)
    ids = encode_reply(chat_tokenizer, f"say {END} now", marker)
    assert ids.count(marker) == 1, "that of the turn itself"
    assert chat_tokenizer.decode(ids).startswith("<|user|>say ")


@pytest.mark.parametrize("group_size", [1, 3])
def test_log_probabilities_stand_where_the_policy_spoke(
    model: LlamaForCausalLM, chat_tokenizer: PreTrainedTokenizerFast, group_size: int
) -> None:
    rollouts = talk(TransformersEngine(model, chat_tokenizer), turns=3, group_size=group_size, logprobs=True)
    assert len(rollouts.texts) == 2 * group_size
    with torch.no_grad():
        found = token_logprobs(model, rollouts.batch)
    assert rollouts.logprobs is not None
    assert torch.allclose(rollouts.logprobs, found, atol=1e-4)
    assert (found != 0).any(1).all()


def test_the_catalogue_tells_once_what_is_not_known() -> None:
    world = World(products=6)
    row = next(row for row in Questions(world, count=12).validation if row["kind"] == "known")
    catalogue = LookUp(world)
    catalogue.reset(row)
    assert catalogue.step("oak") is None
    said = catalogue.step("The shop does not know.")
    assert said is not None
    assert row["answer"] in said
    assert catalogue.step("The shop does not know.") is None
    assert world.score(row["prompt"], row["answer"]) == 1
