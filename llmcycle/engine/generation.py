"""Batched generation with `transformers`: left-padded, sorted by length, quiet."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

import torch
import transformers
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt, encode_prompt
from llmcycle.data.padding import pad
from llmcycle.model import may_be_padded

MAX_NEW_TOKENS = 32
END_OF_TURN = ("<|end|>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>")

# What an option leaves open takes these defaults of the library, not the model's own: the YAML says how to decode.
LIBRARY_DEFAULTS = {
    "do_sample": False,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "num_beams": 1,
    "num_return_sequences": 1,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "use_cache": True,
}


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    config: GenerationConfig | None = None,
    batch_size: int = 64,
) -> list[str]:
    """Answer each prompt: the new text only, without special tokens and surrounding space.

    Greedy and at most 32 new tokens unless `config` says otherwise. Prompts are rendered with the tokenizer's chat
    template if it has one. An answer does not depend on the batch it was computed in, up to rounding; draws with
    `do_sample` do, since they come from torch's global generator.

    Raises:
        ValueError: `config` asks for several sequences a prompt (use `sample`).
    """
    if config is not None and (config.num_return_sequences or 1) > 1:
        raise ValueError("num_return_sequences: one answer a prompt is needed here; set it to 1")
    return [answers[0] for answers in sample(model, tokenizer, prompts, config, batch_size)]


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    config: GenerationConfig | None = None,
    batch_size: int = 64,
) -> list[list[str]]:
    """As `generate`, with `config.num_return_sequences` answers a prompt."""
    if not prompts:
        return []
    resolved = resolve_config(model, tokenizer, config)
    encoded = encode_prompts(tokenizer, prompts)
    # Longest first: the batch that needs the most memory fails at once, not at the end.
    order = sorted(range(len(encoded)), key=lambda index: -len(encoded[index]))
    answers: list[list[str]] = [[] for _ in prompts]
    with evaluation_mode(model), quiet():
        for rows in _batches(order, encoded, batch_size, ragged=may_be_padded(model)):
            for row, texts in zip(
                rows, _generate_batch(model, tokenizer, [encoded[i] for i in rows], resolved), strict=True
            ):
                answers[row] = texts
    return answers


def encode_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Token ids of each rendered prompt; an empty one becomes the token that starts a document."""
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return [encode_prompt(tokenizer, prompt) or [start] for prompt in prompts]


def stop_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids that end an answer: the model's, the tokenizer's, and the end of a chat turn where the vocabulary has one."""
    from_model = model.generation_config.eos_token_id if model.generation_config is not None else None
    ids = from_model if isinstance(from_model, list) else [from_model]
    vocabulary = tokenizer.get_vocab()
    ids = [*ids, tokenizer.eos_token_id, *(vocabulary.get(token) for token in END_OF_TURN)]
    return sorted({index for index in ids if index is not None})


def resolve_config(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: GenerationConfig | None
) -> GenerationConfig:
    """A copy of `config` with nothing left open that `generate` would fill in from the model."""
    resolved = copy.deepcopy(config) if config is not None else GenerationConfig()
    for name, value in LIBRARY_DEFAULTS.items():
        if getattr(resolved, name) is None:
            setattr(resolved, name, value)
    if resolved.max_new_tokens is None and resolved.max_length is None:
        resolved.max_new_tokens = MAX_NEW_TOKENS
    stops = stop_token_ids(model, tokenizer)
    resolved.eos_token_id = stops or None
    filler = tokenizer.pad_token_id
    resolved.pad_token_id = filler if filler is not None else (stops[0] if stops else 0)
    return resolved


def _batches(order: list[int], encoded: list[list[int]], batch_size: int, ragged: bool) -> Iterator[list[int]]:
    """Consecutive rows of `order`, at most `batch_size`; of one length unless `ragged`."""
    for _, group in groupby(order, key=lambda index: 0 if ragged else len(encoded[index])):
        rows = list(group)
        yield from (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))


def _generate_batch(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: list[list[int]], config: GenerationConfig
) -> list[list[str]]:
    input_ids = pad(rows, config.pad_token_id, left=True)
    mask = pad([[1] * len(row) for row in rows], 0, left=True)
    with torch.no_grad():
        output = model.generate(
            input_ids=input_ids.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=config,
            tokenizer=tokenizer if config.stop_strings else None,
        )
    texts = [_decode(tokenizer, new, config) for new in output[:, input_ids.shape[1] :].tolist()]
    count = config.num_return_sequences
    return [texts[start : start + count] for start in range(0, len(texts), count)]


def _decode(tokenizer: PreTrainedTokenizerBase, new_ids: list[int], config: GenerationConfig) -> str:
    """Text up to the first stop token or stop string."""
    stops = set(config.eos_token_id or [])
    end = next((position for position, index in enumerate(new_ids) if index in stops), len(new_ids))
    text: str = tokenizer.decode(new_ids[:end], skip_special_tokens=True)
    strings = config.stop_strings or []
    for stop in [strings] if isinstance(strings, str) else strings:
        text = text.split(stop, 1)[0]
    return text.strip()


@contextmanager
def evaluation_mode(model: PreTrainedModel) -> Iterator[None]:
    """Dropout off inside, as it was outside."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's advice on generation flags, which the user of a recipe can't act on."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
