"""Who may come in: a password for each annotator, and sessions that a cookie carries."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie

COOKIE = "llmcycle_feedback"
SESSION_SECONDS = 12 * 3600
FAILURE_SECONDS = 1.0  # that a wrong password waits, one after the other: so many can be tried in a second at the most


class Doorkeeper:
    """Knows the annotators' passwords, and who is in.

    Args:
        annotators: their names.
        master: the password of a single annotator. Each of several has one of their own, which is derived from it, so
            that nobody can come in as somebody else. None draws one.
    """

    def __init__(self, annotators: Sequence[str], master: str | None = None) -> None:
        master = master or secrets.token_urlsafe(12)
        self.passwords = {name: derived(master, name) for name in annotators}
        if len(annotators) == 1:
            self.passwords = {annotators[0]: master}
        self._sessions: dict[str, tuple[str, float]] = {}  # digest of a token -> annotator, and when it ends
        self._failures = asyncio.Lock()

    async def enter(self, name: str, password: str) -> str | None:
        """The token of a new session; None, after a while, for a wrong name or password."""
        if self.knows(name, password):
            return self.session(name)
        async with self._failures:
            await asyncio.sleep(FAILURE_SECONDS)
        return None

    def knows(self, name: str, password: str) -> bool:
        """Digests are compared, in constant time, also of a name that there is not."""
        expected = self.passwords.get(name) or secrets.token_urlsafe()
        return hmac.compare_digest(digest(expected), digest(password))

    def session(self, name: str) -> str:
        """A new session's token."""
        token, now = secrets.token_urlsafe(32), time.monotonic()
        self._sessions = {key: value for key, value in self._sessions.items() if value[1] > now}
        self._sessions[digest(token).hex()] = name, now + SESSION_SECONDS
        return token

    def annotator(self, cookies: str) -> str | None:
        """Whose session a Cookie header carries."""
        name, end = self._sessions.get(digest(token_in(cookies)).hex(), ("", 0.0))
        return name if time.monotonic() < end else None

    def leave(self, cookies: str) -> None:
        """End the session that a Cookie header carries."""
        self._sessions.pop(digest(token_in(cookies)).hex(), None)


def derived(master: str, name: str) -> str:
    """An annotator's own password: 80 bits of HMAC-SHA256, in letters and digits that are told apart on paper."""
    code = hmac.digest(master.encode(), name.encode(), "sha256")[:10]
    return base64.b32encode(code).decode().lower()


def digest(text: str) -> bytes:
    """SHA-256 of a text, whatever a client sent in it."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def token_in(cookies: str) -> str:
    """The session's token in a Cookie header; "" where there is none."""
    try:
        morsel = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
