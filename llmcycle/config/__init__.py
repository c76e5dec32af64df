"""Compose a recipe and refuse a bad one before it costs anything; imports no torch."""

from .check import check, check_shown
from .compose import arms, compose
from .errors import ConfigError, RecipeErrors, render
from .help import describe
from .paths import groups, locate, recipes

__all__ = [
    "ConfigError",
    "RecipeErrors",
    "arms",
    "check",
    "check_shown",
    "compose",
    "describe",
    "groups",
    "locate",
    "recipes",
    "render",
]
