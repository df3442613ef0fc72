"""What stands around every request: security headers, a limit on bodies, and no more of Gradio than the chat needs.

Knows HTTP; knows nothing of answers, nor of the words in which something is refused.
"""

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OURS = ("api", "lest", "web")  # first parts of the addresses that are served here; the chat has the rest
MAX_BODY = 64 * 1024  # bytes
MAX_CHAT_BODY = 1024 * 1024  # bytes; the chat sends its whole conversation, links and all, with every question
# What the chat page calls. Gradio brings more that nobody here needs: uploads without a limit, a file server, a proxy.
GRADIO = ("queue", "heartbeat", "startup-events", "app_id", "cancel", "reset")
SHUT_CSP = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# Gradio's page has inline scripts and styles; still nothing may come from, or go to, another host.
CHAT_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
Refuse = Callable[[Scope, int], ASGIApp]  # the reply that tells that a request is refused, with this status


class Guard:
    """Around everything; `refuse` tells what is turned away."""

    def __init__(self, app: ASGIApp, refuse: Refuse) -> None:
        self.app, self.refuse = app, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add to what comes back."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        first, second = (*scope["path"].split("/")[1:3], "", "")[:2]
        ours = first in OURS
        guarded = _with_headers(send, SHUT_CSP if ours else CHAT_CSP)
        if first == "gradio_api" and second not in GRADIO:
            return await self.refuse(scope, 404)(scope, receive, guarded)
        if ours and scope["method"] == "HEAD":  # answered as GET; the server sends no body for it
            scope = {**scope, "method": "GET"}
        await self.app(scope, _limited(receive, MAX_BODY if ours else MAX_CHAT_BODY), guarded)


def _with_headers(send: Send, policy: str) -> Send:
    extra = [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"strict-origin-when-cross-origin"),
    ]

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *extra]
        await send(message)

    return sent


def _limited(receive: Receive, most: int) -> Receive:
    """The same body, stopped where it has grown past `most` bytes, whatever length it said it has."""
    size = 0

    async def received() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise HTTPException(413, f"{most // 1024} KiB")
        return message

    return received
