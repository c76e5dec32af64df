"""An engine answers prompts; `TransformersEngine` is the reference that every other one must agree with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt
from llmcycle.engine.generation import generate


class Engine(Protocol):
    """Anything that turns prompts into answers: transformers here, other runtimes and servers elsewhere."""

    def generate(self, prompts: Sequence[Prompt], config: GenerationConfig | None = None) -> list[str]:
        """One answer a prompt, greedy unless `config` says otherwise."""
        ...


@dataclass(frozen=True)
class TransformersEngine:
    """`transformers` in this process, `batch_size` prompts at a time."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    batch_size: int = 64

    def generate(self, prompts: Sequence[Prompt], config: GenerationConfig | None = None) -> list[str]:
        """See `llmcycle.engine.generate`."""
        return generate(self.model, self.tokenizer, prompts, config, self.batch_size)


def write_samples(out: Path, prompts: Sequence[Prompt], answers: Sequence[str]) -> Path:
    """Write `out`/samples.jsonl, one {"prompt", "answer"} a line, and return its path."""
    lines = [
        json.dumps({"prompt": prompt, "answer": answer}, ensure_ascii=False)
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    path = out / "samples.jsonl"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path
