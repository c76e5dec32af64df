"""From prompts to answers: decoding strategies of the library, majority votes, and the likeliest of given options."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from transformers import GenerationConfig

from llmcycle.data.encode import Columns
from llmcycle.engine import Engine
from llmcycle.evaluate.multiple_choice import best, choice_logprobs, choices_of, normalise
from llmcycle.evaluate.text_match import TextMatch


@dataclass(frozen=True)
class LikeliestChoice:
    """Answers a row {"prompt", "choices", "label"} with the option that is likeliest after the prompt.

    `normalise` divides the log-likelihood by the option's length in characters.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"score"})
    rows_need: ClassVar[Columns] = (("prompt", "choices", "label"),)

    normalise: bool = False


Decoding: TypeAlias = GenerationConfig | LikeliestChoice


def decode(
    decoding: Decoding,
    engine: Engine,
    prompts: Sequence[str],
    rows: Sequence[dict[str, Any]],
    match: TextMatch,
    stop: Sequence[str] = (),
) -> list[str]:
    """One answer a prompt; a majority vote of what `match` finds in them decides several `num_return_sequences`."""
    if isinstance(decoding, LikeliestChoice):
        return _likeliest(decoding, engine, prompts, rows)
    several = engine.answer(prompts, with_stop(decoding, stop))
    return [majority([answer.text for answer in answers], match) for answers in several]


def majority(answers: Sequence[str], match: TextMatch) -> str:
    """The first of the answers that most agree with (arXiv:2203.11171); without a match, no vote."""
    extracted = [match.answer(answer) for answer in answers]
    votes = Counter(vote for vote in extracted if vote is not None)
    if not votes:
        return answers[0]
    winner = votes.most_common(1)[0][0]  # of equals the one met first
    return answers[extracted.index(winner)]


def with_stop(config: GenerationConfig, stop: Sequence[str]) -> GenerationConfig:
    """`config` that ends an answer at the texts of `stop` too."""
    if not stop:
        return config
    own = config.stop_strings or []
    extended = copy.deepcopy(config)
    extended.stop_strings = [*([own] if isinstance(own, str) else own), *stop]
    return extended


def _likeliest(
    decoding: LikeliestChoice, engine: Engine, prompts: Sequence[str], rows: Sequence[dict[str, Any]]
) -> list[str]:
    choices = [choices_of(row)[0] for row in rows]
    logprobs = choice_logprobs(engine, prompts, choices)
    if decoding.normalise:
        logprobs = [normalise(scores, options) for scores, options in zip(logprobs, choices, strict=True)]
    return [options[best(scores)] for scores, options in zip(logprobs, choices, strict=True)]
