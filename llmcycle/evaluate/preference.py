"""Agreement with preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from transformers import PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.chat import encode_prompt_completion
from llmcycle.data.encode import Columns
from llmcycle.engine import Engine, Labelled
from llmcycle.evaluate.calibration import margin_errors
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.quantities import Count, Length

THIRDS = ("close", "middle", "clear")  # pairs by how far apart the model scores their answers


class PreferenceAccuracy:
    """`preference_accuracy`: 1 where the chosen answer scores above the rejected one, else 0; a tie is 0.

    A sequence classifier with one output (a reward model) is asked for its score. A language model is asked for the
    log-likelihood of the whole answer, its end token included: what the policy itself prefers, as in DPO without a
    reference model.

    `preference_margin`: by how much the chosen answer scores above the rejected one, in nats. DPO's implicit reward
    margin (arXiv:2305.18290) is beta times what training from the reference adds to it.

    Accuracy by margin, that is by how far apart the two are scored: `accuracy_close`, `accuracy_middle` and
    `accuracy_clear` over thirds of the pairs, or over `bins`. Of a reward model also `calibration_error`: by how much
    sigmoid(margin), its probability of being right, misses the share that is right, in ten bins (arXiv:1706.04599).

    Args:
        rows: {"prompt", "chosen", "rejected"}; those of `validation` are scored.
        max_length: tokens of prompt and answer; longer ones lose their end.
        limit: score the first so many rows only.
        bins: edges of margins, ascending, e.g. [0, 0.5, 1, 2] for `accuracy_0_0.5` and so on; None for thirds.
    """

    scores: ClassVar[Mapping[str, Better]] = {"preference_accuracy": "higher", "preference_margin": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"prefer"})

    rows_need: ClassVar[Columns] = (("prompt", "chosen", "rejected"),)

    @staticmethod
    def preflight(bins: Sequence[float] | None = None, **_: object) -> None:
        """Refuse, before anything is built, edges that enclose nothing."""
        if bins is not None and (len(bins) < 2 or any(low >= high for low, high in pairwise(bins))):
            raise ValueError(f"bins: {list(bins)} are no two edges or more that ascend\n  try: bins=[0,0.5,1,2]")

    def __init__(
        self,
        rows: Rows,
        max_length: Length = 1024,
        limit: Count | None = None,
        bins: Sequence[float] | None = None,
    ) -> None:
        self.preflight(bins)
        self.rows, self.max_length, self.limit, self.bins = rows, max_length, limit, bins

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        chosen = [self._encode(row, "chosen", engine.tokenizer) for row in rows]
        rejected = [self._encode(row, "rejected", engine.tokenizer) for row in rows]
        scores = engine.prefer(chosen + rejected)
        margins = [high - low for high, low in zip(scores[: len(rows)], scores[len(rows) :], strict=True)]
        right = [float(margin > 0) for margin in margins]
        ids = [row_id(row["prompt"], row["chosen"], row["rejected"]) for row in rows]
        found = {
            "preference_accuracy": Scores(right, rows=ids),
            "preference_margin": Scores(margins, unit="nats", rows=ids),
        }
        for name, members in by_margin(margins, self.bins).items():
            found[f"accuracy_{name}"] = Scores(right, weights=members, rows=ids)
        if "reward" in engine.offers:
            found["calibration_error"] = Scores(margin_errors(margins), "lower", rows=ids)
        return found

    def _encode(self, row: dict[str, Any], side: str, tokenizer: PreTrainedTokenizerBase) -> Labelled:
        if side not in row:
            raise ValueError(
                f"data.columns: preference accuracy needs prompt, chosen and rejected, but the rows have only "
                f"{', '.join(row)}: map a column, as in `data.columns.{side}=NAME`"
            )
        encoded = encode_prompt_completion(tokenizer, row["prompt"], row[side], self.max_length)
        return encoded["input_ids"], encoded["labels"]


def by_margin(margins: Sequence[float], bins: Sequence[float] | None) -> dict[str, list[float]]:
    """Of each part of the pairs its name and for each pair 1 where it belongs to it, else 0; no part without two pairs.

    Weights and not rows, since a model moves pairs from one part to another, and scores stand on the same rows before
    a stage as after it.
    """
    sizes = [abs(margin) for margin in margins]
    if bins is None:
        order = sorted(range(len(sizes)), key=lambda place: sizes[place])
        ranks = {place: rank for rank, place in enumerate(order)}
        parts = [THIRDS[len(THIRDS) * ranks[place] // len(sizes)] for place in range(len(sizes))]
        names: Sequence[str] = THIRDS
    else:
        edges = list(pairwise(bins))
        names = [f"{low:g}_{high:g}" for low, high in edges]
        homes = [[low <= size < high for low, high in edges] for size in sizes]
        parts = [names[home.index(True)] if True in home else "" for home in homes]
    members = {name: [float(part == name) for part in parts] for name in names}
    return {name: weights for name, weights in members.items() if sum(weights) > 1}
