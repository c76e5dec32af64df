"""What a stage's model is asked for, against what a model of its kind, and its engine, can do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from llmcycle.abilities import ABILITIES, CAUSAL

from . import models
from .allow import qualified, resolve
from .errors import ConfigError
from .models import WORDS
from .parts import Part, learned, other, part, parts, stated
from .rewards import rewards
from .stages import Stage
from .training import ADDED
from .unread import leave_out
from .values import origin

ASKERS = ("evaluate", "stage.evaluators", "callbacks", "stage.decodings")


def check_asking(stage: Stage) -> Iterator[ConfigError]:
    """Nothing asks for what can't be answered."""
    kind, offers = kind_and_offers(stage)
    wrong = list(check_input(stage, kind))
    yield from wrong
    if offers is not None and not wrong:
        yield from check_needs(stage, kind, offers)
        yield from check_added(stage, kind, offers)
    yield from check_judges(stage)
    yield from check_several(stage)
    yield from check_settings(stage)
    yield from check_baseline(stage)
    yield from check_samples(stage)


def kind_and_offers(stage: Stage) -> tuple[str | None, frozenset[str] | None]:
    """The kind of the model that is asked, and what can be asked of it; None where that is not known."""
    objective = learned(stage)
    if objective is not None:
        kind = getattr(objective.target, "model_kind", None) or models.trained_kind(stage)
    else:
        source = stage.settled["inputs"].get("model")
        kind = models.source_kind(stage, source) if isinstance(source, str) else None
    engine = part(stage, "stage.engine")
    own: frozenset[str] | None = stated(engine.node, "offers") if engine else None
    known = ABILITIES.get(str(kind))
    return kind, known if own is None else own if known is None else own & known


def check_needs(stage: Stage, kind: str | None, offers: frozenset[str]) -> Iterator[ConfigError]:
    """Evaluators, callbacks and decoding strategies need what is offered."""
    seen: set[str] = set()
    for asker in parts(stage, *ASKERS):
        missing = needs(asker.node) - offers
        if missing and asker.place not in seen:
            seen.add(asker.place)
            yield unable(stage, asker, sorted(missing)[0], kind, offers)


def check_added(stage: Stage, kind: str | None, offers: frozenset[str]) -> Iterator[ConfigError]:
    """So does an evaluator that the stage adds itself."""
    added = ADDED.get(qualified(resolve(stage.settled["stage"]["_target_"], "")))
    missing = needs({"_target_": added}) - offers if added else frozenset()
    if added and missing:
        who, name = WORDS[kind] if kind else "this engine", added.rpartition(".")[2]
        reason = f"it adds {name}, which asks for `{sorted(missing)[0]}`, and {who} can't do that"
        yield ConfigError(stage.dot("stage"), reason, f"{stage.swap('stage')}=fit")


def serves(stage: Stage, node: dict[str, Any]) -> bool:
    """Whether the stage's model and engine can do what a node asks for, as far as that is known."""
    offers = kind_and_offers(stage)[1]
    return offers is None or needs(node) <= offers


def needs(node: dict[str, Any]) -> frozenset[str]:
    """What the class of a node states that it asks for."""
    return frozenset(stated(node, "needs") or ())


def unable(stage: Stage, asker: Part, ability: str, kind: str | None, offers: frozenset[str]) -> ConfigError:
    """The reason, and another asker or another engine."""
    remedy = other(
        stage,
        (asker.place, lambda node: needs(node) <= offers),
        ("engine", lambda node: ability in (stated(node, "offers") or ())),
    )
    able = kind is not None and ability in ABILITIES[kind]  # then it is the engine that is not
    who = WORDS[kind] if kind and not able else "this engine"
    return ConfigError(stage.dot(asker.place), f"{asker.name} asks for `{ability}`, which {who} can't do", remedy)


def check_input(stage: Stage, kind: str | None) -> Iterator[ConfigError]:
    """Stages that only ask their model let it write answers, which a language model alone can do."""
    prompts = {"prompts", "decodings"} & set(stage.settled["stage"])
    if learned(stage) is None and kind not in (None, CAUSAL) and prompts:
        key = stage.dot("inputs", "model")
        reason = f"it is {WORDS[str(kind)]}, and this stage lets a language model answer prompts"
        yield ConfigError(key, reason, f"{key}=FOLDER of a language model")


