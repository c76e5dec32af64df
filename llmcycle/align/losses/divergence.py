"""f-divergences to the reference, by the derivative that a preference loss needs of each (arXiv:2309.16240)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from llmcycle.quantities import Share

# A number is the alpha of an alpha-divergence: 1 is the reverse KL, KL(pi || pi_ref), and 0 the forward one.
Divergence: TypeAlias = Literal["reverse_kl", "forward_kl", "js"] | Share
# exp of a larger log-ratio times (alpha - 1) would leave fp32; TRL cuts there too.
LARGEST = 80.0


def _alpha(logratios: Tensor, alpha: float) -> Tensor:
    if math.isclose(alpha, 1.0, abs_tol=1e-6):
        return logratios
    return (((alpha - 1) * logratios).clamp(max=LARGEST).exp() - 1) / (alpha - 1)


def _jensen_shannon(logratios: Tensor) -> Tensor:
    return math.log(2) + logsigmoid(logratios)


def _forward_kl(logratios: Tensor) -> Tensor:
    return 1 - torch.exp(-logratios)


DERIVATIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "reverse_kl": lambda logratios: logratios,
    "forward_kl": _forward_kl,
    "js": _jensen_shannon,
}


def score(logratios: Tensor, divergence: Divergence) -> Tensor:
    """f'(pi / pi_ref) from [B] log-ratios in nats: beta times it is the implicit reward (arXiv:2309.16240, table 1).

    For the reverse KL it is the log-ratio itself, as in DPO.
    """
    if isinstance(divergence, str):
        return DERIVATIVES[divergence](logratios)
    return _alpha(logratios, divergence)
