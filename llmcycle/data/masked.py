"""Documents with hidden tokens for a model to restore: the masked-token objective. Shapes: B batch, T tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.data.chat import IGNORE
from llmcycle.data.encode import Columns, Example, Packed, Row
from llmcycle.data.padding import pad
from llmcycle.quantities import Length, PositiveShare, Share


class Masked:
    """Rows {"text"}: documents packed as `Packed` does it, with `rate` of their tokens to be predicted.

    BERT's scheme (arXiv:1810.04805, section 3.1): of the chosen tokens 80 % become the mask token, 10 % a random token
    and 10 % stay; special tokens are never chosen. ModernBERT's (arXiv:2412.13663) is the same with a rate of 0.3; both
    without next-sentence prediction.

    Which tokens are hidden depends on (seed, row, epoch) alone, through a counter-based generator: not on global
    random state, on the worker that collates or on the rows beside it. So a resumed run hides the same tokens. The
    epoch is an example's `epoch`, put there by whoever serves it; without one a row is hidden the same way each time,
    which is what scoring needs.

    Args:
        max_length: tokens a row.
        rate: share of the tokens to predict; exactly that share, rounded, and at least one token a row.
        masked, random: shares of the chosen tokens that become the mask token, or a random one.
    """

    gives: ClassVar[str] = "masked"
    rows_need: ClassVar[Columns] = (("text",),)

    def __init__(
        self, max_length: Length, rate: PositiveShare = 0.15, masked: Share = 0.8, random: Share = 0.1, seed: int = 0
    ) -> None:
        if not (0 < rate <= 1 and masked >= 0 and random >= 0 and masked + random <= 1):
            raise ValueError(
                f"encode: rate={rate} must be in (0, 1], and masked={masked} + random={random} at most 1, since they "
                "are shares; BERT's are 0.15, 0.8 and 0.1"
            )
        self.max_length, self.rate, self.masked, self.random, self.seed = max_length, rate, masked, random, seed

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a packed row: tokens and positions, the places that may be hidden and how many will be.

        Raises:
            ValueError: the tokenizer has no mask token.
        """
        if tokenizer.mask_token_id is None:
            raise ValueError("tokenizer: it has no mask token to hide others with; set `tokenizer.mask=true`")
        special = set(tokenizer.all_special_ids)
        facts = {"mask_token_id": tokenizer.mask_token_id, "vocabulary": len(tokenizer)}
        examples: list[Example] = []
        for packed in Packed(self.max_length).encode(rows, tokenizer):
            hideable = [place for place, token in enumerate(packed["input_ids"]) if token not in special]
            columns = {name: packed[name] for name in ("input_ids", "position_ids", "index")}
            examples.append({**columns, "hideable": hideable, "labelled": self.count(len(hideable)), **facts})
        return examples

    def count(self, hideable: int) -> int:
        """How many of so many tokens are predicted."""
        return min(hideable, max(1, round(self.rate * hideable)))

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `labels` (-100 where nothing is hidden) and `position_ids`: (B, T).

        The mask tells tokens from padding; what keeps documents apart is in the positions.
        """
        pairs = [self.hide(example) for example in examples]
        longest = max(len(ids) for ids, _ in pairs)
        positions = [[*e["position_ids"], *range(longest - len(e["position_ids"]))] for e in examples]
        return {
            "input_ids": pad([ids for ids, _ in pairs], pad_token_id),
            "attention_mask": pad([[1] * len(ids) for ids, _ in pairs], 0),
            "labels": pad([labels for _, labels in pairs], IGNORE),
            "position_ids": torch.tensor(positions, dtype=torch.long),
        }

    def hide(self, example: Example) -> tuple[list[int], list[int]]:
        """An example's tokens with some hidden, and the labels: what they were, and -100 everywhere else."""
        ids = np.array(example["input_ids"])
        # Philox counts up from the low word, so the high words give each row and epoch a stream of its own.
        counter = np.array([0, 0, example.get("epoch", 0), example["index"]], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=counter))
        places = generator.permutation(np.array(example["hideable"], dtype=np.int64))
        places = places[: self.count(len(places))]
        labels = np.full_like(ids, IGNORE)
        labels[places] = ids[places]
        draw, other = generator.random(len(places)), generator.integers(example["vocabulary"], size=len(places))
        tokens = np.where(draw < self.masked + self.random, other, ids[places])
        ids[places] = np.where(draw < self.masked, example["mask_token_id"], tokens)
        return ids.tolist(), labels.tolist()
