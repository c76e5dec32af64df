"""The audit's time as a share of tokenisation's: rows like GSM8K's, the storefront's, and conversations.

python tests/bench/audit.py [--rounds 15] [--model FOLDER]     a real tokenizer for the first; ours for the others
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from llmcycle.data.assistant import Assistant
from llmcycle.data.audit import audit
from llmcycle.data.chat import choose_pad, set_chat_template
from llmcycle.data.encode import Completion, Preference
from llmcycle.data.storefront import Documents, Instructions, Preferences, World
from llmcycle.evaluate.interval import mean_interval
from llmcycle.pretrain import ByteLevelBPE
from llmcycle.quiet import hush

ROUNDS = 15
ROWS = 1000


@dataclass
class Case:
    """One kind of rows."""

    name: str
    encode: Any
    tokenizer: PreTrainedTokenizerBase
    rows: dict[str, list[dict[str, Any]]]


def storefront_tokenizer() -> PreTrainedTokenizerBase:
    """Byte-level BPE of 512 tokens, as the recipe `pretrain` makes it."""
    texts = [row["text"] for row in Documents(World(), count=2000, held_out=1).train]
    return choose_pad(set_chat_template(ByteLevelBPE(512).train(texts)))


def problems(count: int) -> list[dict[str, Any]]:
    """Rows of the length and the alphabet of GSM8K's: questions of 45 words and worked answers of 100 tokens."""
    rng, world = Random(0), World()
    words = [word for row in Documents(world, count=200, held_out=1).train for word in row["text"].split()]
    rows = []
    for index in range(count):
        lines = [" ".join(rng.choices(words, k=8)) + _sum(rng) for _ in range(rng.randint(2, 5))]
        question = " ".join(rng.choices(words, k=45)) + f" {index}?"
        rows.append({"prompt": question, "completion": "\n".join([*lines, f"#### {rng.randrange(1000)}"])})
    return rows


def _sum(rng: Random) -> str:
    a, b = rng.randrange(100), rng.randrange(100)
    return f" {a}+{b} = <<{a}+{b}={a + b}>>{a + b}."


def dialogues(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Two rounds each, of rows taken in pairs."""
    pairs = zip(rows[::2], rows[1::2], strict=False)
    return [
        {
            "prompt": [
                {"role": "user", "content": first["prompt"]},
                {"role": "assistant", "content": first["completion"]},
                {"role": "user", "content": second["prompt"]},
            ],
            "completion": second["completion"],
        }
        for first, second in pairs
    ]


def cases(model: str | None) -> Iterator[Case]:
    """Every kind."""
    own = storefront_tokenizer()
    real = choose_pad(AutoTokenizer.from_pretrained(model)) if model else own
    rows = problems(ROWS + 100)
    yield Case("GSM8K-like", Completion(4096), real, {"train": rows[:ROWS], "validation": rows[ROWS:]})
    world = World()
    shop, pairs = Instructions(world), Preferences(world)
    split = {"train": shop.train[:ROWS], "validation": shop.validation[:100]}
    yield Case("storefront", Completion(512), own, split)
    split = {"train": pairs.train[:ROWS], "validation": pairs.validation[:100]}
    yield Case("storefront pairs", Preference(512), own, split)
    yield Case("conversations", Assistant(4096), own, {"train": dialogues(shop.train[:ROWS]), "validation": []})


def measure(case: Case) -> tuple[float, float]:
    """Seconds of this process to tokenise all rows, and to audit them."""
    started = time.process_time()
    examples = {split: case.encode.encode(rows, case.tokenizer) if rows else [] for split, rows in case.rows.items()}
    between = time.process_time()
    found = audit(case.encode, case.tokenizer, case.rows, examples)
    ended = time.process_time()
    assert not found.findings, found.findings
    return between - started, ended - between


def compare(model: str | None, rounds: int) -> None:
    """Print each kind's ratio."""
    for case in cases(model):
        measure(case)  # warm
        pairs = [measure(case) for _ in range(rounds)]
        ratios = [audited / tokenised for tokenised, audited in pairs]
        count = sum(map(len, case.rows.values()))
        each = statistics.median(tokenised for tokenised, _ in pairs) / count * 1e6
        low, high = mean_interval(ratios)
        print(
            f"{case.name:<17} {count} rows, {each:.0f} us a row to tokenise: audit / tokenisation "
            f"{statistics.median(ratios):.3f} (median of {rounds}; 95 % interval of the mean {low:.3f} to {high:.3f})"
        )


@pytest.mark.bench
def test_audit() -> None:
    compare(None, ROUNDS)


if __name__ == "__main__":
    hush()
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--model", help="a folder or Hub name whose tokenizer reads the first rows")
    options = parser.parse_args()
    compare(options.model, options.rounds)
