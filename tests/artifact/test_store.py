"""The store: every changed byte is seen, a killed process leaves no artifact, and two processes make one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import llmcycle
from llmcycle.artifact import MANIFEST, AmbiguousId, Artifact, CorruptArtifact, Store
from llmcycle.evaluate.metric import Metric

ID = "0123456789abcdef" * 4
OTHER = "0123ffffffffffff" * 4
FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 40, "sub/tokens.bin": b"\x00", "empty": b""}

WORKER = """
import sys, time
from pathlib import Path
from llmcycle.artifact import AmbiguousId, Store

root, seconds, log = Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])

def note(text):
    with log.open("a") as file:
        file.write(text + "\\n")

with Store(root).write("stage", sys.argv[4], on_wait=lambda: note("wait")) as draft:
    if draft.existing:
        note("found")
    else:
        note("train")
        (draft.folder / "weights").write_bytes(b"half")
        note("half")
        time.sleep(seconds)
        draft.commit({})
        note("done")
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def made(store: Store, name: str = "stage", identity: str = ID, files: dict[str, bytes] = FILES) -> Artifact:
    with store.write(name, identity) as draft:
        for path, data in files.items():
            (draft.folder / path).parent.mkdir(exist_ok=True)
            (draft.folder / path).write_bytes(data)
        return draft.commit({"inputs": {"model": {"id": "ab" * 6}}, "metrics": {"loss": Metric(1.5, unit="nats")}})


def worker(store: Store, seconds: float, log: Path, identity: str = ID) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": str(Path(llmcycle.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-c", WORKER, str(store.root), str(seconds), str(log), identity], env=env)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def notes(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_a_written_artifact_reads_back(store: Store) -> None:
    artifact = made(store)
    assert artifact.folder == store.root / "stage-0123456789ab" == store.folder("stage", ID)
    assert (artifact.id, artifact.name, artifact.manifest["identity"]) == ("0123456789ab", "stage", ID)
    assert artifact.inputs == {"model": {"id": "ab" * 6}}
    assert artifact.metrics["loss"]["value"] == 1.5
    assert set(artifact.files) == set(FILES)
    artifact.verify()
    assert list(store.partial.iterdir()) == []


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_one_flipped_bit_in_any_file_is_caught(store: Store, name: str) -> None:
    path = made(store).folder / name
    data = path.read_bytes()
    positions = sorted({0, 1, len(data) // 3, len(data) // 2, len(data) - 2, len(data) - 1} & set(range(len(data))))
    for position in positions:
        for bit in (0, 4, 7):
            path.write_bytes(data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :])
            with pytest.raises(CorruptArtifact, match=name.replace(".", r"\.")):
                Artifact(path.parents[name.count("/")]).verify()
    path.write_bytes(data)
    Artifact(path.parents[name.count("/")]).verify()


def test_every_byte_of_the_manifest_counts(store: Store) -> None:
    path = made(store, files={"a": b"1"}).folder / MANIFEST
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(CorruptArtifact):
            Artifact(path.parent).verify()


def test_a_truncated_file_is_named_with_both_sizes_and_the_remedy(store: Store) -> None:
    artifact = made(store)
    (artifact.folder / "model.safetensors").write_bytes(FILES["model.safetensors"][:-1])
    with pytest.raises(
        CorruptArtifact, match=r"model\.safetensors has 10239 bytes, expected 10240.*stage again with --force"
    ):
        artifact.verify()


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_missing_file_is_caught(store: Store, name: str) -> None:
    folder = made(store).folder
    (folder / name).unlink()
    with pytest.raises(CorruptArtifact, match=f"{name.replace('.', '[.]')} is missing"):
        Artifact(folder).verify()


def test_an_extra_file_and_a_link_are_caught(store: Store) -> None:
    folder = made(store).folder
    (folder / "extra").touch()
    with pytest.raises(CorruptArtifact, match="extra was not written"):
        Artifact(folder).verify()
    (folder / "extra").unlink()
    (folder / "config.json").rename(folder.parent / "elsewhere")
    (folder / "config.json").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(CorruptArtifact, match=r"config\.json is no ordinary file"):
        Artifact(folder).verify()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": 1}', "\xff"])
def test_a_malformed_manifest_is_corrupt(store: Store, text: str) -> None:
    folder = made(store).folder
    (folder / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptArtifact, match=r"artifact\.json"):
        Artifact(folder).verify()


def test_a_link_is_not_committed(store: Store) -> None:
    with store.write("stage", ID) as draft:
        (draft.folder / "link").symlink_to("nowhere")
        with pytest.raises(ValueError, match=r"link in .* is no ordinary file"):
            draft.commit({})
    assert store.find(ID) is None


@pytest.mark.parametrize("key", ["id", "files", "digest"])
def test_the_stores_own_fields_are_refused(store: Store, key: str) -> None:
    with pytest.raises(ValueError, match=f"'{key}'"), store.write("stage", ID) as draft:
        draft.commit({key: 1})


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, None])
def test_without_a_commit_nothing_is_left(store: Store, error: type[BaseException] | None) -> None:
    def leave() -> None:
        with store.write("stage", ID) as draft:
            (draft.folder / "weights").write_bytes(b"half")
            if error:
                raise error

    if error:
        with pytest.raises(error):
            leave()
    else:
        leave()
    assert [path.name for path in store.root.rglob("*")] == [".partial"]


