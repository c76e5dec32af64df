"""Compose a recipe and refuse a bad one before it costs anything; imports no torch."""

from .check import check
from .compose import arms, compose
from .errors import ConfigError, RecipeErrors, render
from .paths import groups, locate, recipes

__all__ = ["ConfigError", "RecipeErrors", "arms", "check", "compose", "groups", "locate", "recipes", "render"]
