"""Models as every stage needs them: load, adapt, digest, hand on verified, count bytes."""

from .adapters import (
    adapt,
    allocate,
    allocation,
    may_be_padded,
    mergeable,
    moves_base,
    needs_data,
    regularisation,
    restore_allocation,
)
from .combine import combine
from .digest import digest
from .freeze import freeze
from .handoff import HandOff, hand_off, merge, save, verify
from .load import load, scratch
from .memory import Memory, expected, measure
from .methods import LoraFAConfig, LoraPlusConfig, lr_ratios
from .observe import observe, token_logits
from .stated import state

__all__ = [
    "HandOff",
    "LoraFAConfig",
    "LoraPlusConfig",
    "Memory",
    "adapt",
    "allocate",
    "allocation",
    "combine",
    "digest",
    "expected",
    "freeze",
    "hand_off",
    "load",
    "lr_ratios",
    "may_be_padded",
    "measure",
    "merge",
    "mergeable",
    "moves_base",
    "needs_data",
    "observe",
    "regularisation",
    "restore_allocation",
    "save",
    "scratch",
    "state",
    "token_logits",
    "verify",
]
