"""A group of options is a folder: a user's own needs nothing of ours, and what was made with it can be made again
where the folder is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from toy import artifacts, command

from llmcycle.config import ConfigError, check, compose, groups, locate
from llmcycle.config.identity import stage_id
from llmcycle.config.plain_tree import reached, references
from llmcycle.config.stages import Stage

DISTIL = """\
# @package _global_
defaults: [/recipes/second@_here_, /teacher: x]
name: distil
inputs: {model: rows}
stage: {text: "${..teacher.says}"}
"""
CYCLE = """\
defaults: [/base, /recipes@distil: distil]
lifecycle: [distil]
"""


@pytest.fixture
def taught(toys: Path) -> Path:
    """The toy cycle with a group `teacher`, and a recipe that takes one."""
    (toys / "rows").mkdir()
    (toys / "rows/model.txt").write_text("base")
    (toys / "conf/teacher").mkdir()
    for name in ("x", "y"):
        (toys / f"conf/teacher/{name}.yaml").write_text(f"# A teacher\nsays: {name}\n")
    (toys / "recipes/distil.yaml").write_text(DISTIL)
    (toys / "recipes/cycle.yaml").write_text(CYCLE)
    return toys


def made() -> list[str]:
    return sorted((Path("outputs/artifacts") / name / "model.txt").read_text() for name in artifacts())


def test_a_folder_is_a_group_alone_and_in_a_lifecycle(taught: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert groups()["teacher"] == ["x", "y"]
    assert command("ls", "teacher") == 0
    assert "A teacher" in capsys.readouterr().out
    assert command("recipes/cycle.yaml") == 0
    assert command("recipes/distil.yaml", "teacher=y") == 0
    assert command("recipes/cycle.yaml", "teacher@distil.teacher=y") == 0, "the same stage, so nothing new"
    assert made() == ["basex", "basey"]


def test_a_sweep_over_a_users_group(taught: Path) -> None:
    assert command("recipes/cycle.yaml", "-m", "teacher@distil.teacher=x,y") == 0
    assert made() == ["basex", "basey"]


def test_what_was_made_with_a_group_has_its_id_without_the_folder(taught: Path) -> None:
    assert command("recipes/cycle.yaml", "teacher@distil.teacher=y") == 0
    before = artifacts()
    shutil.rmtree("conf")
    shutil.rmtree("recipes")
    assert command(f"outputs/artifacts/{before[0]}/recipe.yaml") == 0
    assert artifacts() == before


def test_a_folder_that_a_recipe_has_no_use_for_changes_no_id(toys: Path) -> None:
    before = stage_id(Stage(compose(locate("recipes/toy.yaml")), "second"))
    for group in ("teacher", "text", "stage2"):
        (toys / "conf" / group).mkdir()
        (toys / "conf" / group / "x.yaml").write_text("says: x\n")
    assert stage_id(Stage(compose(locate("recipes/toy.yaml")), "second")) == before


@pytest.mark.parametrize(
    ("recipe", "override", "key", "remedy"),
    [
        ("cycle", "distil.teacher=y", "distil.teacher", "teacher@distil.teacher=y"),
        ("cycle", "distil.teacher=[y]", "distil.teacher", "teacher@distil.teacher=y"),
        ("cycle", "teacher@distil.teachr=y", "teacher@distil.teachr", "teacher@distil.teacher=y"),
        (
            "cycle",
            "teacher@distil.teacher=z",
            "teacher@distil.teacher=z",
            "one of: teacher@distil.teacher=x, teacher@distil.teacher=y",
        ),
        ("cycle", "teacher=y", "teacher", "teacher@distil.teacher=y"),
        ("cycle", "~teacher@distil.teacher", "distil.stage.text", "+teacher@distil.teacher=x"),
        ("toy", "+teacher@second.teacher=y", "second.teacher", "leave it out"),
        ("distil", "teacher.say=y", "teacher.say", "teacher.says=y"),
        ("toy", "+second.qqq=3", "second.qqq", "leave it out"),
        ("toy", "+second.tezt=3", "second.tezt", "second.stage.text=3"),
    ],
)
def test_mistakes_with_a_group_are_answered(taught: Path, recipe: str, override: str, key: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(compose(locate(f"recipes/{recipe}.yaml"), [override]))
    assert (caught.value.key, caught.value.remedy) == (key, remedy)


def test_an_options_name_written_in_a_file_is_no_option(taught: Path) -> None:
    Path("recipes/distil.yaml").write_text(DISTIL + "teacher: y\n")
    with pytest.raises(ConfigError) as caught:
        check(compose(locate("recipes/cycle.yaml")))
    assert caught.value.key == "distil.teacher"
    assert caught.value.remedy.startswith("teacher@distil.teacher=y")


def test_a_key_that_is_read_is_known(toys: Path) -> None:
    for prefix in ("second.", ""):
        recipe, given = ("toy", []) if prefix else ("second", ["inputs.model=rows.txt"])
        width = [f"+{prefix}width=wide", f"{prefix}stage.text='${{..width}}'"]
        root = compose(locate(f"recipes/{recipe}.yaml"), [*given, *width])
        check(root)
        assert Stage(root, prefix.rstrip(".")).raw["width"] == "wide"


def test_references_lead_where_omegaconf_leads() -> None:
    tree = {
        "stage": {"a": "${..x.y}", "b": {"c": "${...z}", "d": ["${.1}", "${....w}"]}, "e": "${oc.dict.values:..v}"},
        "x": {"y": "${.own}", "own": "${oc.select:..u,null}"},
        "dead": "${.alive}",
    }
    assert set(references(tree["stage"], ("stage",))) == {
        ("x", "y"), ("z",), ("stage", "b", "d", "1"), ("w",), ("v",),
    }  # fmt: skip
    read = {path[0] for path in reached(tree, [("stage",)])}
    assert read == {"stage", "x", "z", "w", "v", "u"}
    assert list(references({"a": "${......beyond}"}, ("stage",))) == []
