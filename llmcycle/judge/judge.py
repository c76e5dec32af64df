"""A judge: an engine that is asked what answers are worth, one by one or against each other."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any, ClassVar

from llmcycle.data.chat import Prompt
from llmcycle.data.encode import Columns
from llmcycle.engine import Engine
from llmcycle.judge.cache import Cache, key
from llmcycle.judge.rubric import Rubric, Words
from llmcycle.judge.verdict import Verdict, verdicts

CHUNK = 64  # questions between two writes to the disk

Value = float | None  # in [0, 1]; None where the judge failed


class Judge:
    """Asks `engine` for verdicts under `rubric`; as a reward it rates.

    An engine that scores given tokens is asked for the log-probability of each word of a verdict, and the verdict is
    their mean value; any other one writes its verdict as text. A verdict that can't be read is None, never a zero, and
    is counted in `failed`.

    Args:
        engine: see above.
        rubric: what is asked.
        cache: a folder that keeps the verdicts by their content, for all judges and processes; None for memory alone.
        swap: whether two answers are also shown the other way round, and the mean is taken.
    """

    neutral: ClassVar[frozenset[str]] = frozenset({"cache"})  # settings that change no result
    none_is_failure: ClassVar[bool] = True  # as a reward: None says nothing of the answer
    model_kind: ClassVar[str] = "causal"  # of an engine in this process
    rows_need: ClassVar[Columns] = (("prompt",),)

    def __init__(self, engine: Engine, rubric: Rubric, cache: str | None = None, swap: bool = True) -> None:
        self.engine, self.rubric, self.swap = engine, rubric, swap
        self.cache = Cache(cache)
        self.asked = self.failed = 0  # verdicts

    def __call__(self, prompts: Sequence[Prompt], completions: Sequence[str], **_: Sequence[Any]) -> list[Value]:
        """`rate`, as a reward is called."""
        return self.rate(prompts, completions)

    def rate(
        self, prompts: Sequence[Prompt], answers: Sequence[str], criteria: Sequence[str] | None = None
    ) -> list[Value]:
        """What each answer is worth, in [0, 1]; None where the judge failed.

        Args:
            criteria: of each row, in the place of the rubric's own.
        """
        rows = zip(prompts, answers, self._criteria(prompts, criteria), strict=True)
        return self._ask([self.rubric.rating(*row) for row in rows], self.rubric.ratings or {})

    def prefer(
        self,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        criteria: Sequence[str] | None = None,
    ) -> list[Value]:
        """The probability that the first answer is the better one, a tie counting half; None where the judge failed.

        With `swap` it is the mean over both orders, and fails where one of them does.
        """
        return [mean(values) for values in self.orders(prompts, first, second, criteria)]

    def orders(
        self,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        criteria: Sequence[str] | None = None,
    ) -> list[tuple[Value, ...]]:
        """The same for each order: the first answer shown first, and with `swap` also shown second."""
        wishes = self._criteria(prompts, criteria)
        rows = list(zip(prompts, first, second, wishes, strict=True))
        questions = [self.rubric.comparison(*row) for row in rows]
        if self.swap:
            questions += [self.rubric.comparison(prompt, b, a, wish) for prompt, a, b, wish in rows]
        values = self._ask(questions, self.rubric.preferences or {})
        if not self.swap:
            return [(value,) for value in values]
        shown_second = [None if value is None else 1 - value for value in values[len(rows) :]]
        return list(zip(values[: len(rows)], shown_second, strict=True))

    def describe(self) -> dict[str, str]:
        """What is asked, for records."""
        return self.engine.describe()

    def _criteria(self, prompts: Sequence[Prompt], criteria: Sequence[str] | None) -> Sequence[str | None]:
        return [None] * len(prompts) if criteria is None else criteria

    def _ask(self, questions: Sequence[str], words: Words) -> list[Value]:
        keys = self._keys(questions, words)
        self.cache.refresh()
        new = {name: text for name, text in zip(keys, questions, strict=True) if name not in self.cache.verdicts}
        for start in range(0, len(new), CHUNK):
            names = list(new)[start : start + CHUNK]
            asked = verdicts(self.engine, [new[name] for name in names], words, self.rubric.max_new_tokens)
            self.cache.add(dict(zip(names, asked, strict=True)))
        found: list[Verdict] = [self.cache.verdicts[name] for name in keys]
        self.asked += len(found)
        self.failed += sum(verdict.value is None for verdict in found)
        return [verdict.value for verdict in found]

    def _keys(self, questions: Sequence[str], words: Words) -> list[str]:
        if not questions:
            return []
        facts = identity(self.engine)
        return [key(facts, dict(words), self.rubric.max_new_tokens, question) for question in questions]


def identity(engine: Engine) -> dict[str, str]:
    """What is asked, wherever it lies: of weights in this process the digest and the chat template."""
    if "score" not in engine.offers:
        return engine.describe()
    facts = {name: fact for name, fact in engine.describe().items() if name not in ("path", "model")}
    return {**facts, "chat_template": str(engine.tokenizer.chat_template)}


def mean(values: Sequence[Value]) -> Value:
    """None where one of them is."""
    there = [value for value in values if value is not None]
    return fmean(there) if len(there) == len(values) else None