def test_find(store: Store, tmp_path: Path) -> None:
    one, two = made(store), made(store, "other", OTHER)
    for reference in (one.folder, str(one.folder), "stage-0123456789ab", "stage", "01234", "0123456789ab", ID):
        assert store.find(reference) == one
    assert store.find("0123f") == two
    for reference in ("012", "9999", "0123456789ac", ID[:-1] + "0", tmp_path, "no/such/path"):
        assert store.find(reference) is None
    with pytest.raises(ValueError, match=r"other-0123ffffffff, stage-0123456789ab"):
        store.find("0123")
    assert Store(tmp_path / "nowhere").find("01234") is None


def test_write_shows_what_exists_and_replaces_it_only_when_told(store: Store) -> None:
    first = made(store)
    with store.write("stage", ID) as draft:
        assert draft.existing == first
    with store.write("renamed", ID, replace=True) as draft:
        assert draft.existing is None
        assert first.folder.exists(), "the old one stays until the commit"
        draft.commit({"round": 2})
    found = store.find(ID)
    assert found is not None
    assert found.manifest["round"] == 2
    assert [artifact.folder.name for artifact in store.artifacts()] == ["renamed-0123456789ab"]
    assert list(store.partial.iterdir()) == []


def test_kill_9_in_the_middle_leaves_no_artifact_and_the_next_write_works(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = worker(store, 60, log)
    until(lambda: "half" in notes(log))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert store.find(ID) is None
    assert (store.partial / ID[:12] / "weights").exists(), "the kill left work in progress behind"
    with store.write("stage", ID) as draft:
        assert list(draft.folder.iterdir()) == []
        draft.commit({}).verify()


def test_a_commit_that_fails_leaves_no_artifact(store: Store) -> None:
    """Everything is written by then: only the finished folder's own name is longer than a file system takes."""
    with pytest.raises(OSError, match="too long"):
        made(store, name="n" * 250)
    assert store.artifacts() == []
    assert list(store.partial.iterdir()) == []


def test_two_processes_wait_for_each_other_and_one_trains(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = worker(store, 1.5, log)
    until(lambda: "half" in notes(log))
    second = worker(store, 1.5, log)
    assert (first.wait(), second.wait()) == (0, 0)
    assert notes(log) == ["train", "half", "wait", "done", "found"]
    assert len(store.artifacts()) == 1
    assert list(store.partial.iterdir()) == []


def test_a_waiting_process_takes_over_from_a_killed_one(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = worker(store, 60, log)
    until(lambda: "half" in notes(log))
    second = worker(store, 0, log)
    until(lambda: "wait" in notes(log))
    first.kill()
    assert second.wait() == 0
    first.wait()
    assert notes(log) == ["train", "half", "wait", "train", "half", "done"]


def test_different_ids_do_not_wait(store: Store, tmp_path: Path) -> None:
    with store.write("stage", ID), store.write("stage", OTHER, on_wait=lambda: pytest.fail("waited")) as draft:
        draft.commit({})


def test_references_are_written_and_collected_in_turn(store: Store) -> None:
    """What `gc` reads while a run is writing its references down may not be half of them."""
    done: list[str] = []

    def collect() -> None:
        with store.referring():
            done.append("collected")

    with store.referring():
        other = threading.Thread(target=collect)
        other.start()
        other.join(0.2)
        done.append("referred")
    other.join(20)
    assert done == ["referred", "collected"]
    assert list(store.partial.iterdir()) == []


def test_the_start_of_an_id_may_follow_a_name(store: Store) -> None:
    for name, start in (("one", "aaaa1"), ("two", "aaaa2")):
        with store.write(name, start.ljust(64, "0")) as draft:
            draft.commit({})
    found = store.find("two-aaaa")
    assert found is not None
    assert found.folder.name == "two-aaaa20000000"
    assert store.find("two-aaaa1") is None
    with pytest.raises(AmbiguousId) as caught:
        store.find("aaaa")
    assert caught.value.names == ["one-aaaa10000000", "two-aaaa20000000"]
