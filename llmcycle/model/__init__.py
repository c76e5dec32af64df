"""Models as every stage needs them: load, adapt, digest, hand on verified, count bytes."""

from .adapters import adapt, may_be_padded, mergeable
from .digest import digest
from .handoff import HandOff, hand_off, save, verify
from .load import load, scratch
from .memory import Memory, expected, measure
from .observe import token_logits

__all__ = [
    "HandOff",
    "Memory",
    "adapt",
    "digest",
    "expected",
    "hand_off",
    "load",
    "may_be_padded",
    "measure",
    "mergeable",
    "save",
    "scratch",
    "token_logits",
    "verify",
]
