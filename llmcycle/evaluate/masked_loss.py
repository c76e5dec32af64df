"""Loss on hidden tokens of held-out rows, for models that read both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from llmcycle.data.batches import Rows
from llmcycle.data.encode import Columns
from llmcycle.data.masked import Masked
from llmcycle.engine import Engine, Hidden, total
from llmcycle.evaluate.loss import ratio
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.quantities import Count


class MaskedLoss:
    """`masked_loss` in nats a hidden token and `masked_accuracy`, one value a packed row of validation documents.

    The same tokens are hidden whenever it is called, by the encoder's seed.

    Args:
        limit: score the first so many documents only.
    """

    scores: ClassVar[Mapping[str, Better]] = {"masked_loss": "lower", "masked_accuracy": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"masked"})

    rows_need: ClassVar[Columns] = (("text",),)

    def __init__(self, rows: Rows, encode: Masked, limit: Count | None = None) -> None:
        self.rows, self.encode, self.limit = rows, encode, limit

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        examples = self.encode.encode(self.rows.validation[: self.limit], engine.tokenizer)
        restored = engine.masked([Hidden(*self.encode.hide(each), each["position_ids"]) for each in examples])
        nats, counts = [-total(row.logprobs) for row in restored], [float(len(row.right)) for row in restored]
        right = [int(row.right.sum()) for row in restored]
        shares = [n / count if count else 0.0 for n, count in zip(right, counts, strict=True)]
        digests = [row_id(example["input_ids"]) for example in examples]
        loss = ratio(nats, counts, "nats/token", digests)
        return {"masked_loss": loss, "masked_accuracy": Scores(shares, weights=counts, rows=digests)}
