"""Generation: greedy answers equal to one-by-one decoding, whatever the batch; stops; silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftConfig, PromptTuningConfig, get_peft_model
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.engine import TransformersEngine, texts, write_samples
from llmcycle.engine.generation import encode_prompts, stop_token_ids
from llmcycle.model import ActivatedLoraConfig

PROMPTS = ["a", "What is this?", "The colour of the Alder lamp", "x" * 70, "Question: who\nAnswer:", "b", "a"]
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def greedy_by_hand(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str, count: int) -> str:
    """No cache, no batch, no padding: the definition of greedy decoding."""
    ids, stops = encode_prompts(tokenizer, [prompt])[0], stop_token_ids(model, tokenizer)
    start = len(ids)
    for _ in range(count):
        with torch.no_grad():
            token = model(torch.tensor([ids])).logits[0, -1].argmax().item()
        if token in stops:
            break
        ids.append(token)
    return tokenizer.decode(ids[start:], skip_special_tokens=True).strip()


def test_greedy_equals_the_definition(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine
) -> None:
    expected = [greedy_by_hand(model, tokenizer, prompt, 32) for prompt in PROMPTS]
    assert texts(engine, PROMPTS) == expected
    assert len(set(expected)) > 3


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_answers_do_not_depend_on_the_batch(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, batch_size: int, engine: TransformersEngine
) -> None:
    assert texts(TransformersEngine(model, tokenizer, batch_size=batch_size), PROMPTS) == texts(engine, PROMPTS)
    assert texts(engine, PROMPTS[::-1])[::-1] == texts(engine, PROMPTS)


def test_beam_search_does_not_depend_on_the_batch(engine: TransformersEngine) -> None:
    beam = GenerationConfig(num_beams=3, max_new_tokens=12)
    alone = [texts(engine, [prompt], beam)[0] for prompt in PROMPTS]
    assert texts(engine, PROMPTS, beam) == alone
    assert alone != texts(engine, PROMPTS, GenerationConfig(max_new_tokens=12))


def forced(model: LlamaForCausalLM, tokens: list[int]) -> LlamaForCausalLM:
    """Make the model say `tokens`, by position after the prompt, through its logits."""
    real = model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        output = real(*args, **kwargs)
        token = tokens[min(model.step, len(tokens) - 1)]
        model.step += 1
        output.logits[:, -1] = torch.nn.functional.one_hot(torch.tensor(token), output.logits.shape[-1]) * 100.0
        return output

    model.step = 0
    model.forward = forward
    return model


@pytest.mark.parametrize("stop", ["<|endoftext|>", "<|end|>"])
def test_stops_at_the_end_of_text_and_of_turn(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, stop: str
) -> None:
    tokens = tokenizer.convert_tokens_to_ids(["R", "e", "d", stop, "x"])
    assert texts(TransformersEngine(forced(model, tokens), tokenizer), ["Colour?"]) == ["Red"]
    assert model.step <= 5


def test_stops_at_the_models_own_token(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    model.generation_config.eos_token_id = [tokenizer.convert_tokens_to_ids("!")]
    tokens = tokenizer.convert_tokens_to_ids(["R", "e", "d", "!", "x"])
    assert texts(TransformersEngine(forced(model, tokens), tokenizer), ["Colour?"]) == ["Red"]


def test_stop_strings_are_cut(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    tokens = tokenizer.convert_tokens_to_ids(["R", "Ċ", "Q", "x"])
    config = GenerationConfig(max_new_tokens=20, stop_strings=["\nQ"])
    assert texts(TransformersEngine(forced(model, tokens), tokenizer), ["Colour?"], config) == ["R"]
    assert model.step <= 4


def test_options_left_open_do_not_come_from_the_model(model: LlamaForCausalLM, engine: TransformersEngine) -> None:
    expected = texts(engine, PROMPTS)
    model.generation_config.update(do_sample=True, temperature=5.0, repetition_penalty=3.0)
    assert texts(engine, PROMPTS) == expected


def test_sampling_follows_the_seed(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    config = GenerationConfig(do_sample=True, temperature=1.0, num_return_sequences=4, max_new_tokens=8)
    engine = TransformersEngine(model, tokenizer)
    torch.manual_seed(1)
    first = [[answer.text for answer in several] for several in engine.answer(PROMPTS, config)]
    torch.manual_seed(1)
    assert [[answer.text for answer in several] for several in engine.answer(PROMPTS, config)] == first
    assert [len(answers) for answers in first] == [4] * len(PROMPTS)
    assert any(len(set(answers)) > 1 for answers in first)


def test_several_answers_reach_an_adapter_that_looks_for_its_place_in_each_row(
    model: LlamaForCausalLM, chat_tokenizer: PreTrainedTokenizerFast
) -> None:
    adapter = ActivatedLoraConfig("<|assistant|>", chat_tokenizer, target_modules=["q_proj"], task_type="CAUSAL_LM")
    engine = TransformersEngine(get_peft_model(model, adapter), chat_tokenizer)
    config = GenerationConfig(do_sample=True, num_return_sequences=3, max_new_tokens=4)
    assert [len(answers) for answers in engine.answer(PROMPTS, config)] == [3] * len(PROMPTS)


def test_generate_refuses_several_answers(engine: TransformersEngine) -> None:
    with pytest.raises(ValueError, match="num_return_sequences"):
        texts(engine, ["a"], GenerationConfig(do_sample=True, num_return_sequences=2))


def test_chat_template_is_applied(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.chat_template = CHAT
    ids = encode_prompts(tokenizer, ["Hi", [{"role": "user", "content": "Hi"}]])
    assert ids[0] == ids[1]
    assert tokenizer.decode(ids[0]) == "<|user|>Hi<|end|><|assistant|>"


def test_empty_prompts(tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine) -> None:
    assert texts(engine, []) == []
    assert encode_prompts(tokenizer, [""]) == [[tokenizer.eos_token_id]]
    assert len(texts(engine, [""])) == 1


def test_mode_and_dropout_are_left_as_found(model: LlamaForCausalLM, engine: TransformersEngine) -> None:
    model.train()
    texts(engine, ["a"])
    assert model.training


def test_nothing_is_printed(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
    engine: TransformersEngine,
) -> None:
    tokenizer.pad_token = None
    model.generation_config.temperature = 0.3
    texts(engine, PROMPTS, GenerationConfig(max_new_tokens=4, temperature=0.5))
    printed = capfd.readouterr()
    assert (printed.out, printed.err, len(recwarn)) == ("", "", 0)


def test_engine_and_samples(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    engine = TransformersEngine(model, tokenizer, batch_size=2)
    answers = texts(engine, PROMPTS)
    assert answers == texts(TransformersEngine(model, tokenizer), PROMPTS)
    path = write_samples(tmp_path, PROMPTS, answers)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines == [{"prompt": p, "answer": a} for p, a in zip(PROMPTS, answers, strict=True)]


@pytest.mark.parametrize(
    "adapter",
    [
        LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", init_lora_weights=False),
        PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    ],
    ids=["lora", "prompt_tuning"],
)
def test_adapters_answer_as_defined(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, adapter: PeftConfig, engine: TransformersEngine
) -> None:
    plain = texts(engine, PROMPTS)
    adapted = get_peft_model(model, adapter).eval()
    expected = [greedy_by_hand(adapted, tokenizer, prompt, 32) for prompt in PROMPTS]
    assert texts(TransformersEngine(adapted, tokenizer, batch_size=3), PROMPTS) == expected
    assert expected != plain


@pytest.fixture
def gpt2(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """With positions for 24 tokens; no token ends an answer."""
    torch.manual_seed(0)
    sizes = {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 24, "initializer_range": 0.3}
    none = {"bos_token_id": None, "eos_token_id": None}
    return GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **sizes, **none)).eval()


@pytest.mark.parametrize("virtual", [0, 4])
def test_an_answer_ends_where_the_positions_do(
    gpt2: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, virtual: int
) -> None:
    prompts, model = ["a", "x" * 14, "y" * 70], gpt2
    if virtual:
        model = get_peft_model(gpt2, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=virtual))
    engine, wish = TransformersEngine(model, tokenizer), GenerationConfig(max_new_tokens=12)
    answers = [answer for (answer,) in engine.answer(prompts, wish)]
    alone = [engine.answer([prompt], wish)[0][0] for prompt in prompts]
    assert [answer.text for answer in answers] == [answer.text for answer in alone]
    read = [answer.prompt_tokens for answer in answers]
    assert read == [1, 14, 24 - virtual]
    assert [answer.new_tokens for answer in answers] == [min(12, 25 - virtual - count) for count in read]
