"""One model answering one request, token by token: the part of serving that knows nothing of HTTP."""

from __future__ import annotations

import copy
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from llmcycle.engine.generation import encode_prompts, resolve_config

DEFAULT_MAX_TOKENS = 256  # new tokens of a request that names no limit
COLDEST = 1e-5  # temperatures below it are greedy: dividing by them overflows


@dataclass(frozen=True)
class Ask:
    """One request: a string is continued as it is, messages go through the chat template and are answered.

    `temperature` 0 is greedy; None leaves it to the model's generation_config.json.
    """

    prompt: str | list[dict[str, str]]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def is_chat(self) -> bool:
        return not isinstance(self.prompt, str)


@dataclass(frozen=True)
class Reply:
    """The whole answer; `completion_tokens` counts the end token too."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish: Literal["stop", "length"]


class Cancelled(Exception):
    """Nobody waits for this answer any more."""


class BadPrompt(ValueError):
    """The prompt leaves no room for an answer, or the chat template refuses it."""


@dataclass
class Follow(StoppingCriteria):
    """Watches `generate` after every token: passes new text on, and ends it at a stop string or when cancelled.

    Text is passed on only once no later token can change it: not while its end may be the beginning of a stop
    string, nor in the middle of a character (a byte-level tokenizer decodes that to U+FFFD). A chat answer loses the
    white space around it, as `llmcycle.engine.generate` takes it off.
    """

    tokenizer: PreTrainedTokenizerBase
    start: int  # tokens of the prompt
    ask: Ask
    say: Callable[[str], None]
    cancelled: threading.Event
    sent: str = field(default="", init=False)

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        if self.cancelled.is_set():
            raise Cancelled
        text, stopped = self.read(input_ids)
        self.pass_on(text if stopped else text[: len(text) - held_back(text, self.ask.stop)])
        return torch.full((input_ids.shape[0],), stopped, dtype=torch.bool, device=input_ids.device)

    def read(self, input_ids: torch.Tensor) -> tuple[str, bool]:
        """The answer so far up to its first stop string, and whether it has one."""
        text = str(self.tokenizer.decode(input_ids[0, self.start :], skip_special_tokens=True))
        found = [at for at in (text.find(stop) for stop in self.ask.stop) if at >= 0]
        text = text[: min(found)] if found else text
        return (text.lstrip() if self.ask.is_chat else text), bool(found)

    def pass_on(self, text: str) -> None:
        text = text.rstrip() if self.ask.is_chat else text
        if len(text) > len(self.sent) and text.startswith(self.sent):
            self.say(text[len(self.sent) :])
            self.sent = text


def held_back(text: str, stops: tuple[str, ...]) -> int:
    """Characters at the end of `text` that a later token may still turn into something else."""
    starts = [n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])]
    broken = len(text) - len(text.rstrip("\ufffd"))
    return max([broken, *starts])


class Replier:
    """Answers with a transformers model called `name`, one request at a time (its caller sees to that)."""

    def __init__(self, name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.name, self.model, self.tokenizer = name, model.eval(), tokenizer
        self.defaults = resolve_config(model, tokenizer, None)
        self.encode("warm up")  # a fast tokenizer drops its saved truncation on first use, which is not thread-safe

    @property
    def context(self) -> int:
        """Tokens that prompt and answer may have together."""
        return int(getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or 2**31)

    def encode(self, prompt: str | list[dict[str, str]]) -> list[int]:
        """Token ids. Messages for a model without a chat template are joined by newlines into one plain prompt.

        Raises:
            BadPrompt: no room for an answer in the model's context, or the template refuses the messages.
        """
        if not isinstance(prompt, str) and not self.tokenizer.chat_template:
            prompt = "\n".join(message["content"] for message in prompt)
        try:
            ids: list[int] = (
                self.tokenizer(prompt, verbose=False)["input_ids"]
                if isinstance(prompt, str)
                else encode_prompts(self.tokenizer, [prompt])[0]
            )
        except ValueError as error:  # in words for a user: the chat template refuses these messages
            raise BadPrompt(str(error)) from error
        if len(ids) >= self.context:
            raise BadPrompt(f"the prompt has {len(ids)} tokens and the model's context is {self.context}")
        return ids or [self.defaults.bos_token_id or self.defaults.pad_token_id]

    def reply(self, ask: Ask, say: Callable[[str], None], cancelled: threading.Event) -> Reply:
        """Answer, calling `say` with each new piece of text; their sum is the reply's text.

        Raises:
            BadPrompt: see `encode`.
            Cancelled: `cancelled` was set meanwhile.
        """
        if cancelled.is_set():
            raise Cancelled
        input_ids = torch.tensor([self.encode(ask.prompt)], device=self.model.device)
        follow = Follow(self.tokenizer, input_ids.shape[1], ask, say, cancelled)
        config = self.config(ask, input_ids.shape[1])
        with torch.random.fork_rng():
            torch.manual_seed(secrets.randbits(63) if ask.seed is None else ask.seed)
            output = self.model.generate(
                input_ids=input_ids,
                attention_mask=torch.ones_like(input_ids),
                generation_config=config,
                stopping_criteria=StoppingCriteriaList([follow]),
            )
        text, stopped = follow.read(output)
        follow.pass_on(text)
        ended = stopped or int(output[0, -1]) in (config.eos_token_id or [])
        return Reply(follow.sent, follow.start, output.shape[1] - follow.start, "stop" if ended else "length")

    def config(self, ask: Ask, prompt_tokens: int) -> GenerationConfig:
        """Greedy with the very settings of `llmcycle.engine.generate`, or sampling as `ask` or the model wish."""
        config, own = copy.deepcopy(self.defaults), self.model.generation_config
        config.max_new_tokens = min(ask.max_tokens or DEFAULT_MAX_TOKENS, self.context - prompt_tokens)
        config.do_sample = bool(own.do_sample or ask.top_p) if ask.temperature is None else ask.temperature >= COLDEST
        if config.do_sample:
            config.temperature = float(ask.temperature or own.temperature or 1.0)
            config.top_p = float(ask.top_p or own.top_p or 1.0)
            config.top_k = own.top_k or 0  # transformers' own default of 50 would cut the tail unasked
        return config
