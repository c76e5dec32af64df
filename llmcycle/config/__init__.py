"""Compose a recipe and refuse a bad one before it costs anything; imports no torch."""

from .check import check, check_shown
from .compose import compose, corners, override_values
from .errors import ConfigError, RecipeErrors, render
from .help import describe
from .paths import groups, locate, recipes
from .searches import Plan, is_search, plan_search
from .sweeps import check_arms, for_hydra

__all__ = [
    "ConfigError",
    "Plan",
    "RecipeErrors",
    "check",
    "check_arms",
    "check_shown",
    "compose",
    "corners",
    "describe",
    "for_hydra",
    "groups",
    "is_search",
    "locate",
    "override_values",
    "plan_search",
    "recipes",
    "render",
]
