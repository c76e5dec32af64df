"""Names of a user's own, and the names of stages, find an artifact wherever one is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import artifacts, command

from llmcycle.artifact import AmbiguousId, Store
from llmcycle.completion import choices


def store() -> Store:
    return Store(Path("outputs/artifacts"))


@pytest.fixture
def cycle(toys: Path) -> Path:
    """A toy cycle, and another third stage."""
    assert command("recipes/toy.yaml") == 0
    assert command("recipes/toy.yaml", "third.stage.text=other") == 0
    return toys


def made(name: str) -> list[str]:
    return [each for each in artifacts() if each.startswith(name)]


def test_a_tag_is_taken_by_recipes_and_verbs(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    third, other = made("third")
    assert command("tag", third, "best", "v1.0") == 0
    assert f"{third}: best, v1.0" in capsys.readouterr().out
    assert command("recipes/second.yaml", "inputs.model=best") == 0
    assert command("recipes/second.yaml", f"inputs.model={third}") == 0, "the same by its id"
    assert len(made("second")) == 2
    assert command("show", "best") == 0
    assert "tags     best, v1.0" in capsys.readouterr().out
    assert command("tag", other, "best") == 0
    assert f"best was a tag of {third} before" in capsys.readouterr().out
    assert [place.name for place in store().tags.values()] == [other, third]
    assert {"best", "v1.0"} <= set(choices("show", "", True, []) or [])


def test_what_has_a_tag_is_not_collected_and_what_is_removed_has_none(cycle: Path) -> None:
    third, other = made("third")
    assert command("tag", third, "keep") == 0
    for report in Path("outputs/toy").glob("*/report.json"):
        report.unlink()
    for link in Path("outputs/toy").rglob("*"):
        if link.is_symlink():
            link.unlink()
    assert command("gc") == 0
    assert made("third") == [third]
    assert len(artifacts()) == 3, "with what it was made from"
    assert command("rm", "keep", "--yes") == 0
    assert store().tags == {}
    assert not list(Path("outputs/artifacts/.tags").iterdir())
    assert other not in artifacts()


@pytest.mark.parametrize("name", ["beef", "third", "1st", "a/b", "..", ""])
def test_what_could_be_taken_for_something_else_is_no_tag(
    cycle: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert command("tag", made("third")[0], name) == 2
    assert capsys.readouterr().err.startswith(f"llmcycle: {name}: ")
    assert store().tags == {}


def test_a_tag_is_taken_off(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    third, other = made("third")
    assert command("tag", third, "best") == 0
    assert command("tag", other, "best", "--remove") == 2
    assert "has no such tag" in capsys.readouterr().err
    assert command("tag", third, "best", "--remove") == 0
    assert f"{third}: no tag" in capsys.readouterr().out
    assert store().find("best") is None


def test_a_stages_name_is_enough_where_only_one_has_it(cycle: Path) -> None:
    found = store().find("second")
    assert found is not None
    assert found.folder.name == made("second")[0]
    with pytest.raises(AmbiguousId, match="several artifacts") as caught:
        store().find("third")
    assert caught.value.names == made("third")


def test_a_link_leads_to_nothing_outside_of_its_store(cycle: Path) -> None:
    elsewhere = cycle / "elsewhere" / made("first")[0]
    elsewhere.parent.mkdir()
    elsewhere.mkdir()
    (elsewhere / "artifact.json").write_text("{}")
    (store().root / ".tags").mkdir()
    (store().root / ".tags" / "trap").symlink_to(elsewhere)
    assert store().tags["trap"] == store().root / made("first")[0]
