"""Models as every stage needs them: load, adapt, run, digest, count bytes."""

import llmcycle.remote_code  # noqa: F401  to import it is to refuse

from .adapters import (
    adapt,
    allocate,
    allocation,
    may_be_padded,
    mergeable,
    moves_base,
    regularisation,
    restore_allocation,
)
from .calibrate import needs_data
from .combine import combine
from .digest import digest
from .forward import token_logits
from .freeze import freeze
from .load import load, scratch
from .memory import Memory, expected, measure
from .methods import LoraFAConfig, LoraPlusConfig, lr_ratios
from .named_tokens import ActivatedLoraConfig, ContextPromptConfig, TokenTextsConfig, new_tokens

__all__ = [
    "ActivatedLoraConfig",
    "ContextPromptConfig",
    "LoraFAConfig",
    "LoraPlusConfig",
    "Memory",
    "TokenTextsConfig",
    "adapt",
    "allocate",
    "allocation",
    "combine",
    "digest",
    "expected",
    "freeze",
    "load",
    "lr_ratios",
    "may_be_padded",
    "measure",
    "mergeable",
    "moves_base",
    "needs_data",
    "new_tokens",
    "regularisation",
    "restore_allocation",
    "scratch",
    "token_logits",
]
