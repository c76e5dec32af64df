"""Any endpoint that speaks OpenAI's API: `llmcycle serve`, vLLM, llama.cpp's server, a vendor."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import openai
import torch
from transformers import GenerationConfig

from llmcycle.data.chat import Prompt, as_messages
from llmcycle.engine.engine import Answer, Engine, Piece
from llmcycle.engine.generation import MAX_NEW_TOKENS, stop_strings
from llmcycle.quantities import Count, CountOrZero, Positive

T = TypeVar("T")
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
# Settings of a GenerationConfig that a request has a field for, and values by which another one changes nothing.
TAKES = {"do_sample", "temperature", "top_p", "max_new_tokens", "num_return_sequences", "stop_strings"}
VERSION = "transformers_version"  # which every GenerationConfig carries
NEUTRAL = {"num_beams": 1, "top_k": 0, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "use_cache": True}


class OpenAIEngine(Engine):
    """Asks an endpoint over HTTP, several requests at a time. It answers and streams; it scores no reported tokens.

    A setting that `generate` leaves open is the endpoint's own. With `do_sample` each request carries a seed drawn from
    torch's global generator, so that an endpoint that honours seeds repeats its draws.

    Args:
        model: what the endpoint calls the model; of a folder its name, which is how `llmcycle serve` calls it.
        base_url: the address up to and including /v1.
        variable: the environment variable that holds the key; where it is not set, no key is sent.
        chat: whether a prompt is a turn of a chat; false has texts continued as they stand.
        concurrency: requests at once.
        timeout: seconds for one request.
        retries: of a request that was refused for now (a full queue, a lost connection), each after a longer pause.

    Raises:
        ValueError: the name of the variable does not end in API_KEY, or the address is none of HTTP.
    """

    offers = frozenset({"answer", "stream"})
    names_models = True  # `model` is what the endpoint calls it, and no folder

    def __init__(
        self,
        model: str,
        base_url: str,
        variable: str = "OPENAI_API_KEY",
        chat: bool = True,
        concurrency: Count = 4,
        timeout: Positive = 60.0,
        retries: CountOrZero = 4,
    ) -> None:
        self.preflight(variable, base_url)
        self.name = Path(model).name if Path(model).is_dir() else model
        self.base_url, self.variable, self.chat = base_url, variable, chat
        self.concurrency, self.timeout, self.retries = concurrency, timeout, retries

    @staticmethod
    def preflight(variable: str = "OPENAI_API_KEY", base_url: str = "http://", **_: object) -> None:
        """Refuse to send the content of a variable that is no key, and an address that nothing can be sent to."""
        if not variable.endswith("API_KEY"):
            raise ValueError(
                f"engine.variable: {variable} does not end in API_KEY, and only a key may be sent to an endpoint; "
                "put it into a variable of such a name, e.g. engine.variable=OPENAI_API_KEY"
            )
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(
                f"engine.base_url: {base_url} does not begin with http:// or https://, as http://127.0.0.1:8000/v1 does"
            )

    @property
    def chats(self) -> bool:
        return self.chat

    def describe(self) -> dict[str, str]:
        return {"endpoint": self.base_url, "model": self.name}

    @cached_property
    def client(self) -> openai.OpenAI:
        # Proxies of the environment are for other machines.
        transport = openai.DefaultHttpxClient(trust_env=urlsplit(self.base_url).hostname not in THIS_MACHINE)
        return openai.OpenAI(
            base_url=self.base_url,
            api_key=os.environ.get(self.variable) or "none",
            max_retries=self.retries,
            timeout=self.timeout,
            http_client=transport,
        )

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()

    @staticmethod
    def refuses(settings: Mapping[str, Any], **_: object) -> list[str]:
        """Settings that no field of a request stands for, unless they change nothing."""
        others = {name: value for name, value in settings.items() if name not in TAKES and name != VERSION}
        return [name for name, value in others.items() if value not in (None, NEUTRAL.get(name))]

    def answer(
        self, prompts: Sequence[Prompt], generation: GenerationConfig | None = None, logprobs: bool = False
    ) -> list[list[Answer]]:
        wish = generation or GenerationConfig()
        self.check_generation(wish)
        several = int(wish.num_return_sequences or 1)
        fields = {"max_tokens": MAX_NEW_TOKENS, "temperature": 0.0} | self._fields(wish) | self._wanted(logprobs)
        requests = [
            {**fields, **({"seed": int(torch.randint(2**31, ()))} if wish.do_sample else {}), **self._prompt(prompt)}
            for prompt in prompts
            for _ in range(several)
        ]
        answers = self._all(lambda request: self._answer(request, logprobs), requests)
        return [answers[start : start + several] for start in range(0, len(answers), several)]

    def stream(
        self, prompt: Prompt, generation: GenerationConfig | None = None, seed: int | None = None
    ) -> Generator[Piece, None, None]:
        fields = self._fields(generation or GenerationConfig()) | ({} if seed is None else {"seed": seed})
        is_chat = not isinstance(prompt, str)
        text, finish, usage = "", None, None
        with self._explained():
            more = {"stream": True, "stream_options": {"include_usage": True}}
            request = fields | ({"messages": list(prompt)} if is_chat else {"prompt": prompt}) | more
            with closing(self._create(is_chat, request)) as chunks:
                for chunk in chunks:
                    usage = chunk.usage or usage
                    for choice in chunk.choices:
                        piece = (choice.delta.content if is_chat else choice.text) or ""
                        text, finish = text + piece, choice.finish_reason or finish
                        yield Piece(piece)
        yield Piece("", _answer(text, finish, usage))

    def _fields(self, wish: GenerationConfig) -> dict[str, Any]:
        """A request's fields for what `wish` says; what it leaves open stays out."""
        fields = {"max_tokens": wish.max_new_tokens, "stop": stop_strings(wish) or None}
        if wish.do_sample:
            fields |= {"temperature": 1.0 if wish.temperature is None else wish.temperature, "top_p": wish.top_p}
        elif wish.do_sample is not None:
            fields["temperature"] = 0.0
        return {name: value for name, value in fields.items() if value is not None}

    def _wanted(self, logprobs: bool) -> dict[str, Any]:
        return {"logprobs": True if self.chat else 1} if logprobs else {}

    def _prompt(self, prompt: Prompt) -> dict[str, Any]:
        if self.chat:
            return {"messages": as_messages(prompt)}
        if isinstance(prompt, str):
            return {"prompt": prompt}
        raise ValueError("engine.chat=false: these prompts are lists of messages; set engine.chat=true")

    def _create(self, is_chat: bool, request: dict[str, Any]) -> Any:
        endpoint: Any = self.client.chat.completions if is_chat else self.client.completions
        return endpoint.create(model=self.name, **request)

    def _answer(self, request: dict[str, Any], logprobs: bool) -> Answer:
        with self._explained():
            response = self._create(self.chat, request)
        choice = response.choices[0]
        text = choice.message.content if self.chat else choice.text
        return _answer((text or "").strip(), choice.finish_reason, response.usage, _drawn(choice) if logprobs else None)

    def _all(self, ask: Callable[[dict[str, Any]], T], requests: Sequence[dict[str, Any]]) -> list[T]:
        """Ask all, `concurrency` at once; the first failure ends it."""
        pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="ask")
        try:
            return list(pool.map(ask, requests))
        finally:
            pool.shutdown(cancel_futures=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What goes wrong between here and the endpoint, in words and with a remedy."""
        where = f"the endpoint {self.base_url}"
        try:
            yield
        except openai.APITimeoutError as error:
            reason = f"engine.timeout={self.timeout:g}: {where} took longer for one request; raise it"
            raise ValueError(f"{reason}, or lower engine.concurrency={self.concurrency}") from error
        except openai.APIConnectionError as error:
            reason = f"engine.base_url: nothing answers at {self.base_url} ({error.__cause__ or error})"
            raise ValueError(f"{reason}; for a model of yours start `llmcycle serve FOLDER`") from error
        except openai.AuthenticationError as error:
            state = "holds no valid key" if os.environ.get(self.variable) else "is not set"
            reason = f"engine.variable={self.variable}: {where} wants a key, and this environment variable {state}"
            raise ValueError(f"{reason}; export it, or name another one") from error
        except openai.NotFoundError as error:
            reason = f"engine.model={self.name}: {where} says: {_message(error)}"
            lost = "" if urlsplit(self.base_url).path.strip("/") else "; engine.base_url is the address up to /v1"
            raise ValueError(reason + lost) from error
        except openai.RateLimitError as error:
            reason = f"engine.concurrency={self.concurrency}: {where} turns requests away ({_message(error)})"
            raise ValueError(f"{reason}; lower it, or raise engine.retries={self.retries}") from error
        except openai.APIStatusError as error:
            raise ValueError(f"engine: {where} refuses a request ({error.status_code}): {_message(error)}") from error


def _answer(text: str, finish: str | None, usage: Any, logprobs: tuple[float, ...] | None = None) -> Answer:
    read, written = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
    return Answer(
        text,
        "length" if finish == "length" else "stop",
        logprobs=logprobs,
        prompt_tokens=read or 0,
        new_tokens=written or 0,
    )


def _drawn(choice: Any) -> tuple[float, ...]:
    reported = choice.logprobs
    if reported is None:
        raise ValueError("engine: the endpoint gives no log-probabilities; use engine=transformers")
    if getattr(reported, "content", None) is not None:
        return tuple(token.logprob for token in reported.content)
    return tuple(reported.token_logprobs or ())


def _message(error: openai.APIStatusError) -> str:
    """The endpoint's own words."""
    body = error.body
    return str(body.get("message") or error.message) if isinstance(body, Mapping) else error.message
