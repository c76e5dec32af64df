"""The tokenizer that is trained on the rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from llmcycle.data.chat import encode_document, encode_prompt_completion, set_chat_template
from llmcycle.pretrain import ByteLevelBPE
from llmcycle.pretrain.tokenizer import ByteLevelUnigram, Characters, Trainable, WordPiece

SPECIALS = ["<|endoftext|>", "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"]
KINDS = [ByteLevelBPE, ByteLevelUnigram, WordPiece, Characters]
CORPUS = ["The Vega lamp's colour is red. The Vega lamp's room is attic."] * 20


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_have_fixed_ids(kind: type[Trainable], tmp_path: Path) -> None:
    for corpus in (CORPUS, ["x"]):
        tokenizer = kind(300, mask=True).train(corpus)
        assert tokenizer.convert_tokens_to_ids(SPECIALS) == [0, 1, 2, 3, 4]
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 0, 1)
        assert tokenizer.mask_token_id == 5
        assert tokenizer.unk_token_id == (6 if kind.unknown else None)
        assert len(tokenizer) <= 300
        assert kind(300).train(corpus).mask_token is None
    tokenizer.save_pretrained(tmp_path)
    text = "x <|mask|> lamp"
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == tokenizer(text)["input_ids"]


@pytest.mark.parametrize("kind", [ByteLevelBPE, ByteLevelUnigram])
@pytest.mark.parametrize("text", ["The lamp's red", "naïve 東京 🙂", "a\n\n  b\t"])
def test_any_text_comes_back(kind: type[Trainable], text: str) -> None:
    tokenizer = kind(300).train(CORPUS)
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
    with pytest.raises(ValueError, match=r"260 tokens are too few.*\n.*vocab_size=261"):
        ByteLevelBPE(260)


def test_unigram_cuts_into_the_likeliest_pieces() -> None:
    tokenizer = ByteLevelUnigram(290).train(["lamp bed lampbed"] * 50)
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("lamp", add_special_tokens=False)["input_ids"])
    assert len(pieces) < len(" lamp")


def test_wordpiece_is_berts() -> None:
    tokenizer = WordPiece(60).train(["lamp lamps lamplight"] * 20)
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("lamps Q", add_special_tokens=False)["input_ids"])
    assert pieces[0].startswith("l")
    assert all(piece.startswith("##") for piece in pieces[1:-1])
    assert pieces[-1] == "<|unk|>"
    assert WordPiece(60, lowercase=True).train(["LAMP"]).decode([0]) == "<|endoftext|>"
    lower = WordPiece(60, lowercase=True).train(["lamp"] * 9)
    assert lower("LÁMP")["input_ids"] == lower("lamp")["input_ids"]


def test_characters_are_tokens() -> None:
    text = "Ay,\nmy lord. "
    tokenizer = Characters(30).train([text])
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text
    assert len(tokenizer) == 6 + len(set(text))
    assert tokenizer("é", add_special_tokens=False)["input_ids"] == [tokenizer.unk_token_id]


def test_more_characters_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="3 different characters; with the special tokens that makes 9"):
        Characters(8).train(["abc"])
