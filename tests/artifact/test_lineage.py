"""Lineage: the tree back to the data, and garbage that nothing refers to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmcycle.artifact import Artifact, CorruptArtifact, Store, dependants, gc, identify, roots, tree


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "outputs" / "artifacts")


def made(store: Store, name: str, **inputs: Any) -> Artifact:
    resolved = {key: {"id": value.id} if isinstance(value, Artifact) else value for key, value in inputs.items()}
    with store.write(name, identify({"name": name, "inputs": resolved}, seed=0, versions={})) as draft:
        (draft.folder / "weights").write_bytes(name.encode())
        data = {"_target_": "shop.Documents", "seed": 0} if name == "pretrain" else {}
        fields = {"method": f"{name}-method", "inputs": resolved, "metrics": {"em": {"value": 0.98765}}}
        return draft.commit(fields | {"config": {"data": data}})


def cycle(store: Store) -> dict[str, Artifact]:
    pretrain = made(store, "pretrain")
    finetune = made(store, "finetune", model=pretrain, train={"path": "rows.jsonl", "digest": "sha256:abcd"})
    reward = made(store, "reward", model=finetune)
    align = made(store, "align", model=finetune, reward=reward, train={"hub": "org/pairs", "revision": "main"})
    deploy = made(store, "deploy", model=align)
    return {artifact.name: artifact for artifact in (pretrain, finetune, reward, align, deploy)}


def test_tree_reaches_from_the_deployed_model_to_the_data(store: Store) -> None:
    made_ = cycle(store)
    lines = tree(store, made_["deploy"]).splitlines()
    shape = [line.split("  ")[0] if "─" not in line else line[: line.index(":")] for line in lines]
    assert shape == [
        "deploy (deploy-method)",
        "└─ model",
        "   ├─ model",
        "   │  ├─ model",
        "   │  │  └─ data",
        "   │  └─ train",
        "   ├─ reward",
        "   │  └─ model",
        "   └─ train",
    ]
    for line, name in zip(lines, ["deploy", "align", "finetune", "pretrain"], strict=False):
        assert f"{name} ({name}-method)  {made_[name].id}  em 0.9877  {made_[name].manifest['created']}" in line
    assert "shop.Documents  sha256:" in lines[4]
    assert lines[5].endswith("train: rows.jsonl  sha256:abcd")
    assert lines[7].endswith("(shown above)")
    assert lines[8].endswith("train: org/pairs  main")


def test_a_missing_ancestor_is_shown_as_missing(store: Store) -> None:
    made_ = cycle(store)
    store.remove(made_["finetune"])
    lines = tree(store, made_["align"]).splitlines()
    assert f"model: {made_['finetune'].id}  missing" in lines[1]


def test_dependants(store: Store) -> None:
    made_ = cycle(store)
    assert {artifact.name for artifact in dependants(store, made_["finetune"])} == {"reward", "align"}
    assert dependants(store, made_["deploy"]) == []


def test_gc_keeps_what_a_run_refers_to_and_its_ancestors(store: Store, tmp_path: Path) -> None:
    made_ = cycle(store)
    other = made(store, "orphan")
    by_report, by_link = tmp_path / "outputs" / "lifecycle" / "one", tmp_path / "outputs" / "reward" / "two"
    by_report.mkdir(parents=True)
    by_link.mkdir(parents=True)
    (by_report / "report.json").write_text(json.dumps({"stages": [{"artifact_id": made_["finetune"].id}]}))
    (by_link / "reward").symlink_to(made_["reward"].folder)

    keep = roots(store, tmp_path / "outputs")
    assert keep == {made_["finetune"].id, made_["reward"].id}
    planned = gc(store, keep, dry_run=True)
    assert len(store.artifacts()) == 6
    freed = gc(store, keep)
    assert freed == planned
    assert {one.path for one in freed} == {made_["align"].folder, made_["deploy"].folder, other.folder}
    assert all(one.bytes > 100 for one in freed)
    assert {artifact.name for artifact in store.artifacts()} == {"pretrain", "finetune", "reward"}
    assert list(store.partial.iterdir()) == []
    assert gc(store, keep) == []


def test_gc_sweeps_what_a_killed_process_left_and_not_what_a_living_one_holds(store: Store) -> None:
    stale = store.partial / "aaaaaaaaaaaa"
    stale.mkdir(parents=True)
    (stale / "weights").write_bytes(b"12345")
    (store.partial / "aaaaaaaaaaaa.lock").touch()
    with store.write("living", "b" * 64) as draft:
        (draft.folder / "weights").write_bytes(b"1")
        assert [(one.path, one.bytes) for one in gc(store, [], dry_run=True)] == [(stale, 5)]
        assert stale.exists()
        assert [one.path for one in gc(store, [])] == [stale]
        assert sorted(path.name for path in store.partial.iterdir()) == ["bbbbbbbbbbbb", "bbbbbbbbbbbb.lock"]
        draft.commit({}).verify()


def test_gc_takes_checkpoints_when_asked_and_never_those_of_a_living_run(store: Store) -> None:
    finished = made(store, "finished")
    for id in (finished.id, "a" * 12, "b" * 12):
        store.unfinished(id).mkdir(parents=True)
        (store.unfinished(id) / "weights").write_bytes(b"12345")

    def freed(**options: bool) -> set[str]:
        return {one.path.name for one in gc(store, [finished.id], **options)}

    with store.write("living", "b" * 64):
        assert freed() == {finished.id}
        assert freed(checkpoints=True, dry_run=True) == freed(checkpoints=True) == {"a" * 12}
        assert [path.name for path in (store.root / ".unfinished").iterdir()] == ["b" * 12]
    assert freed(checkpoints=True) == {"b" * 12}


def test_gc_stops_when_it_cannot_know_the_ancestors(store: Store) -> None:
    made_ = cycle(store)
    (made_["align"].folder / "artifact.json").write_text("{}")
    with pytest.raises(CorruptArtifact):
        gc(store, [made_["align"].id])
    assert len(store.artifacts()) == 5


def test_gc_of_a_store_that_is_not_there(tmp_path: Path) -> None:
    store = Store(tmp_path / "nothing")
    assert gc(store, roots(store, tmp_path / "outputs")) == []
    assert not store.root.exists()
