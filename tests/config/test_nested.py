"""What a nested target builds, against the parameter that receives it: classes by name, Protocols by structure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pytest
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.align.losses import BradleyTerry, PreferenceLoss
from llmcycle.align.rewards import Reward
from llmcycle.config.annotations import fits
from llmcycle.config.nested import conforms_class, takes
from llmcycle.data.batches import Rows, TokenizerTrainer
from llmcycle.data.encode import Encoder, Packed


def node(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, **arguments}


LOSSES = "llmcycle.align.losses"
RIGHT = [
    (node(f"{LOSSES}.DPO"), PreferenceLoss),
    (node(f"{LOSSES}.IPO"), PreferenceLoss),
    (node(f"{LOSSES}.BradleyTerry"), BradleyTerry),
    (node("llmcycle.align.rewards.Match"), Reward),
    (node("llmcycle.align.rewards.Verifier"), Reward),
    (node("llmcycle.data.storefront.Instructions"), Rows),
    (node("llmcycle.data.rows.Table"), Rows),
    (node("llmcycle.data.corpus.Corpus"), Rows),
    (node("llmcycle.data.windows.Contiguous"), Rows),
    (node("llmcycle.data.encode.Completion"), Encoder),
    (node("llmcycle.data.masked.Masked"), Encoder),
    (node("llmcycle.pretrain.ByteLevelBPE"), PreTrainedTokenizerBase | TokenizerTrainer),
    (node("llmcycle.data.chat.chat_tokenizer"), PreTrainedTokenizerBase | TokenizerTrainer),
    (node("transformers.AutoTokenizer.from_pretrained"), PreTrainedTokenizerBase | TokenizerTrainer),
    (node("llmcycle.model.load"), PreTrainedModel),
    (node("llmcycle.model.scratch"), PreTrainedModel),
    (node("torch.optim.AdamW", _partial_=True), Callable[..., Optimizer]),
    (node("llmcycle.train.optimizers.Muon", _partial_=True), Callable[..., Optimizer]),
    (node("transformers.get_cosine_schedule_with_warmup", _partial_=True), Callable[..., LRScheduler]),
    (node("llmcycle.train.schedules.warmup_stable_decay", _partial_=True), Callable[..., LRScheduler]),
    (node("llmcycle.data.storefront.samples"), Sequence[str]),
    ({"a": node("transformers.GenerationConfig"), "b": None}, Mapping[str, GenerationConfig | None]),
    (node("hydra.utils.get_method", path="llmcycle.data.transforms.final_answer"), Callable[[dict], dict] | None),
]
WRONG = [
    (node(f"{LOSSES}.Clipped"), PreferenceLoss),
    (node(f"{LOSSES}.BradleyTerry"), PreferenceLoss),
    (node(f"{LOSSES}.DPO"), BradleyTerry),
    (node(f"{LOSSES}.DPO"), Reward),
    (node("llmcycle.data.encode.Completion"), Packed),
    (node("llmcycle.data.encode.Completion"), Rows),
    (node("llmcycle.data.storefront.Instructions"), Encoder),
    (node("llmcycle.model.load"), PreTrainedTokenizerBase),
    (node("llmcycle.pretrain.ByteLevelBPE"), Rows),  # its `train` is a method
    (node("transformers.AutoTokenizer.from_pretrained"), PreTrainedModel),
    (node("torch.optim.AdamW"), Callable[..., Optimizer]),
    (node("torch.optim.AdamW", _partial_=True), Callable[..., LRScheduler]),
    (node("torch.optim.AdamW", _partial_=True), Optimizer),
    ({"a": node("llmcycle.prompt.LikeliestChoice")}, Mapping[str, GenerationConfig | None]),
    (node("llmcycle.prompt.LikeliestChoice"), GenerationConfig | None),
    (node("transformers.GenerationConfig"), int),
]


@pytest.mark.parametrize(("value", "annotation"), RIGHT, ids=lambda one: str(one)[:70])
def test_what_fits(value: Any, annotation: Any) -> None:
    assert fits(value, annotation)


@pytest.mark.parametrize(("value", "annotation"), WRONG, ids=lambda one: str(one)[:70])
def test_what_does_not_fit(value: Any, annotation: Any) -> None:
    assert not fits(value, annotation)


class Two(Protocol):
    def __call__(self, chosen: float, rejected: float) -> float: ...


class One(Protocol):
    def __call__(self, engine: object) -> float: ...


@pytest.mark.parametrize(
    ("function", "right"),
    [
        (lambda chosen, rejected: 0.0, True),
        (lambda rejected, chosen, weight=1.0: 0.0, True),
        (lambda **columns: 0.0, True),
        (lambda chosen, rejected, weight: 0.0, False),
        (lambda a, b: 0.0, False),
        (lambda chosen: 0.0, False),
    ],
)
def test_argument_names_of_a_call_with_several_arguments(function: Callable[..., float], right: bool) -> None:
    assert takes(function, Two, set()) is right


def test_a_single_argument_may_have_any_name() -> None:
    assert takes(lambda model: 0.0, One, set())
    assert not takes(lambda model, tokenizer: 0.0, One, set())


def test_attributes_that_a_constructor_sets_are_seen() -> None:
    class Own:
        def __init__(self) -> None:
            self.train: list[Any] = []
            self.validation: list[Any] = []

    class Half:
        def __init__(self) -> None:
            self.train: list[Any] = []

    assert conforms_class(Own, Rows)
    assert not conforms_class(Half, Rows)
