"""The interpolations that recipes may use beyond omegaconf's own: `${artifact:}`, `${input:}`, `${hardware:}`,
`${rate:}` and `${unique:}`."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

UNIQUE = os.urandom(3).hex()


def register() -> None:
    """Register all of them; repeating it is harmless."""
    from omegaconf import OmegaConf

    from .facts import rate
    from .identity import artifact_folder

    OmegaConf.register_new_resolver("artifact", artifact_folder, replace=True)
    OmegaConf.register_new_resolver("input", stage_input, replace=True)
    OmegaConf.register_new_resolver("hardware", hardware, replace=True)
    OmegaConf.register_new_resolver("rate", rate, replace=True)
    OmegaConf.register_new_resolver("unique", lambda: UNIQUE, replace=True)


def stage_input(name: str, *, _parent_: Any) -> Any:
    """An input of the stage that the value stands in, however deep: an option with it can be one of several.

    Raises:
        InterpolationKeyError: the stage has no such input; omegaconf keeps the text alone, so it is omegaconf's own.
    """
    from omegaconf import DictConfig
    from omegaconf.errors import InterpolationKeyError

    node = _parent_
    while node is not None and not (isinstance(node, DictConfig) and isinstance(node.get("inputs"), DictConfig)):
        node = node._get_parent()
    if node is None or name not in node.inputs:
        raise InterpolationKeyError(f"Interpolation key 'inputs.{name}' not found")
    return node.inputs[name]


def hardware(what: str) -> Any:
    """What this machine does well: `precision` for Lightning, `dtype` of weights, and that of rounded `products`.

    Weights stay fp32 on a CPU: hand-offs are proved in fp32, and a CPU without bf16 units multiplies bf16 matrices
    some hundred times slower than fp32.
    """
    gpu = gpu_with_bf16()
    bf16 = gpu or "amx_bf16" in cpu_flags() or "avx512_bf16" in cpu_flags()
    table = {
        "precision": "bf16-mixed" if bf16 else "32-true",
        "dtype": "bfloat16" if gpu else "float32",
        "products": "bfloat16" if bf16 else "float32",
    }
    if what not in table:
        raise ValueError(f"${{hardware:{what}}}: unknown; there are {', '.join(sorted(table))}")
    return table[what]


@cache
def cpu_flags() -> frozenset[str]:
    """Instruction sets that Linux reports; empty elsewhere, which means fp32."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


@cache
def gpu_with_bf16() -> bool:
    """Whether an accelerator with bf16 is here; torch is imported only where a device file says there may be one."""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    import importlib

    cuda = importlib.import_module("torch").cuda
    return bool(cuda.is_available() and cuda.is_bf16_supported())
