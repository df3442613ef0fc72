"""The ASGI app: routes, what is read from a request, and one error shape; mounts the Gradio page.

Knows HTTP; knows nothing of how an answer comes about. Everything a reader can be told is one Norwegian sentence in
`{"error": {"code", "message", "field"?}}`; stack traces, paths and secrets never leave the process.
"""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import asdict
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any

import h11
import uvicorn
import yaml
from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException as FastAPIHTTPException
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from assistant import HmsError, NotReadyError, insights
from assistant.chat import Assistant
from assistant.guards import MAX_HEAD, OURS, Meter, around, hidden, unread
from assistant.render import reader_html
from assistant.settings import Settings, check_address
from assistant.types import Answer, Ask, Citation, Event
from assistant.ui import mount
from assistant.wire import (
    MODEL,
    Fault,
    asked,
    chunks,
    completion,
    conversation,
    fault,
    file,
    json_fields,
    limited,
    log_lines,
    rating,
    refused,
    short,
)

log = logging.getLogger(__name__)
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"]
MAX_RESULTS = 50
HEAD_SECONDS = 10  # that a request's head may take to come, and an idle connection may last
READ_SECONDS = 20  # without reading, after which a reader is taken to be gone
GRACE = 3  # seconds to finish in when stopped: an open page would hold its connection, and the server, for as long as it is open
# Seconds that the thread which takes requests waits, several times for each, while others compute; Python's own are ten times as
# many. What it gains under load could not be told apart from what else the machine did (eval/LOG.md, 2026-11-26).
SWITCH = 0.0005
STREAMED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would keep the events back and send them as one
# Requests and errors, for OpenAPI.
API: dict[str, Any] = yaml.safe_load((Path(__file__).resolve().parent / "api.yaml").read_text("utf-8"))


