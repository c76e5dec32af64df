"""Prompts, completions and end tokens, with and without a chat template."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from llmcycle.data.chat import (
    IGNORE,
    choose_pad,
    encode_document,
    encode_prompt,
    encode_prompt_completion,
    render_completion,
    render_prompt,
    set_chat_template,
)

BYTES = 3  # "red" in a tokenizer of one token a byte


def labelled(tokenizer: PreTrainedTokenizerFast, example: dict[str, list[int]]) -> str:
    return tokenizer.decode([label for label in example["labels"] if label != IGNORE])


def test_a_base_model_sees_the_prompt_as_it_is(tokenizer: PreTrainedTokenizerFast) -> None:
    assert render_prompt(tokenizer, "Colour?") == "Colour?"
    with pytest.raises(ValueError, match="no chat template"):
        render_prompt(tokenizer, [{"role": "user", "content": "Colour?"}])


def test_the_marker_template_ends_turns(tokenizer: PreTrainedTokenizerFast) -> None:
    set_chat_template(tokenizer)
    assert tokenizer.eos_token == "<|end|>"
    assert render_prompt(tokenizer, "Colour?") == "<|user|>Colour?<|end|><|assistant|>"
    assert render_completion(tokenizer, "Colour?", "red") == "red<|end|>"
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Colour?"},
    ]
    expected = "<|user|>Hi<|end|><|assistant|>Yes?<|end|><|user|>Colour?<|end|><|assistant|>"
    assert render_prompt(tokenizer, history) == expected


def test_other_vocabularies_get_a_plain_template_and_a_model_keeps_its_own(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.chat_template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    assert set_chat_template(tokenizer).chat_template.startswith("{% for m in messages %}[")
    assert tokenizer.eos_token == "<|endoftext|>"
    words = PreTrainedTokenizerFast(tokenizer_object=_words(), eos_token="</s>", unk_token="[UNK]")
    set_chat_template(words)
    assert render_prompt(words, "Colour?") == "User: Colour?\nAssistant:"
    assert render_completion(words, "Colour?", "red") == " red</s>"


@pytest.mark.parametrize("chat", [False, True])
def test_the_loss_falls_on_the_completion_and_its_end(tokenizer: PreTrainedTokenizerFast, chat: bool) -> None:
    if chat:
        set_chat_template(tokenizer)
    example = encode_prompt_completion(tokenizer, "Colour?", "red", 100)
    assert labelled(tokenizer, example) == "red" + tokenizer.eos_token
    prompt = encode_prompt(tokenizer, "Colour?")
    assert example["input_ids"][: len(prompt)] == prompt, "training and generation start from the same tokens"
    assert example["labels"] == [IGNORE] * len(prompt) + example["input_ids"][len(prompt) :]
    assert example["attention_mask"] == [1] * len(example["input_ids"])


def test_a_list_of_messages_works_as_completion(tokenizer: PreTrainedTokenizerFast) -> None:
    set_chat_template(tokenizer)
    asked, said = [{"role": "user", "content": "Q"}], [{"role": "assistant", "content": "red"}]
    assert encode_prompt_completion(tokenizer, asked, said, 99) == encode_prompt_completion(tokenizer, "Q", "red", 99)


def test_long_examples_are_cut_at_the_end(tokenizer: PreTrainedTokenizerFast) -> None:
    example = encode_prompt_completion(tokenizer, "Colour?", "red", 8)
    assert labelled(tokenizer, example) == "r"


def test_a_newline_after_the_end_token_is_not_learnt(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}<|user|>{{ m['content'] }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|user|>{% endif %}"
    )
    assert render_completion(tokenizer, "Q", "red") == "red<|end|>"


def test_a_template_that_rewrites_the_prompt_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.chat_template = "{{ messages | length }}{{ messages[-1]['content'] }}"
    with pytest.raises(ValueError, match="chat_template"):
        render_completion(tokenizer, "Q", "red")


def test_exactly_one_bos(tokenizer: PreTrainedTokenizerFast) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer.bos_token = "<|endoftext|>"
    bos = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", bos)]
    )
    assert encode_prompt(tokenizer, "Q").count(bos) == 1
    assert encode_prompt(tokenizer, "<|endoftext|>Q").count(bos) == 1
    set_chat_template(tokenizer)
    assert encode_prompt(tokenizer, "Q").count(bos) == 1


def test_documents_begin_and_end(tokenizer: PreTrainedTokenizerFast) -> None:
    end = tokenizer.eos_token_id
    assert encode_document(tokenizer, "red")[0] == encode_document(tokenizer, "red")[-1] == end
    assert len(encode_document(tokenizer, "red")) == BYTES + 2


def test_the_pad_token_is_not_the_end_token_where_there_is_a_choice() -> None:
    words = PreTrainedTokenizerFast(tokenizer_object=_words(), eos_token="</s>", pad_token="</s>", unk_token="[UNK]")
    assert choose_pad(words).pad_token == "[UNK]"
    bare = PreTrainedTokenizerFast(tokenizer_object=_words(), eos_token="</s>")
    assert choose_pad(bare).pad_token == "</s>"


def _words() -> object:
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordLevel({"[UNK]": 0, "</s>": 1, "red": 2}, unk_token="[UNK]"))
