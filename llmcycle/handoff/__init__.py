"""How a model leaves a stage: written by a format, opened again by that format, and compared with what was given."""

from .contents import contents
from .formats import Adapter, Copy, Format, OpenedModel, Pointer, Safetensors
from .hand_on import HandOff, hand_on, probe_of
from .merge import merge
from .observe import observe

__all__ = [
    "Adapter",
    "Copy",
    "Format",
    "HandOff",
    "OpenedModel",
    "Pointer",
    "Safetensors",
    "contents",
    "hand_on",
    "merge",
    "observe",
    "probe_of",
]
