"""Windows of a stream, and a text file whose end is held out."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from llmcycle.data.chat import encode_document
from llmcycle.data.windows import Contiguous, Windows

ROWS = [{"text": "abcdefgh"}, {"text": "ijkl"}]


@pytest.mark.parametrize("stride", [1, 3, 4])
def test_every_token_is_predicted_and_windows_follow_the_stream(
    stride: int, tokenizer: PreTrainedTokenizerFast
) -> None:
    stream = [token for row in ROWS for token in encode_document(tokenizer, row["text"])]
    examples = Windows(5, stride).encode(ROWS, tokenizer)
    starts = [*range(0, len(stream) - 5, stride), len(stream) - 5]
    assert [e["input_ids"] for e in examples] == [stream[start : start + 5] for start in starts]
    assert {place for start in starts for place in range(start + 1, start + 5)} == set(range(1, len(stream)))
    batch = Windows(5, stride).collate(examples, 0)
    assert batch["labels"].tolist() == batch["input_ids"].tolist() == [e["input_ids"] for e in examples]


def test_a_short_stream_is_one_window(tokenizer: PreTrainedTokenizerFast) -> None:
    (example,) = Windows(50, 10).encode(ROWS[1:], tokenizer)
    assert example["input_ids"] == encode_document(tokenizer, "ijkl")


@pytest.mark.parametrize("stride", [0, 5])
def test_a_stride_that_leaves_tokens_out_is_refused(stride: int) -> None:
    with pytest.raises(ValueError, match=rf"encode\.stride={stride}"):
        Windows(5, stride)


def test_the_end_of_a_file_is_held_out(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("line one\n\nline two\n" * 5, encoding="utf-8")
    data = Contiguous(str(path), 0.2)
    assert data.train[0]["text"] + data.validation[0]["text"] == path.read_text("utf-8")
    assert len(data.train[0]["text"]) == int(0.8 * len(path.read_text("utf-8")))


def test_a_missing_file_and_an_impossible_share_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.train: there is no file"):
        Contiguous.preflight(train=str(tmp_path / "b.txt"))
    with pytest.raises(ValueError, match=r"data\.validation_share=1"):
        Contiguous("b.txt", 1)
