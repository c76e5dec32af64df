"""`llmcycle data`: build what a recipe would train on, without its model, and show it."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig, open_dict

from llmcycle.building import build_part
from llmcycle.config import check, compose, identity, locate, stages
from llmcycle.config.errors import ConfigError, choose
from llmcycle.config.stages import Stage, sibling


def preview(recipe: str, overrides: Sequence[str], rows: int, stage: str | None) -> int:
    """Show the data of one stage; 0 if it would be trained on, 2 if the audit refuses.

    Raises:
        ConfigError: the recipe is wrong, has no data to train on, or a part of it that is not made yet.
    """
    root = compose(locate(recipe), overrides)
    shown = chosen(root, stage)
    refuse_unmade(shown, recipe)
    check(root)
    from rich.console import Console

    from llmcycle.data.audit import RULES, report
    from llmcycle.data.batches import Batches
    from llmcycle.data.preview import show

    node = shown.node.batches
    allow, packed = list(node.get("allow") or ()), bool(node.get("pack"))
    with open_dict(node):
        if "allow" in node:  # everything is shown, and what would be refused is said
            node.allow, node.pack = list(RULES), False
    batches = build_part(shown, "batches")
    if not isinstance(batches, Batches):
        raise ConfigError("data", "a corpus that is streamed is not held to be shown", "batches=default")
    if show(batches, Console(), rows, packed, allow):
        return 0
    raise ValueError(report([finding for finding in batches.findings if finding.rule not in allow]))


def chosen(root: DictConfig, name: str | None) -> Stage:
    """The stage to show: the only one that trains, or the one that is named."""
    known = {stage.name: stage for stage in stages.of(root) if stage.node.get("batches")}
    if not known:
        raise ConfigError("batches", "no stage of this recipe trains on data", "llmcycle data finetune")
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if not root.get("lifecycle"):
        recipe = root.hydra.job.config_name
        reason = "this recipe is one stage, and only a lifecycle has several"
        raise ConfigError("--stage", reason, f"llmcycle data {recipe}")
    if name is None or name not in known:
        reason = "there are several stages that train" if name is None else f"`{name}` is no stage that trains"
        raise ConfigError("--stage", reason, f"--stage {choose(name or '', known)}")
    return known[name]


def refuse_unmade(stage: Stage, recipe: str) -> None:
    """An input that an earlier stage has yet to make can't be read."""
    for key, value in stage.inputs.items():
        other = sibling(value)
        if other is not None and identity.store(stage.root).find(identity.location(stage, key)) is None:
            where = stage.dot("inputs", key)
            reason = f"its tokenizer is that of the artifact of `{other}`, which is not in the store yet"
            raise ConfigError(where, reason, f"llmcycle {recipe} first, or {where}=FOLDER")
