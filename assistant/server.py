"""The ASGI app: routes, limits, headers and one error shape; mounts the Gradio page.

Knows HTTP; knows nothing of how an answer comes about. Everything a reader can be told is one Norwegian sentence in
`{"error": {"code", "message", "field"?}}`; stack traces, paths and secrets never leave the process.
"""

import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template
from typing import Any, get_args

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException as FastAPIHTTPException
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.chat import Assistant, ReaderPage
from assistant.errors import HmsError, NotReadyError, QuestionError
from assistant.settings import Settings
from assistant.types import Answer, Ask, Audience, Citation, Event, Turn

log = logging.getLogger(__name__)
WEB = Path(__file__).resolve().parent / "web"
MAX_BODY = 64 * 1024  # bytes
MAX_RESULTS = 50
READER_CSP = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# Gradio's page has inline scripts and styles; still nothing may come from, or go to, another host.
CHAT_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


class _Fault(Exception):
    """A request that cannot be served: status, code, sentence, and the field at fault."""

    def __init__(self, status: int, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.field = status, code, field


def create_app(assistant: Assistant) -> ASGIApp:
    """The whole application: API, reader pages, and the chat at `/`."""
    from assistant.ui import mount

    app = FastAPI(title="HMS-assistenten", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    _routes(app, assistant)
    _error_handlers(app)
    mounted: FastAPI = mount(app, assistant)
    for route in mounted.routes:  # the chat's own app answers for what nothing else does, so it must speak as we do
        if isinstance(route, Mount) and isinstance(route.app, FastAPI):
            _error_handlers(route.app)
    return _Guard(mounted)


def serve(assistant: Assistant, settings: Settings) -> None:
    """Serve until stopped; the page is up at once and the index is loaded behind it. Raises HmsError when the port is taken."""
    _check_port(settings)
    assistant.start()
    uvicorn.run(create_app(assistant), host=settings.host, port=settings.port, log_level="warning")


def _check_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise HmsError(
                f"Kan ikke bruke port {settings.port} på {settings.host} ({error.strerror}); "
                "velg en annen med --port eller HMS_PORT."
            ) from None


def _routes(app: FastAPI, assistant: Assistant) -> None:
    @app.post("/api/ask", summary="Answer a question; server-sent events with Accept: text/event-stream")
    async def ask(request: Request) -> Response:
        question = _ask(await _fields(request))
        if "text/event-stream" not in request.headers.get("accept", ""):
            return JSONResponse(asdict(await run_in_threadpool(assistant.ask, question)))
        events = await run_in_threadpool(_started, assistant.stream(question))
        return StreamingResponse(_sse(events), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @app.post("/api/search", summary="The best passages for a question")
    async def search(request: Request) -> Response:
        fields = await _fields(request)
        limit = fields.get("limit", 10)
        if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_RESULTS:
            raise _Fault(
                422, "invalid_value", f"«limit» er {_short(limit)}, men må være et heltall fra 1 til {MAX_RESULTS}.", "limit"
            )
        return JSONResponse({"passages": await run_in_threadpool(assistant.search, _ask(fields), limit)})

    @app.get("/api/health", summary="The process is up")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/api/ready", summary="Index and model are loaded, with the manifest")
    async def ready() -> dict[str, object]:
        return {"status": "ready", "manifest": assistant.manifest()}

    @app.get("/lest/{path:path}", response_class=HTMLResponse, summary="The reader page of an article")
    async def lest(path: str) -> Response:
        page = await run_in_threadpool(assistant.page, "/" + path.strip("/"))
        return HTMLResponse(_reader(page), status_code=200 if page else 404, headers={"Content-Security-Policy": READER_CSP})

    @app.api_route("/api/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def nothing(request: Request) -> Response:
        known = request.url.path in {getattr(route, "path", "") for route in app.routes}
        raise HTTPException(405 if known else 404)

    @app.get("/web/{name}.css", include_in_schema=False)
    async def style(name: str) -> Response:
        file = WEB / f"{name}.css"
        if name not in {each.stem for each in WEB.glob("*.css")}:
            raise HTTPException(404)
        return Response(file.read_text("utf-8"), media_type="text/css", headers={"Cache-Control": "max-age=3600"})


async def _fields(request: Request) -> dict[str, Any]:
    """The JSON object of a request's body, at most MAX_BODY bytes however it is sent."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        given = request.headers.get("content-type", "ingen")
        raise _Fault(415, "unsupported_media_type", f"Innholdstypen er «{_short(given)}»; send application/json.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise _Fault(413, "too_large", f"Forespørselen er større enn {MAX_BODY // 1024} KiB; send et kortere spørsmål.")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Fault(400, "malformed", f"Forespørselen er ikke gyldig JSON ({_short(error)}); rett den.") from None
    if not isinstance(fields, dict):
        raise _Fault(400, "malformed", "Forespørselen må være et JSON-objekt med feltet «question».")
    return fields


def _ask(fields: dict[str, Any]) -> Ask:
    role, page = fields.get("role"), fields.get("page")
    if role is not None and role not in get_args(Audience):
        raise _Fault(
            422, "invalid_value", f"«role» er {_short(role)}, men må være en av {', '.join(get_args(Audience))}.", "role"
        )
    if page is not None and not isinstance(page, str):
        raise _Fault(422, "invalid_value", f"«page» er {_short(page)}, men må være stien til en side.", "page")
    return Ask(_text(fields, "question"), _history(fields.get("history") or []), role, page and ("/" + page.strip("/")))


def _history(value: object) -> tuple[Turn, ...]:
    fault = "«history» må være en liste av {«role»: «user» eller «assistant», «content»: tekst}."
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise _Fault(422, "invalid_value", fault, "history")
    if any(turn.get("role") not in ("user", "assistant") or not isinstance(turn.get("content"), str) for turn in value):
        raise _Fault(422, "invalid_value", fault, "history")
    return tuple(Turn(turn["role"], turn["content"]) for turn in value)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _Fault(422, "invalid_value", f"Feltet «{name}» mangler eller er ikke tekst; skriv spørsmålet der.", name)
    return value


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:60] + "…"


def _started(events: Iterator[Event]) -> Iterator[Event]:
    """The same events; what is wrong with the question is raised now, while a status can still be set."""
    first = next(events)

    def all_of_them() -> Iterator[Event]:
        yield first
        yield from events

    return all_of_them()


async def _sse(events: Iterator[Event]) -> AsyncIterator[str]:
    try:
        async for event in iterate_in_threadpool(events):
            data = asdict(event.data) if isinstance(event.data, Answer | Citation) else dict(event.data)
            yield f"event: {event.name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
    except Exception as error:  # the status is sent; all that is left is an event that says so
        log.exception("a stream broke")
        message = str(error) if isinstance(error, HmsError) else UNEXPECTED
        fault = {"error": {"code": "internal", "message": message}}
        yield f"event: error\ndata: {json.dumps(fault, ensure_ascii=False)}\n\n"


UNEXPECTED = "Noe gikk galt hos oss; prøv igjen om litt."
NOT_FOUND = "Det finnes ingenting på adressen «{path}»; API-et er beskrevet i /openapi.json."
WRONG_METHOD = "Adressen «{path}» tar ikke imot {method}; se /openapi.json."


def _error_handlers(app: FastAPI) -> None:
    def reply(status: int, code: str, message: str, field: str = "", headers: dict[str, str] | None = None) -> Response:
        error = {"code": code, "message": message} | ({"field": field} if field else {})
        return JSONResponse({"error": error}, status_code=status, headers=headers)

    @app.exception_handler(_Fault)
    async def fault(_: Request, error: _Fault) -> Response:
        return reply(error.status, error.code, str(error), error.field)

    @app.exception_handler(HmsError)
    async def told(_: Request, error: HmsError) -> Response:
        if isinstance(error, QuestionError):
            return reply(422, "invalid_value", str(error), error.field)
        if isinstance(error, NotReadyError):
            return reply(503, "not_ready", str(error), headers={"Retry-After": "5"})
        return reply(500, "internal", str(error))

    @app.exception_handler(HTTPException)
    @app.exception_handler(FastAPIHTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        path = _short(request.url.path)
        if error.status_code == 405:
            return reply(
                405,
                "method_not_allowed",
                WRONG_METHOD.format(path=path, method=request.method),
                headers=dict(error.headers or {}),
            )
        return reply(error.status_code, "not_found" if error.status_code == 404 else "http", NOT_FOUND.format(path=path))

    @app.exception_handler(Exception)
    async def unexpected(_: Request, __: Exception) -> Response:
        return reply(500, "internal", UNEXPECTED)


def _reader(page: ReaderPage | None) -> str:
    template = Template((WEB / "reader.html").read_text("utf-8"))
    if page is None:
        return template.substitute(
            title="Finner ikke artikkelen", updated="", body="<p>Det er ingen artikkel på denne adressen.</p>"
        )
    updated = f'<p class="updated">Sist oppdatert {escape(page.updated)}</p>' if page.updated else ""
    return template.substitute(title=escape(page.title), updated=updated, body=page.html)


class _Guard:
    """Headers for every response: no sniffing, no referrer beyond the origin, and a content policy where none is set."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add to what comes back."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                extra = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"strict-origin-when-cross-origin")]
                if b"content-security-policy" not in names:
                    extra.append((b"content-security-policy", CHAT_CSP.encode()))
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        await self.app(scope, receive, guarded)
