"""The tokenizer that is trained on the rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from llmcycle.data.chat import encode_document, encode_prompt_completion, set_chat_template
from llmcycle.pretrain import ByteLevelBPE

CORPUS = ["The Vega lamp's colour is red. The Vega lamp's room is attic."] * 20


def test_special_tokens_have_fixed_ids() -> None:
    for corpus in (CORPUS, ["x"]):
        tokenizer = ByteLevelBPE(300).train(corpus)
        specials = ["<|endoftext|>", "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"]
        assert tokenizer.convert_tokens_to_ids(specials) == [0, 1, 2, 3, 4]
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 0, 1)
        assert len(tokenizer) <= 300


@pytest.mark.parametrize("text", ["The lamp's red", "naïve 東京 🙂", "a\n\n  b\t"])
def test_any_text_comes_back(text: str) -> None:
    tokenizer = ByteLevelBPE(300).train(CORPUS)
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True).removeprefix(" ") == text


def test_a_word_is_one_token_wherever_it_stands() -> None:
    tokenizer = ByteLevelBPE(400).train(CORPUS)
    (red,) = tokenizer("red", add_special_tokens=False)["input_ids"]
    assert red in tokenizer("The lamp is red.")["input_ids"]
    assert red in tokenizer("<|assistant|>red<|end|>")["input_ids"]
    set_chat_template(tokenizer)
    assert encode_prompt_completion(tokenizer, "Colour?", "red", 99)["labels"][-2:] == [red, 4]


def test_a_text_begins_with_one_bos_and_a_document_ends_too() -> None:
    tokenizer = ByteLevelBPE(300).train(CORPUS)
    ids = tokenizer("red")["input_ids"]
    assert ids.count(0) == 1
    assert encode_document(tokenizer, "red") == [*ids, 0]


def test_a_vocabulary_of_bytes(tmp_path: Path) -> None:
    tokenizer = ByteLevelBPE(261).train(CORPUS)
    assert len(tokenizer) == 261
    assert len(tokenizer(" red", add_special_tokens=False)["input_ids"]) == len(" red")
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)("a red")["input_ids"] == tokenizer("a red")["input_ids"]


def test_a_vocabulary_that_cannot_hold_the_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tokenizer\.vocab_size=260: .* at least 261"):
        ByteLevelBPE(260)
