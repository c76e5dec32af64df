"""Quantisation of linear layers by torchao: https://docs.pytorch.org/ao/stable/api_reference/api_ref_quantization.html"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torchao.core.config import AOBaseConfig
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TorchAoConfig
from transformers.quantizers import AutoHfQuantizer

from llmcycle.compress.methods.method import Row
from llmcycle.compress.methods.refusal import REASONS, is_quantised, refusal
from llmcycle.compress.size import linear_layers


@dataclass(frozen=True)
class Torchao:
    """Quantises weights in place, by transformers' own quantiser, without which torchao's tensors can't be saved.

    The input embedding and the output layer keep their precision unless the configuration names them.

    Args:
        config: transformers' configuration around one of torchao's.
    """

    config: TorchAoConfig

    @classmethod
    def of(cls, config: AOBaseConfig) -> Torchao:
        """One of torchao's own configurations."""
        return cls(TorchAoConfig(config))

    def __call__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,  # noqa: ARG002
        rows: Sequence[Row],  # noqa: ARG002  it needs no calibration
    ) -> PreTrainedModel:
        """Raises ValueError when a layer can't be quantised so, or none was."""
        try:
            self._quantise(model)
        except REASONS as error:
            raise ValueError(refusal(self.config.quant_type, model, str(error) or type(error).__name__)) from error
        if not any(is_quantised(layer) for layer in linear_layers(model).values()):
            raise ValueError(refusal(self.config.quant_type, model, "it left all of them as they were"))
        return model

    def _quantise(self, model: PreTrainedModel) -> None:
        """What `from_pretrained` does to each weight that it reads, done to those that are there."""
        quantiser = AutoHfQuantizer.from_config(self.config, pre_quantized=False)
        quantiser.validate_environment()
        model.config.quantization_config = self.config
        quantiser.preprocess_model(model)
        operation = quantiser.get_quantize_ops()
        for name, weight in list(model.named_parameters()):
            if quantiser.param_needs_quantization(model, name):
                operation.convert({name: weight.data}, model=model, full_layer_name=name, missing_keys=set())
        model.hf_quantizer = quantiser
        quantiser.postprocess_model(model)
