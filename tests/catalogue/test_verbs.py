"""What the store holds is listed, shown, compared and removed, without a model and without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy import artifacts, command

from llmcycle.artifact import Artifact, Store, with_dependants
from llmcycle.evaluate.scores import Scores, pair, write_scores

MEASURED = {"peak_memory"}  # of the process, so no two runs have the same


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert command(*words) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


@pytest.fixture
def cycle(toys: Path) -> Path:
    """Two toy cycles that differ in the text of the third stage."""
    assert command("recipes/toy.yaml") == 0
    assert command("recipes/toy.yaml", "third.stage.text=other") == 0
    return toys


def test_artifacts_and_runs_are_listed(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("recipes/toy.yaml", "-m", "third.stage.text=a,b") == 0
    head, *lines = said(capsys, "artifacts").splitlines()
    assert head.split() == ["artifact", "method", "headline", "size", "made", "from", "tags"]
    assert sorted(line.split()[0] for line in lines) == artifacts()
    assert [line.partition("-")[0] for line in lines[:3]] == ["first", "second", "third"], "the newest last"
    second = next(line for line in lines if line.startswith("second-"))
    assert "length ↑ 3" in second
    assert second.endswith(lines[0].split()[0].partition("-")[2]), "it was made from the first"
    _, *runs = said(capsys, "runs").splitlines()
    assert len(runs) == 3, "a sweep is one"
    assert "third.stage.text=other" in runs[1]
    assert runs[2].split()[1:] == ["toy", "2", "finished"]


def test_a_card_says_what_made_it_and_what_was_made_of_it(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (second,) = [name for name in artifacts() if name.startswith("second")]
    card = said(capsys, "show", second[7:12])
    assert "command  llmcycle recipes/toy.yaml" in card
    assert "length" in card
    assert "? -> two" in card
    assert "└─ data.train: rows.txt" in card
    assert card.count("third-") == 2, "both that use it"
    assert f"try: {second}\n" in said(capsys, "show", f"{second}x", code=2)


def test_a_difference_names_exactly_the_keys_that_were_changed(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (name for name in artifacts() if name.startswith("third"))
    keys, metrics, answers = said(capsys, "diff", one, other).split("\n\n")
    assert [line.split()[0] for line in keys.splitlines()[1:]] == ["stage.text"]
    differing = {line.split()[0] for line in metrics.splitlines()[1:]} - MEASURED
    assert not differing, "both texts are five letters long"
    assert answers.startswith("1 of 1 answers to the same prompts changed")
    assert "no setting differs" in said(capsys, "diff", one, one)


def test_a_metric_is_paired_by_its_rows(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (Path("outputs/artifacts", name) for name in artifacts() if name.startswith("third"))
    rows = [f"{i:016x}" for i in range(40)]
    scores = [Scores([float(i % n == 0) for i in range(40)], rows=rows) for n in (2, 3)]
    for folder, each in zip((one, other), scores, strict=True):
        write_scores(folder, {"length": each})
        manifest = json.loads((folder / "artifact.json").read_text())
        assert manifest["metrics"]["length"]["value"] == 5
    from llmcycle.catalogue.difference import metrics

    first, second = Artifact(one), Artifact(other)
    second.manifest["metrics"]["length"]["value"] = 6
    (row,) = (each for each in metrics(first, second) if each[0].split()[0] not in MEASURED)
    paired = pair(*scores)
    assert paired is not None
    assert paired.interval is not None
    assert row[1:3] == ["0.500", "0.350"]
    assert f"[{paired.interval[0]:.3f}, " in row[3]


def test_what_was_made_of_an_artifact_goes_with_it(
    cycle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (second,) = [name for name in artifacts() if name.startswith("second")]
    assert f"try: llmcycle rm {second} --yes" in said(capsys, "rm", second, code=2)
    assert len(artifacts()) == 4
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "n" if "these 3?" in question else "y")
    said(capsys, "rm", second, code=1)
    assert len(artifacts()) == 4
    assert said(capsys, "rm", second, "--yes").endswith("3 removed\n")
    assert [name.partition("-")[0] for name in artifacts()] == ["first"]


def test_what_comes_while_a_person_thinks_is_not_removed_unseen(
    cycle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (second,) = [name for name in artifacts() if name.startswith("second")]
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)

    def answer(question: str) -> str:
        assert command("recipes/toy.yaml", "third.stage.text=third") == 0, "no lock is held while a person thinks"
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    assert f"try: llmcycle rm {second}\n" in said(capsys, "rm", second, code=2)
    assert len(artifacts()) == 5


def test_an_artifact_of_another_store_is_removed_there(
    cycle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("recipes/toy.yaml", "outputs=elsewhere") == 0
    (theirs,) = Path("elsewhere/artifacts").glob("third-*")
    answer = said(capsys, "rm", str(theirs), "--yes", code=2)
    assert f"try: llmcycle rm {theirs.name} --outputs elsewhere\n" in answer
    assert theirs.exists()


def test_users_are_removed_before_what_they_use(cycle: Path) -> None:
    """So that after a kill between any two removals every input of what is left is there."""
    store = Store(Path("outputs/artifacts"))
    order = with_dependants(store, [store.artifacts()[0]])
    assert [artifact.name for artifact in order] == ["third", "third", "second", "first"]
    for artifact in order:
        shutil.rmtree(artifact.folder)
        for left in store.artifacts():
            assert all(store.find(entry["id"]) for entry in left.inputs.values() if "id" in entry)


def test_no_verb_of_the_catalogue_imports_torch() -> None:
    code = "import sys, llmcycle.catalogue, llmcycle.verbs; assert not {'torch', 'transformers'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
