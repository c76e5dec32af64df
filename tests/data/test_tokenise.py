"""Many documents to tokens: the same as one by one, and read from the disk the second time."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from transformers import PreTrainedTokenizerFast

from llmcycle.data import tokenise
from llmcycle.data.chat import encode_document
from llmcycle.data.tokenise import encode_documents, key, prune
from llmcycle.pretrain import ByteLevelBPE


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, which keeps everything."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tokenise, "WORTH_KEEPING", 1)
    return tmp_path / "llmcycle" / "tokens"


def texts(count: int = 1200) -> list[str]:
    random = Random(0)
    return ["".join(random.choices("ab é漢 \n", k=random.randrange(30))) for _ in range(count)]


@pytest.mark.parametrize("cache", [True, False])
def test_it_is_encode_document_of_each(tokenizer: PreTrainedTokenizerFast, cache: bool) -> None:
    for chosen in (tokenizer, ByteLevelBPE(300).train(texts())):
        expected = [encode_document(chosen, text) for text in texts()]
        for _ in range(2):
            found = encode_documents(chosen, texts(), cache)
            assert list(found) == expected
            assert found[-1] == expected[-1]
            assert found[3:6] == expected[3:6]
    assert len(encode_documents(tokenizer, [])) == 0


def test_the_second_time_nothing_is_tokenised(
    tokenizer: PreTrainedTokenizerFast, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = list(encode_documents(tokenizer, texts()))
    monkeypatch.setattr(tokenise, "document_ids", None)
    assert list(encode_documents(tokenizer, texts())) == first
    with pytest.raises(TypeError):
        encode_documents(tokenizer, texts(5))
    assert len(list(folder.iterdir())) == 2


def test_the_key_is_that_of_content_and_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    keys = [key(tokenizer, ["ab", "c"]), key(tokenizer, ["a", "bc"]), key(ByteLevelBPE(300).train(["a"]), ["ab", "c"])]
    tokenizer.bos_token = "<|user|>"
    keys.append(key(tokenizer, ["ab", "c"]))
    assert len(set(keys)) == 4
    assert key(tokenizer, iter(["ab", "c"])) == keys[-1]


def test_a_part_that_is_gone_or_cut_off_is_made_again(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    expected = list(encode_documents(tokenizer, texts()))
    for name in (".ids.npy", ".ends.npy"):
        (file,) = folder.glob(f"*{name}")
        file.write_bytes(file.read_bytes()[:-400])
        assert list(encode_documents(tokenizer, texts())) == expected
        file.unlink()
        assert list(encode_documents(tokenizer, texts())) == expected


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    for age, name in enumerate("abcd"):
        file = tmp_path / f"{name}.npy"
        file.write_bytes(b"x" * 100)
        os.utime(file, (1e9 - age, 1e9 - age))
    prune(tmp_path, 250)
    assert sorted(file.stem for file in tmp_path.iterdir()) == ["a", "b"]


def test_a_cache_that_can_not_be_written_is_done_without(
    tokenizer: PreTrainedTokenizerFast, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file in the way")
    assert len(encode_documents(tokenizer, texts(3))) == 3
    assert "tokens are not kept for the next run" in capsys.readouterr().err


def test_threads_are_used_only_while_tokenising(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    encode_documents(tokenizer, texts())
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
    monkeypatch.delenv("TOKENIZERS_PARALLELISM")
    encode_documents(tokenizer, texts(7))
    assert "TOKENIZERS_PARALLELISM" not in os.environ
