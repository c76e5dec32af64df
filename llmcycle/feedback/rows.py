"""Where answers come from: files of rows, or models that are asked now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from transformers import GenerationConfig

from llmcycle.data.chat import Prompt
from llmcycle.data.encode import Row
from llmcycle.data.read import read_files
from llmcycle.engine import LocalEngine, seeded

POOL = 4  # times as many prompts as items are asked where the pairs are chosen by what they tell
SPARE = 2  # times as many otherwise, since a model may give the same answer twice


class Draw(NamedTuple):
    """How answers are drawn: `samples` of each model to a prompt, at most `max_tokens` long."""

    samples: int
    temperature: float
    max_tokens: int
    seed: int

    @property
    def generation(self) -> GenerationConfig:
        """As engines read it; temperature 0 is greedy. Raises ValueError: several greedy answers would be the same."""
        size = {"max_new_tokens": self.max_tokens, "num_return_sequences": self.samples}
        if self.temperature:
            return GenerationConfig(do_sample=True, temperature=self.temperature, top_k=0, **size)
        if self.samples > 1:
            reason = "at temperature 0 all answers of a model to a prompt are the same"
            raise ValueError(f"--samples {self.samples}: {reason}\n  try: --temperature 1.0")
        return GenerationConfig(**size)


def rows_of_file(path: str, flag: str) -> list[Row]:
    """The rows of a file, in any form that `data=json` reads.

    Raises:
        ValueError: there is none.
    """
    rows = read_files(path, flag, "line")
    if not rows:
        raise ValueError(f"{flag}: {path} holds no row")
    return rows


def prompts_of(rows: Sequence[Row], name: str, count: int, seed: int) -> list[Prompt]:
    """`count` different prompts of rows, drawn.

    Raises:
        ValueError: the rows have none.
    """
    prompts = {str(row["prompt"]): row["prompt"] for row in rows if isinstance(row.get("prompt"), str | list)}
    if not prompts:
        have = ", ".join(rows[0]) if rows else "no row"
        reason = f"{name}: rows with a `prompt` are needed, and it has {have}"
        raise ValueError(f"{reason}\n  try: --prompts FILE, or --recipe align, whose held-out prompts are taken")
    every = list(prompts.values())
    return Random(f"{seed} prompts").sample(every, min(count, len(every)))


def answered(folders: Sequence[Path], prompts: Sequence[Prompt], draw: Draw) -> list[Row]:
    """Rows {"prompt", "answers", "sources"}: the answers of all models to each prompt, one model open at a time."""
    rows: list[Row] = [{"prompt": prompt, "answers": [], "sources": []} for prompt in prompts]
    for folder in folders:
        engine = LocalEngine(str(folder))
        with seeded(draw.seed):
            answers = engine.answer(prompts, draw.generation)
        engine.close()
        for row, drawn in zip(rows, answers, strict=True):
            row["answers"] += [answer.text for answer in drawn]
            row["sources"] += [f"{folder.name} {number}" for number in range(1, len(drawn) + 1)]
    return rows
