"""What would be trained on, for people: tokens with and without loss, lengths, the packing's fill, the audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from llmcycle.data.audit.vocabulary import BROKEN
from llmcycle.data.batches import Batches
from llmcycle.data.chat import IGNORE
from llmcycle.data.encode import Example
from llmcycle.data.packing import best_fit
from llmcycle.data.truncation import parts
from llmcycle.printable import printable

# Neighbouring tokens differ, so that one sees where each ends; what is learnt stands in brackets, colour or not.
LEARNT, READ = ("black on green", "black on bright_green"), ("dim", "default")
OPEN, CLOSE = "⟦", "⟧"


def show(batches: Batches, console: Console, count: int, packed: bool, allow: Sequence[str]) -> bool:
    """Print everything, with the tokens of `count` rows.

    Args:
        batches: unpacked, and built with every rule of the audit let pass.
        packed: whether the recipe packs.
        allow: the rules that the recipe lets pass.

    Returns:
        Whether the recipe would train on it.
    """
    forms = getattr(batches.rows, "recognised", {})
    for part, form in forms.items():
        console.print(f"data.{part}: " + (f"rows of the form {form}" if form else "no conversations"))
    console.print(f"loss on the tokens in {OPEN}{CLOSE}, the others are only read", highlight=False)
    for example in batches.train[:count]:
        for side, part in zip(("chosen", "rejected") if "chosen" in example else ("",), parts(example), strict=True):
            console.rule(f"train row {example['index']} {side}".strip(), align="left")
            console.print(tokens(part, batches.tokenizer), soft_wrap=True)  # a line ends where one of the data ends
    console.rule(align="left")
    console.print(lengths(batches))
    for line in facts(batches, packed):
        console.print(line, highlight=False, soft_wrap=True)
    return audited(batches, console, allow)


def tokens(part: Example, tokenizer: PreTrainedTokenizerBase) -> Text:
    """One sequence: learnt spans in brackets and in colour."""
    text = Text()
    labels = part.get("labels") or [IGNORE] * len(part["input_ids"])
    pairs = zip(part["input_ids"], (label != IGNORE for label in labels), strict=True)
    for learnt, span in groupby(pairs, key=lambda pair: pair[1]):
        styles = LEARNT if learnt else READ
        text.append(OPEN if learnt else "", style="bold")
        for place, piece in enumerate(_pieces([token for token, _ in span], tokenizer)):
            text.append(printable(piece).replace("\n", "↵\n"), style=styles[place % 2])
        text.append(CLOSE if learnt else "", style="bold")
    return text


def _pieces(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """The text of each token, of several together where one is only a part of a character."""
    waiting: list[int] = []
    done = ""  # decoders treat the beginning of a text in their own way, so each token is read after those before it
    before: list[int] = []
    for token in ids:
        waiting.append(token)
        whole = tokenizer.decode([*before, *waiting], clean_up_tokenization_spaces=False)
        if not whole.endswith(BROKEN):
            yield whole[len(done) :]
            before, waiting = (before + waiting)[-4:], []
            done = tokenizer.decode(before, clean_up_tokenization_spaces=False)
    if waiting:
        yield BROKEN


def lengths(batches: Batches) -> Table:
    """Tokens of each split's sequences, and the share of them that is learnt."""
    table = Table("", "rows", "tokens: min", "median", "p95", "max", "of max_length", "with loss", box=None)
    for split in ("train", "validation"):
        sequences = [part for example in getattr(batches, split) for part in parts(example)]
        if not sequences:
            continue
        sizes = np.array([len(part["input_ids"]) for part in sequences])
        learnt = sum(sum(label != IGNORE for label in part.get("labels", ())) for part in sequences)
        numbers = [sizes.min(), np.median(sizes), np.quantile(sizes, 0.95), sizes.max()]
        share = f"{learnt / sizes.sum():.0%}" if "labels" in sequences[0] else "-"
        full = f"{sizes.max() / batches.encode.max_length:.0%}"
        table.add_row(split, str(len(getattr(batches, split))), *(f"{n:.0f}" for n in numbers), full, share)
    return table


def facts(batches: Batches, packed: bool) -> Iterator[str]:
    """Truncation and packing in words."""
    for name, count in batches.truncation_counts.items():
        yield f"encode.truncation={getattr(batches.encode, 'truncation', '')}: {name.replace('_', ' ')}: {count}"
    sizes, room = [len(example.get("input_ids", ())) for example in batches.train], batches.encode.max_length
    if "position_ids" in batches.train[0]:
        yield f"packed rows of {room} tokens: {sum(sizes) / len(sizes) / room:.1%} full"
    elif hasattr(batches.encode, "exchanges") and "labels" in batches.train[0] and max(sizes) <= room:
        rows = len(best_fit(sizes, room))
        padded = _padded(sizes, batches.batch_size)
        yield (
            f"batches.pack={str(packed).lower()}: packed, {rows} rows of {room} tokens are "
            f"{sum(sizes) / (rows * room):.1%} full; padded, {padded:.1%} of a batch is tokens"
        )


def _padded(sizes: Sequence[int], batch_size: int) -> float:
    """The share of tokens in batches that are padded to their longest row, the rows in random order."""
    order = np.random.default_rng(0).permutation(np.array(sizes))
    groups = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return float(sum(sizes) / sum(int(group.max()) * len(group) for group in groups))


def audited(batches: Batches, console: Console, allow: Sequence[str]) -> bool:
    """Print what the audit found; whether the recipe would train."""
    refused = [finding for finding in batches.findings if finding.rule not in allow]
    for finding in batches.findings:
        word = "let pass" if finding.rule in allow else "refused"
        console.print(
            printable(f"audit: {finding.rule}: {finding} [{word}]"),
            style="red" if finding in refused else "",
            markup=False,
            soft_wrap=True,
        )
    if not batches.findings:
        console.print("audit: nothing wrong", style="green")
    return not refused
