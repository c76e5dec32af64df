"""Models as every stage needs them: load, adapt, digest, hand on verified, count bytes."""

from .adapters import adapt, may_be_padded, mergeable
from .digest import digest
from .handoff import HandOff, hand_off, merge, save, verify
from .load import load, scratch
from .memory import Memory, expected, measure
from .methods import LoraFAConfig, LoraPlusConfig
from .observe import observe, token_logits
from .stated import state

__all__ = [
    "HandOff",
    "LoraFAConfig",
    "LoraPlusConfig",
    "Memory",
    "adapt",
    "digest",
    "expected",
    "hand_off",
    "load",
    "may_be_padded",
    "measure",
    "merge",
    "mergeable",
    "observe",
    "save",
    "scratch",
    "state",
    "token_logits",
    "verify",
]
