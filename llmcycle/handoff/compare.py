"""The model before it was written against what its folder gives: everything is compared, the first difference told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from transformers import PreTrainedTokenizerBase

from .contents import Contents, compare_numbers, compare_settings, compare_shapes
from .observe import Observation, Probe, first_difference, same_embedding, same_greedy
from .tokens import compare_stops, compare_tokenizers


class Opened(Protocol):
    """What a format gives of a folder: a model in this process, or one inside another runtime."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The folder's own."""
        ...

    def observe(self, probe: Probe, *, aligned: bool = False) -> Observation:
        """What it does on the probe; `aligned` where the last bit counts."""
        ...

    def contents(self) -> Contents | None:
        """Its settings and tensors; None where the runtime does not show them."""
        ...


@dataclass(frozen=True)
class Before:
    """The model as it was given.

    Args:
        outputs: what it did on the probe.
        contents: of what was written.
    """

    outputs: Observation
    contents: Contents
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class Difference:
    """Measured at real tokens of the probe: how far logits are apart, and the largest of them."""

    max_difference: float
    max_logit: float

    @property
    def share(self) -> float:
        """Of the largest logit."""
        return self.max_difference / self.max_logit if self.max_logit else 0.0


def compare(before: Before, opened: Opened, folder: Path, probe: Probe, tolerance: float) -> Observation:
    """Compare tokenizers, generation, settings, shapes, outputs and numbers, in this order.

    Args:
        tolerance: of outputs, as a share of the largest logit; 0 for bit by bit.

    Returns:
        What the opened model does on the probe.

    Raises:
        ValueError: with the first difference.
    """
    compare_tokenizers(before.tokenizer, opened.tokenizer, folder, probe["input_ids"])
    after, was = opened.contents(), before.contents
    if after is not None:
        compare_stops(before.tokenizer, was.generation.get("eos_token_id"), after.generation.get("eos_token_id"))
        compare_settings(was, after)
        compare_shapes(was, after)
    seen = opened.observe(probe, aligned=tolerance == 0)
    compare_outputs(before.outputs, seen, tolerance)
    if after is not None:
        compare_numbers(was, after, "when opened again, which the rows that were compared did not reach")
    return seen


def difference(before: Observation, after: Observation) -> Difference:
    """How far logits of the same tokens are apart."""
    return Difference((after.logits - before.logits).abs().max().item(), before.logits.abs().max().item())


def compare_outputs(before: Observation, after: Observation, tolerance: float) -> Difference:
    """How far outputs are apart; ValueError, with the first layer that differs, where that is too far."""
    if after.logits.shape != before.logits.shape:
        raise ValueError(
            f"hand-off: logits were {tuple(before.logits.shape)} and are {tuple(after.logits.shape)} when opened again"
        )
    measured = difference(before, after)
    same_tokens = same_greedy(before, after, tolerance)
    allowed = tolerance * measured.max_logit
    if not (measured.max_difference <= allowed and same_tokens and same_embedding(before, after, tolerance)):
        raise ValueError(
            f"hand-off: what was opened again is not the model that was given: logits differ by "
            f"{measured.max_difference:.3g} (allowed {allowed:.3g}), greedy tokens "
            f"{'equal' if same_tokens else 'differ'}; the first layer that differs is "
            f"{first_difference(before, after, tolerance)}: leave it out of peft.target_modules if an adapter stands "
            "on it; choose another `quant` if the model was quantised"
        )
    return measured
