"""`base.json`: which model an adapter, or a search that changed no weight, stands on, and how to find it again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers.quantizers import AutoQuantizationConfig

from llmcycle.quantities import Dtype

FILE = "base.json"
MANIFEST = "artifact.json"  # of a folder that is an artifact: its "id" finds it wherever the store has been moved


@dataclass(frozen=True)
class Base:
    """A model that lies elsewhere.

    Args:
        path: its folder, or its name on the Hub.
        dtype: in which it was used, without "torch.".
        digest: of its weights in this dtype: see `llmcycle.model.digest`.
        id: of the artifact that it is, where it is one.
        quantization_config: how its weights were rounded while they were loaded, where they were.
    """

    path: str
    dtype: Dtype
    digest: str
    id: str | None = None
    quantization_config: dict[str, Any] | None = None

    @staticmethod
    def locate(name_or_path: str) -> str:
        """A folder's full path, or the Hub name as it is."""
        path = Path(name_or_path)
        return str(path.resolve()) if path.exists() else name_or_path

    @staticmethod
    def options(rounded: dict[str, Any] | None) -> dict[str, Any]:
        """The option of `from_pretrained` by which weights are rounded while they are loaded, where they were."""
        return {"quantization_config": AutoQuantizationConfig.from_dict(dict(rounded))} if rounded else {}

    @classmethod
    def of(cls, path: str, dtype: torch.dtype, digest: str, rounded: dict[str, Any] | None = None) -> Base:
        """The record of a model in a folder (its full path) or on the Hub."""
        manifest = Path(path) / MANIFEST
        id = json.loads(manifest.read_text("utf-8")).get("id") if manifest.is_file() else None
        return cls(path, cast(Dtype, str(dtype).removeprefix("torch.")), digest, id, rounded or None)

    def write(self, folder: Path) -> None:
        """As `folder`/base.json, without what does not apply."""
        stated = {name: value for name, value in asdict(self).items() if value is not None}
        (folder / FILE).write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Base:
        """Raises ValueError where there is none."""
        path = folder / FILE
        if not path.exists():
            raise ValueError(
                f"inputs.model: {folder} holds an adapter without {FILE}, so its base is not known; merge it by "
                "peft's merge_and_unload, or train it again by llmcycle"
            )
        return cls(**json.loads(path.read_text("utf-8")))

    def find(self, folder: Path) -> str:
        """Where the model is now, as seen from the `folder` that the record lies in.

        Where a store was moved, it is beside that folder, under the same name or as the artifact of the same id.

        Raises:
            ValueError: it was in a folder, and is there no more.
        """
        if Path(self.path).exists() or not Path(self.path).is_absolute():
            return self.path
        store = folder.resolve().parent
        beside = [store / Path(self.path).name, *(store.glob(f"*-{self.id}") if self.id else ())]
        for place in beside:
            if place.is_dir():
                return str(place)
        artifact = f" (artifact {self.id})" if self.id else ""
        raise ValueError(
            f"inputs.model: the model below {folder} was in {self.path}{artifact} and is not there any more; move it "
            f"back, or put its folder beside {folder}"
        )
