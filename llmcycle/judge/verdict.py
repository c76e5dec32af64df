"""How an engine is asked for verdicts: by the log-probability of their words, or by what it writes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from llmcycle.data import spelling
from llmcycle.data.chat import SAID, Prompt, encode_prompt, render_completion, render_prompt
from llmcycle.engine import Engine, completion_logprobs
from llmcycle.judge.rubric import Words, value_of


class Verdict(NamedTuple):
    """What a question came to.

    Args:
        value: in [0, 1]; None where the judge failed.
        said: the probability of each word, or the text that was written.
        lasting: whether asking again would give the same; a refused request would not.
    """

    value: float | None
    said: Mapping[str, float] | str
    lasting: bool = True


def verdicts(engine: Engine, questions: Sequence[Prompt], words: Words, max_new_tokens: int) -> list[Verdict]:
    """One for each question.

    Raises:
        ValueError: the engine neither scores nor answers, or it refuses every question.
    """
    if "score" in engine.offers:
        return by_probability(engine, questions, words)
    return by_text(engine, questions, words, max_new_tokens)


def by_probability(engine: Engine, questions: Sequence[Prompt], words: Words) -> list[Verdict]:
    """The mean value of the words, each weighed by how likely the answer begins with it, beside the others."""
    tokenizer, count = engine.tokenizer, len(words)
    pairs = [pair for question in questions for pair in encode(tokenizer, question, list(words))]
    nats = completion_logprobs(engine, pairs)
    return [weighed(words, nats[place * count : (place + 1) * count]) for place in range(len(questions))]


def by_text(engine: Engine, questions: Sequence[Prompt], words: Words, max_new_tokens: int) -> list[Verdict]:
    """The value of the one word in the last line of what is written; failed where it was cut or says several."""
    config = GenerationConfig(max_new_tokens=max_new_tokens, do_sample=False)
    try:
        answers = [answer for answer, *_ in engine.answer(questions, config)]
    except ValueError as error:
        return one_by_one(engine, questions, words, max_new_tokens, error)
    whole = [answer.finish == "stop" or answer.text.strip() in words for answer in answers]
    return [
        Verdict(value_of(answer.text, words) if ended else None, answer.text)
        for answer, ended in zip(answers, whole, strict=True)
    ]


def one_by_one(
    engine: Engine, questions: Sequence[Prompt], words: Words, max_new_tokens: int, error: ValueError
) -> list[Verdict]:
    """A question that alone is refused (too long, filtered) fails; where all are, the engine is at fault."""
    if len(questions) == 1:
        raise error
    found: list[Verdict] = []
    for question in questions:
        try:
            found += by_text(engine, [question], words, max_new_tokens)
        except ValueError as refused:
            found.append(Verdict(None, str(refused), lasting=False))
    if not any(verdict.lasting for verdict in found):
        raise error
    return found


def weighed(words: Words, nats: Sequence[float]) -> Verdict:
    """The verdict of the words' log-probabilities; failed where the model gives no numbers."""
    weights = torch.tensor(nats, dtype=torch.float64).softmax(0).tolist()
    said = dict(zip(words, weights, strict=True))
    if not all(map(math.isfinite, weights)):
        return Verdict(None, {})
    return Verdict(sum(weight * words[word] for word, weight in said.items()), said)


def encode(
    tokenizer: PreTrainedTokenizerBase, question: Prompt, words: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """(context ids, ids of a word) for each word, without the token that would end the answer.

    Special tokens that the question spells stay letters, as everywhere; here also without a chat template.
    """
    if tokenizer.chat_template:
        context = encode_prompt(tokenizer, question)
        before = render_completion(tokenizer, question, SAID).partition(SAID)[0]
        return [(context, spelling.encode(tokenizer, before + word)) for word in words]
    start = next((i for i in (tokenizer.bos_token_id, tokenizer.eos_token_id) if i is not None), None)
    plain = render_prompt(tokenizer, question).rstrip()
    text = str(spelling.protect(tokenizer, [{"role": "user", "content": plain}])[0]["content"])
    context = ([] if start is None else [start]) + spelling.encode(tokenizer, text)
    return [(context, spelling.encode(tokenizer, f" {word}")) for word in words]
