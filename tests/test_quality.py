"""The rules that machines hold: lint, format, types, and who may import whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
        ("importlinter.cli", "lint"),
    ],
    ids=lambda command: command[0],
)
def test_clean(command: tuple[str, ...]) -> None:
    module = ["-c", "from importlinter.cli import lint_imports_command as lint; lint()"]
    arguments = module if command[0] == "importlinter.cli" else ["-m", *command]
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
