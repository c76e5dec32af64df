"""Log-probabilities of the reference, computed once: the same training without a second model in memory."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import byte_tokenizer, random_llama
from learners import learner
from peft import LoraConfig
from tiny_run import Rows, Stopped, run, same
from transformers import LlamaForCausalLM

from llmcycle.align import Preference, Unpaired
from llmcycle.align.losses import BCO, DPO, KTO, SimPO
from llmcycle.data.batches import Batches
from llmcycle.data.encode import Preference as PreferenceEncoder
from llmcycle.model import measure
from llmcycle.train import Learner
from llmcycle.train.logprobs import Reference
from llmcycle.train.stored_reference import StoredReference

TOKENIZER = byte_tokenizer()
PAIRS = [{"prompt": f"{n}? ", "chosen": "yes" * (1 + n % 3), "rejected": "no" * (1 + n % 4)} for n in range(23)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "llmcycle" / "reference"


def batches(rows: list[dict[str, Any]] = PAIRS) -> Batches:
    return Batches(Rows(rows[:-3], rows[-3:]), PreferenceEncoder(32), TOKENIZER, 4, 4, seed=5)


def module(reference: str, peft: Any = None, seed: int = 0) -> Learner:
    return learner(random_llama(len(TOKENIZER), seed=seed), Preference(DPO(), reference), peft)


def lora() -> LoraConfig:
    return LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear")


@pytest.mark.parametrize("peft", [None, lora()], ids=["full", "lora"])
def test_training_is_the_same_but_for_rounding(tmp_path: Path, peft: Any) -> None:
    torch.manual_seed(3)
    live = run(tmp_path / "live", batches(), trained=module("live", peft))
    torch.manual_seed(3)
    stored = run(tmp_path / "stored", batches(), trained=module("stored", peft))
    assert stored.losses == pytest.approx(live.losses, abs=1e-3)
    assert live.losses[0] == pytest.approx(0.6931, abs=1e-3)
    assert live.losses[-1] < 0.6


def test_no_second_model_is_held() -> None:
    def models() -> int:
        gc.collect()
        return sum(isinstance(each, LlamaForCausalLM) for each in gc.get_objects())

    before = models()
    trained = module("stored")
    assert models() == before + 1
    assert isinstance(trained.models.reference, StoredReference)
    assert models() == before + 1
    other = module("live")
    assert isinstance(other.models.reference, Reference)
    assert models() == before + 3
    assert other.models.reference.own_bytes == measure(other.model).weights > 0
    assert trained.models.reference.own_bytes == module("live", lora()).models.reference.own_bytes == 0


def test_numbers_are_those_of_the_model_before_training(cache: Path) -> None:
    trained, data = module("stored"), batches()
    expected = Reference(random_llama(len(TOKENIZER)))
    trained.objective.begin(trained.models, data)
    with torch.no_grad():
        for parameter in trained.model.parameters():
            parameter += 0.1
    for split in (data.train, data.validation):
        batch = data.collate(split)
        assert torch.allclose(trained.models.reference.logprobs(batch), expected.logprobs(batch), atol=1e-4)
    assert len(list(cache.glob("*.npy"))) == 1


def test_another_arm_reads_them_and_another_model_or_row_does_not(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    compute = StoredReference.compute

    def counted(self: StoredReference, examples: list[Any], data: Any) -> None:
        computed.append(len(examples))
        compute(self, examples, data)

    monkeypatch.setattr(StoredReference, "compute", counted)

    def begin(trained: Learner, data: Batches) -> dict[str, float]:
        trained.objective.begin(trained.models, data)
        return trained.models.reference.known

    first = begin(module("stored"), batches())
    assert begin(module("stored"), batches()) == first
    assert computed == [23]
    begin(module("stored", seed=1), batches())
    begin(module("stored"), batches([*PAIRS[1:], {"prompt": "new? ", "chosen": "a", "rejected": "b"}]))
    assert computed == [23, 23, 23]
    torch.manual_seed(1)
    begin(module("stored", lora()), batches())
    torch.manual_seed(2)  # another start of the adapter, which the reference does without
    begin(module("stored", lora()), batches())
    assert computed == [23, 23, 23, 23]
    assert len(list(cache.glob("*.npy"))) == 4


def test_a_damaged_file_is_computed_again(cache: Path) -> None:
    first = module("stored")
    first.objective.begin(first.models, batches())
    (file,) = cache.glob("*.npy")
    file.write_bytes(file.read_bytes()[:100])
    again = module("stored")
    again.objective.begin(again.models, batches())
    assert again.models.reference.known == first.models.reference.known


def test_a_checkpoint_holds_them(tmp_path: Path, cache: Path) -> None:
    """The cache is gone, and the policy is no more what it was: a resumed run is the whole one, bit by bit."""
    whole = run(tmp_path / "whole", batches(), trained=module("stored"))
    with pytest.raises(Stopped):
        run(tmp_path / "cut", batches(), stop=7, trained=module("stored"))
    for file in cache.glob("*.npy"):
        file.unlink()
    assert same(run(tmp_path / "cut", batches(), trained=module("stored")), whole)
    assert not list(cache.glob("*.npy"))


def test_an_unknown_row_is_refused_once_training_has_begun() -> None:
    trained, data = module("stored"), batches()
    trained.objective.begin(trained.models, data)
    other = batches([{"prompt": "x? ", "chosen": f"{n}", "rejected": "z"} for n in range(6)])
    with pytest.raises(ValueError, match=r"objective\.reference=stored: this row .*set objective\.reference=live"):
        trained.loss(other.collate(other.train))


@pytest.mark.parametrize("make", [lambda: Preference(SimPO(), "stored"), lambda: Unpaired(KTO(), "stored")])
def test_a_loss_without_such_rows_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"objective\.reference=stored: .*set objective\.reference=live"):
        make()
    assert Unpaired(BCO(), "stored").stores_reference
