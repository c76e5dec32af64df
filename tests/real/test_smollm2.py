"""A real pretrained model: it loads, ranks, learns, is merged, quantised and refused as the toy models are."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel
from toy import command
from transformers import AutoTokenizer, GenerationConfig

from llmcycle.artifact import Artifact, Store
from llmcycle.engine import TransformersEngine, texts
from llmcycle.evaluate.multiple_choice import MultipleChoice
from llmcycle.handoff import Safetensors, hand_on
from llmcycle.model import adapt, load

pytestmark = pytest.mark.real

GREEDY = GenerationConfig(max_new_tokens=12, do_sample=False)
# Goals of everyday life with two ways to reach them, in the manner of PIQA (arXiv:1911.11641); written for this test.
ROWS = [
    ("To cool a hot cup of tea,", "add some cold milk.", "add some burning coal."),
    ("To keep milk fresh for a week,", "put it in the refrigerator.", "put it in the washing machine."),
    ("To dry wet hair quickly,", "use a hair dryer.", "use a lawn mower."),
    ("To cut a sheet of paper,", "use a pair of scissors.", "use a pair of socks."),
    ("To see in a dark room,", "turn on the light.", "turn on the radio."),
    ("To open a locked door,", "turn the key in the lock.", "turn the page in the book."),
    ("To boil an egg,", "put it in a pot of hot water.", "put it in a box of dry sand."),
    ("To write a letter,", "use a pen and paper.", "use a fork and butter."),
    ("To clean a dirty plate,", "wash it with soap and water.", "wash it with mud and oil."),
    ("To stay dry in the rain,", "carry an umbrella.", "carry a candle."),
    ("To fix a flat bicycle tire,", "patch the inner tube.", "patch the old curtain."),
    ("To go to sleep,", "lie down in bed.", "lie down in traffic."),
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """JSON lines, gzipped where the name says so."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def sums(first: int, count: int) -> list[dict[str, Any]]:
    """Rows in the form of GSM8K."""
    pairs = [(3 + 7 * i % 40, 2 + 5 * i % 30) for i in range(first, first + count)]
    return [
        {
            "question": f"Ann has {a} apples and buys {b} more. How many has she?",
            "answer": f"She has {a} + {b} = {a + b} apples.\n#### {a + b}",
        }
        for a, b in pairs
    ]


@pytest.fixture
def maths(here: Path) -> list[str]:
    """Overrides that put generated rows in the place of GSM8K."""
    train, test = write(here / "train.jsonl", sums(0, 12)), write(here / "test.jsonl", sums(100, 6))
    return [f"data.train={train}", f"data.validation={test}", "samples.prompts=[What is the capital of France?]"]


def last_artifact(name: str) -> Artifact:
    (found,) = [artifact for artifact in Store(Path("outputs/artifacts")).artifacts() if artifact.name == name]
    found.verify()
    return found


def test_it_answers_and_a_merged_copy_is_the_same_model(smollm2: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = load(smollm2)
    asked = [[{"role": "user", "content": text}] for text in ("What is the capital of France?", "What is 2 + 2?")]
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    assert "Paris" in texts(TransformersEngine(model, tokenizer), asked[:1], GREEDY)[0]

    adapted = adapt(model, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4))
    torch.manual_seed(0)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    tuned = texts(TransformersEngine(adapted, tokenizer), asked, GREEDY)
    with torch.no_grad(), adapted.disable_adapter():
        assert texts(TransformersEngine(adapted, tokenizer), asked, GREEDY) != tuned, (
            "the adapter is to change what the model says"
        )
    probe = dict(tokenizer(["The lamp is red.", "Two and two make four."], padding=True, return_tensors="pt"))
    handed = hand_on(adapted, tokenizer, tmp_path / "merged", Safetensors(), probe)
    merged = handed.model
    assert handed.merged
    assert not isinstance(merged, PeftModel)
    assert 0 < handed.difference.share <= 2e-5
    assert texts(TransformersEngine(merged, AutoTokenizer.from_pretrained(tmp_path / "merged")), asked, GREEDY) == tuned


def test_the_likelier_way_is_the_sensible_one(smollm2: Path) -> None:
    rows = [
        {"prompt": goal, "choices": [good, bad][:: 1 - 2 * (i % 2)], "label": i % 2}
        for i, (goal, good, bad) in enumerate(ROWS)
    ]
    engine = TransformersEngine(load(smollm2), AutoTokenizer.from_pretrained(smollm2))
    scores = MultipleChoice(SimpleNamespace(validation=rows))(engine)
    assert sum(scores["accuracy"].values) >= len(ROWS) - 1
    assert sum(scores["accuracy_normalised"].values) >= len(ROWS) - 1


def lifecycle(folder: Path, model: Path) -> dict[str, Path]:
    """Inputs of the real lifecycle: the model, and files in the form of each of its data sets."""
    pairs = [
        {"question": f"{g} what do you do?", "options": f"A. {a}\nB. {b}", "answer": f"A. {a}"} for g, a, b in ROWS
    ]
    asked = "\n\nHuman: How do I stay dry?\n\nAssistant:"
    dialogues = [{"chosen": f"{asked} {good}", "rejected": f"{asked} {bad}"} for _, good, bad in ROWS]
    return {
        "model": model,
        "piqa": write(folder / "piqa.jsonl", pairs),
        "gsm8k": write(folder / "gsm8k.jsonl", sums(0, 12)),
        "hh": write(folder / "hh.jsonl.gz", dialogues),
    }


def test_the_whole_lifecycle_passes_its_check(smollm2: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = lifecycle(here, smollm2)
    given = {key: f"inputs.{key}={path}" for key, path in inputs.items()}
    assert command("check", "smollm2/lifecycle", *given.values()) == 0
    assert command("check", "smollm2/lifecycle", *(given | {"hh": f"inputs.hh={inputs['gsm8k']}"}).values()) == 2
    text = capsys.readouterr().err
    assert "align.data" in text
    assert "chosen" in text


def test_three_steps_lower_the_loss_on_rows_not_trained_on(smollm2: Path, maths: list[str]) -> None:
    assert command("smollm2/finetune", f"inputs.model={smollm2}", "trainer.max_steps=3", *maths) == 0
    metrics = last_artifact("finetune").metrics
    loss, before = metrics["held_out_loss"]["value"], metrics["held_out_loss"]["before"]
    assert math.isfinite(loss)
    assert loss < 0.9 * before
    assert metrics["optimizer_steps"]["value"] == 3
    assert metrics["merged"]["value"] == 1


def test_int8_is_a_quarter_of_fp32_and_nearly_as_good(smollm2: Path, maths: list[str]) -> None:
    small = ["stage.prompts=2", "stage.max_new_tokens=4", "data.validation_limit=4"]
    assert command("smollm2/compress", f"inputs.model={smollm2}", *small, *maths) == 0
    artifact = last_artifact("compress")
    assert 0.25 < artifact.metrics["linear_bytes_ratio"]["value"] < 0.26
    loss = artifact.metrics["held_out_loss"]
    assert loss["value"] == pytest.approx(loss["before"], rel=0.05)
    assert json.loads((artifact.folder / "config.json").read_text())["quantization_config"]["quant_method"] == "torchao"
