"""Parts that don't go together though each is right by itself: what annotations can't carry, classes state.

Encoders state `gives` and `rows_need`, objectives `reads`, `model_kind` and `roles`, data `rows_have`, tokenizers
`is_new`, losses `needs_reference`, and evaluators `needs`. What nothing is stated of is not refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import models
from .allow import qualified
from .errors import ConfigError
from .facts import facts
from .models import PRETRAINED
from .options import Swaps
from .parts import Part, learned, model, other, part, stated
from .stages import Stage

ENCODE, ROWS, TOKENIZER = "stage.batches.encode", "stage.batches.rows", "stage.batches.tokenizer"
BRINGS_TEMPLATE = "llmcycle.data.chat.chat_tokenizer"
BATCHES = {
    "labelled": "batches of prompts and labelled answers",
    "packed": "batches of text",
    "masked": "batches with hidden tokens",
    "pairs": "pairs of a chosen and a rejected answer",
    "unpaired": "answers that are good or bad by themselves",
    "prompts": "prompts without answers",
    "rated": "answers with a rating each",
    "steps": "answers in steps, each right or wrong",
}


def check_kinds(stage: Stage) -> Iterator[ConfigError]:
    """What does not go together in a stage."""
    for rule in RULES:
        yield from rule(stage)


def check_batch(stage: Stage) -> Iterator[ConfigError]:
    """The encoder gives what the objective reads."""
    objective, encode = learned(stage), part(stage, ENCODE)
    if objective is None or encode is None:
        return
    reads, gives = stated(objective.node, "reads"), stated(encode.node, "gives")
    if reads and gives and reads != gives:
        remedy = other(
            stage,
            (encode.place, lambda node: stated(node, "gives") == reads),
            (objective.place, lambda node: stated(node, "reads") == gives),
        )
        reason = (
            f"{encode.name} gives {BATCHES.get(gives, gives)}, and {objective.name} reads {BATCHES.get(reads, reads)}"
        )
        yield ConfigError(stage.dot(encode.place), reason, remedy)


def check_model(stage: Stage) -> Iterator[ConfigError]:
    """The model is of the kind that the objective trains."""
    objective, trained = learned(stage), model(stage)
    if objective is None or trained is None:
        return
    wanted, kind = getattr(objective.target, "model_kind", None), models.kind_of(stage, trained)
    if wanted and kind and wanted != kind:
        key, remedy = trained.place, other(stage, (trained.place, lambda node: suits(stage, node, wanted, trained)))
        swaps = Swaps(stage)
        if PRETRAINED in trained.node and not any(swaps.was_typed(member.place) for member in (objective, trained)):
            key = "inputs.model"
            remedy = f"{stage.dot(key)}=FOLDER of {models.WORDS.get(wanted, wanted)}"
        reason = f"it is {models.WORDS[kind]}, and {objective.name} trains {models.WORDS.get(wanted, wanted)}"
        yield ConfigError(stage.dot(key), reason, remedy)


def suits(stage: Stage, option: dict[str, Any], wanted: str, now: Part) -> bool:
    """Whether an option builds a model of a kind; one that loads is given what this one loads."""
    source = now.node.get(PRETRAINED) or stage.settled["inputs"].get("model")
    node = {**option, PRETRAINED: source} if PRETRAINED in option else option
    if PRETRAINED in option and source is None:
        return False
    return models.kind_of(stage, Part(node, now.place)) == wanted


def check_tokenizer(stage: Stage) -> Iterator[ConfigError]:
    """A pretrained model keeps its own tokenizer: a new one gives its tokens other meanings."""
    tokenizer, trained = part(stage, TOKENIZER), model(stage)
    if tokenizer is None or trained is None or not stated(tokenizer.node, "is_new"):
        return
    if isinstance(trained.node.get(PRETRAINED), str):
        remedy = other(
            stage,
            (tokenizer.place, lambda node: PRETRAINED in node),
            (trained.place, lambda node: PRETRAINED not in node),
        )
        reason = f"{tokenizer.name} is trained on the rows, and a pretrained model knows the tokens of its own alone"
        yield ConfigError(stage.dot(tokenizer.place), reason, remedy)


def check_input(stage: Stage) -> Iterator[ConfigError]:
    """An input model is trained: one of random weights that was chosen would take no more than its tokenizer."""
    tokenizer, trained, swaps = part(stage, TOKENIZER), model(stage), Swaps(stage)
    source = stage.inputs.get("model")
    if tokenizer is None or trained is None or source is None or PRETRAINED in trained.node:
        return
    chosen = swaps.was_typed(swaps.at(trained.place)) and not swaps.was_typed(swaps.at(tokenizer.place))
    if chosen and stage.readers("inputs", "model") == [tokenizer.place]:
        meant = f"{stage.swap('tokenizer')}=pretrained"
        reason = f"its weights are random, and {source} would give it a tokenizer alone ({meant}, if that is meant)"
        yield ConfigError(stage.dot(trained.place), reason, f"{stage.swap('model')}=pretrained")


def check_mask(stage: Stage) -> Iterator[ConfigError]:
    """Who hides tokens needs a token to put there."""
    tokenizer, encode = part(stage, TOKENIZER), part(stage, ENCODE)
    if tokenizer is None or encode is None or stated(encode.node, "gives") != "masked":
        return
    if stated(tokenizer.node, "is_new") and not tokenizer.node.get("mask"):
        key = stage.dot(tokenizer.place, "mask")
        yield ConfigError(key, f"{encode.name} hides tokens behind a mask token", f"{key}=true")
    settings = own_settings(stage, tokenizer)
    if settings and not settings.get("mask_token"):
        reason = f"{encode.name} hides tokens behind a mask token, which {tokenizer.node[PRETRAINED]} has not"
        remedy = other(stage, (tokenizer.place, lambda node: bool(stated(node, "is_new")) and "vocab_size" in node))
        yield ConfigError(stage.dot(tokenizer.place), reason, remedy)


def own_settings(stage: Stage, tokenizer: Part) -> dict[str, Any]:
    """What the folder of a pretrained tokenizer says of it; {} where it is not known."""
    source = tokenizer.node.get(PRETRAINED)
    return models.tokenizer_settings(models.folder(stage, source)) if isinstance(source, str) else {}


def check_template(stage: Stage) -> Iterator[ConfigError]:
    """Who tells the turns of a conversation apart needs a chat template."""
    tokenizer, encode = part(stage, TOKENIZER), part(stage, ENCODE)
    if tokenizer is None or encode is None or not stated(encode.node, "needs_template"):
        return
    settings = {"chat_template": None} if stated(tokenizer.node, "is_new") else own_settings(stage, tokenizer)
    if qualified(tokenizer.target) != BRINGS_TEMPLATE and settings and not settings.get("chat_template"):
        remedy = other(
            stage,
            (encode.place, lambda node: stated(node, "gives") == "labelled" and not stated(node, "needs_template")),
            (tokenizer.place, lambda node: qualified(Part(node, "").target) == BRINGS_TEMPLATE),
        )
        reason = f"{encode.name} needs a chat template, which this tokenizer has not"
        yield ConfigError(stage.dot(tokenizer.place), reason, remedy)


def check_vocabulary(stage: Stage) -> Iterator[ConfigError]:
    """A model from scratch has room for its pretrained tokenizer's tokens."""
    tokenizer, trained = part(stage, TOKENIZER), model(stage)
    config = part(stage, "stage.module.model.config")
    if tokenizer is None or trained is None or config is None or not isinstance(tokenizer.node.get(PRETRAINED), str):
        return
    room = config.node.get("vocab_size")
    if isinstance(room, int) and (count := models.tokens(models.folder(stage, tokenizer.node[PRETRAINED]))):
        key = stage.dot(config.place, "vocab_size")
        if count > room:
            yield ConfigError(key, f"the tokenizer has {count} tokens, and the model room for {room}", f"{key}={count}")


