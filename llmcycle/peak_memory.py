"""The most memory that this process has had, as the system counts it."""

from __future__ import annotations

from pathlib import Path


def reset_peak_memory() -> None:
    """Begin a new high-water mark of this process's memory, where the system has one to reset."""
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def peak_memory() -> int:
    """Bytes of resident memory at the most since the last reset."""
    import resource

    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    marks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
    return marks[0] if marks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
