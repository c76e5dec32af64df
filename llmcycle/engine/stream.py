"""One answer of a transformers model, token by token, as a chat and a server give it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import cache
from queue import SimpleQueue

import torch
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from llmcycle.data.chat import Prompt, encode_plain
from llmcycle.engine.engine import Answer, BadPrompt, Piece
from llmcycle.engine.generation import encode_prompts, evaluation_mode, quiet, resolve_config, stop_strings

DEFAULT_MAX_TOKENS = 256  # new tokens where no limit is named


class Cancelled(Exception):
    """Nobody waits for this answer any more."""


@dataclass
class Follow(StoppingCriteria):
    """Watches `generate` after every token: passes new text on, and ends it at a stop string or when cancelled.

    Text is passed on only once no later token can change it: not while its end may be the beginning of a stop
    string, nor in the middle of a character (a byte-level tokenizer decodes that to U+FFFD). A chat answer loses the
    white space around it, as `Engine.answer` takes it off.
    """

    tokenizer: PreTrainedTokenizerBase
    start: int  # tokens of the prompt
    stops: list[str]
    is_chat: bool
    say: Callable[[str], None]
    cancelled: threading.Event
    sent: str = field(default="", init=False)

    def __call__(self, input_ids: torch.Tensor, _scores: object, **_: object) -> torch.Tensor:
        if self.cancelled.is_set():
            raise Cancelled
        text, stopped = self.read(input_ids)
        self.pass_on(text if stopped else text[: len(text) - held_back(text, self.stops)])
        return torch.full((input_ids.shape[0],), stopped, dtype=torch.bool, device=input_ids.device)

    def read(self, input_ids: torch.Tensor) -> tuple[str, bool]:
        """The answer so far up to its first stop string, and whether it has one."""
        text = str(self.tokenizer.decode(input_ids[0, self.start :], skip_special_tokens=True))
        cuts = [at for at in (text.find(stop) for stop in self.stops) if at >= 0]
        text = text[: min(cuts)] if cuts else text
        return (text.lstrip() if self.is_chat else text), bool(cuts)

    def pass_on(self, text: str) -> None:
        """Say what is new of `text`: "" where nothing is, so that whoever listens can leave after any token."""
        text = text.rstrip() if self.is_chat else text
        grown = len(text) > len(self.sent) and text.startswith(self.sent)
        self.say(text[len(self.sent) :] if grown else "")
        self.sent = text if grown else self.sent


def held_back(text: str, stops: list[str]) -> int:
    """Characters at the end of `text` that a later token may still turn into something else."""
    starts = [n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])]
    broken = len(text) - len(text.rstrip("\ufffd"))
    return max([broken, *starts])


def context_length(model: PreTrainedModel) -> int:
    """Tokens that prompt and answer may have together."""
    return int(getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**31)


def encode(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """Token ids. Messages for a model without a chat template are joined by newlines into one plain prompt.

    Raises:
        BadPrompt: no room for an answer in the model's context, or the template refuses the messages.
    """
    if not isinstance(prompt, str) and not tokenizer.chat_template:
        prompt = "\n".join(message["content"] for message in prompt)
    refuse_longest(model, tokenizer, prompt)
    try:
        ids: list[int] = (
            encode_plain(tokenizer, prompt) if isinstance(prompt, str) else encode_prompts(tokenizer, [prompt])[0]
        )
    except ValueError as error:  # in words for a user: the chat template refuses these messages
        raise BadPrompt(str(error)) from error
    if len(ids) >= context_length(model):
        raise BadPrompt(f"the prompt has {len(ids)} tokens and the model's context is {context_length(model)}")
    defaults = resolve_config(model, tokenizer, None)
    return ids or [defaults.bos_token_id or defaults.pad_token_id]


def refuse_longest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> None:
    """BadPrompt, without tokenising it, for a prompt of so many characters that it can't fit whatever its tokens."""
    contents = [prompt] if isinstance(prompt, str) else [message.get("content") for message in prompt]
    most = context_length(model) * longest_token(tokenizer)
    size = sum(len(content) for content in contents if isinstance(content, str))
    if size > most:
        raise BadPrompt(f"the prompt has {size} characters and the model's context holds {most} at the most")


@cache
def longest_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Characters of the longest token."""
    return max(map(len, tokenizer.get_vocab()))


def settled(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, wish: GenerationConfig | None, prompt_tokens: int
) -> GenerationConfig:
    """`wish` with what it leaves open as the model's own generation_config.json says it; greedy as in `answer`."""
    wish, own = wish or GenerationConfig(), model.generation_config
    config = resolve_config(model, tokenizer, wish)
    config.max_length, config.stop_strings = None, None  # stop strings are `Follow`'s
    config.max_new_tokens = min(wish.max_new_tokens or DEFAULT_MAX_TOKENS, context_length(model) - prompt_tokens)
    config.do_sample = bool(own.do_sample) if wish.do_sample is None else wish.do_sample
    if config.do_sample:
        config.temperature = float(wish.temperature or own.temperature or 1.0)
        config.top_p = float(wish.top_p or own.top_p or 1.0)
        # transformers' own default of 50 would cut the tail though nobody wished it
        config.top_k = wish.top_k if wish.top_k is not None else own.top_k or 0
    return config


def write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Prompt,
    wish: GenerationConfig | None,
    seed: int | None,
    say: Callable[[str], None],
    cancelled: threading.Event,
) -> Answer:
    """Answer, calling `say` with each new piece of text; their sum is the answer's text.

    Raises:
        BadPrompt: see `encode`.
        Cancelled: `cancelled` was set meanwhile.
    """
    input_ids = torch.tensor([encode(model, tokenizer, prompt)], device=model.device)
    config = settled(model, tokenizer, wish, input_ids.shape[1])
    stops = stop_strings(wish or config)
    follow = Follow(tokenizer, input_ids.shape[1], stops, not isinstance(prompt, str), say, cancelled)
    with torch.random.fork_rng(), evaluation_mode(model), quiet():
        torch.manual_seed(secrets.randbits(63) if seed is None else seed)
        output = model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            generation_config=config,
            stopping_criteria=StoppingCriteriaList([follow]),
        )
    text, stopped = follow.read(output)
    follow.pass_on(text)
    new_ids = tuple(output[0, follow.start :].tolist())
    ended = stopped or bool({*new_ids[-1:]} & {*(config.eos_token_id or [])})
    return Answer(
        follow.sent, "stop" if ended else "length", new_ids, prompt_tokens=follow.start, new_tokens=len(new_ids)
    )


def stream(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: Prompt,
    wish: GenerationConfig | None = None,
    seed: int | None = None,
) -> Generator[Piece, None, None]:
    """A piece for every token, and a last one with the whole answer; leaving it early ends the generation."""
    pieces: SimpleQueue[Piece | BaseException] = SimpleQueue()
    cancelled = threading.Event()

    def work() -> None:
        try:
            say = lambda text: pieces.put(Piece(text))  # noqa: E731
            pieces.put(Piece("", write(model, tokenizer, prompt, wish, seed, say, cancelled)))
        except BaseException as error:
            pieces.put(error)

    # `generate` calls back and does not yield, so it runs beside whoever reads.
    thread = threading.Thread(target=work, name="generate", daemon=True)
    thread.start()
    try:
        while True:
            piece = pieces.get()
            if isinstance(piece, BaseException):
                raise piece
            yield piece
            if piece.answer is not None:
                return
    finally:
        cancelled.set()
        thread.join()