class Source(NamedTuple):
    """A model that a reward asks: the argument that names it, where its value is written, and the value."""

    reward: Part
    argument: str
    written: str
    value: str

    @property
    def wanted(self) -> str:
        """The kind of model that the reward asks."""
        return str(self.reward.target.model_kind)


def check_judges(stage: Stage) -> Iterator[ConfigError]:
    """A reward that is a model of its own is given one of the kind that it states."""
    asked = list(sources(stage))
    for source in asked:
        kind = models.source_kind(stage, source.value)
        if kind in (None, source.wanted):
            continue
        # No one model is of two kinds: one of two rewards that share an input is given a model of its own.
        shared = {other.wanted for other in asked if other.written == source.written} != {source.wanted}
        key = stage.dot(f"{source.reward.place}.{source.argument}" if shared else source.written)
        reason = f"it is {WORDS[str(kind)]}, and {source.reward.name} asks {WORDS[source.wanted]}"
        yield ConfigError(key, reason, f"{key}=FOLDER of {WORDS[source.wanted]}")


def sources(stage: Stage) -> Iterator[Source]:
    """The models that the rewards of a stage ask; of a judge that of its engine, if it is one in this process."""
    for reward, _ in rewards(stage):
        paths, engine = reward.node.get("paths") or (), reward.node.get("engine") or {}
        values = {"path": reward.node.get("path"), **{f"paths[{i}]": path for i, path in enumerate(paths)}}
        values |= {"engine.source": engine.get("source")}
        for argument, value in values.items():
            if isinstance(value, str) and getattr(reward.target, "model_kind", None):
                yield Source(reward, argument, origin(stage.raw, f"{reward.place}.{argument}"), value)


def check_samples(stage: Stage) -> Iterator[ConfigError]:
    """Fixed prompts are answered by language models alone."""
    kind, offers = kind_and_offers(stage)
    samples = stage.settled["stage"].get("samples")
    if samples and offers is not None and "answer" not in offers and learned(stage) is not None:
        reason = f"{WORDS[kind] if kind else 'the engine'} can't answer prompts"
        yield ConfigError(stage.dot("samples"), reason, leave_out(stage.root, stage.swap("samples")))


def check_several(stage: Stage) -> Iterator[ConfigError]:
    """Several answers a prompt are for the prompt search, which lets them vote."""
    if "decodings" in stage.settled["stage"]:
        return
    for generation in parts(stage, "evaluate", "stage.generate", "callbacks"):
        count = generation.node.get("num_return_sequences")
        if isinstance(count, int) and count > 1:
            key = stage.dot(generation.place, "num_return_sequences")
            yield ConfigError(key, f"one answer a prompt is read here, and this asks for {count}", f"{key}=1")


def check_settings(stage: Stage) -> Iterator[ConfigError]:
    """The engine has a field for every setting of generation."""
    engine = part(stage, "stage.engine")
    if engine is None:
        return
    for generation in parts(stage, *ASKERS, "stage.generate"):
        settings = {key: value for key, value in generation.node.items() if not key.startswith("_")}
        if generation.name == "GenerationConfig" and (names := refused(engine.node, settings)):
            reason = f"{engine.name} has no field for {names[0]}={settings[names[0]]}"
            remedy = other(stage, ("engine", partial(takes, settings=settings)))
            yield ConfigError(stage.dot(generation.place, names[0]), reason, remedy)


def takes(engine: dict[str, Any], settings: dict[str, Any]) -> bool:
    """Whether an engine can honour all of them."""
    return not refused(engine, settings)


def refused(engine: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """The settings of generation that an engine can't honour."""
    return list(stated(engine, "refuses", settings=settings) or ())


def check_baseline(stage: Stage) -> Iterator[ConfigError]:
    """The template that others are compared with is one of them."""
    settings = stage.settled["stage"]
    templates, baseline = settings.get("templates"), settings.get("baseline", "bare")
    if templates and templates.get(baseline) is None:
        key, there = stage.dot("stage.baseline"), [name for name, template in templates.items() if template]
        yield ConfigError(key, f"`{baseline}` is no template of this recipe", f"{key}={there[0]}" if there else "")
    for place, template in [(name, Part(templates[name], name)) for name in templates or () if templates[name]]:
        foreign = set((stated(template.node, "rows_need") or ((),))[0]) - {"prompt"}
        if settings.get("samples") and foreign:
            reason = f"it needs {', '.join(sorted(foreign))}, and the fixed prompts of `samples` have no such column"
            yield ConfigError(stage.dot("prompt", place), reason, f"{stage.dot('prompt', place)}=null")
