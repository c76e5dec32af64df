"""Multiple choice in a chat: the option that the model would rather answer, and what it really answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from llmcycle.data.chat import encode_text
from llmcycle.data.encode import Columns
from llmcycle.engine import Engine, completion_logprobs, texts
from llmcycle.engine.generation import encode_prompts
from llmcycle.evaluate.exact_match import ExactMatch, by_measure
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.multiple_choice import best, choices_of
from llmcycle.evaluate.scores import Scores, row_id


class ChatChoice(ExactMatch):
    """`chat_accuracy`: 1 where the right option is the likeliest answer, else 0.

    Beside it `malformed`, the share of greedy answers that are none of the options. Rows may say what they `measures`,
    as for `ExactMatch`.

    Args:
        rows: {"prompt", "choices", "label"}; those of `validation` are asked, in the model's own chat template.
        match: when an answer is an option.
        generate: how to decode the answers; greedy by default.
        limit: ask the first so many rows only.
    """

    scores: ClassVar[Mapping[str, Better]] = {"chat_accuracy": "higher", "malformed": "lower"}
    needs: ClassVar[frozenset[str]] = frozenset({"answer", "score"})

    rows_need: ClassVar[Columns] = (("prompt", "choices", "label"),)

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        prompts, parsed = [row["prompt"] for row in rows], [choices_of(row) for row in rows]
        contexts = encode_prompts(engine.tokenizer, prompts)
        pairs = [
            (context, encode_text(engine.tokenizer, option))
            for context, (options, _) in zip(contexts, parsed, strict=True)
            for option in options
        ]
        logprobs = iter(completion_logprobs(engine, pairs))
        right = [float(best([next(logprobs) for _ in options]) == label) for options, label in parsed]
        answers = texts(engine, prompts, self.config)
        none = [
            float(not any(self.match(answer, option) for option in options))
            for answer, (options, _) in zip(answers, parsed, strict=True)
        ]
        ids = [row_id(prompt, *pair) for prompt, pair in zip(prompts, parsed, strict=True)]
        malformed = Scores(none, better="lower", rows=ids)
        return {"chat_accuracy": Scores(right, rows=ids), "malformed": malformed, **by_measure(rows, right, ids)}
