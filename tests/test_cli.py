"""What a user types: help, verbs, flags anywhere, completion, and no torch before it is needed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from toy import artifacts, command

import llmcycle
from llmcycle.command_line import parse
from llmcycle.port import listen

SHIPPED = ("pretrain", "prompt", "finetune", "reward", "align", "reinforce", "compress", "deploy", "lifecycle")


def modules(*arguments: str) -> set[str]:
    program = (
        "import sys\nfrom llmcycle.cli import main\n"
        f"try: main({list(arguments)!r})\nexcept SystemExit: pass\nprint('MODULES', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.rsplit("MODULES", 1)[1].split())


def test_help_names_every_recipe_and_imports_nothing_heavy(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--help") == 0
    text = capsys.readouterr().out
    assert all(recipe in text for recipe in SHIPPED)
    assert not modules("--help") & {"hydra", "torch", "transformers", "rich"}


def test_flags_may_stand_anywhere() -> None:
    ahead = parse(["-m", "--force", "finetune", "a=1", "--cfg", "job"])
    behind = parse(["finetune", "a=1", "--cfg", "job", "--force", "-m"])
    assert (ahead.words, ahead.overrides, ahead.force) == (behind.words, behind.overrides, behind.force)
    assert set(ahead.flags) == set(behind.flags) == {"-m", "--cfg", "job"}


def test_cfg_shows_the_composition_and_runs_nothing(toys: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command("recipes/toy.yaml", "--cfg", "job", "second.seed=5") == 0
    assert "lora_alpha: 16" in capfd.readouterr().out
    assert not Path("outputs").exists()


def test_info_shows_the_defaults(toys: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command("recipes/toy.yaml", "--info", "defaults") == 0
    assert "peft/lora" in capfd.readouterr().out


def complete(line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    command("-sc", "query=bash")
    return capfd.readouterr().out.split()


def test_completion(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert "finetune" in complete("llmcycle fine", monkeypatch, capfd)
    assert "lineage" in complete("llmcycle li", monkeypatch, capfd)
    assert "peft=dora" in complete("llmcycle finetune peft=do", monkeypatch, capfd)
    assert "finetune.peft." in complete("llmcycle lifecycle finetune.pe", monkeypatch, capfd)


def test_completion_knows_verbs_artifacts_and_nested_groups(
    toys: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "finetune" in complete("llmcycle check fin", monkeypatch, capfd)
    assert complete("llmcycle lifecycle peft@finetune.peft=dor", monkeypatch, capfd) == ["peft@finetune.peft=dora"]
    assert complete("llmcycle chat ", monkeypatch, capfd) == [], "there is no artifact yet"
    assert command("recipes/toy.yaml") == 0
    capfd.readouterr()
    (name,) = [name for name in artifacts() if name.startswith("second")]
    assert name in complete("llmcycle chat ", monkeypatch, capfd)
    assert complete("llmcycle finetune inputs.model=sec", monkeypatch, capfd) == [f"inputs.model={name}"]


@pytest.mark.parametrize("line", ["llmcycle nonsense ", "llmcycle serve x ", "llmcycle ./no.yaml peft="])
def test_completion_never_prints_into_the_line(
    here: Path, line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    command("-sc", "query=bash")
    assert not capfd.readouterr().err


def test_a_module_beside_the_recipe_can_be_allowed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "conf" / "reward").mkdir(parents=True)
    (here / "beside.py").write_text(
        "def short(prompts, completions, **columns):\n    return [1.0 for _ in completions]\n"
    )
    (here / "conf" / "reward" / "short.yaml").write_text("# Short\n_target_: beside.short\n_partial_: true\n")
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setattr("llmcycle.config.allow._extra", set())
    assert command("check", "rlvr", "inputs.model=o/n", "reward=short") == 2
    assert command("check", "rlvr", "inputs.model=o/n", "reward=short", "--allow", "beside") == 0


def test_completion_imports_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", "llmcycle finetune peft=")
    monkeypatch.setenv("COMP_POINT", "23")
    assert not modules("-sc", "query=bash") & {"torch", "transformers", "peft"}


def test_ls_names_groups_options_and_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("ls") == 0
    assert command("ls", "peft") == 0
    assert "lora" in capsys.readouterr().out
    assert command("ls", "pefft") == 2
    assert "llmcycle ls peft" in capsys.readouterr().err


def test_cp_copies_a_recipe_that_still_passes_its_check(here: Path) -> None:
    assert command("cp", "finetune", "mine.yaml") == 0
    assert command("check", "./mine.yaml", "inputs.model=owner/name") == 0
    assert command("cp", "finetune", "mine.yaml") == 2, "a file is never overwritten"


def test_check_refuses_with_exit_code_2_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("check", "finetune", "inputs.model=x", "peft.rr=3") == 2
    assert "peft.r" in capsys.readouterr().err
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    "words", [("finetne",), ("finetune", "dora"), ("lineage", "abcd"), ("-m",), ("finetune", "--peft=dora")]
)
def test_mistakes_are_explained(here: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*words) == 2
    text = capsys.readouterr().err
    assert "try:" in text
    assert len(text.splitlines()) <= 10
    assert not list(here.iterdir())


def test_dashes_before_an_override_are_taken_off(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("finetune", "--peft=dora"), ("check", "finetune", "--peft=dora")):
        assert command(*words) == 2
        assert "try: peft=dora" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("data", "finetune", "--rows", "-1"), ("serve", "x", "--queue", "0")])
def test_numbers_of_flags_are_judged(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*words) == 2
    assert "a whole number of at least 1 is needed" in capsys.readouterr().err


def test_gc_where_there_is_no_store(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("gc") == 2
    assert "--outputs" in capsys.readouterr().err
    assert not list(here.iterdir())


def test_lineage_and_gc(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command("recipes/toy.yaml")
    name = next(Path("outputs/artifacts").glob("third-*")).name
    capsys.readouterr()
    assert command("lineage", name) == 0
    text = capsys.readouterr().out
    assert text.index("third") < text.index("second") < text.index("first") < text.index("rows.txt")
    assert command("gc", "--dry-run") == 0
    assert "0 would be removed" in capsys.readouterr().out


def test_outputs_may_be_moved_though_a_folder_of_that_name_is_there(toys: Path) -> None:
    """Beside a recipe, a folder is a group of options to Hydra."""
    (toys / "outputs").mkdir()
    (toys / "mine.yaml").write_text((toys / "recipes" / "first.yaml").read_text())
    assert command("./mine.yaml", "data.train=rows.txt", "outputs=elsewhere") == 0
    assert len(artifacts(toys / "elsewhere" / "artifacts")) == 1
    assert not list((toys / "outputs").iterdir())


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert command(*arguments) == 2
    return capsys.readouterr().err


def test_a_flag_may_stand_before_a_verb(toys: Path) -> None:
    assert command("--allow", "somewhere", "check", "recipes/toy.yaml") == 0


def test_an_artifact_s_recipe_names_its_store_in_another_folder(
    toys: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command("recipes/toy.yaml")
    folder = next(Path("outputs/artifacts").glob("third-*")).resolve()
    (toys / "away").mkdir()
    monkeypatch.chdir(toys / "away")
    assert f"try: outputs={toys / 'outputs'}" in refusal(capsys, "check", str(folder / "recipe.yaml"))
    assert command("check", str(folder / "recipe.yaml"), f"outputs={toys / 'outputs'}") == 0


def test_names_of_options_stand_apart_from_what_they_are(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command("ls", "data")
    assert re.search(r"storefront_corpus_questions {2,}Questions", capsys.readouterr().out)


def test_check_takes_a_sweep(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("check", "recipes/toy.yaml", "-m", "second.seed=1,2", "third.seed=1,2") == 0
    assert "nothing wrong in any of 4 combinations" in capsys.readouterr().out
    said = refusal(capsys, "-m", "check", "recipes/toy.yaml", "second.seed=1,-2")
    assert "second.seed=-2: second.seed: a whole number from 0" in said
    assert said.endswith("try: second.seed=1\n")


def test_one_store_for_recipes_and_verbs_however_it_is_named(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("recipes/toy.yaml", "--outputs", "elsewhere") == 0
    name = artifacts(Path("elsewhere/artifacts"))[0]
    assert command("lineage", name) == 2
    for words in (["outputs=elsewhere"], ["--outputs", "elsewhere"], ["--outputs=elsewhere"]):
        assert command("lineage", name, *words) == 0
        assert command("check", "recipes/second.yaml", f"inputs.model={name}", *words) == 0
    monkeypatch.setenv("LLMCYCLE_OUTPUTS", "elsewhere")
    assert command("lineage", name) == 0
    assert command("gc", "--dry-run") == 0


def test_a_folder_that_is_no_artifact_is_named_and_nobody_is_told_to_delete_it(
    toys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("recipes/toy.yaml") == 0
    said = refusal(capsys, "lineage", "outputs")
    assert "artifact.json" in said
    assert "delete" not in said.lower()


def test_a_store_that_cannot_be_written_is_named(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("outputs").write_text("a file where the folder should be")
    said = refusal(capsys, "recipes/toy.yaml")
    assert "outputs" in said
    assert "Traceback" not in said


def test_from_python_a_run_gives_its_metrics_and_its_artifact(toys: Path) -> None:
    first = llmcycle.run("recipes/toy.yaml", ["lifecycle=[first]"])
    assert first.metrics["length"].value == 3
    assert (first.artifact / "model.txt").is_file()
    second = llmcycle.run("recipes/second.yaml", [f"inputs.model={first.artifact}"])
    assert [stage.name for stage in second.stages] == ["second"]
    assert second.artifact != first.artifact


def test_from_python_a_refusal_and_a_failure_are_exceptions(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"second\.seed"):
        llmcycle.run("recipes/toy.yaml", ["second.sed=3"])
    monkeypatch.setenv("TOY_FAIL", "one")
    with pytest.raises(RuntimeError, match="one was told to fail"):
        llmcycle.run("recipes/toy.yaml")


def test_a_mistyped_artifact_is_answered_with_those_of_its_stage(
    toys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("recipes/toy.yaml") == 0
    (second,) = [name for name in artifacts() if name.startswith("second-")]
    assert f"try: {second}\n" in refusal(capsys, "lineage", "second-000f")
    assert f"try: {second}\n" in refusal(capsys, "lineage", "secnd")
    assert f"try: third.inputs.model={second}\n" in refusal(
        capsys, "recipes/toy.yaml", "lifecycle=[third]", "third.inputs.model=secnd-000f"
    )


def test_a_port_that_is_taken_is_told_before_the_model_is_looked_for(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with listen("127.0.0.1", 0) as sock:
        said = refusal(capsys, "serve", "nowhere", "--port", str(sock.getsockname()[1]))
    assert "try: --port 0" in said
    assert "nowhere" in refusal(capsys, "serve", "nowhere", "--port", "0")
    assert "try: --api-key KEY" in refusal(capsys, "serve", "nowhere", "--host", "0.0.0.0")
