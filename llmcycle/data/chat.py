"""Prompts and completions to text and tokens: the one place where chat templates and end tokens are decided."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from llmcycle.data import spelling

IGNORE = -100  # the label that transformers' and torch's cross-entropy skip
BOS, PAD, USER, ASSISTANT, END = "<|endoftext|>", "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"

ASKED, SAID = "llmcycle-asked", "llmcycle-said"  # stand in a template where a conversation's own words will
SPARE = re.compile(r"pad\b|pad_|reserved|unused")  # in tokens that no text needs
Message = dict[str, Any]  # `role` and `content`; of the assistant perhaps `tool_calls`
Prompt = str | Sequence[Message]
Tools = Sequence[dict[str, Any]] | None  # JSON schemas of the functions that the assistant may call

# For tokenizers that hold the three markers: ours, which put a blank before every text, so that the first word of an
# answer is the same token as that word inside a sentence of the corpus. It speaks none of the corpus's words: a base
# model has never seen the markers, and only tuning teaches it what they ask for.
MARKER_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|assistant|>' if m['role'] == 'assistant' else '<|user|>' }}{{ m['content'] | trim }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# For every other base model: plain words, and the model's own end token after an answer.
PLAIN_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ ('Assistant' if m['role'] == 'assistant' else 'User') + ': ' + m['content'] | trim }}"
    "{{ eos_token if m['role'] == 'assistant' else '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def as_messages(prompt: Prompt) -> list[Message]:
    """A string is one turn of the user; a list of messages stays as it is."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)


def as_answer(completion: str | Sequence[Message]) -> list[Message]:
    """A string is one turn of the assistant; a list of messages stays as it is."""
    return [{"role": "assistant", "content": completion}] if isinstance(completion, str) else list(completion)


def render_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, tools: Tools = None) -> str:
    """The text that the model continues: through the chat template, up to the answer's first character, or as it is.

    Raises:
        ValueError: a list of messages for a tokenizer without a chat template, or messages that its template refuses.
    """
    if tokenizer.chat_template:
        return render(tokenizer, as_messages(prompt), tools, add_generation_prompt=True)
    if isinstance(prompt, str):
        return prompt
    raise ValueError(
        "the prompt is a list of messages, but this tokenizer has no chat template: "
        "choose `tokenizer=chat`, or map a plain text column with `data.columns`"
    )


def render_completion(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, completion: str | Sequence[Message], tools: Tools = None
) -> str:
    """What follows `render_prompt`, up to and including the token that ends an answer.

    Raises:
        ValueError: the template does not continue its own prompt (some drop earlier turns), so no label mask exists.
    """
    if not tokenizer.chat_template:
        return _content(completion) + str(tokenizer.eos_token or "")
    head = render_prompt(tokenizer, prompt, tools)
    whole = render(tokenizer, [*as_messages(prompt), *as_answer(completion)], tools)
    if not whole.startswith(head):
        raise ValueError(
            "this tokenizer's chat template renders an answered prompt differently from the prompt itself, "
            "so the completion can't be told from the prompt: set another `chat_template`"
        )
    return whole[len(head) :].rstrip()  # templates write a newline after the end token; nothing is asked to predict it


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids without any special token of the tokenizer's own making."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_plain(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids as the tokenizer begins a text, but with one BOS where the text spells it too."""
    ids: list[int] = tokenizer(text, verbose=False)["input_ids"]
    head = _leading_ids(tokenizer)
    return ids[len(head) :] if head and ids[: 2 * len(head)] == head * 2 else ids


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, tools: Tools = None) -> list[int]:
    """Token ids of `render_prompt`, with exactly one leading BOS where the tokenizer uses one."""
    ids = _encode_rendered(tokenizer, render_prompt(tokenizer, prompt, tools))
    head = _leading_ids(tokenizer)
    return ids if tokenizer.chat_template or ids[: len(head)] == head else head + ids


