"""Loss on hidden tokens of held-out rows, for models that read both ways."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.chat import IGNORE
from llmcycle.data.masked import Masked
from llmcycle.engine.generation import evaluation_mode
from llmcycle.evaluate.loss import ratio
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.model.document_mask import document_mask


class MaskedLoss:
    """`masked_loss` in nats a hidden token and `masked_accuracy`, one value a packed row of validation documents.

    The same tokens are hidden whenever it is called, by the encoder's seed.

    Args:
        limit: score the first so many documents only.
        batch_size: packed rows at once.
    """

    def __init__(self, rows: Rows, encode: Masked, limit: int | None = None, batch_size: int = 64) -> None:
        self.rows, self.encode, self.limit, self.batch_size = rows, encode, limit, batch_size

    @torch.no_grad()
    def __call__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Scores]:
        """See the class."""
        examples = self.encode.encode(self.rows.validation[: self.limit], tokenizer)
        nats, right, counts = list[float](), list[float](), list[float]()
        with evaluation_mode(model):
            for first in range(0, len(examples), self.batch_size):
                batch = self.encode.collate(examples[first : first + self.batch_size], 0)
                ids, labels_BT, positions = (
                    batch[name].to(model.device) for name in ("input_ids", "labels", "position_ids")
                )
                mask = document_mask(model.config, positions)
                logits_BTV = model(input_ids=ids, position_ids=positions, attention_mask=mask).logits.float()
                nats_BT = cross_entropy(logits_BTV.transpose(1, 2), labels_BT, ignore_index=IGNORE, reduction="none")
                nats += nats_BT.sum(1).tolist()
                right += (logits_BTV.argmax(-1) == labels_BT).sum(1).tolist()
                counts += (labels_BT != IGNORE).sum(1).tolist()
        shares = [n / count if count else 0.0 for n, count in zip(right, counts, strict=True)]
        digests = [row_id(example["input_ids"]) for example in examples]
        loss = ratio(nats, counts, "nats/token", digests)
        return {"masked_loss": loss, "masked_accuracy": Scores(shares, weights=counts, rows=digests)}
