"""Ids: the same wherever and in whatever order they are computed, and different for everything that matters."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import llmcycle
from llmcycle.artifact import digest_path, environment, git_state, identify

PROGRESS = {"_target_": "llmcycle.train.Progress", "title": "finetune"}
CONFIG: dict[str, Any] = {
    "name": "finetune",
    "inputs": {"model": "artifact:0123456789ab"},
    "peft": {"_target_": "peft.LoraConfig", "r": 8, "target_modules": ["q_proj", "v_proj"]},
    "trainer": {"max_steps": 10, "callbacks": [PROGRESS, {"_target_": "Stop", "patience": 3}], "logger": False},
    "callbacks": {"progress": PROGRESS, "stop": {"_target_": "Stop", "patience": 3}},
    "optim": {"lr": 1e-3, "betas": [0.9, 0.95], "fused": None},
    "text": "müesli",
}
VERSIONS = {"torch": "2.13.0", "peft": None}


def of(config: dict[str, Any], seed: int = 0, versions: dict[str, Any] = VERSIONS) -> str:
    return identify(config, seed=seed, versions=versions)


def changed(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split(".")
    node: Any = config
    for key in parents:
        node = node[int(key) if isinstance(node, list) else key]
    node[int(last) if isinstance(node, list) else last] = value
    return config


def leaves(node: Any, path: str = "") -> list[str]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = [leaf for key, item in items for leaf in leaves(item, f"{path}.{key}" if path else str(key))]
    return found or [path]


def backwards(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: backwards(node[key]) for key in reversed(node)}
    return [backwards(item) for item in node] if isinstance(node, list) else node


def test_an_id_is_a_full_sha256() -> None:
    assert len(of(CONFIG)) == 64
    assert int(of(CONFIG), 16)


def test_the_order_of_keys_and_tuples_for_lists_change_nothing() -> None:
    assert of(backwards(CONFIG)) == of(CONFIG)
    assert of(changed("optim.betas", (0.9, 0.95))) == of(CONFIG)


def test_another_process_computes_the_same_id() -> None:
    code = (
        "import json, sys; from llmcycle.artifact import identify;"
        "print(identify(json.load(sys.stdin), seed=0, versions={'peft': None, 'torch': '2.13.0'}))"
    )
    run = lambda seed: subprocess.run(  # noqa: E731
        [sys.executable, "-c", code],
        input=json.dumps(CONFIG),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(llmcycle.__file__).parents[1])},
    ).stdout.strip()
    assert {run("1"), run("2")} == {of(CONFIG)}


@pytest.mark.parametrize("path", leaves(CONFIG))
def test_any_key_changes_the_id(path: str) -> None:
    assert of(changed(path, "another value")) != of(CONFIG)


@pytest.mark.parametrize("key", ["", "quant", "logger", "out", "resume", "checkpoint", "progress"])
def test_an_added_key_changes_the_id(key: str) -> None:
    assert of(CONFIG | {key: None}) != of(CONFIG)


def test_seed_and_versions_change_the_id() -> None:
    assert of(CONFIG, seed=1) != of(CONFIG)
    assert of(CONFIG, versions={**VERSIONS, "peft": "0.21.2"}) != of(CONFIG)


def test_a_value_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="plain values"):
        of({"a": object()})


def test_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    expected = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_path(tmp_path / "empty") == expected


def test_digest_of_a_folder_sees_names_and_contents_and_nothing_else(tmp_path: Path) -> None:
    def folder(name: str, files: dict[str, str]) -> str:
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
        return digest_path(tmp_path / name)

    one = folder("one", {"a.txt": "1", "sub/b.txt": "2"})
    assert one == folder("two", {"sub/b.txt": "2", "a.txt": "1"})
    assert one != folder("three", {"a.txt": "1", "sub/b.txt": "3"})
    assert one != folder("four", {"a.txt": "1", "sub/c.txt": "2"})
    assert one != folder("five", {"a.txt": "1", "b.txt": "2"})


def test_digest_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        digest_path(tmp_path / "missing")


def test_environment_names_the_libraries_and_our_source() -> None:
    versions = environment()
    libraries = {"torch", "transformers", "tokenizers", "peft", "torchao", "trl", "bitsandbytes", "datasets"}
    assert set(versions) == libraries | {"llmcycle", "source"}
    assert versions["llmcycle"] == llmcycle.__version__
    assert len(versions["source"] or "") == 64


def test_artifacts_need_no_torch() -> None:
    code = "import sys, llmcycle.artifact as a; a.environment(); sys.exit('torch' in sys.modules)"
    root = str(Path(llmcycle.__file__).parents[1])
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": root}, check=False).returncode == 0


def test_git_state(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    assert git_state(tmp_path) is None
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "one")
    clean = git_state(tmp_path)
    assert clean is not None
    assert (len(clean["commit"]), clean["dirty"]) == (40, False)
    (tmp_path / "file").write_text("2")
    assert git_state(tmp_path) == {"commit": clean["commit"], "dirty": True}
