"""Rollouts of several turns: a policy answers, an environment says something to it, and the policy answers again.

What the environment says stands in the row and is not learnt: its labels are those of the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.align.rollouts import Rollouts, Sampling, labelled, spread
from llmcycle.data.chat import IGNORE, encode_reply
from llmcycle.data.padding import pad
from llmcycle.engine import Answer, Engine, seeded


class Environment(Protocol):
    """One conversation's other side. A new one is made for every answer."""

    def reset(self, row: Mapping[str, Any]) -> None:
        """The row of the data that the conversation is about."""
        ...

    def step(self, answer: str) -> str | None:
        """What is said to an answer; None ends the conversation."""
        ...


@dataclass
class Conversation:
    """One row of tokens as it grows.

    Args:
        ids, labels: so far; -100 on the prompt and on what the environment said.
        drawn: log-probabilities of the policy's own tokens under the engine that drew them.
        text, last: the last answer, and its tokens.
        stopped: whether the last answer ended by itself.
        over: whether nothing more is said.
    """

    environment: Environment
    ids: list[int]
    labels: list[int]
    drawn: list[float] = field(default_factory=list)
    text: str = ""
    last: list[int] = field(default_factory=list)
    stopped: bool = False
    over: bool = False

    def hear(self, answer: Answer) -> None:
        """Take the policy's turn."""
        self.ids += answer.token_ids
        self.labels += answer.token_ids
        self.drawn += answer.logprobs or ()
        self.text, self.last, self.stopped = answer.text, list(answer.token_ids), answer.finish == "stop"

    def go_on(self, tokenizer: PreTrainedTokenizerBase, last: bool) -> None:
        """Take the environment's turn, but after the last one, and after an answer that was cut: it has no end."""
        said = self.environment.step(self.text) if self.stopped and not last else None
        self.over = said is None
        if said is not None:
            tokens = encode_reply(tokenizer, said, self.ids[-1])
            self.ids += tokens
            self.labels += [IGNORE] * len(tokens)


def converse(
    engine: Engine,
    prompts: Mapping[str, Tensor],
    rows: Sequence[Mapping[str, Any]],
    sampling: Sampling,
    seed: int,
    environment: Callable[[], Environment],
    turns: int,
    logprobs: bool = False,
) -> Rollouts:
    """As `roll_out`, with an environment that may say something after each turn but the last.

    Rewards see the last answer of each conversation.

    Args:
        rows: of the data, one a prompt.
        turns: of the policy, at most.
    """
    talks = begun(prompts, rows, environment, sampling.group_size)
    for turn in range(turns):
        if active := [talk for talk in talks if not talk.over]:
            with seeded(seed + turn, prompts["input_ids"].device):
                answers = answered(engine, active, sampling, logprobs)
            for talk, answer in zip(active, answers, strict=True):
                talk.hear(answer)
                talk.go_on(engine.tokenizer, last=turn == turns - 1)
    pad_id = cast(int, engine.tokenizer.pad_token_id)
    batch = labelled([talk.ids for talk in talks], [talk.labels for talk in talks], pad_id, prompts["input_ids"].device)
    return Rollouts(
        batch=batch,
        texts=[talk.text for talk in talks],
        completion_ids=[talk.last for talk in talks],
        stopped=[talk.stopped for talk in talks],
        logprobs=spread(batch, [talk.drawn for talk in talks]) if logprobs else None,
    )


def begun(
    prompts: Mapping[str, Tensor],
    rows: Sequence[Mapping[str, Any]],
    environment: Callable[[], Environment],
    group_size: int,
) -> list[Conversation]:
    """Several conversations on each prompt."""
    talks = []
    for ids, mask, row in zip(prompts["input_ids"], prompts["attention_mask"].bool(), rows, strict=True):
        for _ in range(group_size):
            head = ids[mask].tolist()
            talks.append(Conversation(environment(), head, [IGNORE] * len(head)))
            talks[-1].environment.reset(row)
    return talks


def answered(engine: Engine, talks: Sequence[Conversation], sampling: Sampling, logprobs: bool) -> list[Answer]:
    """The policy's next turn in each conversation."""
    batch = {
        "input_ids": pad([talk.ids for talk in talks], cast(int, engine.tokenizer.pad_token_id), left=True),
        "attention_mask": pad([[1] * len(talk.ids) for talk in talks], 0, left=True),
    }
    return [answer for (answer,) in engine.sample(batch, sampling.generation(answers=1), logprobs)]
