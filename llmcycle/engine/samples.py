"""The answers to a recipe's fixed prompts, as every stage that has a model writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from llmcycle.data.chat import Prompt


def write_samples(out: Path, prompts: Sequence[Prompt], answers: Sequence[str]) -> Path:
    """Write `out`/samples.jsonl, one {"prompt", "answer"} a line, and return its path."""
    lines = [
        json.dumps({"prompt": prompt, "answer": answer}, ensure_ascii=False)
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    path = out / "samples.jsonl"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path
