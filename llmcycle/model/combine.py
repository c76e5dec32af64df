"""Several models that were trained from one base become one model, by arithmetic on what each of them changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from peft import PeftModel
from peft.utils.merge_utils import dare_linear, dare_ties, magnitude_prune, task_arithmetic, ties
from torch import Tensor
from transformers import PreTrainedModel

# peft's functions of a weight's changes [M, ...] and of M weights. The four that thin out keep a share of each change.
SUMS: dict[str, Callable[..., Tensor]] = {
    "linear": task_arithmetic,  # task arithmetic, arXiv:2212.04089
    "ties": ties,  # the largest ones of the elected sign, arXiv:2306.01708
    "dare_linear": dare_linear,  # a random share of each, scaled up, arXiv:2311.03099
    "dare_ties": dare_ties,
    "magnitude_prune": magnitude_prune,
}


@torch.no_grad()
def combine(
    base: PreTrainedModel,
    models: Mapping[str, PreTrainedModel],
    weights: Mapping[str, float],
    method: str = "linear",
    density: float = 0.2,
    seed: int = 0,
) -> PreTrainedModel:
    """`base`, to whose parameters the combined changes have been added.

    How the models were trained, by adapter or whole, does not matter: what is combined are their weights' changes,
    one parameter at a time.

    Args:
        models: trained from `base`, by name.
        weights: of their changes, by name; with one model, of weight 1 and method "linear", it is that model again.
        method: "linear", "ties", "dare_linear", "dare_ties" or "magnitude_prune".
        density: the share of each change that is kept; "linear" keeps all of it.
        seed: of the random choice that DARE makes.

    Raises:
        ValueError: an unknown method or weight, or a model whose parameters are not those of `base`.
    """
    _refuse(base, models, weights, method, density)
    parts = {name: dict(model.named_parameters()) for name, model in models.items()}
    shares = torch.tensor([weights[name] for name in models])
    thinned = {} if method == "linear" else {"density": density}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for key, parameter in base.named_parameters():
            changes = [part[key].float() - parameter.float() for part in parts.values()]
            if any(change.any() for change in changes):
                parameter += SUMS[method](changes, shares, **thinned).to(parameter.dtype)
    return base


def _refuse(
    base: PreTrainedModel,
    models: Mapping[str, PreTrainedModel],
    weights: Mapping[str, float],
    method: str,
    density: float,
) -> None:
    if method not in SUMS:
        raise ValueError(f"stage.method={method}: unknown; choose one of {', '.join(SUMS)}")
    if not 0 < density <= 1:
        raise ValueError(f"stage.density={density}: the share of each change that is kept is above 0 and at most 1")
    if set(weights) != set(models):
        raise ValueError(f"stage.weights: there are models {sorted(models)} and weights of {sorted(weights)}")
    shapes = {key: p.shape for key, p in base.named_parameters()}
    for name, model in models.items():
        if isinstance(model, PeftModel):
            raise ValueError(f"inputs.{name}: its adapter is not part of its weights; fine-tune with one that merges")
        if {key: p.shape for key, p in model.named_parameters()} != shapes:
            raise ValueError(
                f"inputs.{name}: its parameters are not those of inputs.base, from which it must be trained"
            )
