"""Settings of a training run that need each other: callbacks, validation, packing, processes, precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from .allow import qualified, resolve
from .errors import ConfigError
from .kinds import ENCODE, ROWS, is_virtual
from .parts import Part, learned, part, parts, stated
from .stages import Stage

VALIDATION, JUDGED = "validation/", "judged/"
# Evaluators that a stage adds itself.
ADDED = {"llmcycle.pretrain.stage.pretrain": "llmcycle.evaluate.loss.HeldOutLoss"}
JUDGE = "llmcycle.train.judge.Judge"
FOLLOWING = "llmcycle.train.over_optimisation.OverOptimisation"
HALF = ("16-mixed", "16", 16)


def check_training(stage: Stage) -> Iterator[ConfigError]:
    """What a training run is told fits together."""
    if part(stage, "stage.trainer") is None:
        return
    for rule in (
        check_monitors,
        check_judge,
        check_following,
        check_packing,
        check_sharing,
        check_processes,
        check_precision,
        check_crossing,
    ):
        yield from rule(stage)


def callbacks(stage: Stage) -> Iterator[Part]:
    """The callbacks that are written in the recipe."""
    for name, node in (stage.settled.get("callbacks") or {}).items():
        if isinstance(node, dict) and "_target_" in node:
            yield Part(node, f"callbacks.{name}")


def judges(stage: Stage) -> list[Part]:
    """Callbacks that score answers while training."""
    return [callback for callback in callbacks(stage) if qualified(callback.target) == JUDGE]


def check_monitors(stage: Stage) -> Iterator[ConfigError]:
    """What a callback monitors is measured."""
    trainer, scores = stage.settled["stage"]["trainer"], known_scores(stage)
    for callback in callbacks(stage):
        monitor, place = str(callback.node.get("monitor") or ""), stage.dot(callback.place)
        if monitor.startswith(VALIDATION) and trainer.get("limit_val_batches") == 0:
            remedy = f"{stage.swap('trainer')}=validated"
            yield ConfigError(f"{place}.monitor", f"nothing measures {monitor}: no validation row is looked at", remedy)
        elif monitor.startswith(JUDGED) and not judges(stage):
            remedy = f"{stage.swap('callbacks')}=early_stopping_judged"
            yield ConfigError(f"{place}.monitor", f"nothing measures {monitor}: no callback judges", remedy)
        elif monitor and judges(stage) and not monitor.startswith(VALIDATION):
            yield from check_score(monitor, callback, place, scores)


def check_score(monitor: str, callback: Part, place: str, scores: Mapping[str, str] | None) -> Iterator[ConfigError]:
    """A judged score is one of those that the evaluators give, and its better end is the one that is waited for."""
    name, mode = monitor.removeprefix(JUDGED), callback.node.get("mode")
    prefix = JUDGED if monitor.startswith(JUDGED) else ""
    if not scores or (not prefix and qualified(callback.target) != JUDGE):
        return
    if name not in scores:
        first = next(iter(scores))
        other = f" {place}.mode={MODES[scores[first]]}" if mode and mode != MODES[scores[first]] else ""
        reason = f"no evaluator of this recipe gives {name}; they give {', '.join(scores)}"
        yield ConfigError(f"{place}.monitor", reason, f"{place}.monitor={prefix}{first}{other}")
    elif mode and mode != MODES[scores[name]]:
        yield ConfigError(
            f"{place}.mode", f"{name} is better when {scores[name]}", f"{place}.mode={MODES[scores[name]]}"
        )


MODES = {"lower": "min", "higher": "max"}


def known_scores(stage: Stage) -> dict[str, str] | None:
    """Scores that the stage's evaluators give, and which end is better; None where one does not say."""
    added = ADDED.get(qualified(resolve(stage.settled["stage"]["_target_"], "")))
    own = [Part({"_target_": added}, "")] if added else []
    own += [Part(node, "") for node in (stage.settled.get("evaluate") or {}).values() if node]
    stated_scores = [stated(evaluator.node, "scores") for evaluator in own]
    if None in stated_scores:
        return None
    return {name: better for scores in stated_scores for name, better in scores.items()}


def check_judge(stage: Stage) -> Iterator[ConfigError]:
    """A judge has evaluators, and leaves rows to score the weights on that it chose."""
    for judge in judges(stage):
        place = stage.dot(judge.place)
        if known_scores(stage) == {} and not judge.node.get("evaluators"):
            remedy = f"{stage.swap('callbacks')}=default"
            yield ConfigError(place, "there is nothing to judge with: this recipe evaluates nothing", remedy)
        rows = part(stage, ROWS)
        count, most = stated(rows.node, "validation_rows") if rows else None, judge.node.get("rows")
        if isinstance(count, int) and judge.node.get("keep") == "best" and (most is None or most >= count):
            reason = f"all {count} validation rows choose the best weights, and none is left to score them on"
            yield ConfigError(f"{place}.keep", reason, f"{place}.keep=last")


