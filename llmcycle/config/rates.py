"""How fast methods learn beside LoRA, so that one sweep over them is fair: `optim.lr: ${rate:3.0e-3}` in a recipe."""

from __future__ import annotations

from typing import Any

# Times the learning rate of LoRA, by the config class of the method; 1 for those that are not here.
RATES: dict[str, float] = {
    "": 1.0,
}


def rate(lora: float, *, _parent_: Any) -> float:
    """The learning rate for the stage's method, where LoRA's would be `lora`; a recipe's user may write any other."""
    peft = _parent_._get_parent().get("peft") or {}
    return float(lora) * RATES.get(str(peft.get("_target_", "")).rpartition(".")[2], 1.0)
