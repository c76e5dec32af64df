"""The tokenizer's half of a comparison: the same text to the same numbers, and generation that knows where to stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from .observe import Model, below

EndIds: TypeAlias = int | list[int] | None  # of the tokens at which a model stops

TURN = "\u00a7"  # content that no template contains, to find what a template writes after an answer
CHAT = [{"role": "user", "content": "question"}, {"role": "assistant", "content": TURN}]


def end_token_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end an answer: the end token, and the special token that the chat template puts after one."""
    ids = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    if tokenizer.chat_template:
        after = tokenizer.apply_chat_template(CHAT, tokenize=False).rpartition(TURN)[2]
        special = [i for i in tokenizer.encode(after, add_special_tokens=False) if _is_special(tokenizer, i)]
        ids += special[:1]
    return sorted(set(ids))


def stop_at_end(model: Model, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let `generate` stop at the end of an answer, besides where the base model stopped."""
    base = below(model)
    if not base.can_generate():
        return
    ids = sorted({*as_list(base.generation_config.eos_token_id), *end_token_ids(tokenizer)})
    if ids:
        base.generation_config.eos_token_id = ids if len(ids) > 1 else ids[0]
    if tokenizer.pad_token_id is not None:
        base.generation_config.pad_token_id = tokenizer.pad_token_id


def compare_tokenizers(
    before: PreTrainedTokenizerBase, after: PreTrainedTokenizerBase, folder: Path, input_ids: Tensor
) -> None:
    """Compare the tokenizer that `folder` gives with the model's own on the probe's texts [B, T].

    Raises:
        ValueError: vocabulary, special or added tokens, chat template, encoding, decoding or a setting differ.
    """
    texts = before.batch_decode(input_ids)
    facts: dict[str, Callable[[PreTrainedTokenizerBase], Any]] = {
        "vocabulary": lambda t: t.get_vocab(),
        "special tokens": lambda t: {name: str(token) for name, token in t.special_tokens_map.items()},
        "added tokens": lambda t: {i: (token.content, token.special) for i, token in t.added_tokens_decoder.items()},
        "chat template": lambda t: t.chat_template,
        "rendered chat": lambda t: t.apply_chat_template(CHAT, tokenize=False) if t.chat_template else None,
        "encoding": lambda t: t(texts)["input_ids"],
        "decoding": lambda t: t.batch_decode(input_ids, skip_special_tokens=True),
        "longest text": lambda t: t.model_max_length,
        "padding side": lambda t: (t.padding_side, t.truncation_side),
    }
    for name, fact in facts.items():
        if fact(after) != fact(before):
            raise ValueError(f"hand-off: the {name} of the tokenizer in {folder} is not the model's own")


def compare_stops(tokenizer: PreTrainedTokenizerBase, was: EndIds, now: EndIds) -> None:
    """Raise ValueError when an end token at which the model stopped is lost; each is an id, a list of them, or None."""
    if lost := sorted(set(end_token_ids(tokenizer)) & set(as_list(was)) - set(as_list(now))):
        names = ", ".join(tokenizer.convert_ids_to_tokens(lost))
        raise ValueError(f"hand-off: generation_config.json does not stop at the end token {names}")


def refuse_outgrown(tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Raise ValueError when the tokenizer has more tokens than the embedding has rows."""
    if len(tokenizer) > rows:
        raise ValueError(
            f"tokenizer: it has {len(tokenizer)} tokens and the model only {rows}; resize the model's embedding"
        )


def as_list(ids: EndIds) -> list[int]:
    """Token ids as generation settings hold them, always as a list."""
    return [] if ids is None else ids if isinstance(ids, list) else [ids]


def _is_special(tokenizer: PreTrainedTokenizerBase, token_id: int) -> bool:
    added = tokenizer.added_tokens_decoder.get(token_id)
    return token_id in tokenizer.all_special_ids or (added is not None and added.special)
