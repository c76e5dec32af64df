"""Muon for matrices with AdamW for everything else, and an 8-bit AdamW, each as one optimiser of a schedule.

Shapes: [..., M, N], a matrix or a stack of them (the experts of a mixture).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import sqrt
from typing import Any

import torch
import torchao.optim
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw
from torchao.optim.subclass_8bit import OptimState8bit

from llmcycle.quantities import Dtype

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic in Jordan's Muon, steep at zero
HIDDEN = "hidden"  # `kind` of a group whose matrices Muon is for: neither embeddings nor output layer


class Muon(Optimizer):
    """Muon (https://kellerjordan.github.io/posts/muon/) for hidden matrices, AdamW for all other parameters.

    Muon's step is scaled by 0.2 sqrt(max(M, N)) (arXiv:2502.16982, equation 4), the size of AdamW's, so that both share
    one learning rate, one weight decay and one schedule. It differs from `torch.optim.Muon` in the dtype, in stacks of
    matrices, and in having the other half.

    Args:
        params: parameter groups. In those of another `kind` than "hidden" all parameters are AdamW's; without a kind
            Muon takes whatever has two dimensions or more.
        momentum: of Muon, Nesterov's.
        betas, eps: of AdamW.
        steps: Newton-Schulz iterations.
        dtype: in which matrices are orthogonalised: "bfloat16" where there are units for it, as torch has it; other
            CPUs multiply bf16 some hundred times slower than fp32.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        steps: int = 5,
        dtype: Dtype = "float32",
    ) -> None:
        parameters = list(params)
        groups = parameters if parameters and isinstance(parameters[0], dict) else [{"params": parameters}]
        settings = {"momentum": momentum, "betas": tuple(betas), "eps": eps, "steps": steps}
        super().__init__(
            [part for group in groups for part in _parts(group)], {"lr": lr, "weight_decay": weight_decay, **settings}
        )
        self.dtype: torch.dtype = getattr(torch, dtype)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step over all gradients; what `closure` gives, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            if group["muon"]:
                for p in trained:
                    self._muon(p, group)
            elif trained:
                self._adamw(trained, group)
        return loss

    def _muon(self, p: Tensor, group: dict[str, Any]) -> None:
        assert p.grad is not None
        state = self.state[p]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(p)
        buffer = state["momentum_buffer"].lerp_(p.grad, 1 - group["momentum"])
        update = orthogonalise(p.grad.lerp(buffer, group["momentum"]), group["steps"], self.dtype)
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(update.to(p.dtype), alpha=-0.2 * sqrt(max(p.shape[-2:])) * group["lr"])

    def _adamw(self, trained: list[Tensor], group: dict[str, Any]) -> None:
        states = [self.state[p] for p in trained]
        for p, state in zip(trained, states, strict=True):
            if not state:
                state.update(step=torch.tensor(0.0), exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
        adamw(
            trained,
            [p.grad for p in trained if p.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


class AdamW8bit(torchao.optim.AdamW8bit):
    """torchao's AdamW with 8-bit moments (arXiv:2110.02861), which compiles its step: on a GPU only, here.

    On a CPU compiling takes minutes, once a shape, for a step that is a small part of the whole.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step, compiled where the parameters are on a GPU."""
        stance = "default" if self.param_groups[0]["params"][0].is_cuda else "force_eager"
        with torch.compiler.set_stance(stance):
            return super().step(closure)

    def state_dict(self) -> dict[str, Any]:
        """Quantised moments as plain tensors: torch loads no others to a device of the reader's choosing."""
        state = super().state_dict()
        moments = {p: {name: _plain(value) for name, value in values.items()} for p, values in state["state"].items()}
        return {**state, "state": moments}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        states = state_dict["state"].items()
        quantised = {p: {name: _quantised(value) for name, value in values.items()} for p, values in states}
        super().load_state_dict({**state_dict, "state": quantised})


def orthogonalise(matrix: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
    """U f(S) V^T of [..., M, N] = U S V^T, in `dtype`; f brings every singular value near 1 (0.7 to 1.2 in 5 steps).

    The Newton-Schulz iteration of https://github.com/KellerJordan/Muon.
    """
    a, b, c = COEFFICIENTS
    tall: bool = matrix.shape[-2] > matrix.shape[-1]
    x: Tensor = (matrix.mT if tall else matrix).to(dtype)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)  # the largest singular value is 1 at most
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def _parts(group: dict[str, Any]) -> list[dict[str, Any]]:
    """A group cut into Muon's parameters and AdamW's."""
    parts: dict[bool, list[Tensor]] = {True: [], False: []}
    for p in group["params"]:
        parts[p.ndim >= 2 and group.get("kind", HIDDEN) == HIDDEN].append(p)
    return [{**group, "params": chosen, "muon": muon} for muon, chosen in parts.items() if chosen]


def _plain(value: object) -> Any:
    if not isinstance(value, OptimState8bit):
        return value
    return {"codes": value.codes, "scale": value.scale, "qmap": value.qmap, "signed": value.signed}


def _quantised(value: object) -> Any:
    return OptimState8bit(**value) if isinstance(value, dict) else value
