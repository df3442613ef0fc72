"""What stands around every request: whose page may ask, how often, who the client is, and the headers of every reply."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from threading import Event as Flag
from threading import Semaphore
from typing import Any

import httpx
import pytest
from limits.storage import MemoryStorage
from starlette.testclient import TestClient

from assistant import SettingError
from assistant.chat import Assistant
from assistant.guards import MAX_BODY, Meter, client
from assistant.server import create_app
from assistant.settings import Settings
from assistant.types import Answer, Ask
from assistant.wire import duration
from eval.bench import free_port
from tests.cluster import REDIS, Service, redis, running
from tests.conftest import ROOT
from tests.test_server import error

SITE, STRANGER = "https://www.example.no", "https://stranger.example"
QUESTION = {"question": "Hvor lenge sitter verneombudet?"}


@pytest.fixture(scope="module")
def embedded(settings: Settings) -> Iterator[TestClient]:
    """A server that one site may embed."""
    assistant = Assistant(replace(settings, allowed_origins=(SITE,)))
    assistant.load()
    with TestClient(create_app(assistant)) as client:
        yield client


def served(settings: Settings, peer: str = "203.0.113.9", **changed: Any) -> TestClient:
    """A server that is not ready and answers 503, which is enough to count."""
    return TestClient(create_app(Assistant(replace(settings, **changed))), client=(peer, 50_000))


def asked(client: TestClient, times: int = 1, path: str = "/api/ask", **headers: str) -> list[int]:
    """The statuses of so many questions."""
    return [client.post(path, json=QUESTION, headers=headers).status_code for _ in range(times)]


def test_a_site_that_may_ask_can_read_answers_events_and_faults(embedded: TestClient) -> None:
    for body, accept, status in ((QUESTION, "application/json", 200), (QUESTION, "text/event-stream", 200), ({}, "*/*", 422)):
        reply = embedded.post("/api/ask", json=body, headers={"Origin": SITE, "Accept": accept})
        assert reply.status_code == status
        assert reply.headers["access-control-allow-origin"] == SITE
        assert "Origin" in reply.headers["vary"]
        assert "access-control-allow-credentials" not in reply.headers
    assert embedded.get("/api/health", headers={"Origin": SITE}).headers["access-control-allow-origin"] == SITE


def preflight(client: TestClient, origin: str, method: str = "POST", headers: str = "content-type") -> Any:
    asks = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return client.options("/api/ask", headers=asks)


def test_a_browser_that_asks_first_is_told_what_a_site_may_send(embedded: TestClient) -> None:
    reply = preflight(embedded, SITE)
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == SITE
    assert reply.headers["access-control-allow-methods"] == "GET, POST, OPTIONS"
    assert "access-control-allow-credentials" not in reply.headers
    assert preflight(embedded, SITE, headers="x-other").status_code == 400
    assert preflight(embedded, SITE, method="DELETE").status_code == 400


@pytest.mark.parametrize("origin", [STRANGER, "null", SITE + ".stranger.example", SITE.replace("https", "http"), SITE + ":8443"])
def test_a_strangers_page_is_refused_before_anything_is_done(embedded: TestClient, origin: str) -> None:
    told = []
    for reply in (preflight(embedded, origin), embedded.post("/api/ask", json=QUESTION, headers={"Origin": origin})):
        told.append(error(reply, 403))
        assert "access-control-allow-origin" not in reply.headers
    assert told[0] == told[1] and told[0]["code"] == "forbidden" and "HMS_ALLOWED_ORIGINS" in told[0]["message"]
    error(embedded.post("/api/feedback", json={"answer_id": "1", "rating": "up"}, headers={"Origin": origin}), 403)
    assert "access-control-allow-origin" not in embedded.get("/api/health", headers={"Origin": origin}).headers


def test_two_origins_are_as_good_as_the_worse(embedded: TestClient) -> None:
    error(embedded.post("/api/ask", json=QUESTION, headers=[("Origin", SITE), ("Origin", STRANGER)]), 403)


def test_the_servers_own_pages_and_what_is_no_browser_may_ask_and_nobody_else_by_default(settings: Settings) -> None:
    client = served(settings)
    assert asked(client, Origin="http://testserver") == asked(client, Origin="https://testserver") == asked(client) == [503]
    assert asked(client, Origin=SITE) == [403]
    assert preflight(client, SITE).status_code == 403


@pytest.mark.parametrize("host", ["testserver", "localhost:7860"])
def test_no_strangers_page_reads_the_chat(embedded: TestClient, host: str) -> None:
    for path in ("/", "/config", "/gradio_api/startup-events"):
        headers = embedded.get(path, headers={"Origin": STRANGER, "Host": host}).headers
        assert "access-control-allow-origin" not in headers and "access-control-allow-credentials" not in headers


def test_questions_are_counted_for_a_minute_over_both_routes(settings: Settings) -> None:
    client = served(settings, rate=3, allowed_origins=(SITE,))
    assert [*asked(client), *asked(client, 2, "/api/search"), *asked(client)] == [503, 503, 503, 429]
    reply = client.post("/api/search", json=QUESTION, headers={"Origin": SITE})
    fault = error(reply, 429)
    assert fault["code"] == "too_many"
    assert 0 < int(reply.headers["retry-after"]) <= 60
    assert fault["message"].endswith((" sekunder.", " sekund.", "1 minutt."))
    assert reply.headers["access-control-allow-origin"] == SITE  # the widget tells how long to wait
    assert reply.headers["access-control-expose-headers"] == "Retry-After"
    assert client.get("/api/health").status_code == 200


def test_a_day_has_its_own_bound(settings: Settings) -> None:
    client = served(settings, daily=2)
    assert asked(client, 2) == [503, 503]
    reply = client.post("/api/ask", json=QUESTION)
    assert error(reply, 429)["message"].endswith("prøv igjen om 24 timer.")
    assert 86_300 < int(reply.headers["retry-after"]) <= 86_400


class Slow(Assistant):
    """An assistant that takes as long for a question as the test wants."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.begun, self.go_on = Semaphore(0), Flag()

    def ask(self, ask: Ask) -> Answer:
        self.begun.release()
        self.go_on.wait(30)
        return super().ask(ask)


