"""Tokenizers, chat templates and rows for tests of what is learnt from them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from conftest import SPECIAL
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from llmcycle.data.batches import Batches

# Tokens of the families whose templates TRL knows.
FAMILIES = (
    *("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<|system|>", "<think>", "</think>"),
    *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# The same with markers; GENERATION's parts are what broken templates vary.
MARKED = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}<|im_start|>assistant\n"
    "{% generation %}{{ m['content'] }}<|im_end|>{% endgeneration %}{{ '\n' }}"
    "{% else %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass
class Rows:
    train: list[dict[str, Any]]
    validation: list[dict[str, Any]] = field(default_factory=list)


@cache
def _tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*SPECIAL, *FAMILIES, *alphabet]
    backend = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    extra = [*SPECIAL[2:], *FAMILIES]
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<|pad|>", eos_token="<|endoftext|>", extra_special_tokens=extra
    )


def tokenizer(template: str | None = None, **special: str) -> PreTrainedTokenizerBase:
    """One token a byte, and the special tokens of many families; by default its end token is CHATML's."""
    made = copy.deepcopy(_tokenizer())
    made.chat_template = template
    for name, token in {"eos_token": "<|im_end|>", **special}.items():
        setattr(made, name, token)
    return made


def known_to_trl(name: str) -> str:
    """A chat template as TRL keeps it, which is that of the family's models."""
    import trl

    return (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text("utf-8")


def said(*contents: str, system: str | None = None) -> list[dict[str, Any]]:
    """User and assistant in turn."""
    turns = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(contents)]
    return [*([{"role": "system", "content": system}] if system else []), *turns]


def called(city: str = "Oslo") -> dict[str, Any]:
    """A conversation in which a function is called."""
    call = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": city}}}
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": "get_weather", "description": "Tells the weather.", "parameters": parameters}
    return {
        "prompt": [
            {"role": "user", "content": f"How warm is it in {city}?"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "name": "get_weather", "content": "17 degrees"},
        ],
        "completion": "It is 17.",
        "tools": [{"type": "function", "function": function}],
    }


def batches(
    rows: list[dict[str, Any]], encode: Any, using: Any, validation: Any = (), allow: Any = (), **options: Any
) -> Batches:
    return Batches(Rows(rows, list(validation)), encode, using, 2, 2, seed=0, allow=allow, **options)
