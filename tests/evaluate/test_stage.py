"""The stage that only asks: what it leaves, through either engine, and what it refuses before it opens a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hydra.utils import instantiate
from oracle import Oracle
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.comparison import collect
from llmcycle.config.compose import compose, register
from llmcycle.config.paths import locate
from llmcycle.data.chat import set_chat_template
from llmcycle.deploy.app import build_app
from llmcycle.engine import Engine, LocalEngine, TransformersEngine
from llmcycle.evaluate import Metrics, Scores, read_scores, row_id
from llmcycle.evaluate.stage import score
from llmcycle.web import running


@pytest.fixture
def folder(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "base")
    set_chat_template(tokenizer).save_pretrained(tmp_path / "base")
    return tmp_path


def run(folder: Path, out: str, *overrides: str) -> Metrics:
    register()
    config = compose(locate("evaluate"), [f"inputs.model={folder / 'base'}", *overrides])
    (folder / out / "evaluate").mkdir(parents=True)
    stage = instantiate(config.stage, _convert_="all", _partial_=True)
    metrics: Metrics = stage(out=folder / out / "evaluate", logger=None)
    return metrics


def test_all_that_a_language_model_can_be_asked(folder: Path) -> None:
    metrics = run(
        folder, "local", "evaluate=[exact_match,held_out_loss,hhh]", "evaluate.exact_match.limit=6",
        "evaluate.held_out_loss.limit=6", "evaluate.hhh.count=12",
    )  # fmt: skip
    out = folder / "local" / "evaluate"
    assert metrics["exact_match"].headline
    assert {"held_out_loss", "bits_per_byte", "bad", "seconds"} < set(metrics)
    assert set(read_scores(out)) == set(metrics) - {"seconds"}
    assert len((out / "samples.jsonl").read_text().splitlines()) == 8
    answers = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 8
    assert all(row["prompt"] and row["expected"] for row in answers)
    facts = json.loads((out / "engine.json").read_text())
    assert facts["path"] == str(folder / "base")
    assert len(facts["digest"]) == 64


def test_an_endpoint_scores_the_same_and_is_compared(folder: Path) -> None:
    small = ["evaluate=[exact_match,hhh]", "evaluate.exact_match.limit=6", "evaluate.hhh.count=12"]
    local = run(folder, "local", *small)
    with running(build_app(LocalEngine(str(folder / "base")))) as url:
        served = run(folder, "served", *small, "engine=openai", f"engine.base_url={url}/v1")
    assert {k: m for k, m in served.items() if k != "seconds"} == {k: m for k, m in local.items() if k != "seconds"}
    facts = json.loads((folder / "served" / "evaluate" / "engine.json").read_text())
    assert facts == {"endpoint": f"{url}/v1", "model": "base"}


def test_compare_reads_what_it_left(folder: Path) -> None:
    for name, right in (("good", True), ("poor", False)):
        engine = Oracle(lambda prompt, right=right: prompt if right else "no")
        engine.name = name
        (folder / name / "evaluate").mkdir(parents=True)
        metrics = score(engine, {"echo": Echo()}, out=folder / name / "evaluate", logger=None)
        plain = {key: vars(metric) for key, metric in metrics.items()}
        stage = {"name": "evaluate", "method": "", "error": None, "metrics": plain}
        report = {"run": {"overrides": []}, "stages": [stage]}
        (folder / name / "report.json").write_text(json.dumps(report))
    metric, points = collect([folder / "good", folder / "poor"])
    assert (metric, {point.label: point.value for point in points}) == ("echo", {"good": 1.0, "poor": 0.0})
    assert {point.kind for point in points} == {"untrained"}


class Echo:
    """1 where the answer is the prompt."""

    needs = frozenset({"answer"})

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        prompts = ["a", "b", "c"]
        answers = engine.answer(prompts)
        values = [float(several[0].text == prompt) for several, prompt in zip(answers, prompts, strict=True)]
        return {"echo": Scores(values, rows=[row_id(prompt) for prompt in prompts])}


def test_what_an_endpoint_can_not_do_is_refused_before_it_is_asked(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"evaluate\.held_out_loss: it needs score, but .* offers answer, stream"):
        run(folder, "refused", "evaluate=held_out_loss", "engine=openai", "engine.base_url=http://127.0.0.1:1/v1")


def test_nothing_to_score_is_refused(engine: TransformersEngine, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="evaluate: there is nothing to score"):
        score(engine, {}, out=tmp_path, logger=None)
