"""How fast methods learn beside LoRA, so that one sweep over them is fair: `optim.lr: ${rate:3.0e-3}` in a recipe."""

from __future__ import annotations

from typing import Any

# Times the learning rate of LoRA, by the config class of the method ("" trains every weight); 1 for those that are not
# here. Found on the synthetic shop with `recipes/finetune.yaml`, in steps of about 3.
RATES: dict[str, float] = {
    "": 0.3,
    "AdaLoraConfig": 3.0,
    "BOFTConfig": 3.0,
    "C3AConfig": 30.0,
    "CPTConfig": 10.0,
    "CartridgeConfig": 3.0,
    "FourierFTConfig": 3.0,
    "FrodConfig": 10.0,
    "HRAConfig": 3.0,
    "HiraConfig": 3.0,
    "IA3Config": 10.0,
    "LNTuningConfig": 10.0,
    "LoHaConfig": 3.0,
    "LoKrConfig": 3.0,
    "MultitaskPromptTuningConfig": 3.0,
    "OFTConfig": 3.0,
    "PrefixTuningConfig": 3.0,
    "PromptEncoderConfig": 3.0,
    "PromptTuningConfig": 10.0,
    "PveraConfig": 10.0,
    "RoadConfig": 10.0,
    "SupertuningConfig": 3.0,
    "TinyLoraConfig": 3.0,
    "TrainableTokensConfig": 3.0,
    "UniLoraConfig": 30.0,
    "VBLoRAConfig": 3.0,
    "VeraConfig": 10.0,
}


def rate(lora: float, *, _parent_: Any) -> float:
    """The learning rate for the stage's method, where LoRA's would be `lora`; a recipe's user may write any other."""
    peft = _parent_._get_parent().get("peft") or {}
    return float(lora) * RATES.get(str(peft.get("_target_", "")).rpartition(".")[2], 1.0)
