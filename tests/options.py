"""The options of `peft` as the fine-tuning recipe resolves them, and the methods of the compress recipe."""

from __future__ import annotations

from functools import cache
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf
from peft import PeftConfig
from transformers import PreTrainedTokenizerBase

from llmcycle.config import compose, locate
from llmcycle.config.facts import taken_off
from llmcycle.config.paths import shipped

OPTIONS = sorted(path.stem for path in shipped("conf").glob("peft/*.yaml"))
STEPS = 4


@cache
def option(name: str) -> tuple[dict[str, Any], float]:
    """The option, and the learning rate that the recipe takes with it."""
    root = compose(locate("finetune"), [f"peft={name}", f"trainer.max_steps={STEPS}", "inputs.model=unused"])
    return OmegaConf.to_container(root.peft, resolve=True), root.optim.lr  # type: ignore[return-value]


def build(name: str, tokenizer: PreTrainedTokenizerBase) -> PeftConfig | None:
    """What the option names; a method that reads a tokenizer is given this one."""
    config = taken_off(option(name)[0])
    given = {"tokenizer": tokenizer} if "tokenizer" in config else {}
    return instantiate({**config, **dict.fromkeys(given)}, **given, _convert_="all") or None


def compressing(group: str, name: str) -> Any:
    """What an option of `quant` or `prune` makes; None for an empty one."""
    node = compose(locate("compress"), ["inputs.model=unused", f"{group}={name}"])[group]
    return instantiate(node, _convert_="all") if node else None
