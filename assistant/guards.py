"""What stands around every request: security headers, whose page may ask, how large and how often, and no more of Gradio than the
chat needs; and what is told of requests to who runs this: metrics, and a line of log for each.

Knows HTTP; knows nothing of answers. What people ask and who they are is in no line and no metric.
"""

import asyncio
import logging
import math
import re
import time
import uuid
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, cast

from limits import RateLimitItemPerDay, RateLimitItemPerMinute
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant import SettingError
from assistant.reply import Tally
from assistant.settings import Settings
from assistant.wire import REQUEST, duration, kib, refused

log = logging.getLogger(__name__)
SANE = re.compile(r"[\w.-]{1,64}", re.ASCII)  # an id of a request that is taken over
API = ("api", "v1", "mcp")  # what other programs ask
# First parts of the addresses that are served here; the chat has the rest.
OURS = (*API, "lest", "web", "widget", "widget.js", "metrics")
MAX_BODY = 64 * 1024  # bytes
MAX_CHAT_BODY = 128 * 1024  # bytes; a call of the chat's has a question and some choices, but may hold one pasted far too long
MAX_HEAD = 16 * 1024  # bytes of address and headers
BODY_SECONDS = 15  # that a request's whole body may take to come
# What the chat page calls. Gradio brings more that nobody here needs: uploads without a limit, a file server, a proxy.
GRADIO = ("queue", "heartbeat", "startup-events", "app_id", "cancel", "reset")
SHUT = ("login", "logout", "monitoring", "pwa_icon")  # more of Gradio's, at the root
# Where Gradio would have its page ask instead of us; no proxy of ours needs to say it, and others must not.
UNHEARD = (b"x-forwarded-host", b"x-gradio-server")
SHUT_CSP = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# The page that shows the widget: the same, with its script, and what that asks.
WIDGET_CSP = f"{SHUT_CSP}; script-src 'self'; connect-src 'self'"
# Gradio's page has inline scripts and styles; still nothing may come from, or go to, another host.
CHAT_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
# What is counted for a client, each by itself: asking costs time, and a rating room on the disk.
COUNTED = {"/api/ask": "questions", "/api/search": "questions", "/api/feedback": "ratings"}
COUNTED |= {"/v1/chat/completions": "questions", "/mcp": "questions"}
BUSY, ALONE = 2, 10  # seconds: until one asks again of a server with its hands full; that a storage which is away is left alone


def unread(status: int) -> Response:
    """The reply to a request of which not even the address could be read."""
    reply = refused({"path": "(ukjent)", "method": "metoden"}, status, headers={"Connection": "close"})
    reply.raw_headers += _headers("", "api")
    return reply


def around(app: Starlette, settings: Settings, meter: "Meter", tally: Tally) -> ASGIApp:
    """The app with all that stands around it, from outside: what is told of it, headers, whose page asks, how large, how many."""
    app.add_middleware(_Limits, meter)
    app.add_middleware(GZipMiddleware, minimum_size=1_000)  # streams of events are left as they are
    # Outside the limits, so that a site that may ask can read those refusals too. Gradio, which would let any site read the chat,
    # leaves it to this one.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=("GET", "POST", "OPTIONS"),  # no DELETE: the widget deletes no answers, and no other site's page need
        allow_headers=("Content-Type", "Accept", "Authorization"),
        expose_headers=("Retry-After",),
    )
    return _Watch(_Guard(app, settings.allowed_origins), tally)


def hidden(scope: Scope, settings: Settings) -> bool:
    """Whether whoever asks may not read the figures. An untrusted proxy hides who that is, and often runs on this machine."""
    proxies, readers = ([ip_network(each) for each in those] for those in (settings.trusted_proxies, settings.metrics))
    reader = _asker(scope, proxies)
    forwarded = "x-forwarded-for" in Headers(scope=scope) and not proxied(scope, settings)
    return forwarded or not (reader and any(reader in each for each in readers))


