"""The loop of `generate` for many answers at once: a prompt is read once however many answers it is given, and rows
whose answer has ended leave the batch.

`transformers` calls it as its `custom_generate`, after it has prepared prompts, cache, processors and criteria. Draws
are those of the library's own loop, which carries ended rows along.

Shapes: B answers, P prompts, R answers that are still written, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel, PeftType
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer
from transformers.generation import GenerationMode
from transformers.generation import logits_process as processors

PLAIN_LAYERS = (DynamicLayer, DynamicSlidingWindowLayer)
OF_ROWS = ("attention_mask", "position_ids")  # what a forward pass is given by row, beside the cache
WIDE = 0.75  # a share of rows that is still written, below which the others are worth the copy of the cache
OF_ONE_ROW = (  # what they make of a row depends on no other, nor on where it stands in the batch
    *(processors.TemperatureLogitsWarper, processors.TopKLogitsWarper, processors.TopPLogitsWarper),
    *(processors.MinPLogitsWarper, processors.MinLengthLogitsProcessor, processors.MinNewTokensLengthLogitsProcessor),
    processors.NoRepeatNGramLogitsProcessor,
)
REMEMBERS_ROWS = (PeftType.XLORA, PeftType.POLY)


@dataclass
class Written:
    """What was written.

    Args:
        sequences: [B, T] with prompts and padding.
        logprobs: of new tokens after temperature and filters; empty unless `output_scores` asks for them.
    """

    sequences: Tensor
    logprobs: Tensor


def may_narrow(model: Any, config: GenerationConfig) -> bool:
    """Whether `write` may be `generate`'s loop: no adapter, nor a way to decode, remembers a batch's rows."""
    peft = model.active_peft_config if isinstance(model, PeftModel) else None
    if peft is not None and (
        peft.is_prompt_learning or peft.peft_type in REMEMBERS_ROWS or getattr(peft, "alora_invocation_tokens", None)
    ):
        return False
    # Processes of a sharded model go through every step together; stop strings need a tokenizer, which is not passed.
    others = config.guidance_scale or config.watermarking_config or config.cache_implementation or config.stop_strings
    modes = (GenerationMode.SAMPLE, GenerationMode.GREEDY_SEARCH)
    return (
        not isinstance(model, FSDPModule)
        and not (others or config.prefill_chunk_size)
        and config.get_generation_mode() in modes
    )


def write(
    model: Any,
    input_ids: Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    **inputs: Any,
) -> Written:
    """Answers [B, T] to prompts that stand `num_return_sequences` times, one after the other, in `input_ids`."""
    filler = generation_config._pad_token_tensor
    batch = Rows(model, len(input_ids), inputs)
    narrows = batch.plain and all(isinstance(processor, OF_ONE_ROW) for processor in logits_processor)
    logits_RV = batch.read(input_ids, generation_config.num_return_sequences or 1)
    steps: list[Tensor] = []
    going = torch.ones(len(input_ids), dtype=torch.bool, device=input_ids.device)
    while True:
        scores_RV = logits_processor(input_ids[batch.rows], logits_RV)
        tokens_R = drawn(scores_RV, batch.rows, len(going)) if generation_config.do_sample else scores_RV.argmax(-1)
        if generation_config.output_scores:
            chosen_R = scores_RV.log_softmax(-1).gather(1, tokens_R[:, None]).squeeze(1)
            steps.append(chosen_R.new_zeros(len(going)).index_copy(0, batch.rows, chosen_R))
        tokens_B = filler.to(going.device).expand(len(going)).index_copy(0, batch.rows, tokens_R)
        input_ids = torch.cat([input_ids, torch.where(going, tokens_B, filler)[:, None]], 1)
        going[batch.rows] &= ~stopping_criteria(input_ids[batch.rows], None)  # type: ignore[arg-type]
        if not going.any():
            return Written(input_ids, torch.stack(steps, 1) if steps else input_ids.new_empty(0))
        if narrows:
            batch.narrow(going)
        logits_RV = batch.go_on(input_ids)


def drawn(scores_RV: Tensor, rows: Tensor, count: int) -> Tensor:
    """[R] a token of each row, the one that it would draw among all `count` rows."""
    probabilities_RV = scores_RV.softmax(-1)
    if len(rows) == count:
        return probabilities_RV.multinomial(1).squeeze(1)
    whole_BV = probabilities_RV.new_ones(1, 1).expand(count, scores_RV.shape[1]).index_copy(0, rows, probabilities_RV)
    return whole_BV.multinomial(1).squeeze(1)[rows]


def is_plain(cache: Any) -> bool:
    """Whether a cache's rows can be copied and let go of."""
    return type(cache) is DynamicCache and all(type(layer) in PLAIN_LAYERS for layer in cache.layers)


class Rows:
    """The rows of a batch that are still written, and what the model is given beside their tokens.

    Args:
        count: B.
        inputs: of the model's forward pass, as `generate` prepared them.

    Attributes:
        plain: whether all of that can be copied and let go of by row.
    """

    def __init__(self, model: Any, count: int, inputs: dict[str, Any]) -> None:
        self.model, self.inputs = model, inputs
        cache = inputs.get("past_key_values")
        known = all(name in OF_ROWS for name, value in inputs.items() if isinstance(value, Tensor))
        self.plain = known and is_plain(cache)
        self.rows = torch.arange(count, device=model.device)

    def read(self, input_ids: Tensor, copies: int) -> Tensor:
        """[B, V] after prompts [B, T] of which each stands `copies` times; it is read once where that can be."""
        copies = copies if self.plain else 1
        self.keep(self.rows[::copies], cache=False)
        logits_PV = self.forward(input_ids[::copies], is_first_iteration=True)
        if copies > 1:
            self.inputs["past_key_values"].batch_repeat_interleave(copies)
            for name, value in self.by_row():
                self.inputs[name] = value.repeat_interleave(copies, 0)
        return logits_PV.repeat_interleave(copies, 0)

    def go_on(self, input_ids: Tensor) -> Tensor:
        """[R, V] after one more token of each row."""
        return self.forward(input_ids[self.rows], next_sequence_length=1 if self.inputs["use_cache"] else None)

    def forward(self, input_ids: Tensor, **step: Any) -> Tensor:
        """Logits of the last token, in fp32, as a copy: the others' are freed."""
        given = self.model.prepare_inputs_for_generation(input_ids, **step, **self.inputs)
        output = self.model(**given, return_dict=True)
        self.inputs = self.model._update_model_kwargs_for_generation(output, self.inputs)
        last_RV: Tensor = output.logits[:, -1].to(copy=True, dtype=torch.float32)
        return last_RV

    def narrow(self, going: Tensor) -> None:
        """Let go of rows that have ended, once there are enough of them."""
        still = going[self.rows].nonzero().squeeze(1)
        if len(still) <= WIDE * len(self.rows):
            self.keep(still)
            self.rows = self.rows[still]

    def keep(self, places: Tensor, cache: bool = True) -> None:
        """What the model is given is that of the rows at some places."""
        if cache:
            self.inputs["past_key_values"].batch_select_indices(places)
        for name, value in self.by_row():
            self.inputs[name] = value[places]

    def by_row(self) -> Iterator[tuple[str, Tensor]]:
        """Inputs that have a row for each answer."""
        yield from [(name, self.inputs[name]) for name in OF_ROWS if self.inputs.get(name) is not None]
