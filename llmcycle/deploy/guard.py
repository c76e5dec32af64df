"""What stands before every route: the host name, the key, and how large and how slow a body may be."""

from __future__ import annotations

import hashlib
import hmac

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from llmcycle.port import is_local
from llmcycle.printable import printable
from llmcycle.web import MAX_BODY, BodyTimeout, BodyTooLarge, host_name, limited

OPEN = {"/health"}  # needs no key: it tells nothing but that the process lives


class Guard:
    """ASGI middleware that refuses a request before any route sees it.

    Args:
        api_key: what clients send as `Authorization: Bearer KEY`; None lets everyone in.
        local: only host names of this machine are answered, or else a web page could reach a loopback server through
            its visitor's browser (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, api_key: str | None, local: bool) -> None:
        self.app, self.local = app, local
        self.key = None if api_key is None else _digest(api_key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope["path"], Headers(scope=scope))
        try:
            receive = await limited(receive)
        except (BodyTooLarge, BodyTimeout) as reason:
            refusal = refusal or error(reason.status, str(reason))
        await (refusal or self.app)(scope, receive, send)

    def refusal(self, path: str, headers: Headers) -> JSONResponse | None:
        if self.local and not is_local(host_name(headers.get("host", ""))):
            return error(403, "this server answers only to the names of the machine it runs on, such as 127.0.0.1")
        if self.key is not None and path not in OPEN and not self.knows(headers.get("authorization", "")):
            hint = "give the server's key as `Authorization: Bearer KEY`"
            return error(401, hint, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > MAX_BODY:
            return error(413, str(BodyTooLarge()))
        return None

    def knows(self, authorization: str) -> bool:
        """Digests are compared, in constant time, so that neither the key nor its length leaks by timing."""
        scheme, _, key = authorization.partition(" ")
        matches = hmac.compare_digest(_digest(key.strip().encode("latin-1", "replace")), self.key or b"")
        return matches and scheme.lower() == "bearer"


def error(
    status: int, message: str, code: str | None = None, param: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An error as the OpenAI API words it, so that its clients show the message."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    # A field's name may hold half of a surrogate pair, which an answer can't.
    message, param = printable(message), param and printable(param)
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(body, status, headers)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
