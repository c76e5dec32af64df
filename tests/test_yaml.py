"""Recipes and options say each thing once; what they share stands in files that they extend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from llmcycle.config import ConfigError, compose, groups, locate, recipes
from llmcycle.config.paths import shipped

FILES = sorted(path for folder in ("conf", "recipes") for path in shipped(folder).rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_files_own_keys_count_last_as_hydra_has_it_without_being_told(path: Path) -> None:
    assert "_self_" not in path.read_text("utf-8")


def test_no_more_than_a_tenth_of_the_lines_stands_in_five_files_or_more() -> None:
    places: dict[str, list[Path]] = {}
    for path in FILES:
        for line in path.read_text("utf-8").splitlines():
            if words := re.sub(r"(^|\s+)#.*$", "", line.strip()):
                places.setdefault(words, []).append(path)
    repeated = sum(len(paths) for paths in places.values() if len(set(paths)) >= 5)
    assert repeated < 0.1 * sum(map(len, places.values()))


@pytest.mark.parametrize("name", sorted(path.stem for path in shipped("conf").glob("*.yaml")))
def test_what_others_begin_with_is_no_recipe_and_no_option(name: str) -> None:
    assert name not in recipes()
    assert not any(name in options for options in groups().values())
    with pytest.raises(ConfigError, match="no recipe has this name"):
        locate(name)


def test_a_users_recipe_extends_a_recipe_that_extends_a_recipe_alone_and_in_a_lifecycle(here: Path) -> None:
    Path("mine.yaml").write_text(
        "# @package _global_\ndefaults: [/recipes/qlora@_here_, override /optim: sgd]\ntrainer: {max_steps: 7}\n"
    )
    Path("recipes").mkdir()
    Path("recipes/mine.yaml").write_text(Path("mine.yaml").read_text())
    alone = compose(locate("mine.yaml"), ["inputs.model=x"])
    nested = compose(locate("lifecycle"), ["recipes@finetune=mine", "finetune.inputs.model=x"]).finetune
    parts = ("stage", "module", "model", "optim", "trainer", "callbacks", "evaluate", "inputs")
    plain = [[OmegaConf.to_container(root[part], resolve=False) for part in parts] for root in (alone, nested)]
    assert plain[0] == plain[1]
    assert alone.optim._target_ == "torch.optim.SGD"
    assert alone.model.quantization_config.load_in_4bit
    assert alone.trainer.max_steps == 7
