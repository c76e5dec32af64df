"""Numbers that one part has no room for, and weights that can't be trained, are refused in check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import seeming_model

from llmcycle.config import ConfigError, check, compose, locate


def refusal(recipe: str, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        check(compose(locate(recipe), overrides))
    return caught.value


def test_packed_rows_longer_than_the_context_are_refused(here: Path) -> None:
    error = refusal("pretrain", "model.config.max_position_embeddings=4")
    assert (error.key, error.remedy) == ("encode.max_length", "encode.max_length=4")


def test_rows_of_hidden_tokens_longer_than_the_context_are_refused(here: Path) -> None:
    error = refusal("pretrain_mlm", "encode.max_length=300")
    assert (error.key, error.remedy) == ("encode.max_length", "encode.max_length=256")
    check(compose(locate("pretrain_mlm"), [error.remedy]))


def test_virtual_tokens_that_fill_the_context_are_refused(here: Path) -> None:
    Path("model").mkdir()
    Path("model/config.json").write_text(json.dumps({"architectures": ["GPT2LMHeadModel"], "n_positions": 32}))
    given = ["inputs.model=model", "peft=prompt_tuning"]
    error = refusal("finetune", *given, "peft.num_virtual_tokens=32")
    assert (error.key, error.remedy) == ("peft.num_virtual_tokens", "peft.num_virtual_tokens=16")
    check(compose(locate("finetune"), [*given, error.remedy]))
    check(compose(locate("finetune"), [*given, "peft.num_virtual_tokens=31"]))


def test_one_answer_to_a_prompt_has_no_group(here: Path) -> None:
    seeming_model(Path("model"))
    error = refusal("rlvr", "inputs.model=model", "objective.sampling.group_size=1")
    assert error.remedy == "objective.sampling.group_size=2"
    check(compose(locate("rlvr"), ["inputs.model=model", error.remedy]))


def test_a_compressed_model_is_not_trained(here: Path) -> None:
    Path("model").mkdir()
    config = {"architectures": ["LlamaForCausalLM"], "quantization_config": {"quant_method": "torchao"}}
    Path("model/config.json").write_text(json.dumps(config))
    assert refusal("finetune", "inputs.model=model").key == "inputs.model"


@pytest.mark.parametrize(
    ("overrides", "reason", "remedy"),
    [
        (["model=llama_135m", "model.config.num_key_value_heads=4"], "share 4", "model.config.num_key_value_heads=3"),
        (["model=gpt2", "model.config.n_head=3"], "can't share a width of", "model.config.n_head=2"),
        (["model.config.num_attention_heads=3"], "not a multiple", "model.config.num_attention_heads=4"),
    ],
)
def test_heads_that_share_unevenly_are_refused(here: Path, overrides: list[str], reason: str, remedy: str) -> None:
    error = refusal("pretrain", *overrides)
    assert reason in error.reason
    assert error.remedy == remedy
    check(compose(locate("pretrain"), [*overrides[:-1], error.remedy]))
