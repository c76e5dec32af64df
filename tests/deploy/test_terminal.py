from __future__ import annotations

import io
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from llmcycle.deploy import chat
from llmcycle.deploy.terminal import turn
from llmcycle.engine import TransformersEngine, texts


def said(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    chat(folder, max_tokens=10)
    return capsys.readouterr().out


def test_a_piped_chat_prints_answers_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    first = [{"role": "user", "content": "Hello"}]
    config = GenerationConfig(max_new_tokens=10)
    answer = texts(TransformersEngine(model, tokenizer), [first], config)[0]
    second = [*first, {"role": "assistant", "content": answer}, {"role": "user", "content": "More"}]
    fresh = [{"role": "user", "content": "More"}]
    expected = [answer, *texts(TransformersEngine(model, tokenizer), [second, fresh], config)]
    assert expected[1] != expected[2]
    out = said("Hello\n\nMore\n/reset\nMore\n/quit\nnever read\n", folder, monkeypatch, capsys)
    assert out == "".join(f"{text}\n" for text in expected)


def test_a_base_model_continues_each_line(
    engine: TransformersEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.tokenizer.chat_template = None
    engine.model.save_pretrained(tmp_path / "base")
    engine.tokenizer.save_pretrained(tmp_path / "base")
    out = said("Once\nOnce\n", tmp_path / "base", monkeypatch, capsys)
    half = len(out) // 2
    assert out[:half] == out[half:]
    assert len(out) > 2


def test_an_unknown_command_is_explained(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        said("/help\n", folder, monkeypatch, capsys)
        == "/help: unknown; /reset forgets the conversation, /quit ends it\n"
    )


def test_a_line_too_long_is_dropped(engine: TransformersEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert turn(engine, [], "x" * 2048, 5) == []
    assert "context is 2048" in capsys.readouterr().out


def test_ctrl_c_stops_an_answer_and_not_the_chat(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llmcycle.deploy.terminal.say", interrupted)
    assert turn(engine, [], "Hello", 5) == []
    assert "(stopped)" in capsys.readouterr().out


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no model"):
        chat(tmp_path)