def check_following(stage: Stage) -> Iterator[ConfigError]:
    """A gold reward leaves rows to score the weights on that it chose."""
    for callback in callbacks(stage):
        if qualified(callback.target) != FOLLOWING:
            continue
        rows, key = part(stage, f"{callback.place}.data"), stage.dot(callback.place, "rows")
        count, asked = stated(rows.node, "validation_rows") if rows else None, callback.node.get("rows")
        if isinstance(count, int) and isinstance(asked, int) and asked >= count:
            reason = f"all {count} validation rows choose the weights, and none is left to score them on"
            yield ConfigError(key, reason, f"{key}={max(1, count // 2)}")


def check_packing(stage: Stage) -> Iterator[ConfigError]:
    """Only rows with one answer each are packed."""
    batches, encode = part(stage, "stage.batches"), part(stage, ENCODE)
    if batches is None or not batches.node.get("pack"):
        return
    key, gives = stage.dot(batches.place, "pack"), stated(encode.node, "gives") if encode else None
    if encode and gives and gives != "labelled":
        yield ConfigError(key, f"rows of {encode.name} can't be packed: they have not one answer each", f"{key}=false")
    yield from check_positions(stage, key, "packed rows")


def check_sharing(stage: Stage) -> Iterator[ConfigError]:
    """Answers stand behind one prompt only where positions may be given."""
    objective = learned(stage)
    if objective is not None and objective.node.get("share_prompts"):
        yield from check_positions(stage, stage.dot(objective.place, "share_prompts"), "shared prompts")


def check_positions(stage: Stage, key: str, what: str) -> Iterator[ConfigError]:
    """A setting that lays rows out anew gives the model positions."""
    adapter = part(stage, "stage.module.peft")
    if adapter and is_virtual(adapter):
        yield ConfigError(key, f"peft drops the positions of {what} behind virtual tokens", f"{key}=false")
    if any(strategy.name == "ModelParallelStrategy" for strategy in parts(stage, "stage.trainer.strategy")):
        yield ConfigError(key, f"{what} and sharded weights don't go together", f"{key}=false")


def check_processes(stage: Stage) -> Iterator[ConfigError]:
    """A strategy's package is installed, and processes share a batch equally."""
    trainer, batches = part(stage, "stage.trainer"), part(stage, "stage.batches")
    assert trainer is not None
    strategy, devices = trainer.node.get("strategy"), trainer.node.get("devices")
    if "deepspeed" in str(strategy).lower() and find_spec("deepspeed") is None:
        reason = "it needs the package deepspeed, which is not installed"
        yield ConfigError(stage.dot(trainer.place, "strategy"), reason, f"{stage.swap('trainer')}=fsdp2")
    count = len(devices) if isinstance(devices, list) else int(str(devices)) if str(devices).isdigit() else 1
    if count > 1 and strategy in (None, "auto"):
        reason = f"{count} processes need a strategy by which they share the work"
        ours = f"{stage.swap('trainer')}=ddp {stage.dot(trainer.place, 'devices')}={count}"
        yield ConfigError(stage.dot(trainer.place, "devices"), reason, ours)
    size = batches.node.get("batch_size") if batches else None
    if batches and isinstance(devices, int) and isinstance(size, int) and devices > 1 and size % devices:
        key = stage.dot(batches.place, "batch_size")
        yield ConfigError(
            key,
            f"{devices} processes can't share a batch of {size} equally",
            f"{key}={devices * (size // devices + 1)}",
        )


def check_precision(stage: Stage) -> Iterator[ConfigError]:
    """A fused optimiser takes no gradients that fp16 has scaled."""
    optim, precision = part(stage, "stage.module.optim"), stage.settled["stage"]["trainer"].get("precision")
    if optim and optim.node.get("fused") and precision in HALF:
        key = stage.dot(optim.place, "fused")
        reason = "fp16 scales gradients, and the norm of scaled ones can be neither judged nor clipped"
        yield ConfigError(key, reason, f"{key}=false")


def check_crossing(stage: Stage) -> Iterator[ConfigError]:
    """A loss that crosses prompts with other rows' completions needs two rows on each process."""
    objective, batches, trainer = learned(stage), part(stage, "stage.batches"), part(stage, "stage.trainer")
    if objective is None or batches is None or trainer is None:
        return
    size, devices = batches.node.get("batch_size"), trainer.node.get("devices")
    processes = devices if isinstance(devices, int) and devices > 1 else 1
    crosses = stated(objective.node.get("loss"), "reference_point") == "kl"
    if crosses and isinstance(size, int) and 0 < size < 2 * processes:
        key = stage.dot(batches.place, "batch_size")
        reason = "this loss estimates its reference point from a prompt with another row's completion"
        yield ConfigError(key, reason, f"{key}={2 * processes}")