def encode_prompt_completion(
    tokenizer: PreTrainedTokenizerBase,
    prompt: Prompt,
    completion: str | Sequence[Message],
    max_length: int | None = None,
    tools: Tools = None,
) -> dict[str, list[int]]:
    """One training sequence; the loss falls on the completion and on the token that ends it.

    Prompt and completion are tokenised apart, so that the prompt's tokens are the ones that generation will start from.

    Returns:
        `input_ids`, `attention_mask` and `labels` (-100 on the prompt), each cut at `max_length` tokens.
    """
    head = encode_prompt(tokenizer, prompt, tools)
    tail = _encode_rendered(tokenizer, render_completion(tokenizer, prompt, completion, tools))
    ids = (head + tail)[:max_length]
    labels = ([IGNORE] * len(head) + tail)[:max_length]
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}


def encode_reply(tokenizer: PreTrainedTokenizerBase, said: str, end: int) -> list[int]:
    """Token ids of a user's turn behind an answer that ended with the token `end`, and of what begins the next answer.

    Without a chat template it is a line of its own.
    """
    if not tokenizer.chat_template:
        return encode_text(tokenizer, f"\n{said}\n")
    turns = [{"role": role, "content": text} for role, text in (("user", ASKED), ("assistant", SAID), ("user", said))]
    behind = render(tokenizer, turns, add_generation_prompt=True).partition(SAID)[2]
    return _encode_rendered(tokenizer, behind.removeprefix(str(tokenizer.decode([end]))))


def encode_document(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """A whole document: BOS (EOS where the model has none), so that its first token is predicted too, text and EOS."""
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    end = tokenizer.eos_token_id
    return [i for i in (start, *encode_text(tokenizer, text), end) if i is not None]


def set_chat_template(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Gives a base model's tokenizer a chat template and the end token that goes with it; keeps one that is there."""
    if tokenizer.chat_template:
        return tokenizer
    vocabulary = tokenizer.get_vocab()
    if all(marker in vocabulary for marker in (USER, ASSISTANT, END)):
        tokenizer.chat_template, tokenizer.eos_token = MARKER_TEMPLATE, END
    else:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return tokenizer


def chat_tokenizer(pretrained_model_name_or_path: str) -> PreTrainedTokenizerBase:
    """A model's tokenizer, ready for chat: its own template, or ours for a base model that has none."""
    return set_chat_template(AutoTokenizer.from_pretrained(pretrained_model_name_or_path))


def choose_pad(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Makes sure that there is a pad token and, where the vocabulary allows it, that it is not the end token.

    Code that finds padding by its id would otherwise take a trained end token for padding. In its place comes the
    unknown token, one that the vocabulary calls padding or keeps in reserve, or the one that begins a text.
    """
    end = tokenizer.eos_token
    if tokenizer.pad_token is None or tokenizer.pad_token == end:
        added = [token for token in tokenizer.get_added_vocab() if SPARE.search(token.lower())]
        added.sort(key=lambda token: ("pad" not in token.lower(), token))
        others = (getattr(tokenizer, "unk_token", None), *added, tokenizer.bos_token)
        tokenizer.pad_token = next((token for token in others if token not in (None, end)), end)
    return tokenizer


def render(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    tools: Tools = None,
    add_generation_prompt: bool = False,
) -> str:
    """Messages through the chat template; special tokens that they spell are signs of `llmcycle.data.spelling`.

    Raises:
        ValueError: the template refuses them, as some do a system turn or two turns of one role.
    """
    with refusals():
        schemas = list(tools) if tools else None
        return str(
            tokenizer.apply_chat_template(
                spelling.protect(tokenizer, messages),
                tools=schemas,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
            )
        )


@contextmanager
def refusals() -> Iterator[None]:
    """A chat template's own complaints become ours."""
    try:
        yield
    except (TemplateError, TypeError, KeyError) as error:
        raise ValueError(f"this tokenizer's chat template refuses the messages: {error}") from error


def _encode_rendered(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Without a chat template a text is continued as it is, and whoever writes it may write markers."""
    return spelling.encode(tokenizer, text) if tokenizer.chat_template else encode_text(tokenizer, text)


def _content(completion: str | Sequence[Message]) -> str:
    return completion if isinstance(completion, str) else completion[-1]["content"]


def _leading_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """[BOS] where the tokenizer puts one before a text, else nothing."""
    ids: list[Any] = tokenizer("")["input_ids"]
    bos = tokenizer.bos_token_id
    return [bos] if bos is not None and ids[:1] == [bos] else []
