"""A search as the sweep file of another tool, whose agents run llmcycle themselves.

The form is W&B's: https://docs.wandb.ai/guides/sweeps/sweep-config-keys. Its agent types each value behind its key, as
`key=value`; so a value that is no number is written as it is typed in a command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llmcycle.config import ConfigError, plain_tree, stages
from llmcycle.config.parts import stated
from llmcycle.evaluate.metric import Better
from llmcycle.search.space import Space

METHODS = {"TPESampler": "bayes", "RandomSampler": "random", "BruteForceSampler": "grid"}
GOALS = {"higher": "maximize", "lower": "minimize"}
MOST = 100  # whole numbers that are written one by one
ARGUMENTS = "${args_no_hyphens}"  # where the agent puts its `key=value` words


def wandb_sweep(recipe: str, root: DictConfig, space: Space) -> dict[str, Any]:
    """The content of a sweep file.

    Args:
        recipe: as it is typed.
        root: what an arm composes.
        space: what is searched.

    Raises:
        ConfigError: no evaluator of the recipe has the metric, or none says which end of it is the better one.
    """
    name, better = metric_of(root)
    fixed = [word for word in space.fixed if not word.lstrip("+").startswith("search")]
    logger = [] if any(word.startswith("logger=") for word in fixed) else ["logger=wandb"]
    seeds = {"seed": {"values": [int(word.partition("=")[2]) for word in space.seeds]}} if space.seeds else {}
    return {
        "program": "llmcycle",
        "method": method_of(root, space),
        "metric": {"name": f"final/{name}", "goal": GOALS[better]},
        "parameters": {key: parameter(each) for key, each in space.distributions.items()} | seeds,
        "command": ["llmcycle", recipe, *fixed, *logger, ARGUMENTS],
    }


def method_of(root: DictConfig, space: Space) -> str:
    """How values are chosen: as the recipe's sampler does; all of them, where there is none and they can be counted."""
    sampler = str(root.search.sampler._target_) if root.get("search") else ""
    return METHODS.get(sampler.rpartition(".")[2], "grid" if space.size and not sampler else "bayes")


def metric_of(root: DictConfig) -> tuple[str, Better]:
    """The metric that is made better, and its better end."""
    known = scores_of(root)
    name = (root.get("search") or {}).get("metric") or next(iter(known), "")
    if known.get(name) not in GOALS:
        usual = next(iter(known), "")
        reason = (
            f"no evaluator of this recipe has {name}" if name else "no evaluator of this recipe says what is better"
        )
        raise ConfigError("search.metric", reason, f"search.metric={usual}" if usual else "+evaluate=exact_match")
    return name, known[name]


def scores_of(root: DictConfig) -> dict[str, Better]:
    """The scores of the last stage that evaluates, and which end of each is the better one."""
    for stage in reversed(stages.of(root)):
        nodes = (node for _, node in plain_tree.targets(stage.settled.get("evaluate"), "evaluate"))
        scores: list[Mapping[str, Better]] = [each for each in (stated(node, "scores") for node in nodes) if each]
        if scores:
            return {name: better for each in scores for name, better in each.items()}
    return {}


def parameter(distribution: BaseDistribution) -> dict[str, Any]:
    """One setting."""
    if isinstance(distribution, CategoricalDistribution):
        return {"values": [plain(str(choice).partition("=")[2]) for choice in distribution.choices]}
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    ends = {"min": distribution.low, "max": distribution.high}
    if isinstance(distribution, IntDistribution):
        numbers = range(distribution.low, distribution.high + 1, distribution.step)
        return {"values": list(numbers)} if len(numbers) <= MOST else {"distribution": "int_uniform", **ends}
    if distribution.step:
        return {"distribution": "q_uniform", "q": distribution.step, **ends}
    return {"distribution": "log_uniform_values" if distribution.log else "uniform", **ends}


def plain(value: str) -> int | float | str:
    """A number as a number, where the agent types it as it was typed here; all else as it is typed."""
    kinds: Sequence[type[int] | type[float]] = (int, float)
    for kind in kinds:
        try:
            if str(kind(value)) == value:
                return kind(value)
        except ValueError:
            continue
    return value
