from __future__ import annotations

import io
import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from conftest import byte_tokenizer, random_llama
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import llmcycle.remote_code  # noqa: F401  to import it is to refuse

EVIL = """\
import os, pathlib
pathlib.Path(os.environ["CANARY"]).touch()
from transformers import {base}
class Own({base}): pass
"""


@pytest.mark.parametrize(
    ("file", "auto", "base", "loader"),
    [
        ("tokenizer_config.json", "AutoTokenizer", "PreTrainedTokenizerFast", AutoTokenizer),
        ("config.json", "AutoConfig", "LlamaConfig", AutoConfig),
        ("config.json", "AutoModelForCausalLM", "LlamaForCausalLM", AutoModelForCausalLM),
    ],
)
def test_code_beside_a_model_never_runs_whatever_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, auto: str, base: str, loader: type
) -> None:
    folder, canary = tmp_path / "model", tmp_path / "canary"
    tokenizer = byte_tokenizer()
    random_llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "own.py").write_text(EVIL.format(base=base))
    config = json.loads((folder / file).read_text())
    own = ["own.Own", "own.Own"] if auto == "AutoTokenizer" else "own.Own"
    changed = {"AutoTokenizer": {"tokenizer_class": "Own"}, "AutoModelForCausalLM": {"model_type": "llama"}}
    config |= {"auto_map": {auto: own}} | changed.get(auto, {"model_type": "own"})
    (folder / file).write_text(json.dumps(config))
    monkeypatch.setenv("CANARY", str(canary))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\ny\n"))
    known = auto == "AutoModelForCausalLM"  # a class that transformers has is taken from there
    with nullcontext() if known else pytest.raises(ValueError, match="lies beside its weights"):
        loader.from_pretrained(folder)
    assert not canary.exists()
