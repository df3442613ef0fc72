"""Real servers that speak a model's protocol and play scripts: OpenAI's chat completions and Ollama's chat.

The model's name is the script's: what is said, in which pieces, and what goes wrong. Nothing inside the program is replaced.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse


@dataclass
class Script:
    """What a model does: pieces that it says, seconds before each, and how it ends ("stop", "cut", "hang", "filter")."""

    pieces: list[str] = field(default_factory=list)
    pause: float = 0.0
    end: str = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    fails: int = 0  # times that it answers with `status` before it answers as it should; 0: always


@dataclass
class ModelServer:
    """A running server; `asked` holds the requests that came, `left` counts readers that went away in the middle."""

    url: str
    scripts: dict[str, Script]
    asked: list[dict[str, object]] = field(default_factory=list)
    left: int = 0


@contextmanager
def model_server(scripts: dict[str, Script]) -> Iterator[ModelServer]:
    """Serve the scripts on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    served = ModelServer(f"http://127.0.0.1:{port}", scripts)
    server = uvicorn.Server(_config(_app(served), port))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _config(app: FastAPI, port: int) -> uvicorn.Config:
    return uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", timeout_graceful_shutdown=1)


def _app(served: ModelServer) -> FastAPI:
    app = FastAPI()
    failures: dict[str, int] = {}

    def failed(name: str) -> Response | None:
        script = served.scripts.get(name)
        if script is None:
            return JSONResponse({"error": {"message": f"model {name} not found", "code": "model_not_found"}}, 404)
        failures[name] = failures.get(name, 0) + 1
        if script.status == 200 or (script.fails and failures[name] > script.fails):
            return None
        return JSONResponse({"error": {"message": "no", "code": "no"}}, script.status, headers=dict(script.headers))

    async def said(request: Request, script: Script) -> AsyncIterator[str]:
        try:
            for piece in script.pieces:
                if script.pause:
                    await asyncio.sleep(script.pause)
                yield piece
            if script.end == "hang":
                await asyncio.sleep(3_600)
            if script.end == "cut":
                raise ConnectionResetError
        except asyncio.CancelledError:
            served.left += 1
            raise

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        body = await request.json()
        served.asked.append(body)
        if failure := failed(body["model"]):
            return failure
        script = served.scripts[body["model"]]

        def event(delta: dict[str, str], finish: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            told = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": body["model"], "choices": [choice]}
            return f"data: {json.dumps(told)}\n\n"

        async def events() -> AsyncIterator[str]:
            async for piece in said(request, script):
                yield event({"role": "assistant", "content": piece})
            yield event({}, "content_filter" if script.end == "filter" else "stop")
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.post("/api/chat")
    async def chat(request: Request) -> Response:
        body = await request.json()
        served.asked.append(body)
        if failure := failed(body["model"]):
            return failure

        def line(content: str, **more: object) -> str:
            told = {"model": body["model"], "message": {"role": "assistant", "content": content}, "done": False}
            return json.dumps(told | more) + "\n"

        async def lines() -> AsyncIterator[str]:
            async for piece in said(request, served.scripts[body["model"]]):
                yield line(piece)
            yield line("", done=True, done_reason="stop")

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    return app
