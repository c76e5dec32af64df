"""Whether answers end: drawn at temperature 1, which shows what greedy decoding hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from typing import Any, ClassVar

from transformers import GenerationConfig, PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.chat import IGNORE, encode_prompt_completion
from llmcycle.data.encode import Columns
from llmcycle.engine import Answer, Engine, Labelled, seeded, total
from llmcycle.evaluate.exact_match import WRITTEN_COLUMNS, reference
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.evaluate.text_match import TextMatch
from llmcycle.quantities import Count, Length

MOST = 512  # new tokens, however long the rows' own answers are
LITTLE = 16  # new tokens, however short they are


class Endings:
    """`ends_by_itself`: share of answers, drawn at temperature 1, that end before their limit.

    Beside it `exact_match_sampled`, the share of those answers that equal the row's own, and `end_probability`, the
    mean probability of the end token where the row's own answer ends.

    Args:
        rows: {"prompt", "completion"} or {"prompt", "answer"}; those of `validation` are asked.
        match: when two answers are equal.
        limit: ask the first so many rows only.
        max_length: tokens; of a row with more of them, no `end_probability` is counted.
        seed: of the draws.
    """

    scores: ClassVar[Mapping[str, Better]] = {
        "ends_by_itself": "higher",
        "exact_match_sampled": "higher",
        "end_probability": "higher",
    }
    needs: ClassVar[frozenset[str]] = frozenset({"answer", "score"})

    rows_need: ClassVar[Columns] = (("prompt", "completion"), ("prompt", "chosen"), ("prompt", "answer"))

    def __init__(
        self,
        rows: Rows,
        match: TextMatch | None = None,
        limit: Count | None = None,
        max_length: Length = 1024,
        seed: int = 0,
    ) -> None:
        self.rows, self.match, self.limit = rows, match or TextMatch(), limit
        self.max_length, self.seed = max_length, seed

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        encoded = [whole(row, engine.tokenizer) for row in rows]
        answers = self._draw(engine, [row["prompt"] for row in rows], encoded)
        ids = [row_id(row["prompt"], reference(row, WRITTEN_COLUMNS)) for row in rows]
        ended = [float(answer.finish == "stop") for answer in answers]
        equal = [float(self.match(answer.text, reference(row))) for answer, row in zip(answers, rows, strict=True)]
        short = [place for place, (tokens, _) in enumerate(encoded) if len(tokens) <= self.max_length]
        logprobs = engine.score([at_end(encoded[place]) for place in short])
        probabilities = Scores([exp(total(row)) for row in logprobs], rows=[ids[i] for i in short])
        return {
            "ends_by_itself": Scores(ended, rows=ids),
            "exact_match_sampled": Scores(equal, rows=ids),
            **({"end_probability": probabilities} if short else {}),
        }

    def _draw(self, engine: Engine, prompts: Sequence[Any], encoded: Sequence[Labelled]) -> list[Answer]:
        """One answer to each prompt, with room for twice the longest of the rows' own."""
        longest = max((sum(label != IGNORE for label in labels) for _, labels in encoded), default=0)
        room = min(max(2 * longest, LITTLE), MOST)
        config = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, max_new_tokens=room)
        with seeded(self.seed):
            return [answers[0] for answers in engine.answer(prompts, config)]


def whole(row: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Labelled:
    """A row's tokens, and labels on its answer and on what ends it."""
    encoded = encode_prompt_completion(tokenizer, row["prompt"], reference(dict(row), WRITTEN_COLUMNS))
    return encoded["input_ids"], encoded["labels"]


def at_end(sequence: Labelled) -> Labelled:
    """The same tokens with one label, the last."""
    tokens, _ = sequence
    return tokens, [*[IGNORE] * (len(tokens) - 1), tokens[-1]]
