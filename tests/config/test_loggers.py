"""Loggers that can't be built are refused before a run, with what to type."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from llmcycle.config import RecipeErrors, check, compose, locate, loggers

PRETRAIN = "pretrain"


def refused(*overrides: str) -> str:
    with pytest.raises(RecipeErrors) as caught:
        check(compose(locate(PRETRAIN), list(overrides)))
    return str(caught.value)


def test_a_setting_beside_the_options_is_no_logger() -> None:
    said = refused("logger=wandb", "+logger.save_dir=elsewhere")
    assert "a logger is a mapping with a `_target_`, and this is 'elsewhere'" in said
    assert "try: ~logger.save_dir" in said


@pytest.mark.parametrize(("option", "package"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow")])
def test_a_package_that_is_not_installed_is_named_with_the_line_to_type(
    option: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    said = refused(f"logger=[csv,{option}]")
    assert f"logger.{option}: it needs the package {package}, which is not installed" in said
    assert f"try: pip install {package}" in said


@pytest.mark.parametrize("option", ["tensorboard", "mlflow"])
def test_one_that_is_installed_is_taken(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: find_spec("json"))
    check(compose(locate(PRETRAIN), [f"logger=[csv,{option}]"]))
