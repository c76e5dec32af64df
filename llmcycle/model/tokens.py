"""The tokenizer's half of a hand-off: the same text to the same numbers, and generation that knows where to stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

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


def verify_tokenizer(tokenizer: PreTrainedTokenizerBase, out: Path, input_ids: Tensor) -> None:
    """Compare the tokenizer saved in `out` with the given one on the probe's own texts [B, T].

    Raises:
        ValueError: vocabulary, special or added tokens, chat template, encoding, decoding or a setting differ.
    """
    saved = AutoTokenizer.from_pretrained(out)
    texts = tokenizer.batch_decode(input_ids)
    facts: dict[str, Callable[[Any], Any]] = {
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
        if fact(saved) != fact(tokenizer):
            raise ValueError(
                f"hand-off: the {name} of the tokenizer saved in {out} is not the one that was trained with"
            )


def verify_generation(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise ValueError when greedy decoding would run on past an answer, or the tokenizer outgrew the embedding."""
    if model.can_generate():
        stops = model.generation_config.eos_token_id
        missing = set(end_token_ids(tokenizer)) - set(stops if isinstance(stops, list) else [stops])
        if missing:
            names = tokenizer.convert_ids_to_tokens(sorted(missing))
            raise ValueError(f"hand-off: generation_config.json does not stop at the end token {', '.join(names)}")
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ValueError(
            f"tokenizer: it has {len(tokenizer)} tokens and the model only {rows}; resize the model's embedding"
        )


def _is_special(tokenizer: PreTrainedTokenizerBase, token_id: int) -> bool:
    added = tokenizer.added_tokens_decoder.get(token_id)
    return token_id in tokenizer.all_special_ids or (added is not None and added.special)
