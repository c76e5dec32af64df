"""Numbers of one part that another has no room for, and weights that can't be trained, known before anything loads."""

from __future__ import annotations

from collections.abc import Iterator

from llmcycle.artifact import MANIFEST

from . import identity, models
from .errors import ConfigError
from .kinds import ENCODE
from .models import PRETRAINED
from .nested import is_node
from .parts import Part, learned, model, part, stated
from .stages import Stage
from .training import judges

CONTEXT = ("max_position_embeddings", "n_positions")  # as configurations call it
HEADS = {"num_attention_heads": "hidden_size", "n_head": "n_embd"}  # what counts them, and the width that they share
PACKED = ("packed", "masked")  # kinds of rows that are filled up to their greatest length
COMPRESS = "llmcycle.compress.compress"


def check_fitting(stage: Stage) -> Iterator[ConfigError]:
    """Rows fit the model's context, heads its width, groups of answers the advantage, and so on."""
    for rule in (check_context, check_virtual, check_heads, check_group, check_least, check_rounded):
        yield from rule(stage)


def check_context(stage: Stage) -> Iterator[ConfigError]:
    """Packed rows, which are all as long as they may be, are no longer than what the model can look at."""
    encode = part(stage, ENCODE)
    if encode is None or stated(encode.node, "gives") not in PACKED:
        return
    length, room = encode.node.get("max_length"), context(stage)
    if isinstance(length, int) and room and length > room:
        key = stage.dot(encode.place, "max_length")
        yield ConfigError(key, f"rows of {length} tokens, and the model can look at {room}", f"{key}={room}")


def check_virtual(stage: Stage) -> Iterator[ConfigError]:
    """Virtual tokens leave room for those of a row."""
    adapter, room = part(stage, "stage.module.peft"), context(stage)
    count = adapter.node.get("num_virtual_tokens") if adapter else None
    if adapter and room and isinstance(count, int) and count >= room:
        key = stage.dot(adapter.place, "num_virtual_tokens")
        reason = f"{count} virtual tokens leave no room for a row: the model can look at {room} tokens"
        yield ConfigError(key, reason, f"{key}={room // 2}")


def check_heads(stage: Stage) -> Iterator[ConfigError]:
    """Attention heads share key and value heads evenly, and the width evenly where they have none of their own."""
    config = part(stage, "stage.module.model.config")
    node = config.node if config else {}
    name = next((name for name in HEADS if isinstance(node.get(name), int)), None)
    if config is None or name is None or node[name] < 1:
        return
    heads, shared, width = node[name], node.get("num_key_value_heads"), node.get(HEADS[name])
    if isinstance(shared, int) and shared >= 1 and heads % shared:
        key = stage.dot(config.place, "num_key_value_heads")
        yield ConfigError(
            key, f"{heads} attention heads can't share {shared} evenly", f"{key}={divisor(heads, shared)}"
        )
    elif isinstance(width, int) and "head_dim" not in node and width % heads:
        key = stage.dot(config.place, name)
        yield ConfigError(key, f"{heads} heads can't share a width of {width} evenly", f"{key}={divisor(width, heads)}")


def divisor(number: int, most: int) -> int:
    """The largest that is no more than `most`."""
    return max(count for count in range(1, min(number, most) + 1) if number % count == 0)


def context(stage: Stage) -> int | None:
    """Tokens that the trained model can look at; None where it is not known."""
    trained, config = model(stage), part(stage, "stage.module.model.config")
    settings = dict(config.node) if config else {}
    if trained and isinstance(trained.node.get(PRETRAINED), str):
        path = models.folder(stage, trained.node[PRETRAINED]) / "config.json"
        settings |= models.read(path) if path.is_file() else {}
    sizes = [settings[name] for name in CONTEXT if isinstance(settings.get(name), int)]
    return min(sizes, default=None)


def check_group(stage: Stage) -> Iterator[ConfigError]:
    """There are as many answers to a prompt as the advantage compares."""
    objective = learned(stage)
    sampling = objective.node.get("sampling") if objective else None
    advantage = objective.node.get("advantage") if objective else None
    if objective is None or not isinstance(sampling, dict) or not is_node(advantage):
        return
    count, least = sampling.get("group_size"), stated(advantage, "least")
    if isinstance(count, int) and isinstance(least, int) and count < least:
        key = stage.dot(objective.place, "sampling", "group_size")
        reason = f"an answer is compared with others to its prompt, so at least {least} are needed"
        yield ConfigError(key, reason, f"{key}={least}")


def check_least(stage: Stage) -> Iterator[ConfigError]:
    """An evaluator is given the rows that its figures need, at the end and by a judge."""
    for name, node in (stage.settled.get("evaluate") or {}).items():
        least = stated(node, "least_rows")
        evaluator = Part(node, f"evaluate.{name}")
        counts = [(evaluator, "limit"), *((judge, "rows") for judge in judges(stage))] if least else []
        for asked, setting in counts:
            if isinstance(count := asked.node.get(setting), int) and count < least:
                key = stage.dot(asked.place, setting)
                yield ConfigError(key, f"{evaluator.name} needs {least} rows and more", f"{key}={least}")


def check_rounded(stage: Stage) -> Iterator[ConfigError]:
    """What `compress` has rounded is for use: what is trained on it could not be written."""
    trained = model(stage)
    source = trained.node.get(PRETRAINED) if trained else None
    if not isinstance(source, str):
        return
    before = models.from_sibling(stage, source)
    written = str(before.written["inputs"].get("model")) if before else ""
    if before is not None and (before.raw["stage"].get("_target_") != COMPRESS or not before.raw.get("quant")):
        return
    path = models.folder(stage, source)
    if before is None and not is_rounded(stage, source):
        return
    key = stage.dot("inputs", "model")
    other = written or origin(stage, path.name) or "FOLDER of the model before it was compressed"
    reason = "`compress` has rounded its weights, and what is trained on rounded weights can't be written again"
    yield ConfigError(key, reason, f"'{key}={other}'" if "$" in other else f"{key}={other}")


def is_rounded(stage: Stage, source: str) -> bool:
    """Whether the weights in a folder were rounded by `compress`."""
    path = models.folder(stage, source) / "config.json"
    rounding = models.read(path).get("quantization_config") if path.is_file() else None
    return isinstance(rounding, dict) and rounding.get("quant_method") == "torchao"


def origin(stage: Stage, name: str) -> str:
    """What the model in a folder was made from, where the folder says it and the store has it."""
    path = models.folder(stage, name)
    entry = models.read(path / MANIFEST).get("inputs", {}).get("model", {}) if (path / MANIFEST).is_file() else {}
    source = identity.store(stage.root).find(str(entry.get("id"))) if entry.get("id") else None
    return source.folder.name if source else str(entry.get("hub") or entry.get("path") or "")
