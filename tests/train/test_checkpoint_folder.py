"""Checkpoints on the disk: whole or not there, and never loaded when a byte of them has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from tiny_run import STEPS, batches, run
from transformers import PreTrainedTokenizerFast

from llmcycle.train import checkpoint_folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last two checkpoints of a run."""
    from conftest import byte_tokenizer

    folder = tmp_path_factory.mktemp("saved")
    run(folder, batches(byte_tokenizer(), 0, packed=True))
    return folder


def found(root: Path) -> tuple[int | None, list[str]]:
    reasons: list[str] = []
    newest = checkpoint_folder.newest(root, reasons.append)
    return (newest.step if newest else None), reasons


def test_the_newest_whole_one_is_found(saved: Path, tmp_path: Path) -> None:
    assert [path.name for path in checkpoint_folder.folders(saved)] == ["step-00000012", "step-00000010"]
    assert found(saved) == (STEPS, [])
    assert found(tmp_path / "nowhere") == (None, [])


@pytest.mark.parametrize("name", ["state.ckpt", "random-0.json", "checkpoint.json"])
def test_no_damage_is_loaded_and_the_older_one_is_taken(saved: Path, name: str) -> None:
    path = checkpoint_folder.place(saved, STEPS) / name
    whole, draw = path.read_bytes(), Random(name)
    bits = [draw.randrange(8 * len(whole)) for _ in range(20)]
    flipped = [bytearray(whole) for _ in bits]
    for damaged, bit in zip(flipped, bits, strict=True):
        damaged[bit // 8] ^= 1 << bit % 8
    cuts = [whole[: draw.randrange(len(whole))] for _ in range(4)]
    try:
        for damaged in [*map(bytes, flipped), *cuts]:
            path.write_bytes(damaged)
            step, reasons = found(saved)
            assert step == STEPS - 2
            assert len(reasons) == 1
            assert reasons[0].startswith("checkpoint step-00000012 is passed over: ")
    finally:
        path.write_bytes(whole)
    assert found(saved) == (STEPS, [])


def test_missing_and_unknown_files_are_damage_too(saved: Path, tmp_path: Path) -> None:
    place = checkpoint_folder.place(saved, STEPS)
    (place / "random-0.json").rename(tmp_path / "aside")
    assert found(saved)[1] == ["checkpoint step-00000012 is passed over: random-0.json is missing"]
    (tmp_path / "aside").rename(place / "random-0.json")
    (place / "more").write_text("")
    assert found(saved)[0] == STEPS - 2
    (place / "more").unlink()


def test_resume_by_word_or_by_folder(saved: Path, tmp_path: Path) -> None:
    def choose(resume: str) -> int | None:
        chosen = checkpoint_folder.choose(resume, saved, print)
        return chosen.step if chosen else None

    assert (choose("auto"), choose("never")) == (STEPS, None)
    assert choose(str(checkpoint_folder.place(saved, 10))) == 10
    with pytest.raises(ValueError, match=r"resume: .* is no whole checkpoint: checkpoint.json is missing; try resume="):
        choose(str(tmp_path))


def test_a_full_disk_is_a_clear_error_and_costs_no_checkpoint(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    run(tmp_path, batches(tokenizer, 0, packed=True), max_steps=4)
    code = (
        "import resource, sys; from pathlib import Path; from conftest import byte_tokenizer; import tiny_run\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "tiny_run.run(Path(sys.argv[1]), tiny_run.batches(byte_tokenizer(), 0, packed=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"ValueError: the checkpoint of step 6 could not be written to {tmp_path}" in done.stderr
    assert "step-00000004, is as it was. Make room" in done.stderr
    assert found(tmp_path) == (4, [])
    assert not list(tmp_path.glob(".partial-*"))


def test_a_folder_that_cannot_be_written_is_a_clear_error(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"the checkpoint of step 2 could not be written to .*there is none yet"):
        run(tmp_path / "file" / "below", batches(tokenizer, 0, packed=True))
