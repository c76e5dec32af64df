from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, TaskType, get_peft_model
from torchao.quantization import Int8WeightOnlyConfig
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedTokenizerFast, TorchAoConfig

from llmcycle.deploy import deploy
from llmcycle.deploy import stage as module
from llmcycle.engine import LocalEngine, TransformersEngine
from llmcycle.handoff.formats.adapter import write_adapter

SAMPLES = ["Hello", "ä 你好"]


class Rows:
    train: list[dict[str, Any]] = []  # noqa: RUF012
    validation = [  # noqa: RUF012
        {"prompt": "What is blue?"},
        {"prompt": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hi"}]},
        {"prompt": "never asked"},
    ]


class Plain:
    train = validation = [{"prompt": "Once upon a time"}]  # noqa: RUF012


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


def run(source: Path, out: Path, rows: Any = None, **more: Any) -> Any:
    more = {"prompts": 2, "max_new_tokens": 12, **more}
    return deploy(str(source), rows or Rows(), SAMPLES, out=out, logger=None, **more)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_all_answers_over_http_are_the_local_ones(folder: Path, out: Path) -> None:
    (folder / "artifact.json").write_text("{}")
    metrics = run(folder, out)
    assert next(iter(metrics)) == "http_agreement"
    assert (metrics["http_agreement"].value, metrics["http_agreement"].n) == (1, 4)
    assert metrics["first_token_p50"].value > 0
    assert 0 < metrics["latency_p50"].value <= metrics["latency_p95"].value
    assert metrics["tokens_per_second"].value > 1
    answers = lines(out / "answers.jsonl")
    assert [row["http"] for row in answers] == [row["local"] for row in answers]
    assert any(row["http"] for row in answers)
    assert lines(out / "samples.jsonl") == [
        {"prompt": p, "answer": row["http"]} for p, row in zip(SAMPLES, answers, strict=False)
    ]
    assert "| http_agreement | 1 |" in (out / "serving.md").read_text()
    assert not (out / "artifact.json").exists()


def test_what_is_deployed_is_the_source(folder: Path, out: Path, engine: TransformersEngine) -> None:
    run(folder, out)
    assert (out / "model.safetensors").samefile(folder / "model.safetensors")
    assert not (out / "config.json").samefile(folder / "config.json")  # small files may be edited where they are served
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.equal(AutoModelForCausalLM.from_pretrained(out)(ids).logits, engine.model(ids).logits)


def test_a_base_model_is_asked_for_completions(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, out: Path
) -> None:
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    assert run(tmp_path / "base", out, Plain())["http_agreement"].value == 1


def test_quantised_weights_are_served(folder: Path, engine: TransformersEngine, tmp_path: Path, out: Path) -> None:
    small = AutoModelForCausalLM.from_pretrained(folder, quantization_config=TorchAoConfig(Int8WeightOnlyConfig()))
    small.save_pretrained(tmp_path / "small")
    engine.tokenizer.save_pretrained(tmp_path / "small")
    assert run(tmp_path / "small", out)["http_agreement"].value == 1
    assert "torchao" in (out / "config.json").read_text()


@pytest.mark.parametrize(
    "peft",
    [
        PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=4),
        LoraConfig(task_type=TaskType.CAUSAL_LM, init_lora_weights=False),
    ],
    ids=lambda config: type(config).__name__,
)
def test_an_adapter_is_served_on_its_base(
    peft: Any, folder: Path, tmp_path: Path, out: Path, engine: TransformersEngine
) -> None:
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), peft)
    (tmp_path / "adapter").mkdir()
    write_adapter(adapted, engine.tokenizer, tmp_path / "adapter")
    assert run(tmp_path / "adapter", out)["http_agreement"].value == 1
    assert (out / "adapter_model.safetensors").exists()
    plain = [row["local"] for row in lines(out / "answers.jsonl")]
    second = tmp_path / "plain"
    second.mkdir()
    run(folder, second)
    assert plain != [row["local"] for row in lines(second / "answers.jsonl")]


def test_another_model_behind_the_server_is_refused(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: PreTrainedTokenizerFast
) -> None:
    opened = module.open_engine

    def other(path: Path, name: str) -> LocalEngine:
        engine = opened(path, name)
        with torch.no_grad():
            engine.model.lm_head.weight.copy_(engine.model.lm_head.weight.flip(0))
        return engine

    monkeypatch.setattr(module, "open_engine", other)
    with pytest.raises(ValueError, match=r"deploy: over HTTP the model answers .* is not the one"):
        run(folder, out)


def test_no_prompts_are_refused(folder: Path, out: Path) -> None:
    with pytest.raises(ValueError, match="prompts: none"):
        deploy(str(folder), Rows(), [], prompts=0, out=out, logger=None)
