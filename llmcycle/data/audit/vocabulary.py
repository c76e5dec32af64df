"""What the audit knows of a tokenizer: the texts of its tokens, its template's own words, and what ends a turn."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property

from jinja2 import Environment
from transformers import PreTrainedTokenizerBase

from llmcycle.data.chat import as_messages, encode_text, render

WORD = re.compile(r"\w+")
# Of turns that call a function, besides the token that ends an answer: Llama 3.1's and gpt-oss's.
CALL_ENDS = ("<|eom_id|>", "<|call|>")
BROKEN = "\N{REPLACEMENT CHARACTER}"  # a token that is only a part of a character


class Texts(dict[int, str]):
    """The text that a token has inside a text, looked up when first asked for."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        backend = getattr(tokenizer, "backend_tokenizer", None)  # its own method takes a third of the time
        self._decode = tokenizer.decode if backend is None else backend.decode
        # Decoders treat the first token of a text in their own way, so another one stands there.
        self._first = encode_text(tokenizer, "a")[-1:]
        self._skip = len(self._decode(self._first, skip_special_tokens=False))

    def __missing__(self, token: int) -> str:
        self[token] = self._decode([*self._first, token], skip_special_tokens=False)[self._skip :]
        return self[token]


class Vocabulary:
    """One tokenizer, asked about each distinct thing once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.heard: set[Hashable] = set()  # kinds of conversations that were read, and whether one lacked a turn
        self.deaf = False
        self.texts = Texts(tokenizer)
        self._special: dict[str, int] = tokenizer.get_added_vocab()
        longest_first = sorted(self._special, key=len, reverse=True)
        self._added = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    # -- texts

    def quick(self, ids: Sequence[int]) -> str:
        """The text of tokens, each read by itself and once for all rows: nearly always what `decode` gives."""
        return "".join(map(self.texts.__getitem__, ids))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, special ones too."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def written(self, text: str) -> str:
        """A text as this vocabulary can write it: some lower its case, or lack characters."""
        return self.decode(encode_text(self.tokenizer, text)).strip()

    # -- the template

    @cached_property
    def generation_prompt(self) -> str:
        """What is written before an answer; "" where that can't be told."""
        if not self.tokenizer.chat_template:
            return ""
        question = as_messages("Q")
        try:
            without = render(self.tokenizer, question)
            whole = render(self.tokenizer, question, add_generation_prompt=True)
        except ValueError:  # a template that asks for more than a question
            return ""
        return whole.removeprefix(without).strip() if whole.startswith(without) else ""

    @cached_property
    def template_words(self) -> set[str]:
        """Words that the chat template writes of its own accord, of all its variants."""
        template = self.tokenizer.chat_template or ""
        sources = template.values() if isinstance(template, dict) else [template]
        tokens = (token for source in sources for token in Environment().lex(source))
        return {word for _, kind, value in tokens if kind in ("data", "string") for word in WORD.findall(_plain(value))}

    def foreign_words(self, text: str, known: Iterable[str] = ()) -> set[str]:
        """Words of a text that are neither special tokens, nor the template's, nor known."""
        return set(WORD.findall(self._added.sub(" ", text))) - self.template_words - set(known)

    # -- ends

    @cached_property
    def ends(self) -> set[int]:
        """Tokens that may end a turn: the tokenizer's end token, and the one that its template writes after answers."""
        ids = {self.tokenizer.eos_token_id, self._template_end, *map(self._special.get, CALL_ENDS)}
        return {token for token in ids if token is not None}

    @cached_property
    def _template_end(self) -> int | None:
        """The first special token after an answer."""
        if not self.tokenizer.chat_template:
            return None
        answer = "sentinel"
        try:
            text = render(self.tokenizer, [*as_messages("Q"), {"role": "assistant", "content": answer}])
        except ValueError:
            return None
        match = self._added.search(text, text.rfind(answer) + len(answer))
        return None if match is None else self._special[match.group()]

    def is_blank(self, token: int) -> bool:
        """Whether a token is nothing but space."""
        return not self.decode([token]).strip()


def _plain(literal: str) -> str:
    """A string literal of a template without its escapes."""
    return re.sub(r"\\[nrt]", " ", literal)
