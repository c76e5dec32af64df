"""Request bodies of the OpenAI API as far as one small model can honour them.

An unknown field, or one whose wish cannot be met, is refused with 422 instead of being ignored.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from transformers import GenerationConfig


def encodable(text: str) -> str:
    """The text itself. Raises ValueError: it holds half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start} is half of a surrogate pair (\\ud800 to \\udfff)") from error
    return text


Text = Annotated[str, AfterValidator(encodable)]
Stop = Annotated[Text, Field(min_length=1, max_length=256)]
COLDEST = 1e-5  # temperatures below it are greedy: dividing by them overflows
Zero = Annotated[float, Field(ge=0, le=0)]
NoItems = Annotated[list[str], Field(max_length=0)]


class Strict(BaseModel):
    """No unknown fields, no coercion ("yes" is not true), no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(Strict):
    include_usage: bool = False


class Empty(Strict):
    """`{}`."""


class PlainText(Strict):
    type: Literal["text"]


class Sampling(Strict):
    """What both endpoints take. Unset temperature and top_p mean the model's own generation_config.json.

    What one model cannot do is accepted with the values that ask for nothing, because clients send them.
    """

    model: Text
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    seed: int | None = Field(None, ge=0, lt=2**63)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    presence_penalty: Zero | None = None
    frequency_penalty: Zero | None = None
    user: Text | None = None
    logit_bias: Empty | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def generation(self) -> GenerationConfig:
        """What is wished, as an engine's `stream` reads it; temperature 0 is greedy, None leaves it to the model."""
        sampled = None if self.temperature is None else self.temperature >= COLDEST
        config = GenerationConfig(max_new_tokens=self.max_tokens, stop_strings=list(self.stops) or None)
        config.do_sample = True if self.temperature is None and self.top_p else sampled
        config.temperature, config.top_p = self.temperature, self.top_p
        return config

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class TextPart(Strict):
    type: Literal["text"]
    text: Text


class Message(Strict):
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(min_length=1)]
    name: Text | None = None

    def plain(self) -> dict[str, str]:
        """The message as chat templates take it; `developer` is the newer name of `system`."""
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": content}


class ChatRequest(Sampling):
    messages: list[Message] = Field(min_length=1, max_length=1024)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    tools: NoItems | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    response_format: PlainText | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    store: Literal[False] | None = None
    metadata: Empty | None = None
    service_tier: Literal["auto", "default"] | None = None

    @model_validator(mode="after")
    def one_limit(self) -> ChatRequest:
        """`max_completion_tokens` is the newer name of `max_tokens`."""
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("give max_tokens or max_completion_tokens, not both")
        self.max_tokens = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return self


class CompletionRequest(Sampling):
    prompt: Text
    echo: Literal[False] | None = None
    logprobs: None = None
    suffix: Literal[""] | None = None
    best_of: Literal[1] | None = None
