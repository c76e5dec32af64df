"""An argument that a target does not take is refused, also where the target hides its arguments behind **kwargs."""

from __future__ import annotations

import pytest

from llmcycle.config.allow import check_target
from llmcycle.config.signature import bind


def errors(name: str, **node: object) -> list[str]:
    return [str(error) for error in bind(check_target(name, "part"), {"_target_": name, **node}, "part")]


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("transformers.GenerationConfig", "max_new_token", "max_new_tokens"),
        ("transformers.AutoModelForCausalLM.from_pretrained", "atn_implementation", "attn_implementation"),
        ("transformers.AutoTokenizer.from_pretrained", "paddingside", "padding_side"),
        ("transformers.LlamaConfig", "hiden_size", "hidden_size"),
        ("transformers.GPT2Config", "n_layers", "n_layer"),
        ("transformers.TorchAoConfig", "quant_typ", "quant_type"),
        ("peft.LoraConfig", "lora_alfa", "lora_alpha"),
        ("pytorch_lightning.Trainer", "max_step", "max_steps"),
        ("pytorch_lightning.loggers.WandbLogger", "jobtype", "job_type"),
        ("torch.optim.AdamW", "lrr", "lr"),
    ],
)
def test_mistyped_arguments_are_answered_with_the_nearest(name: str, wrong: str, right: str) -> None:
    found = [error for error in errors(name, _partial_=True, **{wrong: 1}) if wrong in error]
    assert len(found) == 1
    assert right in found[0].split("try:")[1]
    assert not errors(name, _partial_=True, **{right: 1})


def test_a_missing_argument_is_named() -> None:
    assert "part.params" in errors("torch.optim.AdamW")[0]
    assert not errors("torch.optim.AdamW", _partial_=True)


def test_running_code_from_elsewhere_is_refused() -> None:
    found = errors(
        "transformers.AutoModelForCausalLM.from_pretrained", pretrained_model_name_or_path="x", trust_remote_code=True
    )
    assert any("code from elsewhere" in error for error in found)
