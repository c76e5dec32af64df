"""A learner of two trained models: groups, names, memory, resume, and the work shared by two processes."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from conftest import random_llama
from learners import learner
from pair import Pair, losses, pair, work
from pytorch_lightning.strategies import ModelParallelStrategy
from tiny_run import STEPS, Stopped, batches, run, same
from transformers import PreTrainedTokenizerFast

from llmcycle.model import measure
from llmcycle.pretrain import NextToken
from llmcycle.train import Learner
from llmcycle.train.checkpoint_folder import newest
from llmcycle.train.groups import parameter_names, role_groups
from llmcycle.train.memory_table import of_all


def test_each_model_has_groups_of_its_own() -> None:
    both = pair()
    groups = role_groups(both.models.trained())
    assert [group["role"] for group in groups] == ["policy"] * 3 + ["critic"] * 2, "the critic has no vocabulary's head"
    names = parameter_names(both, both.optim(groups))
    assert sorted(names) == sorted(name for name, _ in both.named_parameters())
    assert names[0].startswith("models.policy.model")
    assert names[-1].startswith("models.critic.model")


def test_the_gradient_norm_is_that_of_both_models_whatever_the_groups() -> None:
    both = pair(dropout=0.0)
    torch.manual_seed(0)
    for parameter in both.parameters():
        parameter.grad = torch.randn_like(parameter)
    norm = both.gradient_norm()
    squares = sum(float(p.grad.double().square().sum()) for p in both.parameters())
    assert norm.item() == pytest.approx(squares**0.5, rel=1e-6)
    regrouped = both.optim(list(reversed(role_groups(both.models.trained()))))
    assert parameter_names(both, regrouped) != parameter_names(both, both.optim(role_groups(both.models.trained())))
    both._norm = None
    assert torch.equal(both.gradient_norm(), norm)


def test_memory_is_that_of_both_models(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trained = run(tmp_path, batches(tokenizer, 0, packed=False), trained=pair(), max_steps=1)
    assert trained.memory is not None
    parameters = sum(p.numel() for p in trained.parameters())
    assert trained.memory.trainable_parameters == parameters
    assert of_all(trained).trained == trained.memory.trained
    assert measure(trained.models).weights == of_all(trained).weights


@pytest.mark.parametrize("point", [1, 3, 6, 8, 11])
def test_it_goes_on_exactly(point: int, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    def go(folder: str, stop: int | None = None) -> Learner:
        return run(tmp_path / folder, batches(tokenizer, 0, packed=False), 1, stop, trained=pair())

    whole = go("whole")
    assert len(whole.losses) == STEPS
    with pytest.raises(Stopped):
        go("cut", point)
    assert same(go("cut"), whole)


def test_a_checkpoint_names_the_states_of_both(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trained = run(tmp_path, batches(tokenizer, 0, packed=False), trained=pair())
    last = newest(tmp_path, print)
    assert last is not None
    saved = torch.load(last.state, weights_only=True)["optimizer_states"][0]
    state = trained.trainer.optimizers[0].state
    for name, parameter in trained.named_parameters():
        assert torch.equal(saved["state"][name]["exp_avg"], state[parameter]["exp_avg"]), name


def test_frozen_patterns_begin_with_a_role() -> None:
    both = pair(frozen=["critic.model.layers", "embed_tokens"])
    frozen = [name for name, p in both.models.named_parameters() if not p.requires_grad]
    assert {"policy.model.embed_tokens.weight", "critic.model.embed_tokens.weight"} < set(frozen)
    assert all(name.startswith("critic.model.layers") for name in frozen if "embed_tokens" not in name)


def test_a_role_without_its_model_and_a_model_without_a_role_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Pair needs a model as critic; give module\.others\.critic"):
        learner(random_llama(300), Pair())
    with pytest.raises(ValueError, match=r"module\.others\.critic: NextToken has no use for it"):
        learner(random_llama(300), NextToken(), others={"critic": random_llama(300)})


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sharded = ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1, save_distributed_checkpoint=False)
    mp.spawn(work, (port, tmp_path, {"ddp": "ddp", "fsdp2": sharded}), nprocs=2)
    alone = losses(tmp_path / "alone")
    for name, seen in json.loads((tmp_path / "losses.json").read_text()).items():
        assert seen == pytest.approx(alone, rel=1e-5), name