def check_peft(stage: Stage) -> Iterator[ConfigError]:
    """A rounded base is trained by an adapter, and an adapter's start suits the objective."""
    objective, trained, adapter = learned(stage), model(stage), part(stage, "stage.module.peft")
    if objective is None or trained is None:
        return
    if trained.node.get("quantization_config") and adapter is None:
        reason = "rounded weights can't be trained: an adapter on them can"
        yield ConfigError(stage.dot("peft"), reason, f"{stage.swap('peft')}=lora")
    if adapter is None:
        return
    known, plain = facts(stage.raw.get(adapter.place)), f"{stage.swap('peft')}=lora"
    if known.needs_data and not stated(objective.node, "calibrates"):
        reason = f"it starts from labelled batches, and {objective.name} has none to give"
        yield ConfigError(stage.dot(adapter.place), reason, plain)
    elif known.moves_base and needs_reference(objective):
        reason = f"it takes a part out of the weights below it, and {objective.name} needs them whole as its reference"
        yield ConfigError(stage.dot(adapter.place), reason, plain)
    elif is_virtual(adapter) and stated(objective.node, "needs_positions"):
        reason = f"its virtual tokens move a row's positions, by which {objective.name} keeps documents apart"
        yield ConfigError(stage.dot(adapter.place), reason, plain)


def is_virtual(adapter: Part) -> bool:
    """Whether a method puts virtual tokens before a row's own."""
    return "num_virtual_tokens" in getattr(adapter.target, "__dataclass_fields__", {})


def check_reference(stage: Stage) -> Iterator[ConfigError]:
    """A reference is stored where its rows are known before training."""
    objective = learned(stage)
    if objective is None or objective.node.get("reference") != "stored":
        return
    if not needs_reference(objective) or stated(objective.node.get("loss"), "reference_point") == "kl":
        key = stage.dot(objective.place, "reference")
        reason = "this loss reads the reference on no row that is known before training"
        yield ConfigError(key, reason, f"{key}=live")


def needs_reference(objective: Part) -> bool:
    """Whether the model before training is needed: an objective's loss may state that it is not."""
    own = stated(objective.node.get("loss"), "needs_reference")
    return "reference" in objective.target.roles and own is not False


RULES = (
    *(check_batch, check_model, check_input, check_tokenizer),
    *(check_mask, check_template, check_vocabulary, check_peft, check_reference),
)
