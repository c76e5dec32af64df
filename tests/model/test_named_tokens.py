"""A method's tokens are named by text, and are those of whichever tokenizer the recipe has."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from conftest import byte_tokenizer
from transformers import AutoTokenizer

from llmcycle.data.chat import chat_tokenizer, set_chat_template
from llmcycle.model import ActivatedLoraConfig, ContextPromptConfig, TokenTextsConfig, new_tokens
from llmcycle.pretrain import ByteLevelBPE

TEXTS = ["a red kettle, a blue kettle"] * 9
TOKENIZERS = {"bytes": byte_tokenizer, "bpe": lambda: ByteLevelBPE(vocab_size=300).train(TEXTS)}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_trainable_tokens_are_the_special_ones_unless_others_are_named(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    special = TokenTextsConfig(tokenizer).token_indices
    assert special == [0, 1, 2, 3, 4]
    named = TokenTextsConfig(tokenizer, ["<|end|>", "<|user|>"], init_weights=True)
    assert named.token_indices == sorted(tokenizer.convert_tokens_to_ids(["<|user|>", "<|end|>"]))
    assert named.to_dict()["token_indices"] == named.token_indices


def test_a_text_that_is_not_one_token_is_refused_with_a_remedy_that_works() -> None:
    tokenizer = byte_tokenizer()
    with pytest.raises(ValueError, match=r"peft.tokens: 'ab' is 2 tokens .*; set peft.tokens=null"):
        TokenTextsConfig(tokenizer, ["ab"])
    with pytest.raises(ValueError, match=r"set peft.tokens=\['<\|pad\|>'\]"):
        TokenTextsConfig(tokenizer, [])
    assert TokenTextsConfig(tokenizer, ["<|pad|>"]).token_indices == [0]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_context_of_cpt_is_a_text(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    config = ContextPromptConfig(tokenizer, "a red kettle")
    assert tokenizer.decode(config.cpt_token_ids).strip() == "a red kettle"
    assert config.num_virtual_tokens == len(config.cpt_token_ids) > 0
    with pytest.raises(ValueError, match=r"set peft.context='Answer briefly\.'"):
        ContextPromptConfig(tokenizer, "")


def test_what_peft_warns_of_without_a_task_is_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ActivatedLoraConfig("<|assistant|>", set_chat_template(byte_tokenizer()))
        ContextPromptConfig(byte_tokenizer(), "a")


def test_the_invocation_of_activated_lora_is_a_text_of_the_chat_template() -> None:
    tokenizer = set_chat_template(byte_tokenizer())
    config = ActivatedLoraConfig("<|assistant|>", tokenizer, r=4)
    assert tokenizer.convert_ids_to_tokens(config.alora_invocation_tokens) == ["<|assistant|>"]
    assert config.r == 4
    with pytest.raises(ValueError, match=r"'<start>' would .*; set peft.invocation='<\|assistant\|>'"):
        ActivatedLoraConfig("<start>", tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="has no chat template"):
        ActivatedLoraConfig("<|assistant|>", tokenizer)


@pytest.fixture
def base(tmp_path: Path) -> str:
    """A tokenizer in a folder, as a base model has it: our markers, no chat template."""
    byte_tokenizer().save_pretrained(tmp_path)
    return str(tmp_path)


def test_markers_that_a_base_has_never_seen_are_new(base: str) -> None:
    tokenizer = chat_tokenizer(base)
    assert tokenizer.convert_ids_to_tokens(new_tokens(tokenizer)) == ["<|user|>", "<|assistant|>", "<|end|>"]
    tokenizer.save_pretrained(base)
    assert new_tokens(chat_tokenizer(base)) is None  # the next stage's base has been trained on them


def test_tokens_that_begin_or_end_a_text_are_not_new(base: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert new_tokens(tokenizer) is None  # no template
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}{{ m['content'] + eos_token }}{% endfor %}"
    assert new_tokens(tokenizer) is None
    assert new_tokens(set_chat_template(byte_tokenizer())) is None  # made here: nothing was trained on it before
    assert new_tokens(ByteLevelBPE(vocab_size=300)) is None


def test_a_template_that_refuses_a_plain_dialogue_has_no_markers(base: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = "{{ raise_exception('a system message is needed') }}"
    assert new_tokens(tokenizer) is None