def test_more_questions_than_there_is_room_for_are_told_to_wait_and_do_not_count(settings: Settings) -> None:
    slow = Slow(replace(settings, at_once=2, rate=3))
    with TestClient(create_app(slow)) as client, ThreadPoolExecutor() as pool:
        waiting = [pool.submit(asked, client) for _ in range(2)]
        assert all(slow.begun.acquire(timeout=30) for _ in waiting)
        for path in ("/api/ask", "/api/search"):
            reply = client.post(path, json=QUESTION)
            assert (error(reply, 503)["code"], reply.headers["retry-after"]) == ("busy", "2")
            assert "mange som spør akkurat nå" in error(reply, 503)["message"]
        assert client.get("/api/health").status_code == 200
        assert b'hms_limits_total{limit="busy"} 2.0' in slow.figures()
        slow.go_on.set()
        assert [each.result() for each in waiting] == [[503], [503]]
        assert asked(client, 2) == [503, 429]  # the third that counts


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[Service]:
    """A Redis server."""
    if not REDIS:
        pytest.skip("redis-server is not installed")
    service = redis(tmp_path, free_port())
    with running(service):
        yield service


def test_servers_that_share_their_counters_count_a_client_together(
    settings: Settings, counters: Service, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (served(settings, rate=3, limits_url=counters.url) for _ in range(2))
    assert [asked(first, 2), asked(second, 2), asked(first)] == [[503, 503], [503, 429], [429]]
    counters.kill()
    begun = time.monotonic()
    assert asked(first, 4) == [503, 503, 503, 429]  # each for itself now, and at once
    assert time.monotonic() - begun < 5
    assert caplog.text.count("HMS_LIMITS_URL does not answer") == 1


def test_counters_that_nobody_understands_stop_the_start_with_a_sentence(settings: Settings) -> None:
    sentence = r"^HMS_LIMITS_URL er «rodis://…@vert», som ingenting her forstår; bruk redis://vert:6379\.$"
    with pytest.raises(SettingError, match=sentence):
        served(settings, limits_url="rodis://:hemmelig@vert")


def test_a_clock_that_went_ahead_and_back_shuts_nobody_out(settings: Settings) -> None:
    meter, scope = Meter(replace(settings, rate=2)), {"client": ("192.0.2.1", 1), "headers": []}
    waits = [meter.wait("questions", scope) for _ in range(3)]
    storage = meter.own.storage
    assert waits[:2] == [0, 0] and 0 < waits[2] <= 60 and isinstance(storage, MemoryStorage)
    for entry in (entry for entries in storage.events.values() for entry in set(entries)):
        entry.atime += 10 * 365 * 86_400  # as it stands there when the clock was years ahead
        entry.expiry += 10 * 365 * 86_400
    assert [meter.wait("questions", scope) > 0 for _ in range(4)] == [False, False, False, True]


def test_what_is_refused_for_its_page_or_its_size_does_not_count(settings: Settings) -> None:
    client = served(settings, rate=1)
    assert asked(client, 3, Origin=STRANGER) == [403] * 3
    large = client.post("/api/ask", content=b" " * (MAX_BODY + 1), headers={"Content-Type": "application/json"})
    assert "64 KiB" in error(large, 413)["message"]
    assert asked(client, 2) == [503, 429]


def test_ratings_are_counted_apart_from_questions(settings: Settings) -> None:
    client = served(settings, rate=1)
    rating = {"answer_id": "1", "rating": "up"}
    assert asked(client) == [503]
    assert [client.post("/api/feedback", json=rating).status_code for _ in range(2)] == [204, 429]


def test_who_deletes_answers_is_counted_with_who_rates_them(settings: Settings) -> None:
    client = served(settings, rate=2)
    assert [client.delete(f"/api/answers/{number}").status_code for number in range(3)] == [404, 404, 429]
    assert client.post("/api/feedback", json={"answer_id": "1", "rating": "up"}).status_code == 429
    assert client.get("/api/answers/1").status_code == 404


def forwarded(client: TestClient, told: str) -> int:
    """The status of a question that a proxy says it was asked."""
    return client.post("/api/ask", json=QUESTION, headers={"X-Forwarded-For": told}).status_code


def test_a_peer_that_is_no_trusted_proxy_cannot_say_who_it_is(settings: Settings) -> None:
    client = served(settings, rate=1, trusted_proxies=("198.51.100.0/24",))
    assert [forwarded(client, f"192.0.2.{last}") for last in (1, 2)] == [503, 429]


def test_readers_behind_a_trusted_proxy_are_counted_one_by_one(settings: Settings) -> None:
    client = served(settings, "198.51.100.7", rate=1, trusted_proxies=("198.51.100.0/24",))
    told = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.9, 192.0.2.2", "192.0.2.3, 198.51.100.8"]
    assert [forwarded(client, each) for each in told] == [503, 503, 429, 429, 503]


@pytest.mark.parametrize(
    ("peer", "told", "whose"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["192.0.2.2"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.2"], "192.0.2.2"),
        ("10.0.0.1", ["192.0.2.2, 192.0.2.3"], "192.0.2.3"),
        ("10.0.0.1", ["192.0.2.2", "192.0.2.3, 10.0.0.2"], "192.0.2.3"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["192.0.2.2, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.2:4711"], "192.0.2.2"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::/64"),
        ("2001:db8:0:7:a:b:c:d", [], "2001:db8:0:7::/64"),
        ("::ffff:10.0.0.1", ["2001:DB8:0::1"], "2001:db8::/64"),
        ("2001:db8:5::1", ["192.0.2.2"], "192.0.2.2"),
        ("testclient", ["192.0.2.2"], "testclient"),
        (None, ["192.0.2.2"], ""),
    ],
)
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(peer: str | None, told: list[str], whose: str) -> None:
    scope = {"client": peer and (peer, 1), "headers": [(b"x-forwarded-for", each.encode()) for each in told]}
    assert client(scope, [ip_network("10.0.0.0/8"), ip_network("2001:db8:5::/48")]) == whose


def test_how_long_to_wait_is_told_as_people_say_it() -> None:
    told = [duration(seconds) for seconds in (1, 59, 60, 61, 3_600, 3_601, 86_400)]
    assert told == ["1 sekund", "59 sekunder", "1 minutt", "2 minutter", "1 time", "2 timer", "24 timer"]


def test_every_reply_shuts_devices_and_other_sites_out(embedded: TestClient) -> None:
    for path in ("/", "/api/health", "/api/nei", "/lest/nei", "/widget", "/widget.js", "/web/reader.css", "/gradio_api/info"):
        headers = embedded.get(path).headers
        assert headers["permissions-policy"] == "camera=(), microphone=(), geolocation=()"
        assert headers["cross-origin-resource-policy"] == ("cross-origin" if path == "/widget.js" else "same-origin")
    policy = embedded.get("/widget").headers["content-security-policy"].split("; ")
    needed = ["default-src 'none'", "frame-ancestors 'none'"]
    assert {*needed, *(f"{kind}-src 'self'" for kind in ("script", "style", "connect", "img"))} <= set(policy)


def test_the_other_doors_are_counted_with_questions_and_shut_to_strangers_pages(settings: Settings) -> None:
    client = served(settings, rate=2)
    assert [*asked(client), *asked(client, 2, "/v1/chat/completions")] == [503, 422, 429]
    told = client.post("/v1/chat/completions", json=QUESTION).json()["error"]
    assert (told["type"], told["code"]) == ("rate_limit_error", "too_many")
    assert asked(client, path="/v1/chat/completions", Origin=STRANGER) == [403]


def figures(client: TestClient, **headers: str) -> int:
    """The status of whoever asks for the figures."""
    return client.get("/metrics", headers=headers).status_code


def test_figures_are_for_this_machine_and_those_that_a_setting_names(settings: Settings) -> None:
    assert [figures(served(settings, peer)) for peer in ("127.0.0.1", "::1", "203.0.113.9", "nobody")] == [200, 200, 403, 403]
    named = {"metrics": ("203.0.113.0/24",)}
    assert [figures(served(settings, peer, **named)) for peer in ("203.0.113.9", "127.0.0.1")] == [200, 403]
    assert "HMS_METRICS" in error(served(settings).get("/metrics"), 403)["message"]


def test_figures_are_shut_to_who_asks_through_a_proxy_on_this_machine(settings: Settings) -> None:
    asked_from = {"X-Forwarded-For": "203.0.113.9"}
    assert figures(served(settings, "127.0.0.1"), **asked_from) == 403
    assert figures(served(settings, "127.0.0.1"), **{"X-Forwarded-For": "127.0.0.1"}) == 403  # anybody can write that
    proxied = served(settings, "127.0.0.1", trusted_proxies=("127.0.0.1/32",))
    assert figures(proxied, **asked_from) == 403
    assert figures(served(settings, "10.0.0.1", trusted_proxies=("10.0.0.1/32",)), **{"X-Forwarded-For": "127.0.0.1"}) == 200


def test_figures_count_requests_by_route_and_nothing_that_people_write(assistant: Assistant) -> None:
    with TestClient(create_app(assistant), client=("127.0.0.1", 5)) as client:
        client.post("/api/ask", json={"question": "Hva er kaffemaskinhemmeligheten?"})
        for path in ("/lest/blogs/regnskap/hms", "/lest/blogs/regnskap/amu", "/finnes/ikke", "/api/x7", "/api/y7", "/v1/z7?q=z7"):
            client.get(path)
        client.head("/api/health")
        client.post("/api/ask", content=b" " * (MAX_BODY + 1))
        told = client.get("/metrics")
    assert told.headers["content-type"].startswith("text/plain")
    assert told.headers["x-content-type-options"] == "nosniff"
    assert re.search(r'hms_requests_total{route="/lest/{path:whole}",status="200"} [2-9]', told.text)
    wanted = ("/api/ask", "200"), ("/api/ask", "413"), ("/api/health", "200"), ("other", "404")
    assert all(f'hms_requests_total{{route="{route}",status="{status}"}}' in told.text for route, status in wanted)
    assert 'hms_request_seconds_bucket{le="0.005",route="/api/ask"}' in told.text
    assert 'hms_limits_total{limit="size"}' in told.text
    assert "process_resident_memory_bytes" in told.text
    assert not [word for word in ("kaffemaskin", "regnskap", "x7", "y7", "z7", "ikke") if word in told.text]


@pytest.mark.parametrize(
    ("given", "kept"), [("a-1_B.2", True), ("a" * 64, True), ("a" * 65, False), ("å", False), ("a b", False)]
)
def test_a_request_has_an_id_its_own_when_that_is_sane(embedded: TestClient, given: str, kept: bool) -> None:
    found = embedded.get("/api/health", headers={b"X-Request-ID": given.encode()}).headers["x-request-id"]
    assert (found == given) == kept
    assert kept or re.fullmatch("[0-9a-f]{32}", found)
    assert embedded.get("/api/nei").headers["x-request-id"] != embedded.get("/api/nei").headers["x-request-id"]


def test_the_log_has_a_line_of_json_for_each_request_and_no_word_of_what_is_asked(
    settings: Settings, assistant: Assistant
) -> None:
    port = free_port()
    environment = {**os.environ, "HMS_LOG": "json", "HMS_INDEX": str(settings.index), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SERVING, str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as program:
        url = f"http://127.0.0.1:{port}/api"
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/ready").is_success:
                    break
            assert program.poll() is None
            time.sleep(0.2)
        headers = {"X-Request-ID": "mine", "User-Agent": "agent-7", "Accept": "application/json"}
        asked = {"question": "Hva er kaffemaskinhemmeligheten?"}
        httpx.post(f"{url}/ask", json=asked, headers=headers)
        httpx.post(f"{url}/ask", json=asked, headers=headers | {"Accept": "text/event-stream"})
        httpx.post(f"{url}/search", json=asked, headers=headers | {"X-Request-ID": "broken"})
        program.terminate()
        assert program.stderr
        said = program.stderr.read()
    lines = [json.loads(line) for line in said.splitlines()]
    mine = [line for line in lines if line["request"] == "mine"]
    assert [(line["route"], line["status"], line["outcome"]) for line in mine] == [("/api/ask", 200, "not_covered")] * 2
    assert all(line["ms"] > 0 and line["level"] == "info" and line["time"] for line in mine)
    broken = [line for line in lines if line["request"] == "broken"]
    assert {line["level"] for line in broken} == {"info", "error"}
    assert next(line["status"] for line in broken if "status" in line) == 500
    assert any(line.get("error") == "ValueError" and "in search" in line["where"] for line in broken)
    assert not [word for word in ("kaffemaskin", "agent-7", "127.0.0.1:5") if word in said]


SERVING = """
import sys
from assistant.chat import Assistant
from assistant.server import serve
from assistant.settings import load

class Breaking(Assistant):
    def search(self, ask, limit=10):
        raise ValueError(ask.question)

settings = load(port=sys.argv[1])
serve(Breaking(settings), settings)
"""