def create_app(assistant: Assistant) -> ASGIApp:
    """The whole application: API, reader pages, and the chat at `/`."""
    app = FastAPI(title="HMS-assistenten", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    _routes(app, assistant)
    _openai(app, assistant)
    _pages(app, assistant)
    _last_resort(app)
    _error_handlers(app)
    meter = Meter(assistant.settings)  # one for all doors: who asks in the chat has so much less to ask elsewhere
    insights.mount(app, assistant, meter)
    mounted: FastAPI = mount(app, assistant, meter.wait)
    for route in mounted.routes:  # the chat's own app answers for what nothing else does, so it must speak as we do
        if isinstance(route, Mount) and isinstance(route.app, FastAPI):
            _error_handlers(route.app)
            # The chat's app looks up the function that is asked for without a look whether there is one.
            route.app.add_exception_handler(KeyError, lambda request, _: refused(request.scope, 422))
    return around(mounted, assistant.settings, meter, assistant.tally)


def serve(assistant: Assistant, settings: Settings, make: Callable[[Assistant], ASGIApp] = create_app) -> None:
    """Serve until stopped; the page is up at once and the index is loaded behind it. Raises HmsError when the port is taken."""
    check_address(settings)
    sys.setswitchinterval(SWITCH)
    assistant.start()
    uvicorn.Server(configured(make(assistant), settings)).run()


def configured(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How the app is served."""
    # "info" tells where the page is; what people ask belongs in no log.
    quiet: dict[str, Any] = {"log_level": "info", "access_log": False, "server_header": False}
    if settings.log:
        log_lines()
        quiet["log_config"] = None
    proxies = list(settings.trusted_proxies)  # else uvicorn would believe whoever runs on this machine
    patience: dict[str, Any] = {"http": _Connection, "h11_max_incomplete_event_size": MAX_HEAD, "ws": "none"}
    patience |= {"timeout_graceful_shutdown": GRACE}
    return uvicorn.Config(app, settings.host, settings.port, forwarded_allow_ips=proxies, **quiet, **patience)


class _Connection(H11Protocol):
    """uvicorn's, which would wait for ever: here it ends with whoever sends no whole head of a request, or reads no reply."""

    idle: asyncio.TimerHandle | None = None
    unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer": self.client}  # uvicorn puts in its place whom a trusted proxy names
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in filter(None, (self.idle, self.unread)):
            timer.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.unread:
            self.unread.cancel()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP: told in the one shape of our errors, not in uvicorn's."""
        self._turn_away(400)

    def _wait(self) -> None:
        if self.idle:
            self.idle.cancel()
        self.idle = self.loop.call_later(HEAD_SECONDS, self._late)

    def _late(self) -> None:
        if self.cycle and not self.cycle.response_complete:
            return  # a request is being answered; the wait begins anew after it
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._turn_away(408)
        else:
            self.transport.close()  # what has been written is still read
            self.loop.call_later(READ_SECONDS, self.transport.abort)

    def _turn_away(self, status: int) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            reply = unread(status)
            head = h11.Response(status_code=status, headers=reply.raw_headers, reason=HTTPStatus(status).phrase.encode())
            for event in (head, h11.Data(data=bytes(reply.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        # What comes still is not heard, but let in: a connection that is closed upon it would take the reply along.
        self.transport.set_protocol(asyncio.Protocol())
        self.connection_lost(ConnectionAbortedError())
        self.loop.call_later(1, self.transport.close)
        self.loop.call_later(READ_SECONDS, self.transport.abort)


def _routes(app: FastAPI, assistant: Assistant) -> None:
    @app.post("/api/ask", summary="Answer a question; server-sent events with Accept: text/event-stream",
              response_model=Answer, openapi_extra=API["ask"])  # fmt: skip
    async def ask(request: Request) -> Response:
        question = asked(await json_fields(request))
        if "text/event-stream" in request.headers.get("accept", ""):
            return await _stream(assistant, request, question, _event)
        return JSONResponse(asdict(await _answer(assistant, request, question)))

    @app.post("/api/search", summary="The best passages for a question", openapi_extra=API["search"])
    async def search(request: Request) -> Response:
        fields = await json_fields(request)
        return JSONResponse({"passages": await run_in_threadpool(assistant.search, asked(fields), limited(fields, MAX_RESULTS))})

    @app.post("/api/feedback", summary="What a reader thinks of an answer", status_code=204, openapi_extra=API["feedback"])
    async def feedback(request: Request) -> Response:
        await run_in_threadpool(assistant.rate, rating(await json_fields(request)))
        return Response(status_code=204)

    @app.get("/api/answers/{key}", summary="An answer as it is kept, with what was said of it; its id is the right to it",
             openapi_extra=API["answers"])  # fmt: skip
    async def kept(key: str) -> Response:
        return JSONResponse(await run_in_threadpool(_kept, assistant.store.export if assistant.store else None, key))

    @app.delete("/api/answers/{key}", summary="Delete an answer, and what was said of it", status_code=204,
                openapi_extra=API["answers"])  # fmt: skip
    async def forget(key: str) -> Response:
        await run_in_threadpool(_kept, assistant.store.forget if assistant.store else None, key)
        return Response(status_code=204)

    @app.get("/api/health", summary="The process is up")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/api/ready", summary="Index and model are loaded, with the manifest", openapi_extra=API["ready"])
    async def ready() -> dict[str, object]:
        return {"status": "ready", "manifest": assistant.manifest()}

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        if hidden(request.scope, assistant.settings):
            raise Fault(403, "forbidden", "Adressen «/metrics» er ikke åpen herfra; hvem som får lese den, står i HMS_METRICS.")
        return Response(assistant.figures(), headers={"Content-Type": assistant.tally.kind, "Cache-Control": "no-store"})


def _openai(app: FastAPI, assistant: Assistant) -> None:
    """What OpenAI's clients ask."""

    @app.post("/v1/chat/completions", summary="An answer as OpenAI's clients read it", openapi_extra=API["chat"])
    async def completions(request: Request) -> Response:
        fields, host = await json_fields(request), str(request.base_url).rstrip("/")
        question = conversation(fields)
        if fields.get("stream"):
            return await _stream(assistant, request, question, lambda event: chunks(event, host))
        return JSONResponse(completion(await _answer(assistant, request, question), host))

    @app.get("/v1/models", summary="The one model there is")
    async def models() -> dict[str, object]:
        return {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": MODEL}]}


def _kept(act: Callable[[str], object] | None, key: str) -> object:
    """What the store does with an answer; raises Fault when it has none of this id."""
    if not (done := act(key) if act else None):
        raise Fault(404, "not_found", f"Det er ikke lagret noe svar med id «{short(key)}».")
    return done


class _Whole(PathConvertor):
    regex = r"[\s\S]*"  # a path ends at no line break, which "." does not match


def _pages(app: FastAPI, assistant: Assistant) -> None:
    """What a browser opens or loads."""
    register_url_convertor("whole", _Whole())

    @app.get("/lest/{path:whole}", response_class=HTMLResponse, summary="The reader page of an article", **API["lest"])
    async def lest(path: str) -> Response:
        try:
            page = await run_in_threadpool(assistant.page, "/" + path.strip("/"))
        except NotReadyError as waiting:  # a person follows a link here, so the sentence is a page too
            return HTMLResponse(reader_html("Et øyeblikk", f"<p>{escape(str(waiting))}</p>"), 503, {"Retry-After": "5"})
        if page is None:
            return HTMLResponse(reader_html("Finner ikke artikkelen", "<p>Det er ingen artikkel på denne adressen.</p>"), 404)
        return HTMLResponse(reader_html(page.title, page.html, page.updated))

    @app.get("/web/{name}.css", include_in_schema=False)
    async def style(name: str, request: Request) -> Response:
        return file(request, f"{name}.css", "text/css")

    @app.get("/widget.js", include_in_schema=False)
    async def script(request: Request) -> Response:
        return file(request, "widget.js", "text/javascript")

    @app.get("/widget", include_in_schema=False)
    async def widget(request: Request) -> Response:
        return file(request, "widget.html", "text/html")


def _last_resort(app: FastAPI) -> None:
    """What no route of ours takes. Without it the chat, mounted at `/`, would answer for these addresses, with 404 for 405."""
    known = [route for route in app.routes if isinstance(route, Route)]

    async def nothing(request: Request) -> Response:
        methods = {method for route in known if route.path_regex.match(request.url.path) for method in route.methods or ()}
        if methods:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
        raise HTTPException(404)

    for part in OURS:
        for path in (f"/{part}", f"/{part}/{{rest:path}}"):
            app.add_route(path, nothing, METHODS, include_in_schema=False)


async def _answer(assistant: Assistant, request: Request, question: Ask) -> Answer:
    found = await run_in_threadpool(assistant.ask, question)
    request.scope["outcome"] = found.outcome  # for the log
    return found


async def _stream(assistant: Assistant, request: Request, question: Ask, frame: Callable[[Event], str]) -> Response:
    events = await run_in_threadpool(_started, assistant.stream(question))
    assistant.manifest()  # "not ready" is a status of its own; the stream itself would tell too late for one
    return StreamingResponse(_sse(events, request.scope, frame), media_type="text/event-stream", headers=STREAMED)


def _started(events: Iterator[Event]) -> Generator[Event]:
    """The same events; what is wrong with the question is raised now, while a status can still be set."""
    first = next(events)

    def all_of_them() -> Generator[Event]:
        yield first
        yield from events

    return all_of_them()


async def _sse(events: Generator[Event], scope: Scope, frame: Callable[[Event], str]) -> AsyncIterator[str]:
    try:
        async for event in iterate_in_threadpool(events):
            if isinstance(event.data, Answer):
                scope["outcome"] = event.data.outcome
            yield frame(event)
    except Exception as error:  # the status is sent; all that is left is an event that says so
        told = fault(error)
        if told.status == 500:
            log.exception("a stream broke")
        yield frame(Event("error", told.told(scope["path"])))
    finally:
        events.close()  # a reader who leaves stops the answer, now and not when memory is next tidied


def _event(event: Event) -> str:
    data = asdict(event.data) if isinstance(event.data, Answer | Citation) else dict(event.data)
    return f"event: {event.name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _error_handlers(app: FastAPI) -> None:
    async def reply(request: Request, error: Exception) -> Response:
        told = fault(error)
        return JSONResponse(
            told.told(request.url.path), told.status, headers={"Retry-After": "5"} if told.status == 503 else None
        )

    async def http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 422
        return refused(request.scope, status, getattr(error, "detail", ""), getattr(error, "headers", None))

    for kind in (Fault, HmsError, Exception):
        app.add_exception_handler(kind, reply)
    for theirs in (HTTPException, FastAPIHTTPException, RequestValidationError):
        app.add_exception_handler(theirs, http)
