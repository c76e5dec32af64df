"""The recipe and its options, composed and run on a tiny model: GSM8K and PIQA need only YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.config.compose import compose, register
from llmcycle.config.paths import locate
from llmcycle.deploy.app import build_app
from llmcycle.engine import LocalEngine
from llmcycle.evaluate import Metrics
from llmcycle.web import running

GSM8K = [
    {"question": f"What is {i} + {i}?", "answer": f"{i} + {i} = <<{i}+{i}={i + i}>>\n#### {i + i},000"}
    for i in range(6)
]
PIQA = [{"question": f"Goal {i}", "options": "A. run it\nB. stop it", "answer": "B. stop it"} for i in range(4)]


@pytest.fixture
def folder(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    (tmp_path / "out").mkdir()
    return tmp_path


def run(folder: Path, *overrides: str) -> Metrics:
    register()
    config = compose(locate("prompt"), [f"inputs.model={folder / 'base'}", *overrides])
    return instantiate(config.stage, _convert_="all", _partial_=True)(out=folder / "out", logger=None)


def table(folder: Path, rows: list[dict[str, Any]]) -> list[str]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [f"data.train={path}", f"data.validation={path}"]


def predictions(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "predictions.jsonl").read_text().splitlines()]


def test_default_asks_the_storefront(folder: Path) -> None:
    metrics = run(folder, "data.count=4", "generate.greedy.max_new_tokens=4", "generate.sampling.max_new_tokens=4")
    assert next(iter(metrics)) == "exact_match"
    assert metrics["exact_match"].before == 0.0
    cells = [name for name in metrics if name.startswith("exact_match/")]
    assert len(cells) == 3 * 2 * 2
    assert len(predictions(folder)) == 12 * 4
    assert len((folder / "out" / "samples.jsonl").read_text().splitlines()) == 8


def test_gsm8k_few_shot(folder: Path) -> None:
    options = ["stage=prompt_gsm8k", "data=gsm8k", "prompt=[bare,worked_answers]", "stage.shots=[2]"]
    run(folder, *options, *table(folder, GSM8K), "generate.greedy.max_new_tokens=4", "generate.sampling=null")
    few_shot = [line for line in predictions(folder) if line["template"] == "worked_answers" and line["shots"] == 2]
    assert few_shot[1]["input"].count("####") == 2
    assert few_shot[1]["input"].endswith("Question: What is 1 + 1?\nAnswer:")
    assert few_shot[1]["reference"] == "2000"
    assert not few_shot[1]["correct"]


def test_piqa_by_likelihood(folder: Path) -> None:
    options = ["data=multiple_choice", "prompt=[bare,question_answer]", "+generate@generate.likelihood=likelihood"]
    run(folder, *options, *table(folder, PIQA), "generate.sampling=null", "generate.greedy=null", "stage.shots=[0]")
    lines = predictions(folder)
    assert {line["decoding"] for line in lines} == {"likelihood"}
    assert {line["reference"] for line in lines} == {"stop it"}


def test_both_engines_find_the_same_best_cell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same model in this process and behind a server, whose name at the endpoint is that of its folder."""
    monkeypatch.setenv("LLMCYCLE_API_KEY", "none needed")
    small = ["data.count=6", "generate.greedy.max_new_tokens=4", "generate.sampling=null", "prompt=[bare,instruct]"]
    local = run(folder, *small)
    found = predictions(folder), json.loads((folder / "out" / "best.json").read_text())
    assert (folder / "out" / "base.json").exists()
    (folder / "out").rename(folder / "local")
    (folder / "out").mkdir()
    with running(build_app(LocalEngine(str(folder / "base")))) as url:
        metrics = run(folder, *small, "engine=openai", f"engine.base_url={url}/v1")
    assert (predictions(folder), json.loads((folder / "out" / "best.json").read_text())) == found
    timing = {"seconds", "prompts_per_second"}
    assert {k: m for k, m in metrics.items() if k not in timing} == {k: m for k, m in local.items() if k not in timing}
    assert json.loads((folder / "out" / "endpoint.json").read_text()) == {"endpoint": f"{url}/v1", "model": "base"}
    assert not (folder / "out" / "base.json").exists()


def test_a_choice_by_likelihood_needs_an_engine_that_scores(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"generate\.likelihood: .* needs an engine that offers score"):
        run(folder, "engine=openai", "+generate@generate.likelihood=likelihood", "stage.shots=[0]", "data.count=4")
