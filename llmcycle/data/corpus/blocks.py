"""Documents one after another in blocks of equal length, and where a lane stands after each block."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import tee
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from llmcycle.data.chat import IGNORE
from llmcycle.data.corpus.lanes import Lanes, Place
from llmcycle.data.encode import Example
from llmcycle.data.tokenise import document_ids

AHEAD = (
    32_768  # characters of each lane that are tokenised at a time: few, since all lanes do it before the first block
)


class Position(NamedTuple):
    """Where a lane stands: it has yielded `blocks`, and goes on with token `token` of the document at the place."""

    blocks: int = 0
    epoch: int = 0
    group: int = 0
    window: int = 0
    document: int = 0
    token: int = 0

    @property
    def place(self) -> Place:
        """The document that comes next, or is in the middle."""
        return Place(self.epoch, self.group, self.window, self.document)


class Block:
    """A block that is being filled with pieces of documents."""

    def __init__(self, length: int, apart: bool) -> None:
        self.length, self.apart = length, apart
        self.input_ids: list[int] = []
        self.labels: list[int] = []
        self.position_ids: list[int] = []

    @property
    def room(self) -> int:
        """Tokens that it can still take."""
        return self.length - len(self.input_ids)

    def add(self, piece: list[int]) -> None:
        """A document's beginning, or a later piece that repeats the token before it as context."""
        unseen = self.apart or not self.input_ids  # the token that nothing in this block predicts
        self.labels += [IGNORE if unseen else piece[0], *piece[1:]]
        first = 0 if self.apart else len(self.input_ids)
        self.position_ids += range(first, first + len(piece))
        self.input_ids += piece

    def example(self) -> Example:
        """As `llmcycle.data.encode.Packed` makes them."""
        return {"input_ids": self.input_ids, "labels": self.labels, "position_ids": self.position_ids}


def blocks(
    lanes: Lanes,
    lane: int,
    tokenizer: PreTrainedTokenizerBase,
    length: int,
    apart: bool,
    start: Position,
    epochs: int | None,
) -> Iterator[Example]:
    """The lane's blocks from `start` on, each with the `position` after it: (lane, *Position).

    Every token of every document is in a block, and all but a document's first are predicted exactly once: a document
    that does not fit goes on in the next block, after its last token there. A block is `length` tokens, or one fewer
    where a piece of one token would stand at its end; the last one of a finite stream may be shorter.

    Args:
        apart: begin `position_ids` anew with each document, by which attention stays inside it.
    """
    block, done = Block(length, apart), start
    first = start.token
    for place, ids in tokenised(lanes, lane, tokenizer, start.place, epochs):
        at, first = first, 0
        while at < len(ids):
            begin = max(0, at - 1)
            at = min(begin + block.room, len(ids))
            block.add(ids[begin:at])
            after = place if at < len(ids) else place._replace(document=place.document + 1)
            done = Position(done.blocks, *after, at % len(ids))
            if block.room < 2:
                done = done._replace(blocks=done.blocks + 1)
                yield {**block.example(), **named(lane, done, place.epoch)}
                block = Block(length, apart)
    if block.input_ids:
        done = done._replace(blocks=done.blocks + 1)
        yield {**block.example(), **named(lane, done, done.epoch)}


def named(lane: int, position: Position, epoch: int) -> dict[str, Any]:
    """What tells an example from all others, and where its lane goes on."""
    return {"index": position.blocks, "epoch": epoch, "position": (lane, *position)}


def tokenised(
    lanes: Lanes, lane: int, tokenizer: PreTrainedTokenizerBase, place: Place, epochs: int | None
) -> Iterator[tuple[Place, list[int]]]:
    """The lane's documents as token ids."""
    places, texts = tee(lanes.documents(lane, place, epochs))
    ids = document_ids(tokenizer, (text for _, text in texts), AHEAD)
    return ((place, row.tolist()) for (place, _), row in zip(places, ids, strict=True))
