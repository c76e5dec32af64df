"""What becomes of an exception at the outermost place: at most ten lines on standard error, and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from llmcycle.masking import screened, shown


def guard(action: Callable[[], int | None]) -> int:
    """Run an action and give its exit code: 2 for what a user did wrong, 1 for what nobody foresaw, 130 and 141.

    What it prints, and what is said of its end, shows no credential.
    """
    with screened():
        return attempt(action)


def attempt(action: Callable[[], int | None]) -> int:
    """The same, on a terminal that is screened."""
    try:
        return int(action() or 0)
    except KeyboardInterrupt:
        print(
            "\nllmcycle: interrupted; finished stages are kept, and the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:  # of `| head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        return say(error)


def say(error: Exception) -> int:
    """Say what went wrong, and give the exit code."""
    from llmcycle.config.errors import render

    if isinstance(error, ValueError):
        print(render(error), file=sys.stderr)
        return 2
    if isinstance(error, OSError) and error.filename is not None:
        print(f"llmcycle: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return unforeseen(error)


def unforeseen(error: Exception) -> int:
    """Say in three lines what went wrong and where its traceback is."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="llmcycle-", suffix=".log", delete=False) as log:
        log.write(shown("".join(traceback.format_exception(error))))
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    print(f"llmcycle: {type(error).__name__}: {first}", file=sys.stderr)
    print(f"  this was not foreseen; its traceback is in {log.name}", file=sys.stderr)
    print("  what was finished is kept, and the same command goes on from there", file=sys.stderr)
    return 1
