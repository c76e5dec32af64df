"""SIGTERM and SIGINT: finish the step and save; a second one leaves at once. A handler only takes a note."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(SystemExit):
    """Leaves the process with 128 + the signal's number, once everything is saved."""


class Signals:
    """Notes the first signal.

    Attributes:
        received: its number; 0 until then.
    """

    def __init__(self) -> None:
        self.received = 0

    def listen(self) -> None:
        """Take the signals over. Whoever drives training (Lightning) puts earlier handlers back at its end."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self.handle)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """The handler."""
        if self.received:
            os._exit(128 + number)
        self.received = number
        os.write(2, b"\nfinishing the step and saving; once more to leave at once\n")  # print() may be interrupted