class _Watch:
    """Outermost: gives every request an id, and tells how it ended and how long it took."""

    def __init__(self, app: ASGIApp, tally: Tally) -> None:
        self.app, self.tally = app, tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note what becomes of it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun, status, given = time.perf_counter(), 500, Headers(scope=scope).get("x-request-id", "")
        number = given if SANE.fullmatch(given) else uuid.uuid4().hex
        REQUEST.set(number)

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", number.encode())]
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except Exception as error:
            log.error("request %s broke: %s", number, type(error).__name__)  # its words may be a reader's
            raise
        finally:
            self._note(scope, status, time.perf_counter() - begun)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", scope["path"] if scope["path"] in COUNTED else "other")
        self.tally.requests.labels(route, status).inc()
        self.tally.seconds.labels(route).observe(seconds)
        if limit := {413: "size", 429: "rate", 503: scope.get("outcome")}.get(status):
            self.tally.limits.labels(limit).inc()
        told = {"route": route, "status": status, "ms": round(1000 * seconds, 1), "outcome": scope.get("outcome")}
        log.info("request", extra={"told": told})


class _Guard:
    """Headers on every reply, closed doors, and nothing sent by other sites' pages."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self.app, self.origins = app, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add to what comes back."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        first, second = _parts(scope)
        headers, guarded = Headers(scope=scope), _with_headers(send, scope["path"], first)
        if "content-length" in headers and "transfer-encoding" in headers:  # a proxy may end the body at the other of the two
            return await refused(scope, 400, headers={"Connection": "close"})(scope, receive, guarded)
        if len(scope["path"]) + sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD:
            return await refused(scope, 431, kib(MAX_HEAD))(scope, receive, guarded)
        if first in SHUT or (first == "gradio_api" and second not in GRADIO):
            return await refused(scope, 404)(scope, receive, guarded)
        if scope["method"] not in ("GET", "HEAD") and self._foreign(headers, self.origins if first in API else ()):
            return await refused(scope, 403)(scope, receive, guarded)
        inner = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in UNHEARD]}
        if first in OURS and scope["method"] == "HEAD":  # answered as GET; the server, which must know, sends no body for it
            inner["method"] = "GET"
        await self.app(inner, receive, guarded)
        scope["route"], scope["outcome"] = inner.get("route"), inner.get("outcome")

    def _foreign(self, headers: Headers, origins: Sequence[str]) -> bool:
        """Whether a page of another site sends this, one that may not. What is no browser names no page."""
        host = headers.get("host", "")
        known = {f"http://{host}", f"https://{host}", *origins}  # which of the two, only a proxy before us may know
        return not known.issuperset(headers.getlist("origin"))


class Meter:
    """How many questions, and how many ratings, a client may send a minute and a day, and how many questions are under way.

    Raises SettingError when nothing understands HMS_LIMITS_URL.
    """

    def __init__(self, settings: Settings) -> None:
        self.proxies = [ip_network(each) for each in settings.trusted_proxies]
        self.rates = (RateLimitItemPerMinute(settings.rate), RateLimitItemPerDay(settings.daily))
        self.own, self.shared, self.alone = MovingWindowRateLimiter(MemoryStorage()), _shared(settings.limits_url), 0.0
        self.at_once, self.under_way = settings.at_once, 0

    def wait(self, counted: str, scope: Scope) -> int:
        """Seconds until there may be one more; 0 when it may be now, and then it is counted, for all servers if they share."""
        whose = (counted, client(scope, self.proxies))
        if self.shared and time.monotonic() >= self.alone:
            try:
                return self._hit(self.shared, whose)
            except StorageError as error:
                self.alone = time.monotonic() + ALONE
                log.warning("HMS_LIMITS_URL does not answer, so this server counts clients by itself for %d s: %s", ALONE, error)
        return self._hit(self.own, whose)

    def _hit(self, limiter: MovingWindowRateLimiter, whose: Sequence[str]) -> int:
        for rate in self.rates:
            if not limiter.hit(rate, *whose):
                wait = math.ceil(limiter.get_window_stats(rate, *whose).reset_time - time.time())
                if wait <= 2 * rate.get_expiry():  # servers' clocks differ a little
                    return max(1, wait)
                limiter.clear(rate, *whose)  # was counted by a clock that went ahead, and would shut them out for as long
        return 0


class _Limits:
    """How large a request may be, how long it may take to come, how many a client may send, how many are under way."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self.app, self.meter = app, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on when it is within the limits; nothing is read, parsed or counted of one that is not."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        most = MAX_BODY if _parts(scope)[0] in OURS else MAX_CHAT_BODY
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length[:12]) > most:
            return await refused(scope, 413, kib(most))(scope, receive, send)
        try:
            body = await asyncio.wait_for(_whole(receive, most), BODY_SECONDS)
        except TimeoutError:
            return await refused(scope, 408, headers={"Connection": "close"})(scope, receive, send)
        if len(body) > most:
            return await refused(scope, 413, kib(most))(scope, receive, send)
        counted = _counted(scope)
        asks = counted == "questions"
        if asks and self.meter.under_way >= self.meter.at_once:
            scope["outcome"] = "busy"  # for the log and the figures
            return await refused(scope, 503, duration(BUSY), {"Retry-After": str(BUSY)})(scope, receive, send)
        self.meter.under_way += asks
        try:
            if counted and (wait := await self._wait(counted, scope)):
                return await refused(scope, 429, duration(wait), {"Retry-After": str(wait)})(scope, receive, send)
            await self.app(scope, _again(body, receive), send)
        finally:
            self.meter.under_way -= asks

    async def _wait(self, counted: str, scope: Scope) -> int:
        if self.meter.shared:  # elsewhere, and the thread that takes requests waits for nothing
            return await run_in_threadpool(self.meter.wait, counted, scope)
        return self.meter.wait(counted, scope)


