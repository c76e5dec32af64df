"""Quantisers of transformers that work only while a model is read from a folder: bitsandbytes and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.quantization_config import QuantizationConfigMixin

from llmcycle.compress.methods.method import Row
from llmcycle.compress.methods.refusal import REASONS, refusal
from llmcycle.model import load


@dataclass(frozen=True)
class Reloaded:
    """Writes the model to a temporary folder, and reads it with the configuration."""

    config: QuantizationConfigMixin

    def __call__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,  # noqa: ARG002
        rows: Sequence[Row],  # noqa: ARG002  it needs no calibration
    ) -> PreTrainedModel:
        """Raises ValueError when a layer can't be quantised so."""
        with TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            try:
                return load(folder, model.dtype, quantization_config=self.config)
            except REASONS as error:
                raise ValueError(refusal(self.config, model, str(error) or type(error).__name__)) from error
