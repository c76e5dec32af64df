"""What a constitution is made of (arXiv:2212.08073): principles, and the dialogue in which an answer is reviewed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from llmcycle.data.chat import Message, Prompt, as_messages


class Turn(Enum):
    """The turns of a review, in order: what is wrong, whether the answer must be changed, and a better answer."""

    CRITIQUE = "critique"
    VERDICT = "verdict"
    REVISION = "revision"


@dataclass(frozen=True)
class Principle:
    """One principle, in words that a model is asked with.

    Args:
        critique: asks, behind an answer, what is wrong with it.
        verdict: asks, behind the critique, whether the answer must be changed.
        revision: asks, behind the verdict, for a better answer.
        comparison: says which of two answers is the better one: the criterion of a judge.
        wrong, good: the two replies to `verdict`: the answer must be changed, or may stay.
    """

    critique: str
    verdict: str
    revision: str
    comparison: str
    wrong: str = "Yes"
    good: str = "No"


Constitution = Mapping[str, Principle]  # by name


def dialogue(principle: Principle, prompt: Prompt, answer: str, said: Mapping[Turn, str], turn: Turn) -> list[Message]:
    """The messages that ask for a turn of the review, with those turns before it that were `said`."""
    messages = [*as_messages(prompt), {"role": "assistant", "content": answer}]
    for each in said:
        messages += [{"role": "user", "content": getattr(principle, each.value)}]
        messages += [{"role": "assistant", "content": said[each]}]
    return [*messages, {"role": "user", "content": getattr(principle, turn.value)}]
