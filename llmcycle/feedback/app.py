"""The page's routes: a login, the page itself, and three small ones that it asks for items, labels and an undo."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from llmcycle.data.chat import as_messages
from llmcycle.feedback.desk import DAY, Desk, Refused
from llmcycle.feedback.gate import LOGIN, Gate, error
from llmcycle.feedback.labels import Label
from llmcycle.feedback.login import COOKIE, SESSION_SECONDS, Doorkeeper
from llmcycle.web import NO_TELEMETRY

PAGES = files("llmcycle.feedback") / "page"
STATIC = {"page.js": "text/javascript", "page.css": "text/css", "icon.svg": "image/svg+xml"}


class Answered(BaseModel):
    """What the page sends for one item; see `Desk.label`."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    item: str = Field(max_length=64)
    answer: int | str | None
    seconds: float = Field(0, ge=0, le=DAY)


def build_app(desk: Desk, keeper: Doorkeeper, local: bool = True) -> FastAPI:
    """The application.

    Args:
        local: answer only to this machine's names (see `Gate`).
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, telemetry=NO_TELEMETRY)
    app.add_middleware(Gate, keeper=keeper, local=local)
    _add_errors(app)
    _add_login(app, keeper)

    @app.get("/")
    async def page() -> Response:
        return HTMLResponse((PAGES / "page.html").read_text("utf-8"))

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404)
        return Response((PAGES / name).read_text("utf-8"), media_type=STATIC[name])

    # These three are no coroutines, so that a slow disk stops nobody else's page.
    @app.get("/api/state")
    def state(request: Request) -> dict[str, Any]:
        return state_of(desk, annotator(request))

    @app.post("/api/label")
    def label(request: Request, answered: Answered) -> dict[str, Any]:
        desk.label(annotator(request), answered.item, answered.answer, answered.seconds)
        return state_of(desk, annotator(request))

    @app.post("/api/undo")
    def undo(request: Request) -> dict[str, Any]:
        undone = desk.undo(annotator(request))
        return state_of(desk, annotator(request), undone)

    return app


def annotator(request: Request) -> str:
    """Whose session a request came in by; the gate has let nobody else in."""
    name = request.scope["annotator"]
    assert isinstance(name, str)
    return name


def state_of(desk: Desk, name: str, undone: Label | None = None) -> dict[str, Any]:
    """What one annotator's page shows: their own next item and progress, and nothing of anyone else.

    An item comes without its sources, and without a word on whether its right answer is known.
    """
    shown, done = desk.next(name), desk.labels.of(name)
    item = shown and {
        "id": shown.item.id,
        "prompt": [{"role": m["role"], "content": str(m["content"])} for m in as_messages(shown.item.prompt)],
        "answers": shown.answers,
        "before": as_shown(undone, shown.order) if undone and undone.item == shown.item.id else None,
    }
    state = {"annotator": name, "task": desk.task, "stars": desk.stars, "item": item}
    return state | {"done": len(done), "total": len(desk.items)}


def as_shown(label: Label, order: tuple[int, ...]) -> int | float | str | None:
    """A label as its annotator gave it, before it was undone."""
    return order.index(int(label.value)) if label.task == "choice" and label.value in order else label.value


def _add_login(app: FastAPI, keeper: Doorkeeper) -> None:
    """The only pages that are open."""

    @app.get(LOGIN)
    async def show() -> Response:
        return login_page()

    @app.post(LOGIN)
    async def enter(request: Request) -> Response:
        fields = {name: values[-1] for name, values in parse_qs((await request.body()).decode("latin-1")).items()}
        token = await keeper.enter(fields.get("name", "").strip(), fields.get("password", ""))
        if token is None:
            return login_page("This name and this password do not belong together.", fields.get("name", ""), 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, token, SESSION_SECONDS, httponly=True, samesite="strict", path="/")
        return answer

    @app.post("/logout")
    async def leave(request: Request) -> Response:
        keeper.leave(request.headers.get("cookie", ""))
        answer = RedirectResponse(LOGIN, 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer


def login_page(message: str = "", name: str = "", status: int = 200) -> Response:
    """The login, with what was wrong."""
    page = (PAGES / "login.html").read_text("utf-8")
    return HTMLResponse(page.replace("{message}", escape(message)).replace("{name}", escape(name)), status)


def _add_errors(app: FastAPI) -> None:
    """Every error as one sentence; none with a trace or with what the client sent."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, reason: RequestValidationError) -> Response:
        return error(422, "; ".join(problems(reason)))

    @app.exception_handler(Refused)
    async def refused(_: Request, reason: Refused) -> Response:
        return error(409, str(reason))

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, reason: HTTPException) -> Response:
        return error(reason.status_code, str(reason.detail))

    @app.exception_handler(OSError)
    async def unwritten(_: Request, reason: OSError) -> Response:
        return error(507, f"this answer is NOT saved: {reason.strerror}. Tell whoever runs this page")

    @app.exception_handler(Exception)
    async def failed(_request: Request, _reason: Exception) -> JSONResponse:
        return error(500, "the server could not take this; its terminal says why")


def problems(reason: RequestValidationError) -> Iterator[str]:
    """What is wrong with a body, field by field."""
    for each in reason.errors()[:5]:
        yield f"{'.'.join(map(str, each['loc'][1:])) or 'body'}: {each['msg']}"
