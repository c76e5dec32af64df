"""Optimisers of our own beside the library's, and the exact mathematics that they stand for."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
import torchao.optim
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import LlamaForCausalLM, get_linear_schedule_with_warmup

from llmcycle.model import expected, measure
from llmcycle.train.groups import decay_groups
from llmcycle.train.optimizers import COEFFICIENTS, AdamW8bit, Muon, orthogonalise


def matrix(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def quintic(singular: Tensor) -> Tensor:
    """What five iterations make of a singular value, as a polynomial of numbers."""
    a, b, c = COEFFICIENTS
    for _ in range(5):
        singular = a * singular + b * singular**3 + c * singular**5
    return singular


@pytest.mark.parametrize("shape", [(24, 24), (16, 40), (40, 16), (3, 16, 24)])
def test_orthogonalising_changes_singular_values_alone_and_by_the_quintic(shape: tuple[int, ...]) -> None:
    given = matrix(*shape).double()
    u, s, v = torch.linalg.svd(given / given.norm(dim=(-2, -1), keepdim=True), full_matrices=False)
    expected = u @ torch.diag_embed(quintic(s)) @ v
    found = orthogonalise(given, 5, torch.float64)
    assert (found - expected).abs().max() < 1e-10
    # Below 0.004 a value has not yet grown to 0.7 after five steps.
    values = torch.linalg.svdvals(found)[s > 0.01]
    assert values.min() > 0.65
    assert values.max() < 1.21
    assert (orthogonalise(given.float(), 5, torch.float32) - expected).abs().max() < 1e-4


def steps(optimizer: Optimizer, p: nn.Parameter, count: int = 3) -> Tensor:
    for i in range(count):
        p.grad = matrix(*p.shape, seed=i + 1)
        optimizer.step()
    return p.detach()


@pytest.mark.parametrize("shape", [(24, 16), (16, 24)])
def test_a_step_is_that_of_torch_muon(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(optim: Any) -> Tensor:
        p = nn.Parameter(matrix(*shape))
        return steps(optim([p], lr=0.05, weight_decay=0.1), p) - matrix(*shape)

    theirs = partial(torch.optim.Muon, adjust_lr_fn="match_rms_adamw")
    ours, rounded = moved(Muon), moved(theirs)
    assert (moved(partial(Muon, dtype="bfloat16")) - rounded).norm() < 0.03 * rounded.norm(), "to bf16's rounding"
    monkeypatch.setattr(Tensor, "bfloat16", Tensor.clone)  # theirs then orthogonalises in fp32
    assert (ours - moved(theirs)).abs().max() < 1e-6


def test_what_is_no_hidden_matrix_is_trained_as_by_adamw(model: LlamaForCausalLM) -> None:
    twin = LlamaForCausalLM(model.config)
    twin.load_state_dict(model.state_dict())
    settings: dict[str, Any] = {"lr": 1e-2, "weight_decay": 0.1, "betas": (0.9, 0.95)}
    pairs = [(model, Muon(decay_groups(model), **settings)), (twin, torch.optim.AdamW(decay_groups(twin), **settings))]
    for one, optimizer in pairs:
        for i in range(3):
            for seed, p in enumerate(one.parameters()):
                p.grad = matrix(*p.shape, seed=100 * i + seed)
            optimizer.step()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs) == ("proj" not in name), name


def test_one_schedule_moves_both_halves_and_a_state_comes_back_exactly(model: LlamaForCausalLM) -> None:
    def run(optimizer: Muon, first: int, last: int) -> list[Tensor]:
        for i in range(first, last):
            for seed, p in enumerate(model.parameters()):
                p.grad = matrix(*p.shape, seed=100 * i + seed)
            optimizer.step()
        return [p.detach().clone() for p in model.parameters()]

    optimizer = Muon(decay_groups(model), lr=1e-2)
    schedule = get_linear_schedule_with_warmup(optimizer, 4, 8)
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [2.5e-3] * 3
    assert [group["muon"] for group in optimizer.param_groups] == [True, False, False]
    run(optimizer, 0, 2)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    saved = deepcopy(optimizer.state_dict())
    expected = run(optimizer, 2, 4)
    model.load_state_dict(weights)
    resumed = Muon(decay_groups(model), lr=1.0)
    resumed.load_state_dict(saved)
    for was, now in zip(expected, run(resumed, 2, 4), strict=True):
        assert torch.equal(was, now)


def test_experts_in_a_stack_are_orthogonalised_one_by_one() -> None:
    stack = nn.Parameter(matrix(3, 8, 12))
    alone = [nn.Parameter(matrix(3, 8, 12)[i]) for i in range(3)]
    gradient = matrix(3, 8, 12, seed=9)
    stack.grad = gradient
    for i, p in enumerate(alone):
        p.grad = gradient[i]
    Muon([stack]).step()
    Muon(alone).step()
    assert torch.allclose(stack, torch.stack(list(alone)), atol=1e-6)


def test_eight_bit_adamw_is_torchaos_and_near_fp32_with_a_quarter_of_its_state() -> None:
    def trained(optim: Any) -> tuple[Tensor, Optimizer]:
        p = nn.Parameter(matrix(64, 128))
        optimizer = optim([p], lr=1e-2, weight_decay=0.1)
        return steps(optimizer, p, 5), optimizer

    ours, optimizer = trained(AdamW8bit)
    theirs, _ = trained(torchao_eager)
    full, fp32 = trained(torch.optim.AdamW)
    assert torch.equal(ours, theirs)
    assert (ours - full).norm() < 0.05 * (full - matrix(64, 128)).norm()
    small, large = (measure(nn.Linear(1, 1), one).optimizer_state for one in (optimizer, fp32))
    assert small < 0.26 * large + 2 * 4 * 256, "a byte a value, scales, and two tables of 256"


@pytest.mark.parametrize("optim", [Muon, AdamW8bit, partial(torch.optim.AdamW, fused=True)])
def test_memory_is_foretold(optim: Any, model: LlamaForCausalLM) -> None:
    optimizer = optim(decay_groups(model))
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert measure(model, optimizer) == expected(model, optim, decay_groups)
    assert measure(model, optimizer).trained == expected(model, optim, decay_groups, train_all=True).trained


def torchao_eager(*args: Any, **options: Any) -> Optimizer:
    optimizer = torchao.optim.AdamW8bit(*args, **options)
    step = optimizer.step
    optimizer.step = torch.compiler.set_stance("force_eager")(step)
    return optimizer


@pytest.mark.parametrize("optim", [Muon, partial(torch.optim.AdamW, fused=True), AdamW8bit, torch.optim.Adafactor])
def test_each_lowers_the_loss(optim: Any, model: LlamaForCausalLM) -> None:
    optimizer = optim(decay_groups(model), lr=1e-2)
    ids = torch.arange(32).reshape(2, 16)
    losses = []
    for _ in range(12):
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_fused_adamw_is_adamw() -> None:
    ours, theirs = nn.Parameter(matrix(16, 24)), nn.Parameter(matrix(16, 24))
    steps(torch.optim.AdamW([ours], lr=0.05, fused=True), ours)
    steps(torch.optim.AdamW([theirs], lr=0.05), theirs)
    assert torch.allclose(ours, theirs, atol=1e-6)
