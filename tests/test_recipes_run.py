"""Every shipped recipe runs at the smallest size; what it leaves is whole, and its own recipe gives it again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy import artifacts, command

from llmcycle.artifact import Artifact
from llmcycle.config import recipes

pytestmark = pytest.mark.slow

FEW_ROWS = ("data.count=60", "data.held_out=12")
# The fewest steps, rows and prompts of each stage.
SMALLEST = {
    "pretrain": ["data.count=600", "data.held_out=20", "trainer.max_steps=3"],
    "prompt": ["stage.limit=4", "stage.shots=[0]"],
    "finetune": [*FEW_ROWS, "trainer.max_steps=2", "evaluate.exact_match.limit=8", "evaluate.endings.limit=4"],
    "reward": [*FEW_ROWS, "trainer.max_steps=2", "evaluate.preference_accuracy.limit=8"],
    "align": [*FEW_ROWS, "trainer.max_steps=2", "evaluate.hhh.count=12", "evaluate.knowledge.limit=8"],
    "rlvr": [
        "trainer.max_steps=1",
        "batches.batch_size=2",
        "evaluate.hhh.count=12",
        "objective.sampling.max_new_tokens=4",
    ],
    "compress": [
        "evaluate.hhh.count=12",
        "evaluate.knowledge.limit=8",
        "stage.prompts=4",
        "stage.max_new_tokens=4",
    ],
    "deploy": ["stage.prompts=4", "stage.max_new_tokens=4"],
}
SMALLEST["constitution"] = ["data.count=60", "stage.limit=4", "stage.critic.max_new_tokens=4"]
SMALLEST["revise"] = [
    *(f"data.sources.helpful.{rows.removeprefix('data.')}" for rows in FEW_ROWS),
    *("trainer.max_steps=2", "evaluate.hhh.count=12", "evaluate.knowledge.limit=8"),
]
SMALLEST["reinforce"] = SMALLEST["ppo"] = SMALLEST["online_dpo"] = SMALLEST["rlvr"]
# Recipes that stand outside the lifecycle.
ALONE = {
    "pretrain_mlm": SMALLEST["pretrain"],
    "nanogpt": ["data.train=corpus.txt", "trainer.max_steps=3"],
    "pretrain_continued": SMALLEST["pretrain"],
}
# Recipes that stand on what the lifecycle leaves.
AFTER = {
    "best_of_n": [
        "evaluate.best_of_n.limit=4",
        "evaluate.best_of_n.answers=4",
        "evaluate.best_of_n.max_new_tokens=4",
        "inputs.model={finetune}",
        "inputs.reward={reward}",
    ],
    "reward_audit": ["evaluate.reward_audit.limit=8", "inputs.model={pretrain}"],
    "rating": [*FEW_ROWS, "trainer.max_steps=2", "evaluate.rating_agreement.limit=8", "inputs.model={pretrain}"],
    "process_reward": [*FEW_ROWS, "trainer.max_steps=2", "evaluate.step_accuracy.limit=8", "inputs.model={pretrain}"],
    "judge_audit": ["data.held_out=12", "inputs.model={finetune}"],
    "evaluate": ["evaluate.exact_match.limit=8", "inputs.model={finetune}"],
    "kto": [
        *("data.sources.pairs.count=60", "data.sources.pairs.held_out=12", "trainer.max_steps=2"),
        *("evaluate.hhh.count=12", "evaluate.knowledge.limit=8", "inputs.model={finetune}"),
    ],
    "merge": ["evaluate.exact_match.limit=8", "inputs.model={finetune}"],
    "qlora": [*SMALLEST["finetune"], "inputs.model={pretrain}"],
    "combine": ["evaluate.exact_match.limit=8", "inputs.base={pretrain}", "inputs.a={finetune}", "inputs.b={finetune}"],
}
RLAIF = ["pretrain", "finetune", "align", "constitution", "revise"]
LIFECYCLE = ["pretrain", "prompt", "finetune", "reward", "align", "compress", "deploy"]


def smallest(stage: str, recipe: str) -> list[str]:
    return [f"{stage}.{override}" for override in SMALLEST[recipe]]


def lifecycle(align: str) -> list[str]:
    chosen = {stage: stage for stage in LIFECYCLE} | {"align": align}
    overrides = [override for stage, recipe in chosen.items() for override in smallest(stage, recipe)]
    return ["lifecycle", "world=tiny", *overrides, *([] if align == "align" else [f"recipes@align={align}"])]


def last_report() -> dict:
    paths = sorted(Path("outputs/lifecycle").glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(paths[-1].read_text())


def test_every_recipe_is_run_by_this_file() -> None:
    assert {name for name in recipes() if not name.startswith("smollm2/")} == {
        *SMALLEST,
        *ALONE,
        *AFTER,
        "lifecycle",
        "rlaif",
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with one life cycle, so that no test here stands on another."""
    folder = tmp_path_factory.mktemp("recipes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert command(*lifecycle("align")) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def test_the_lifecycle_makes_every_stage_and_shows_its_answers(place: Path) -> None:
    (first, *_) = sorted(Path("outputs/lifecycle").glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
    stages = json.loads(first.read_text())["stages"]
    assert [stage["name"] for stage in stages] == LIFECYCLE
    assert not any(stage["skipped"] for stage in stages)
    assert all(len(stage["samples"]) == 8 for stage in stages if stage["name"] != "reward")


@pytest.mark.parametrize("align", ["reinforce", "rlvr", "ppo", "online_dpo"])
def test_another_alignment_stands_on_the_same_stages(align: str) -> None:
    assert command(*lifecycle(align)) == 0
    stages = last_report()["stages"]
    assert [stage["name"] for stage in stages] == LIFECYCLE
    assert all(stage["skipped"] for stage in stages[:4])


def test_a_second_time_there_is_nothing_to_do() -> None:
    assert command(*lifecycle("align")) == 0
    assert all(stage["skipped"] and stage["optimizer_steps"] == 0 for stage in last_report()["stages"])


def test_a_changed_key_of_align_reruns_align_compress_and_deploy() -> None:
    assert command(*lifecycle("align"), "align.loss.beta=0.2") == 0
    assert [stage["name"] for stage in last_report()["stages"] if not stage["skipped"]] == LIFECYCLE[4:]


def test_a_life_cycle_of_ai_feedback_makes_its_own_rows() -> None:
    overrides = [override for stage in RLAIF for override in smallest(stage, stage)]
    assert command("rlaif", "world=tiny", *overrides, "finetune.data.reviews.count=30") == 0
    paths = sorted(Path("outputs/rlaif").glob("*/report.json"))
    assert [stage["name"] for stage in json.loads(paths[-1].read_text())["stages"]] == RLAIF
    made = next(Path("outputs/artifacts").glob("constitution-*"))
    reviews = [json.loads(line) for line in (made / "reviews.jsonl").open()]
    assert len(reviews) == 4 * 2 * 2, "prompts, answers to each, principles"


@pytest.mark.parametrize("recipe", ALONE)
def test_a_recipe_alone(recipe: str) -> None:
    Path("corpus.txt").write_text("to be, or not to be\n" * 50)
    base = next(path for path in Path("outputs/artifacts").glob("pretrain-*"))
    inputs = [f"inputs.model={base}"] if recipe == "pretrain_continued" else []
    assert command(recipe, *ALONE[recipe], *inputs) == 0


@pytest.mark.parametrize("recipe", AFTER)
def test_a_recipe_on_what_the_lifecycle_left(recipe: str) -> None:
    left = {name: next(Path("outputs/artifacts").glob(f"{name}-*")) for name in ("pretrain", "finetune", "reward")}
    assert command(recipe, *(override.format(**left) for override in AFTER[recipe])) == 0


def test_replaying_any_artifact_gives_its_id() -> None:
    before = artifacts()
    for name in before:
        Artifact(Path("outputs/artifacts") / name).verify()
        assert command(f"outputs/artifacts/{name}/recipe.yaml") == 0
    assert artifacts() == before


def test_the_lineage_of_the_served_model_reaches_the_corpus(capsys: pytest.CaptureFixture[str]) -> None:
    command(*lifecycle("align"))
    capsys.readouterr()
    assert command("lineage", last_report()["stages"][-1]["artifact_id"]) == 0
    text = capsys.readouterr().out
    assert text.index("compress") < text.index("align") < text.index("finetune") < text.index("pretrain")
    assert "Documents" in text
