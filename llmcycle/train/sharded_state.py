"""A state in shards is read by torch with pickle, which runs what it is told to: look at it first, and refuse code."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from enum import Enum, EnumType
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, Metadata

LIGHTNINGS, TORCHS = "meta.pt", ".metadata"  # what both write beside the shards
CLASSES = {
    "torch.distributed.checkpoint.metadata": (
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "torch": ("Size", *(name for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype))),
    "torch.serialization": ("_get_layout",),
    "collections": ("OrderedDict", "defaultdict"),
    "pathlib": ("PosixPath",),
}


class Plain(pickle.Unpickler):
    """Reads the description of shards, and nothing that is not made of its classes."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) == ("builtins", "getattr"):  # by which Python 3.11.0 to 3.11.3 write an enum
            return member
        if global_name in CLASSES.get(module_name, ()):
            return super().find_class(module_name, global_name)
        raise pickle.UnpicklingError(f"it names {module_name}.{global_name}")


def member(enum: object, name: str) -> Enum:
    """Of an enumeration by name, and of nothing else: `getattr` itself would reach any code."""
    if isinstance(enum, EnumType):
        return enum[name]  # type: ignore[no-any-return]
    raise pickle.UnpicklingError(f"it names an attribute {name} of what is no enumeration")


def refuse_code(folder: Path) -> None:
    """ValueError unless the state in `folder` is made of tensors and plain values alone."""
    place = folder
    try:
        torch.load(place := folder / LIGHTNINGS, map_location="cpu", weights_only=True)
        with (place := folder / TORCHS).open("rb") as file:
            metadata = Plain(file).load()
        if not isinstance(metadata, Metadata):
            raise pickle.UnpicklingError("it is no description of shards")
        for place, text in _values(folder, metadata):  # noqa: B007  named by the refusal
            torch.load(io.BytesIO(text), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, OSError, EOFError, AttributeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{place} may hold code in the place of values, or can't be read: {reason}") from error


def _values(folder: Path, metadata: Metadata) -> Iterator[tuple[Path, bytes]]:
    """Every value that is no tensor, with the file that holds it."""
    for index, info in (metadata.storage_data or {}).items():
        if isinstance(metadata.state_dict_metadata.get(index.fqn), BytesStorageMetadata):
            path = folder / info.relative_path
            with path.open("rb") as file:
                file.seek(info.offset)
                yield path, file.read(info.length)
