"""Rows against the model that is to read them: no token beyond its embeddings, and no row beyond its context, where
virtual tokens have their place too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from transformers import PreTrainedModel

from llmcycle.data.training_data import TrainingData
from llmcycle.model.positions import virtual_tokens


def refuse_rows(model: PreTrainedModel, batches: TrainingData) -> None:
    """ValueError for encoded rows that the model has no room for; a streamed corpus is not read for it.

    Args:
        model: with a `config` and input embeddings.
    """
    for split in ("train", "validation"):
        rows = getattr(batches, split, None)
        for ids in sequences(rows) if isinstance(rows, list) else ():
            refuse(ids, model, batches, split)


def refuse(ids: list[int], model: PreTrainedModel, batches: TrainingData, split: str) -> None:
    """The same for one sequence."""
    room, context = len(model.get_input_embeddings().weight), getattr(model.config, "max_position_embeddings", None)
    if ids and max(ids) >= room:
        token = batches.tokenizer.convert_ids_to_tokens(max(ids))
        raise ValueError(
            f"inputs.model: the tokenizer has {token!r} as token {max(ids)}, and the model has {room} embeddings: "
            "give the tokenizer that the model was trained with, or a model whose embeddings were widened for this one"
        )
    virtual = virtual_tokens(model)
    if context and len(ids) + virtual > context:
        behind = f" behind {virtual} virtual ones" if virtual else ""
        raise ValueError(
            f"data: a {split} row has {len(ids)} tokens{behind}, and the model can look at {context}; "
            f"set encode.max_length={context - virtual}, and encode.truncation to say what becomes of longer rows"
        )


def sequences(value: object) -> Iterator[list[int]]:
    """The token ids in encoded rows: of a pair both, of a packed row those of each example."""
    if isinstance(value, Mapping):
        if "input_ids" in value:
            yield value["input_ids"]
        else:
            yield from (ids for item in value.values() for ids in sequences(item))
    elif isinstance(value, list) and value and isinstance(value[0], Mapping | list):
        yield from (ids for item in value for ids in sequences(item))
