"""What an addition costs: a user's package outside of the tree, one YAML and at most one class each, and no file of
ours touched. All of them take part in one lifecycle, at the smallest size."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from toy import command

PROJECT = Path(__file__).parent / "project"
# Of each addition its files: what a user writes for it.
ADDITIONS = {
    "an engine": ("mine/engine.py", "conf/engine/parrot.yaml"),
    "an unpaired objective with its encoder": (
        *("mine/unpaired.py", "conf/objective/unpaired.yaml", "conf/encode/unpaired.yaml"),
    ),
    "a policy advantage": ("mine/advantage.py", "conf/advantage/rank.yaml"),
    "a quantiser with calibration rows, and a pruner": (
        *("mine/compression.py", "conf/quant/calibrated.yaml", "conf/quant/pruned.yaml"),
    ),
    "a reward": ("mine/reward.py", "conf/reward/brevity.yaml"),
    "an evaluator": ("mine/evaluator.py", "conf/evaluate/words.yaml"),
    "a PEFT method": ("conf/peft/small.yaml",),
    "a data set": ("conf/data/answers.yaml",),
    "a group": ("conf/teacher/gentle.yaml",),
}
SMALL = [
    *("pretrain.data.count=200", "pretrain.data.held_out=8", "pretrain.trainer.max_steps=2"),
    *("pretrain.model.config.hidden_size=32", "pretrain.model.config.num_hidden_layers=1"),
    *("finetune.trainer.max_steps=2", "finetune.evaluate.exact_match.limit=4", "finetune.evaluate.forgetting.limit=4"),
    *("prefer.trainer.max_steps=2", "prefer.batches.batch_size=4", "prefer.encode.max_length=256"),
    *("rlvr.trainer.max_steps=1", "rlvr.batches.batch_size=2", "rlvr.objective.sampling.max_new_tokens=4"),
    *("rlvr.evaluate.hhh.count=3", "rounded.evaluate.hhh.count=3", "sparse.evaluate.hhh.count=3"),
    *("rounded.stage.prompts=4", "sparse.stage.prompts=4"),
]


@pytest.fixture
def project(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's working directory."""
    shutil.copytree(PROJECT, here, dirs_exist_ok=True)
    rows = [{"prompt": f"Colour of lamp {i}?", "completion": "red", "good": i % 2 == 0} for i in range(24)]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setattr("llmcycle.config.allow._extra", set())
    yield here
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


@pytest.mark.slow
def test_every_addition_takes_part_in_a_lifecycle(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("recipes/life.yaml", *SMALL, "--allow", "mine") == 0, capsys.readouterr().err
    folders = {
        path.parent.name.rpartition("-")[0]: path.parent for path in Path("outputs/artifacts").glob("*/artifact.json")
    }
    assert folders.keys() >= {"pretrain", "finetune", "prefer", "rlvr", "rounded", "sparse", "parrot"}
    weights = load_file(folders["sparse"] / "model.safetensors")
    layer = next(tensor for name, tensor in weights.items() if name.endswith("q_proj.weight"))
    assert (layer == 0).float().mean() == pytest.approx(0.5, abs=0.05), "the pruner pruned"
    rounded = load_file(folders["rounded"] / "model.safetensors")
    layer = next(tensor for name, tensor in rounded.items() if name.endswith("q_proj.weight"))
    assert layer.unique().numel() < layer.numel(), "the quantiser rounded"
    answers = [json.loads(line)["answer"] for line in (folders["parrot"] / "samples.jsonl").read_text().splitlines()]
    assert set(answers) == {"yes"}, "the engine was asked"
    manifest = json.loads((folders["prefer"] / "artifact.json").read_text())
    assert manifest["config"]["teacher"]["beta"] == 0.2, "the group was read"
    assert "words" in manifest["metrics"]


def test_the_same_key_is_refused_where_it_does_not_fit(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = "finetune.inputs.model=owner/name"
    for swap in ("encode=unpaired", "objective=unpaired", "reward=brevity"):
        assert command("check", "finetune", "inputs.model=owner/name", swap, "--allow", "mine") == 2, (swap, model)
        assert "try:" in capsys.readouterr().err


def test_what_an_addition_costs() -> None:
    """No addition is larger than its purpose: the lines that a user writes for it."""
    costs = {
        name: sum(len((PROJECT / file).read_text().splitlines()) for file in files) for name, files in ADDITIONS.items()
    }
    print(*(f"{lines:4d} lines: {name}" for name, lines in costs.items()), sep="\n")
    assert max(costs.values()) <= 75
    assert costs["a PEFT method"] <= 6
