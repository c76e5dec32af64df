"""What to type so that runs which W&B keeps on this disk are uploaded."""

from __future__ import annotations

import shlex
from pathlib import Path

OFFLINE = "wandb/offline-run-*"  # in a logger's folder: https://docs.wandb.ai/models/ref/cli/wandb-sync


def to_type(folder: Path) -> str:
    """`wandb sync ...` for all offline runs below the folder of a run or a sweep; "" if there is none."""
    for within in ("logs/*", "*/logs/*"):
        if runs := list(folder.glob(f"{within}/{OFFLINE}")):
            few = shlex.quote(str(runs[0])) if len(runs) == 1 else f"{shlex.quote(str(folder))}/{within}/{OFFLINE}"
            return f"wandb sync {few}"
    return ""
