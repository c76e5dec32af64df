"""Folders to serve, and a client that shows status, headers and body of whatever comes back."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.data.chat import set_chat_template
from llmcycle.engine import TransformersEngine

NAME = "tiny"


@dataclass(frozen=True)
class Got:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


def send(url: str, body: Any = None, headers: dict[str, str] | None = None) -> Got:
    """GET, or POST where there is a body: bytes as they are, all else as JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as response:
            return Got(response.status, dict(response.headers), response.read().decode())
    except urllib.error.HTTPError as error:
        return Got(error.code, dict(error.headers), error.read().decode())


def asked(content: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"model": NAME, "messages": [{"role": "user", "content": content}], "max_tokens": 16, **more}


@pytest.fixture
def engine(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> TransformersEngine:
    return TransformersEngine(model, set_chat_template(tokenizer), name=NAME)


@pytest.fixture
def folder(tmp_path: Path, engine: TransformersEngine) -> Path:
    path = tmp_path / NAME
    engine.model.save_pretrained(path)
    engine.tokenizer.save_pretrained(path)
    return path
