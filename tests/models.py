"""Real servers that speak a model's protocol and play scripts: OpenAI's chat completions and Ollama's chat.

The model's name is the script's: what is said, in which pieces, and what goes wrong. Nothing inside the program is replaced.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp

from eval.bench import free_port


@dataclass
class Script:
    """What a model does: pieces that it says, seconds before each, how it ends ("stop", "length", "cut", "hang", "filter")."""

    pieces: list[str] = field(default_factory=list)
    pause: float = 0.0
    end: str = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    fails: int = 0  # times that it answers with `status` before it answers as it should; 0: always
    after: "Script | None" = None  # what it does from the second time on
    times: int = 0  # that it was asked
    speaks: Callable[[str], list[str]] | None = None  # what it says to a message, instead of `pieces`


@dataclass
class ModelServer:
    """A running server; `asked` holds the requests that came, `began` when each answer's first piece was sent
    (`time.perf_counter`), `left` counts readers that went away in the middle."""

    url: str
    scripts: dict[str, Script]
    asked: list[dict[str, Any]] = field(default_factory=list)
    began: list[float] = field(default_factory=list)
    left: int = 0


@contextmanager
def model_server(scripts: dict[str, Script]) -> Iterator[ModelServer]:
    """Serve the scripts."""
    served = ModelServer("", scripts)
    with serving(_app(served)) as served.url:
        yield served


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an app on a free port of this machine; gives its address."""
    port = free_port()
    server = uvicorn.Server(_config(app, port))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _config(app: ASGIApp, port: int) -> uvicorn.Config:
    return uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", timeout_graceful_shutdown=1)


def _app(served: ModelServer) -> FastAPI:
    app = FastAPI()

    def turn(body: dict[str, Any]) -> Script | Response:
        script = served.scripts.get(name := body["model"])
        if script is None:
            return JSONResponse({"error": {"message": f"model {name} not found", "code": "model_not_found"}}, 404)
        script.times += 1
        if script.after and script.times > 1:
            script = script.after
        if script.status == 200 or 0 < script.fails < script.times:
            return replace(script, pieces=script.speaks(body["messages"][-1]["content"])) if script.speaks else script
        return JSONResponse({"error": {"message": "no", "code": "no"}}, script.status, headers=dict(script.headers))

    async def said(script: Script) -> AsyncIterator[str]:
        whole = False
        try:
            for number, piece in enumerate(script.pieces):
                await asyncio.sleep(script.pause)
                if not number:
                    served.began.append(time.perf_counter())
                yield piece
            if script.end == "hang":
                await asyncio.sleep(3_600)
            whole = True
            if script.end == "cut":
                raise ConnectionResetError
        finally:
            served.left += not whole

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        body = await request.json()
        served.asked.append(body)
        script = turn(body)
        if isinstance(script, Response):
            return script

        def event(delta: dict[str, str], finish: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            told = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": body["model"], "choices": [choice]}
            return f"data: {json.dumps(told)}\n\n"

        async def events() -> AsyncIterator[str]:
            async for piece in said(script):
                yield event({"role": "assistant", "content": piece})
            yield event({}, {"filter": "content_filter", "length": "length"}.get(script.end, "stop"))
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.post("/api/chat")
    async def chat(request: Request) -> Response:
        body = await request.json()
        served.asked.append(body)
        script = turn(body)
        if isinstance(script, Response):
            return script

        def line(content: str, **more: object) -> str:
            told = {"model": body["model"], "message": {"role": "assistant", "content": content}, "done": False}
            return json.dumps(told | more) + "\n"

        async def lines() -> AsyncIterator[str]:
            async for piece in said(script):
                yield line(piece)
            yield line("", done=True, done_reason="length" if script.end == "length" else "stop")

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    return app
