"""Values against annotations: a table of what fits and of what does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import torch
from annotated_types import Ge, Gt
from torch.optim import Optimizer

from llmcycle.config.allow import check_target
from llmcycle.config.annotations import example, fits, misfits, need, parameter_types
from llmcycle.quantities import Count, Positive, PositiveShare, Share


class Colour(StrEnum):
    RED = "red"


class Place:
    pass


DTYPE = {"_target_": "hydra.utils.get_object", "path": "torch.float32"}
ADAMW = {"_target_": "torch.optim.AdamW", "_partial_": True}
FITS = [
    (3, int),
    (3, float),
    (0.5, float),
    (float("inf"), float),
    (True, bool),
    ("a", str),
    (None, int | None),
    ({}, Place | None),  # an option left empty, such as peft=none
    (1, int | str),
    ("x", int | str),
    ("token", Literal["token", "sequence"]),
    (-1, Count | Literal[-1]),
    ([1, 2], list[int]),
    ([0.9, 0.95], tuple[float, float]),
    ([1, 2, 3], tuple[int, ...]),
    (["a"], Sequence[str]),
    ({"a": 1}, dict[str, int]),
    ({"a": None}, Mapping[str, int | None]),
    ("red", Colour),
    ("some/where", Path),
    ("some/where", str | Path),
    (DTYPE, torch.dtype),
    (DTYPE, str | torch.dtype),
    (ADAMW, Callable[..., Optimizer]),
    ("anything", Any),
    ([...], "Unresolved"),
    (1, Annotated[int, Ge(1)]),
    (1, Share),
    (0.1, PositiveShare),
]
WRONG = [
    (1.5, int),
    (True, int),
    ("3", int),
    (True, float),
    ("fast", float),
    (float("nan"), float),
    (1, bool),
    ("true", bool),
    (1, str),
    (None, int),
    ({}, Place),
    ("mean", Literal["token", "sequence"]),
    (True, Literal[1]),
    (0, Count | Literal[-1]),
    ("abc", Sequence[str]),  # no list of its characters
    ([1, "a"], list[int]),
    ([0.9], tuple[float, float]),
    ({"a": "b"}, dict[str, int]),
    ([1], dict[str, int]),
    ("blue", Colour),
    (3, Path),
    ("float32", torch.dtype),
    (DTYPE, int),
    ("torch.optim.AdamW", Callable[..., Optimizer]),
    ({"a": 1}, Place),
    (0, Annotated[float, Gt(0)]),
    (1.1, Share),
    (0, PositiveShare),
    (-1, Positive),
]


@pytest.mark.parametrize(("value", "annotation"), FITS, ids=str)
def test_what_an_annotation_allows_fits(value: Any, annotation: Any) -> None:
    assert fits(value, annotation)


@pytest.mark.parametrize(("value", "annotation"), WRONG, ids=str)
def test_what_it_does_not_allow_does_not(value: Any, annotation: Any) -> None:
    assert not fits(value, annotation)


@pytest.mark.parametrize("annotation", [int, float, bool, Count, Positive, PositiveShare, Literal["a"], list[Count]])
def test_the_example_fits(annotation: Any) -> None:
    import yaml

    assert fits(yaml.safe_load(example(annotation, None)), annotation)


def test_the_default_is_the_example_where_it_fits() -> None:
    assert example(Count, 8) == "8"
    assert example(Count | Literal[-1], -1) == "1"


def test_the_item_of_a_container_that_does_not_fit_is_named() -> None:
    assert [place for place, _, _ in misfits([1, "x"], list[int] | None, "shots")] == ["shots[1]"]
    assert [place for place, _, _ in misfits({"a": {"b": "x"}}, dict[str, dict[str, int]], "p")] == ["p.a.b"]
    assert [place for place, _, _ in misfits([0.1], tuple[float, float], "betas")] == ["betas"]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int | None, "a whole number or null"),
        (Count, "a whole number of at least 1"),
        (PositiveShare, "a number above 0 and of at most 1"),
        (Literal["a", "b"], "one of a, b"),
        (list[str], "a list, each of it a text"),
        (dict[str, int], "a mapping"),
        (Place, "a Place"),
    ],
)
def test_what_is_needed_is_said_in_words(annotation: Any, words: str) -> None:
    assert need(annotation) == words


@pytest.mark.parametrize(
    ("name", "argument", "right", "wrong"),
    [
        ("peft.LoraConfig", "r", 8, "abc"),
        ("peft.LoraConfig", "target_modules", "all-linear", 3),
        ("peft.LoraConfig", "bias", "none", "some"),
        ("peft.VeraConfig", "r", 8, 1.5),
        ("pytorch_lightning.Trainer", "max_steps", 10, 1.5),
        ("pytorch_lightning.Trainer", "precision", "bf16-mixed", "bf17"),
        ("pytorch_lightning.Trainer", "logger", False, "csv"),
        ("torch.optim.AdamW", "lr", 1e-3, "fast"),
        ("torch.optim.AdamW", "fused", True, "yes"),
        ("transformers.LlamaConfig", "hidden_size", 64, "wide"),
        ("transformers.GenerationConfig", "do_sample", True, "yes"),
        ("transformers.get_cosine_schedule_with_warmup", "num_warmup_steps", 0.05, "some"),
        ("llmcycle.model.scratch", "masked", True, "yes"),
        ("llmcycle.data.batches.Batches", "batch_size", 16, "x"),
    ],
)
def test_annotations_of_libraries_are_read(name: str, argument: str, right: Any, wrong: Any) -> None:
    annotation = parameter_types(check_target(name, name))[argument]
    assert fits(right, annotation)
    assert not fits(wrong, annotation)
