"""Batched generation with `transformers`: left-padded, sorted by length, quiet."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import transformers
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt, encode_prompt
from llmcycle.engine.batching import in_batches, padded
from llmcycle.engine.decoding import Written, may_narrow, write
from llmcycle.engine.engine import Answer
from llmcycle.model import may_be_padded
from llmcycle.model.positions import room

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


def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Prompt],
    config: GenerationConfig | None = None,
    batch_size: int = 64,
    logprobs: bool = False,
) -> list[list[Answer]]:
    """`config.num_return_sequences` answers to each prompt: the new text only, without surrounding space.

    Greedy and at most 32 new tokens unless `config` says otherwise. Prompts are rendered with the tokenizer's chat
    template if it has one. An answer does not depend on the batch it was computed in, up to rounding; draws with
    `do_sample` do, since they come from torch's global generator.

    A model that has a row of numbers for each position (GPT-2) has an end: of a prompt beyond it the beginning is left
    out, and an answer ends there.
    """
    resolved = resolve_config(model, tokenizer, config)
    rows, most = encode_prompts(tokenizer, prompts), room(model)
    rows = [ids[-most:] for ids in rows] if most else rows
    longest, new = max(map(len, rows), default=0), resolved.max_new_tokens or 0
    # Where one answer ends early for its prompt's length, prompts of one length share a batch.
    ragged = may_be_padded(model) and not (most and longest + new > most)

    def compute(rows: list[list[int]]) -> list[list[Answer]]:
        return _sample(model, tokenizer, padded(rows, resolved.pad_token_id, left=True), resolved, logprobs)

    return in_batches(rows, compute, len, batch_size, ragged=ragged)


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Mapping[str, Tensor],
    config: GenerationConfig,
    logprobs: bool = False,
) -> list[list[Answer]]:
    """As `answer`, from one left-padded batch: `input_ids` and `attention_mask` [P, T]."""
    return _sample(model, tokenizer, prompts, resolve_config(model, tokenizer, config), logprobs)


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


def _sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Mapping[str, Tensor],
    config: GenerationConfig,
    logprobs: bool,
) -> list[list[Answer]]:
    if logprobs and config.num_beams > 1:
        raise ValueError("logprobs: a beam search draws no tokens; set num_beams=1")
    count, asking = config.num_return_sequences, copy.copy(config)
    narrow = may_narrow(model, asking)
    # As `generate` would do it, but in the sight of an adapter that looks for its place in each row, as aLoRA does.
    rows = count if config.do_sample and config.num_beams == 1 and not narrow else 1
    asking.num_return_sequences = count // rows
    input_ids = prompts["input_ids"].repeat_interleave(rows, 0).to(model.device)
    asking.return_dict_in_generate, asking.output_scores = True, logprobs
    if (most := room(model)) and asking.max_new_tokens:
        # the last token is written and not read
        asking.max_new_tokens = max(1, min(asking.max_new_tokens, most - input_ids.shape[1] + 1))
    with torch.no_grad(), evaluation_mode(model), quiet():
        output = model.generate(
            input_ids=input_ids,
            attention_mask=prompts["attention_mask"].repeat_interleave(rows, 0).to(model.device),
            generation_config=asking,
            tokenizer=tokenizer if config.stop_strings else None,
            custom_generate=write if narrow else None,
        )
    new_ids: list[list[int]] = output.sequences[:, input_ids.shape[1] :].tolist()
    drawn: Sequence[list[float] | None] = [None] * len(new_ids)
    if logprobs:
        drawn = output.logprobs.tolist() if isinstance(output, Written) else _drawn(output.scores, new_ids)
    read = prompts["attention_mask"].sum(1).repeat_interleave(count).tolist()
    answers = [_answer(tokenizer, *row, config) for row in zip(new_ids, drawn, read, strict=True)]
    return [answers[start : start + count] for start in range(0, len(answers), count)]


def _drawn(scores: Sequence[Tensor], new_ids: list[list[int]]) -> list[list[float]]:
    """Log-probability of each new token in the distribution of its step, after temperature and filters."""
    ids_BT = torch.tensor(new_ids, device=scores[0].device)
    steps = [step.float().log_softmax(-1).gather(1, ids_BT[:, [t]]) for t, step in enumerate(scores)]
    return torch.cat(steps, 1).tolist()  # type: ignore[no-any-return]


def _answer(
    tokenizer: PreTrainedTokenizerBase,
    new_ids: list[int],
    logprobs: list[float] | None,
    prompt_tokens: int,
    config: GenerationConfig,
) -> Answer:
    """Text up to the first stop token or stop string; tokens through the one that ends it, without padding."""
    stops = set(config.eos_token_id or [])
    end = next((position for position, index in enumerate(new_ids) if index in stops), len(new_ids))
    text: str = tokenizer.decode(new_ids[:end], skip_special_tokens=True)
    cuts = [place for stop in stop_strings(config) if (place := text.find(stop)) >= 0]
    count = end + 1
    if cuts:  # such a row is filled up with padding, which is no end
        text = text[: min(cuts)]
        count = max((i for i, index in enumerate(new_ids[:end], 1) if index != config.pad_token_id), default=0)
    token_ids = tuple(new_ids[:count])
    return Answer(
        text.strip(),
        "stop" if cuts or end < len(new_ids) else "length",
        token_ids,
        tuple(logprobs[: len(token_ids)]) if logprobs is not None else None,
        prompt_tokens,
        len(token_ids),
    )


def stop_strings(config: GenerationConfig) -> list[str]:
    """The texts that end an answer."""
    strings = config.stop_strings or []
    return [strings] if isinstance(strings, str) else list(strings)


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
