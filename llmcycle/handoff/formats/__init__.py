"""Ways to store models, a file each."""

from .adapter import Adapter
from .copy import Copy
from .format import Format, OpenedModel
from .pointer import Pointer
from .safetensors import Safetensors

__all__ = ["Adapter", "Copy", "Format", "OpenedModel", "Pointer", "Safetensors"]
