"""`${input:NAME}` leads to the stage's own input, however deep it stands and wherever the stage stands."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

from llmcycle.config.plain_tree import references
from llmcycle.config.resolvers import register
from llmcycle.config.values import origin


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_input_is_found_from_any_depth(depth: int) -> None:
    register()
    part: dict[str, object] = {"path": "${input:reward}"}
    for _ in range(depth):
        part = {"a": part}
    stage = {"inputs": {"reward": "own"}, **part}
    root = OmegaConf.create({"inputs": {"reward": "another"}, "align": stage})
    assert str(OmegaConf.to_container(root.align, resolve=True)).count("own") == 2
    assert list(references(part)) == [("inputs", "reward")]
    assert origin(stage, ".".join([*"a" * depth, "path"])) == "inputs.reward"


def test_an_input_that_is_not_there_is_named() -> None:
    register()
    root = OmegaConf.create({"inputs": {}, "part": {"path": "${input:reward}"}})
    with pytest.raises(InterpolationResolutionError, match=r"Interpolation key 'inputs\.reward' not found"):
        OmegaConf.to_container(root, resolve=True)
