"""Conversations as lists of messages in the form that chat templates read; what can't be brought into it is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rapidfuzz import process

from llmcycle.data.chat import Message

# What data sets call the speakers: https://huggingface.co/docs/transformers/chat_templating names the right-hand side.
ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "customer"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model", "chatbot", "bing", "bard"), "assistant"),
    **{"system": "system", "developer": "developer"},
    **dict.fromkeys(("tool", "observation", "function", "function_response", "function-response", "ipython"), "tool"),
    **dict.fromkeys(("function_call", "function-call", "tool_call"), "function_call"),
}


WEIGHTS = ("weight", "train", "loss")  # by which data sets say whether a turn is learnt: OpenAI, axolotl, LLaMA-Factory


def is_learnt(message: Mapping[str, Any]) -> bool:
    """Whether a turn of the assistant is to be learnt, where that is asked for every turn."""
    return message.get("train") is not False


def conversation(turns: object, column: str) -> list[Message]:
    """Messages of either spelling, `role` and `content` or `from` and `value`, checked one by one.

    Calls of functions become `tool_calls` with their arguments as mappings, keys without a value are left out.

    Raises:
        ValueError: no list of messages, or a message that would be lost or misread; it is named.
    """
    turns = parsed(turns, column)
    if not isinstance(turns, list) or not turns:
        raise ValueError(f"`{column}` must be a list of messages, found {shown(turns)}")
    return [_message(turn, f"{column}[{place}]") for place, turn in enumerate(turns)]


def parsed(value: object, column: str) -> Any:
    """A value that was written as a JSON text, as in CSV files; others as they are.

    Raises:
        ValueError: the text is not JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"`{column}` is a text that is not JSON ({error}): {shown(value)}") from None


def functions(tools: Any, column: str = "tools") -> list[dict[str, Any]]:
    """The functions that the assistant may call, as JSON schemas; nothing for none.

    Raises:
        ValueError: no list of mappings, each with a name.
    """
    tools = parsed(tools, column) if tools else []
    for place, tool in enumerate(tools if isinstance(tools, list) else [tools]):
        if not isinstance(tool, Mapping) or not _function(tool).get("name"):
            raise ValueError(f"`{column}` must be a list of functions with names; {column}[{place}] is {shown(tool)}")
    return [dict(tool) for tool in tools]


def text(message: Mapping[str, Any]) -> str:
    """What a message says: its content, or the text of its blocks."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(block.get("text", "")) for block in content if isinstance(block, Mapping))
    return "" if content is None else str(content)


def calls(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """`name` and `arguments` of each function that a message calls."""
    return [_function(call) for call in message.get("tool_calls") or ()]


def split_at_answer(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """What comes before the assistant's last turn that is learnt, and that turn; what follows asks for nothing.

    Raises:
        ValueError: the assistant answers nothing, or a tool's result comes last, which would be lost.
    """
    spoken = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    last = max((place for place in spoken if is_learnt(messages[place])), default=0)
    if last == 0:
        what = "is learnt: the `weight` of each is 0" if any(spoken) else "answers something"
        raise ValueError(f"`messages` has no message of the assistant that {what}")
    if any(message["role"] == "tool" for message in messages[last + 1 :]):
        raise ValueError(
            "`messages` ends with a turn of `tool` that the assistant does not answer, so it would be lost: "
            "add the answer, or take the turn out"
        )
    return list(messages[:last]), [messages[last]]


def shown(value: object) -> str:
    """A value in few words."""
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}..."


def _message(turn: object, where: str) -> Message:
    if not isinstance(turn, Mapping):
        raise ValueError(f"`{where}` must be a mapping with `role` and `content`, found {shown(turn)}")
    name, content = ("role", "content") if "role" in turn else ("from", "value")
    if not isinstance(turn.get(name), str):
        raise ValueError(f"`{where}` says neither by `role` nor by `from` who speaks; it has {', '.join(turn)}")
    role = _role(turn[name], where)
    rest = {k: v for k, v in turn.items() if k not in (name, content, *WEIGHTS) and v is not None}
    if role in ("assistant", "function_call") and not _trained(turn, where):
        rest["train"] = False
    if role == "function_call":
        called = parsed(turn.get(content), where)
        skipped = {"train": False} if "train" in rest else {}
        return {"role": "assistant", "content": "", "tool_calls": _calls(called, where), **skipped}
    if "tool_calls" in rest:
        rest["tool_calls"] = _calls(rest["tool_calls"], f"{where}.tool_calls")
    return {"role": role, "content": _content(turn.get(content), role, rest, where), **rest}


def _trained(turn: Mapping[str, Any], where: str) -> bool:
    """What a turn says of whether it is learnt; true where it says nothing.

    Raises:
        ValueError: a weight between 0 and 1, or no weight at all.
    """
    for key in WEIGHTS:
        value = turn.get(key)
        if value is not None and value not in (0, 1):
            raise ValueError(f"`{where}.{key}` says how much a turn is learnt: 0 or 1 is needed, not {shown(value)}")
        if value is not None and not value:
            return False
    return True


def _role(name: str, where: str) -> str:
    role = ROLES.get(name.lower())
    if role is None:
        near = process.extractOne(name.lower(), list(ROLES), score_cutoff=60)
        hint = f"; did you mean `{near[0]}`?" if near else f": one of {', '.join(ROLES)} is needed"
        raise ValueError(f"`{where}` is spoken by `{name}`, which is no role{hint}")
    return role


def _content(content: object, role: str, rest: Mapping[str, Any], where: str) -> Any:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(block, Mapping) and _is_text(block) for block in content):
        return text({"content": content})
    if content is None and role == "assistant" and rest.get("tool_calls"):
        return ""
    if role == "tool" and isinstance(content, Mapping | list):
        return json.dumps(content, ensure_ascii=False)
    raise ValueError(f"`{where}` of `{role}` must say a text, found {shown(content)}")


def _is_text(block: Mapping[str, Any]) -> bool:
    return block.get("type", "text") == "text" and isinstance(block.get("text"), str)


def _calls(value: object, where: str) -> list[dict[str, Any]]:
    content = parsed(value, where)
    call_list = content if isinstance(content, list) else [content]
    return [_call(call, f"{where}[{place}]") for place, call in enumerate(call_list)]


def _call(call: Any, where: str) -> dict[str, Any]:
    function = _function(call) if isinstance(call, Mapping) else {}
    if not isinstance(function.get("name"), str):
        raise ValueError(f"`{where}` must call a function by its `name`, found {shown(call)}")
    arguments = parsed(function.get("arguments") or {}, f"{where}.arguments")
    if not isinstance(arguments, Mapping):
        raise ValueError(f"`{where}.arguments` must be a mapping, found {shown(arguments)}")
    rest = {key: value for key, value in call.items() if key in ("id", "index") and value is not None}
    return {"type": "function", **rest, "function": {"name": function["name"], "arguments": dict(arguments)}}


def _function(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """A function's own mapping, which OpenAI's form wraps."""
    inner = call.get("function")
    return inner if isinstance(inner, Mapping) else call
