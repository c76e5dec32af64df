"""The structured schema that a stage recipe fills in, so that Hydra itself refuses unknown keys and wrong types."""

from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, Optional  # noqa: UP035  omegaconf reads these annotations at run time

from omegaconf import MISSING

Part = Optional[Dict[str, Any]]  # noqa: UP006, UP045


@dataclass
class StageSchema:
    """One stage. Parts are mappings, so that `peft=dora` in the wrong place cannot turn one into a string."""

    name: str = MISSING
    seed: int = "${seed}"  # type: ignore[assignment]
    outputs: str = "${outputs}"
    lifecycle: Optional[List[str]] = None  # noqa: UP006, UP045
    resume: str = "auto"
    inputs: Dict[str, Any] = field(default_factory=dict)  # noqa: UP006
    stage: Part = None
    module: Part = None
    objective: Part = None
    model: Part = None
    tokenizer: Part = None
    data: Part = None
    encode: Part = None
    batches: Part = None
    peft: Part = None
    loss: Part = None
    reward: Part = None
    advantage: Part = None
    optim: Part = None
    schedule: Part = None
    trainer: Part = None
    callbacks: Part = None
    logger: Part = None
    evaluate: Part = None
    samples: Part = None
    generate: Part = None
    prompt: Part = None
    quant: Part = None
    handoff: Part = None
    engine: Part = None
    world: Part = None


# What a recipe may say beside its parts.
SCALARS = ("name", "seed", "outputs", "lifecycle", "resume", "inputs", "world")
PARTS = tuple(f.name for f in fields(StageSchema) if f.name not in SCALARS)


def register() -> None:
    """Make `/stage_schema` known to Hydra's config store; repeating it is harmless."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="stage_schema", node=StageSchema, provider="llmcycle")
