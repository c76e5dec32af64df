"""Which kind of model a stage has, and what it can be asked, as far as that is known before it is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmcycle.abilities import CAUSAL, CLASSIFIER, MASKED, STEPS

from . import identity, stages
from .allow import qualified, resolve
from .nested import is_node
from .parts import Part, model
from .stages import Stage, sibling
from .values import at, origin, steps

WORDS = {
    CAUSAL: "a language model",
    MASKED: "a masked model",
    CLASSIFIER: "a classifier, such as a reward model",
    STEPS: "a classifier of tokens, such as a process reward model",
}
ARCHITECTURES = {
    "ForCausalLM": CAUSAL,
    "LMHeadModel": CAUSAL,
    "ForMaskedLM": MASKED,
    "SequenceClassification": CLASSIFIER,
    "TokenClassification": STEPS,
}
FACTORIES = {
    "llmcycle.align.objectives.heads.scorer": CLASSIFIER,
    "llmcycle.align.objectives.heads.step_scorer": STEPS,
    "transformers.models.auto.modeling_auto.AutoModelForMaskedLM": MASKED,
    "transformers.models.auto.modeling_auto.AutoModelForSequenceClassification": CLASSIFIER,
}
PRETRAINED = "pretrained_model_name_or_path"
BASE_FILE = "base.json"  # points to the model below an adapter, or below a search that changed no weight


def trained_kind(stage: Stage) -> str | None:
    """The kind of the model that a stage trains; None where it is not known, or trains none."""
    part = model(stage)
    return kind_of(stage, part) if part else None


def kind_of(stage: Stage, part: Part) -> str | None:
    """The kind of what a model's node builds."""
    node, target = part.node, part.target
    owner = getattr(target, "__self__", None)  # of `AutoModelForMaskedLM.from_pretrained`
    if stated := getattr(target, "model_kind", None) or FACTORIES.get(qualified(owner if owner else target)):
        return str(stated)
    if "config" in node:  # llmcycle.model.scratch
        return MASKED if node.get("masked") else CAUSAL
    return source_kind(stage, node[PRETRAINED]) if isinstance(node.get(PRETRAINED), str) else None


def source_kind(stage: Stage, value: str) -> str | None:
    """The kind of the model that an input of the stage leads to, given its value once it is settled."""
    if (before := from_sibling(stage, value)) is not None:
        objective = at(before.raw, steps(origin(before.raw, "stage.module.objective")))  # to resolve it all costs more
        if is_node(objective):
            return getattr(resolve(objective["_target_"], ""), "model_kind", None)
        source = str(before.inputs.get("model", ""))
        other = sibling(source)
        return source_kind(before, f"artifact-{other}" if other else source) if source else None
    return folder_kind(folder(stage, value))


def from_sibling(stage: Stage, value: str) -> Stage | None:
    """The stage of this recipe that an input comes from; None where it comes from elsewhere."""
    names = [other for written in stage.inputs.values() if (other := sibling(written)) and value == f"artifact-{other}"]
    return stage.beside(names[0]) if names and stages.is_stage(stage.root.get(names[0])) else None


def folder(stage: Stage, value: str) -> Path:
    """The folder of an artifact, or the path that was given."""
    artifact = identity.store(stage.root).find(value)
    return artifact.folder if artifact else Path(value).expanduser()


def folder_kind(path: Path) -> str | None:
    """The kind of the model in a folder, by the class that its configuration names."""
    if (path / "config.json").is_file():
        names = read(path / "config.json").get("architectures") or ["-"]
        return next((kind for ending, kind in ARCHITECTURES.items() if str(names[0]).endswith(ending)), None)
    if (path / BASE_FILE).is_file():
        return folder_kind(Path(str(read(path / BASE_FILE).get("path", ""))))
    return None


def tokenizer_settings(path: Path) -> dict[str, Any]:
    """What a folder says of its tokenizer; {} where it holds none."""
    settings = read(path / "tokenizer_config.json") if (path / "tokenizer_config.json").is_file() else {}
    if (path / "chat_template.jinja").is_file():
        settings["chat_template"] = "chat_template.jinja"
    return settings


def tokens(path: Path) -> int | None:
    """How many tokens a folder's tokenizer has; None where that is not known."""
    if not (path / "tokenizer.json").is_file():
        return None
    whole = read(path / "tokenizer.json")
    vocabulary = whole.get("model", {}).get("vocab", {})
    ids = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
    return 1 + max(map(int, [-1, *ids, *(added["id"] for added in whole.get("added_tokens", ()))]))


def read(path: Path) -> dict[str, Any]:
    """A file of JSON that holds a mapping."""
    content = json.loads(path.read_text("utf-8"))
    return content if isinstance(content, dict) else {}
