from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deploy.conftest import asked, send
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.deploy import serve
from llmcycle.deploy.serving import example
from llmcycle.engine import TransformersEngine
from llmcycle.port import listen


def test_a_public_address_needs_a_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMCYCLE_API_KEY", raising=False)
    with pytest.raises(
        ValueError, match=r"host 0\.0\.0\.0: (.|\n)*try: --api-key KEY, or the variable LLMCYCLE_API_KEY"
    ):
        serve(folder, host="0.0.0.0")


def test_a_taken_port_is_named(folder: Path) -> None:
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ValueError, match=rf"port {port}: (.|\n)*try: --port 0"):
            serve(folder, port=port)


@pytest.mark.parametrize("port", [-1, 65536, 99999, 10**30])
def test_a_port_that_there_is_not_is_named(folder: Path, port: int) -> None:
    with pytest.raises(ValueError, match=rf"^port {port}: .*0 to 65535(.|\n)*try: --port 0"):
        serve(folder, port=port)


def test_the_example_suits_the_model_and_hides_the_key(
    engine: TransformersEngine, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    shown = example(engine, "http://127.0.0.1:1", "secret")
    assert "/v1/chat/completions" in shown
    assert "Bearer $LLMCYCLE_API_KEY" in shown
    assert "secret" not in shown
    tokenizer.chat_template = None
    assert '/v1/completions -H \'Content-Type: application/json\' -d \'{"model": "a b"' in example(
        TransformersEngine(model, tokenizer, name="a b"), "http://127.0.0.1:1", None
    )


@pytest.mark.slow
def test_serve_runs_until_it_is_interrupted(folder: Path) -> None:
    code = "import sys; from llmcycle.deploy import serve; serve(sys.argv[1], port=0)"
    environment = {**os.environ, "LLMCYCLE_API_KEY": "k"}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("tiny is served at http://127.0.0.1:")
            url = line.split(" at ")[1].split("/v1 ")[0]
            shell = ["sh", "-c", line.split("try: ")[1]]
            assert not shutil.which("curl") or b'"chat.completion"' in subprocess.check_output(shell, env=environment)
            assert send(f"{url}/v1/chat/completions", asked()).status == 401
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