def _shared(url: str) -> MovingWindowRateLimiter | None:
    """What counts for several servers; raises SettingError when there is nothing that understands the address."""
    if not url:
        return None
    quickly, told = dict[str, Any](), re.sub(r"//[^/@]*@", "//…@", url)  # no password
    try:
        if url.startswith("redis"):  # whose own client would try again for seconds, and a reader wait for it
            from redis.backoff import NoBackoff
            from redis.retry import Retry

            quickly = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5, "retry": Retry(NoBackoff(), 1)}
        return MovingWindowRateLimiter(cast(Storage, storage_from_string(url, wrap_exceptions=True, **quickly)))
    except ImportError:
        raise SettingError(f"HMS_LIMITS_URL er «{told}», men pakken redis mangler; kjør `pip install redis`.") from None
    except ConfigurationError:
        raise SettingError(f"HMS_LIMITS_URL er «{told}», som ingenting her forstår; bruk redis://vert:6379.") from None


def _counted(scope: Scope) -> str | None:
    """As what a request is counted. Who deletes an answer has as many tries as who rates one."""
    if scope["method"] == "DELETE":
        return "ratings" if scope["path"].startswith("/api/answers/") else None
    return COUNTED.get(scope["path"]) if scope["method"] == "POST" else None


def client(scope: Scope, proxies: Sequence[IPv4Network | IPv6Network]) -> str:
    """Whoever asks, as it is counted: an address; of IPv6 the network that one subscriber has, for there are more addresses in it
    than could be counted."""
    address = _asker(scope, proxies)
    return str(ip_network((address, 64), strict=False) if isinstance(address, IPv6Address) else address or _peer(scope))


def proxied(scope: Scope, settings: Settings) -> bool:
    """Whether a trusted proxy sends this."""
    peer = _address(_peer(scope))
    return peer is not None and any(peer in ip_network(each) for each in settings.trusted_proxies)


def _peer(scope: Scope) -> str:
    """Who is at the other end; what "client" says may be a trusted proxy's word (see `_Connection` in assistant.server)."""
    return str((scope.get("state", {}).get("peer") or scope.get("client") or ("",))[0])


def _asker(scope: Scope, proxies: Sequence[IPv4Network | IPv6Network]) -> IPv4Address | IPv6Address | None:
    """The peer, or when that is a trusted proxy, the last that such a one was asked from."""
    address = _address(_peer(scope))
    for told in reversed(",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")):
        further = _address(told)
        if address is None or further is None or not any(address in network for network in proxies):
            break
        address = further
    return address


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it, perhaps with a port; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _parts(scope: Scope) -> tuple[str, str]:
    """The first two parts of an address, "" for what is not there."""
    parts = [*scope["path"].split("/"), "", ""]
    return parts[1], parts[2]


def _with_headers(send: Send, path: str, first: str) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_headers(path, first)]
        await send(message)

    return sent


def _headers(path: str, first: str) -> list[tuple[bytes, bytes]]:
    policy = WIDGET_CSP if path == "/widget" else SHUT_CSP if first in OURS else CHAT_CSP
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"strict-origin-when-cross-origin"),
        (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
        (b"cross-origin-resource-policy", b"cross-origin" if path == "/widget.js" else b"same-origin"),
    ]


async def _whole(receive: Receive, most: int) -> bytes:
    """A request's body, whatever length it said it has; read no further than where it has grown past `most` bytes."""
    body, more = b"", True
    while more and len(body) <= most:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)  # and when the sender is gone there is no more
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that has been read, to be read once more; after it comes what comes."""
    bodies: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return bodies.pop() if bodies else await receive()

    return received
