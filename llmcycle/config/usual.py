"""The options that a recipe composes before anything is typed, which go together: what a remedy names first."""

from __future__ import annotations

from functools import cache

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

VERSION_BASE = "1.3"


def choices(root: DictConfig) -> dict[str, str]:
    """Of a composed recipe, by what is typed before the "="; {} where it composes nothing without what was typed."""
    home = next((str(each.path) for each in root.hydra.runtime.config_sources if each.provider == "main"), "")
    return without_overrides(home, str(root.hydra.job.config_name)) if home else {}


@cache
def without_overrides(folder: str, name: str) -> dict[str, str]:
    """The choices of the recipe in a file, as `choices` gives them."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(folder, version_base=VERSION_BASE, job_name="llmcycle"):
            composed = compose(name, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException):
        return {}
    return {str(key): str(option) for key, option in composed.hydra.runtime.choices.items()}
