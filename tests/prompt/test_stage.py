"""The search on a model whose answers are known, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from oracle import Oracle
from transformers import AutoTokenizer, GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle import left
from llmcycle.data.chat import Prompt
from llmcycle.engine import Answer, LocalEngine
from llmcycle.model import digest, load
from llmcycle.prompt import LikeliestChoice, Template, search
from llmcycle.prompt.stage import choose

TEMPLATES = {"bare": Template("{prompt}"), "qa": Template("Question: {prompt}\nAnswer:")}
GREEDY = {"greedy": GenerationConfig(max_new_tokens=4)}


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"prompt": f"number {i}?", "answer": str(i)} for i in range(start, start + count)]


DATA = SimpleNamespace(train=rows(5, 100), validation=rows(12))


@pytest.fixture
def source(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> str:
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    return str(tmp_path / "base")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def oracle() -> Oracle:
    """Right when asked by "Question: ... Answer:" after a solved example; without one, for every third number."""

    def respond(prompt: str) -> str:
        number = prompt.rpartition("number ")[2].split("?")[0]
        knows = prompt.endswith("Answer:") and (prompt.count("Question:") > 1 or int(number) % 3 == 0)
        return number if knows else "what?"

    return Oracle(respond)


def test_finds_the_best_way_to_ask(out: Path) -> None:
    metrics = search(oracle(), DATA, TEMPLATES, GREEDY, shots=[0, 2], samples=["number 7?"], out=out, logger=None)
    name, metric = next(iter(metrics.items()))
    assert (name, metric.value, metric.before, metric.n) == ("exact_match", 1.0, 0.0, 6)
    assert metric.interval is not None
    assert metric.interval[0] > 0.25
    assert metrics["exact_match/bare/0-shot/greedy"].value == 0.0
    assert metrics["exact_match/qa/0-shot/greedy"].value == pytest.approx(4 / 12)
    assert metrics["exact_match/qa/2-shot/greedy"].value == 1.0
    assert metrics["exact_match/qa/2-shot/greedy"].n == 12

    best = json.loads((out / "best.json").read_text())
    assert (best["template"], best["shots"], best["decoding"], best["exact_match"]) == ("qa", 2, "greedy", 1.0)
    assert (best["among"], best["rows_that_choose"], best["rows_that_score"]) == (4, 6, 6)
    (choice,) = left.choices(out)
    assert choice["chosen"] == "qa, 2 shots, greedy"
    assert (choice["by"], choice["scored_on"]) == ("exact_match on 6 rows", "6 other rows")
    assert len(best["examples"]) == 2
    assert all(int(example["answer"]) >= 100 for example in best["examples"])

    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 4 * 12
    assert set(lines[0]) == {
        *("template", "shots", "decoding", "prompt", "input"),
        *("prediction", "reference", "correct"),
    }
    two_shot = next(line for line in lines if line["template"] == "qa" and line["shots"] == 2)
    assert two_shot["input"].count("Question:") == 3
    assert two_shot["input"].endswith(f"Question: {two_shot['prompt']}\nAnswer:")
    assert json.loads((out / "samples.jsonl").read_text()) == {"prompt": "number 7?", "answer": "7"}
    assert json.loads((out / "endpoint.json").read_text()) == {"model": "model"}
    assert not (out / "base.json").exists(), "there are no weights to point to"


def test_points_to_the_model_without_copying_it(source: str, out: Path, model: LlamaForCausalLM) -> None:
    search(LocalEngine(source), DATA, TEMPLATES, GREEDY, samples=["x"], limit=4, out=out, logger=None)
    pointer = json.loads((out / "base.json").read_text())
    assert pointer["path"] == source
    assert pointer["digest"] == digest(model)
    assert AutoTokenizer.from_pretrained(out).eos_token == "<|endoftext|>"
    assert not list(out.glob("*.safetensors"))
    assert digest(load(out)) == digest(model)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    model.save_pretrained(source)
    with pytest.raises(ValueError, match="which now holds other weights"):
        load(out)
    assert len((out / "samples.jsonl").read_text().splitlines()) == 1


class Spoilt(LocalEngine):
    """Changes a weight with every question."""

    def answer(self, prompts: Sequence[Prompt], *_: Any, **__: Any) -> list[list[Answer]]:
        with torch.no_grad():
            self.model.model.norm.weight[0] += 1e-3
        return [[Answer("x", "stop")]] * len(prompts)


def test_changed_weight_refused(source: str, out: Path) -> None:
    with pytest.raises(ValueError, match="a weight changed"):
        search(Spoilt(source), DATA, TEMPLATES, GREEDY, out=out, logger=None)
    assert not list(out.iterdir())


def test_what_the_engine_can_not_do_is_refused_before_it_opens(out: Path) -> None:
    with pytest.raises(ValueError, match=r"generate\.best: LikeliestChoice needs .* score, .*generate\.best=null"):
        search(Oracle(str), DATA, TEMPLATES, {"best": LikeliestChoice()}, out=out, logger=None)


def test_headline_stands_on_rows_that_did_not_choose() -> None:
    """Of many useless cells the luckiest looks good on the rows that chose it, and only there."""
    from random import Random

    rng = Random(0)
    results = {cell: [SimpleNamespace(correct=rng.random() < 0.5) for _ in range(100)] for cell in map(str, range(200))}
    best = results[choose(results)]
    assert sum(p.correct for p in best[0::2]) >= 32
    assert abs(sum(p.correct for p in best[1::2]) - 25) <= 8


def test_multiple_choice(source: str, out: Path) -> None:
    data = SimpleNamespace(
        train=[], validation=[{"prompt": f"Q{i}", "choices": ["yes", "perhaps not"], "label": i % 2} for i in range(6)]
    )
    strategies = {"plain": LikeliestChoice(), "normalised": LikeliestChoice(normalise=True)}
    metrics = search(LocalEngine(source), data, TEMPLATES, strategies, samples=["Q"], out=out, logger=None)
    assert metrics["exact_match/qa/0-shot/normalised"].n == 6
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert {line["prediction"] for line in lines} <= {"yes", "perhaps not"}
    assert [line["reference"] for line in lines[:2]] == ["yes", "perhaps not"]
    assert json.loads((out / "best.json").read_text())["decoding_options"] in (
        {"normalise": False},
        {"normalise": True},
    )


def test_sampling_is_the_same_in_every_grid(source: str, tmp_path: Path) -> None:
    draws = GenerationConfig(do_sample=True, max_new_tokens=6)
    predictions = []
    for index, strategies in enumerate([{"draws": draws}, {**GREEDY, "draws": draws}]):
        folder = tmp_path / str(index)
        folder.mkdir()
        search(LocalEngine(source), DATA, TEMPLATES, strategies, limit=4, seed=5, out=folder, logger=None)
        lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
        predictions.append([line["prediction"] for line in lines if line["decoding"] == "draws"])
    assert predictions[0] == predictions[1]
    assert len(predictions[0]) == 2 * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "bar"}, r"stage\.baseline: bar is no template.*bare, qa"),
        ({"shots": [9]}, r"stage\.shots: \[9\] must lie between 0 and 5 rows"),
        ({"shots": []}, r"stage\.shots: the search needs at least one"),
        ({"decodings": {}}, "generate: the search needs at least one"),
        ({"limit": 1}, "two validation rows"),
        ({"templates": {"bare": Template("{question}")}}, r"\{question\} is no column"),
        ({"data": SimpleNamespace(train=[], validation=[{"prompt": "a"}] * 2)}, r"data\.columns: an answer is needed"),
    ],
)
def test_wrong_grids_refused_before_the_model_is_loaded(changes: dict[str, Any], message: str, out: Path) -> None:
    options: dict[str, Any] = {"data": DATA, "templates": TEMPLATES, "decodings": GREEDY, **changes}
    with pytest.raises(ValueError, match=message):
        search(LocalEngine("/nowhere"), **options, out=out, logger=None)
