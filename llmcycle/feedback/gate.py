"""What stands before every route: the host name, the origin, the size of a body, the session; and what every answer
carries to keep a browser from doing more than the page needs."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llmcycle.feedback.login import Doorkeeper
from llmcycle.port import is_local
from llmcycle.web import MAX_BODY, BodyTimeout, BodyTooLarge, host_name, limited

LOGIN, STATIC = "/login", "/static/"  # what is open to everyone
HEADERS = {
    # Scripts, styles and requests of this server alone: markup in an answer could do nothing, even if it were let in.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Gate:
    """ASGI middleware that refuses a request before any route sees it, and puts `annotator` into what it lets in.

    Args:
        local: only host names of this machine are answered, or else a web page could reach a loopback server through
            its visitor's browser (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, keeper: Doorkeeper, local: bool) -> None:
        self.app, self.keeper, self.local = app, keeper, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["annotator"] = self.keeper.annotator(headers.get("cookie", ""))
        refusal = self.refusal(scope, headers)
        try:
            receive = await limited(receive)
        except (BodyTooLarge, BodyTimeout) as reason:
            refusal = refusal or error(reason.status, str(reason))
        await (refusal or self.app)(scope, receive, armoured(send))

    def refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Why a request is turned away."""
        path, host = scope["path"], headers.get("host", "")
        if self.local and not is_local(host_name(host)):
            return error(403, "this server answers only to the names of the machine it runs on, such as 127.0.0.1")
        if scope["method"] not in ("GET", "HEAD") and is_foreign(headers.get("origin"), host):
            return error(403, "this request comes from another page")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > MAX_BODY:
            return error(413, str(BodyTooLarge()))
        if scope["annotator"] is None and path != LOGIN and not path.startswith(STATIC):
            return RedirectResponse(LOGIN, 303) if path == "/" else error(401, "log in first")
        return None


def is_foreign(origin: str | None, host: str) -> bool:
    """Whether a browser says that another server's page sent a request; a client that is none says nothing."""
    return origin is not None and urlsplit(origin).netloc != host


def armoured(send: Send) -> Send:
    """A `send` that adds HEADERS to every answer."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return send_with_headers


def error(status: int, message: str) -> JSONResponse:
    """Why a request was refused."""
    return JSONResponse({"error": message}, status)
