"""The HTTP door, over the real Assistant: routes, events, limits and one error shape."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event as Flag
from typing import Any

import pytest
from openai import OpenAI, UnprocessableEntityError
from starlette.testclient import TestClient

from assistant import HmsError
from assistant.chat import Assistant
from assistant.guards import MAX_BODY, MAX_CHAT_BODY
from assistant.server import create_app, serve
from assistant.settings import Settings
from assistant.store import Store
from assistant.types import Answer, Ask, Event
from assistant.wire import MODEL, UNEXPECTED, WEB
from tests.conftest import ROOT
from tests.models import serving

ANSWER = [
    "id", "question", "outcome", "answer", "language", "citations", "laws", "notices", "nearest", "followups", "model", "index",
    "elapsed_ms", "support",
]  # fmt: skip


@pytest.fixture(scope="module")
def kept(settings: Settings) -> Iterator[Store]:
    with Store(settings) as store:
        yield store


@pytest.fixture(scope="module")
def client(assistant: Assistant, settings: Settings, kept: Store) -> Iterator[TestClient]:
    keeping = Assistant(settings, kept)  # over the index that `assistant` has made
    keeping.load()
    with TestClient(create_app(keeping)) as client:
        yield client


def error(reply: Any, status: int) -> dict[str, str]:
    """The error of a reply, whose shape is checked."""
    assert reply.status_code == status, reply.text
    assert list(reply.json()) == ["error"]
    fault: dict[str, str] = reply.json()["error"]
    assert set(fault) <= {"code", "message", "field"}
    assert fault["message"].rstrip().endswith((".", "!"))
    assert "Traceback" not in reply.text
    return fault


def test_an_answer_has_the_contracts_fields_in_order(client: TestClient) -> None:
    reply = client.post("/api/ask", json={"question": "Hvor lenge sitter verneombudet?", "history": [], "role": "verneombud"})
    assert reply.status_code == 200
    answer = reply.json()
    assert list(answer) == ANSWER
    assert answer["outcome"] == "answered"
    assert list(answer["citations"][0]) == ["number", "url", "title", "section", "quote", "kind", "updated"]
    assert answer["index"] == client.get("/api/ready").json()["manifest"]["id"]


def test_events_come_in_order_and_end_with_the_answer(client: TestClient) -> None:
    reply = client.post("/api/ask", json={"question": "Hva er AMU?"}, headers={"Accept": "text/event-stream"})
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [dict(line.split(": ", 1) for line in part.split("\n")) for part in reply.text.strip().split("\n\n")]
    names = list(dict.fromkeys(event["event"] for event in events))
    assert names == ["status", "token", "citation", "answer"]
    answer = json.loads(events[-1]["data"])
    assert "".join(json.loads(event["data"])["text"] for event in events if event["event"] == "token") == answer["answer"]


def test_search_gives_passages(client: TestClient) -> None:
    reply = client.post("/api/search", json={"question": "verneombud", "limit": 3})
    assert [list(passage) for passage in reply.json()["passages"]] == [["url", "title", "section", "text", "score"]] * 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"question": ""}, "question"),
        ({"question": "\u200b\x00"}, "question"),
        ({"question": "a" * 5_000}, "question"),
        ({"question": 7}, "question"),
        ({}, "question"),
        ({"question": "Hva er HMS?", "history": "før"}, "history"),
        ({"question": "Hva er HMS?", "history": {}}, "history"),
        ({"question": "Hva er HMS?", "history": False}, "history"),
        ({"question": "Hva er HMS?", "history": [{"role": "system", "content": "x"}]}, "history"),
        ({"question": "Hva er HMS?", "history": [{"role": "user", "content": "x"}] * 21}, "history"),
        ({"question": "Hva er HMS?", "role": "sjef"}, "role"),
        ({"question": "Hva er HMS?", "page": 7}, "page"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(client: TestClient, body: dict[str, object], field: str) -> None:
    assert error(client.post("/api/ask", json=body), 422)["field"] == field


@pytest.mark.parametrize("limit", [0, 51, "3", True, None])
def test_a_limit_outside_its_bounds_is_named(client: TestClient, limit: object) -> None:
    assert error(client.post("/api/search", json={"question": "HMS", "limit": limit}), 422)["field"] == "limit"


def test_what_readers_think_of_an_answer_is_kept(client: TestClient, kept: Store) -> None:
    begun = datetime.now(UTC)
    reply = client.post("/api/feedback", json={"answer_id": "a1", "rating": "up"})
    assert (reply.status_code, reply.content) == (204, b"")
    said = {"answer_id": "a2", "rating": "down", "reason": "utdatert", "comment": "Gammelt\ntall: «æøå»\ud800, ring 91 23 45 67"}
    body = json.dumps(said).encode()
    assert client.post("/api/feedback", content=body, headers={"Content-Type": "application/json"}).status_code == 204
    first, second = kept.ratings(begun)
    assert (first.answer_id, first.rating, first.reason, first.comment) == ("a1", "up", None, None)
    assert (second.reason, second.comment) == ("utdatert", "Gammelt\ntall: «æøå»?, ring [telefon]")


def test_whoever_knows_an_answers_id_can_read_and_delete_what_is_kept_of_it(client: TestClient) -> None:
    asked = {"question": "Jeg heter Kari Nordmann. Hvor lenge sitter verneombudet?", "page": "/blogs/hms"}
    answer = client.post("/api/ask", json=asked).json()
    assert answer["question"] == "Jeg heter [navn]. Hvor lenge sitter verneombudet?"
    assert answer["notices"][0]["kind"] == "privacy"
    client.post("/api/feedback", json={"answer_id": answer["id"], "rating": "down", "comment": "Nei."})
    found = client.get(f"/api/answers/{answer['id']}").json()
    assert list(found) == ["answer", "feedback"]
    assert {name: found["answer"][name] for name in ANSWER if name in found["answer"]} == {
        name: value for name, value in answer.items() if name in found["answer"]
    }
    assert (found["answer"]["page"], found["feedback"][0]["comment"]) == ("/blogs/hms", "Nei.")
    assert client.delete(f"/api/answers/{answer['id']}").status_code == 204
    for gone in (client.get, client.delete):
        assert answer["id"] in error(gone(f"/api/answers/{answer['id']}"), 404)["message"]


@pytest.mark.parametrize("key", ["1", "%00", "%ED%A0%80", "a" * 2_000, "' OR 1=1 --"])
def test_an_id_that_is_none_finds_nothing(client: TestClient, key: str) -> None:
    assert error(client.get(f"/api/answers/{key}"), 404)["code"] == "not_found"


def test_without_a_store_there_is_nothing_to_read(assistant: Assistant) -> None:
    client = TestClient(create_app(assistant))
    key = client.post("/api/ask", json={"question": "Hva er AMU?"}).json()["id"]
    assert error(client.get(f"/api/answers/{key}"), 404)["code"] == "not_found"
    assert client.post("/api/feedback", json={"answer_id": key, "rating": "up"}).status_code == 204


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"answer_id": None}, "answer_id"),
        ({"answer_id": ""}, "answer_id"),
        ({"answer_id": 7}, "answer_id"),
        ({"answer_id": "a" * 101}, "answer_id"),
        ({"rating": None}, "rating"),
        ({"rating": "sideways"}, "rating"),
        ({"rating": ["up"]}, "rating"),
        ({"reason": 7}, "reason"),
        ({"reason": "a" * 201}, "reason"),
        ({"comment": ["x"]}, "comment"),
        ({"comment": "a" * 1_001}, "comment"),
    ],
)
def test_a_rating_that_is_not_allowed_is_named_and_not_kept(
    client: TestClient, kept: Store, changed: dict[str, object], field: str
) -> None:
    begun = datetime.now(UTC)
    fault = error(client.post("/api/feedback", json={"answer_id": "a", "rating": "up"} | changed), 422)
    assert (fault["code"], fault["field"]) == ("invalid_value", field)
    assert kept.ratings(begun) == []


@pytest.mark.parametrize(
    ("path", "name", "kind"), [("/widget.js", "widget.js", "text/javascript"), ("/widget", "widget.html", "text/html")]
)
def test_the_widget_is_served_when_it_is_there(client: TestClient, path: str, name: str, kind: str) -> None:
    reply = client.get(path)
    if not (WEB / name).is_file():
        error(reply, 404)
        return
    assert reply.headers["content-type"] == f"{kind}; charset=utf-8"
    assert reply.headers["cache-control"] == "max-age=3600"
    assert reply.content == (WEB / name).read_bytes()
    assert client.head(path).status_code == 200
    packed = {coding: client.get(path, headers={"Accept-Encoding": coding}) for coding in ("gzip", "identity")}
    assert {coding: each.headers.get("content-encoding") for coding, each in packed.items()} == {"gzip": "gzip", "identity": None}
    assert all(each.content == reply.content and "Accept-Encoding" in each.headers["vary"] for each in packed.values())


def test_a_browser_that_has_the_widget_already_is_told_so(client: TestClient) -> None:
    tag = client.get("/widget.js").headers["etag"]
    again = client.get("/widget.js", headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/widget.js", headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get("/widget").headers["etag"] != tag


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 60_000])
def test_a_body_that_is_no_json_object_is_malformed(client: TestClient, body: bytes) -> None:
    fault = error(client.post("/api/ask", content=body, headers={"Content-Type": "application/json"}), 400)
    assert fault["code"] == "malformed"
    assert not {"Expecting", "codec", "recursion"} & set(fault["message"].split())  # the parser's English stays with us


def test_a_body_that_is_too_large_is_stopped_while_it_is_read(client: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(MAX_BODY // 1024 + 2):
            yield b" " * 1024

    fault = error(client.post("/api/ask", content=parts(), headers={"Content-Type": "application/json"}), 413)
    assert fault["code"] == "too_large" and "64 KiB" in fault["message"]


def test_other_content_types_are_refused(client: TestClient) -> None:
    assert "text/plain" in error(client.post("/api/ask", content="hei", headers={"Content-Type": "text/plain"}), 415)["message"]


def test_unknown_addresses_and_methods_have_the_same_shape(client: TestClient) -> None:
    assert error(client.get("/api/finnes-ikke"), 404)["code"] == "not_found"
    assert error(client.get("/finnes-ikke"), 404)["code"] == "not_found"
    assert error(client.get("/api/ask"), 405)["code"] == "method_not_allowed"
    assert client.get("/api/ask").headers["allow"] == "POST"
    assert error(client.post("/lest/blogs/regnskap/hms"), 405)["code"] == "method_not_allowed"
    assert error(client.post("/widget"), 405)["code"] == error(client.delete("/widget.js"), 405)["code"] == "method_not_allowed"
    assert error(client.get("/api"), 404)["code"] == error(client.get("/widget/x"), 404)["code"] == "not_found"
    assert error(client.post("/gradio_api/queue/join", json={"x": 1}), 422)["code"] == "invalid_value"


def test_a_monitor_may_ask_for_the_head_alone(client: TestClient) -> None:
    assert client.head("/api/health").status_code == 200
    assert client.head("/lest/blogs/regnskap/hms").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/upload"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/vibe-code"),
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("GET", "/gradio_api/proxy=http://example.com/"),
        ("GET", "/gradio_api/info"),
    ],
)
def test_what_gradio_brings_beyond_the_chat_is_closed(client: TestClient, method: str, path: str) -> None:
    error(client.request(method, path, files={"files": b"x"} if method == "POST" else None), 404)


def test_the_chats_own_requests_are_limited_too(client: TestClient) -> None:
    body = b" " * (MAX_CHAT_BODY + 1)
    reply = client.post("/gradio_api/queue/join", content=body, headers={"Content-Type": "application/json"})
    assert error(reply, 413)["code"] == "too_large"


@pytest.mark.parametrize(
    "question",
    ["<script>alert(1)</script> verneombud", "\u202eduobmenrev re avh", "ما هو ممثل السلامة؟", "verneombud\x00 \x1b[31m"],
)
def test_hostile_text_is_a_question_like_any_other(client: TestClient, question: str) -> None:
    reply = client.post("/api/ask", json={"question": question})
    assert reply.status_code == 200
    assert "\u202e" not in reply.json()["question"]
    assert "\x00" not in reply.json()["question"]


def test_health_is_up_at_once_and_ready_waits_for_the_index(settings: Settings) -> None:
    with TestClient(create_app(Assistant(settings))) as waiting:
        assert waiting.get("/api/health").status_code == 200
        assert "ikke klar" in error(waiting.get("/api/ready"), 503)["message"]
        reply = waiting.post("/api/ask", json={"question": "Hva er HMS?"})
        assert error(reply, 503)["code"] == "not_ready"
        assert reply.headers["retry-after"]
        stream = waiting.post("/api/ask", json={"question": "Hva er HMS?"}, headers={"Accept": "text/event-stream"})
        assert error(stream, 503)["code"] == "not_ready"
        article = waiting.get("/lest/blogs/regnskap/hms")
        assert article.status_code == 503 and "ikke klar" in article.text and article.text.startswith("<!doctype html>")
        assert waiting.get("/").status_code == 200


def test_the_reader_page_is_plain_and_shut_to_scripts(client: TestClient) -> None:
    reply = client.get("/lest/blogs/regnskap/verneombud")
    assert reply.status_code == 200
    assert 'id="hvem-velger-verneombudet"' in reply.text
    assert "<script" not in reply.text
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert client.get("/web/reader.css").headers["content-type"].startswith("text/css")
    missing = client.get("/lest/../../etc/passwd")
    assert missing.status_code == 404
    broken = client.get("/lest/a%0Ab")
    assert broken.status_code == 404 and broken.headers["content-type"].startswith("text/html")


def test_an_article_cannot_smuggle_a_script_into_the_reader_page(content: Any, tmp_path: Any) -> None:
    body = (
        "Fare <script>alert(1)</script> <img src=x onerror=alert(1)>\n\n[klikk](javascript:alert(1))\n\n<iframe src=//x></iframe>"
    )
    own = Assistant(
        Settings(content=(content({"a/index.md": f'---\ntitle: "<b>x"\n---\n\n{body}\n'}),), index=tmp_path / "index")
    )
    own.load()
    with TestClient(create_app(own)) as client:
        page = client.get("/lest/a").text
    assert not any(bad in page for bad in ("<script", "onerror=", 'href="javascript', "<iframe", "<b>x"))


def test_every_reply_forbids_sniffing_and_framing_by_others(client: TestClient) -> None:
    for path in ("/", "/api/health", "/api/nei", "/lest/blogs/regnskap/hms", "/lest/nei"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"]
        policy = headers["content-security-policy"]
        assert "frame-ancestors" in policy and "//" not in policy and "*" not in policy
        assert policy.startswith("default-src 'self'" if path == "/" else "default-src 'none'")


def test_openapi_describes_requests_and_answers(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert {"/api/ask", "/api/search", "/api/feedback", "/api/health", "/api/ready"} <= set(described["paths"])
    assert {"/v1/chat/completions", "/v1/models"} <= set(described["paths"])
    ask = described["paths"]["/api/ask"]["post"]
    fields = ask["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert list(fields) == ["question", "history", "role", "page"]
    assert ask["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Answer")
    assert list(described["components"]["schemas"]["Answer"]["properties"]) == ANSWER


class Breaking(Assistant):
    """An assistant with a fault of its own, in the middle of an answer."""

    def ask(self, ask: Ask) -> Answer:
        raise ValueError("/hemmelig/sti")

    def stream(self, ask: Ask) -> Iterator[Event]:
        yield Event("status", {"stage": "Leter"})
        raise ValueError("/hemmelig/sti")

    def manifest(self) -> dict[str, object]:
        return {}


def test_a_fault_of_our_own_tells_nothing_of_the_inside(settings: Settings) -> None:
    with TestClient(create_app(Breaking(settings)), raise_server_exceptions=False) as client:
        assert error(client.post("/api/ask", json={"question": "Hva?"}), 500) == {"code": "internal", "message": UNEXPECTED}
        stream = client.post("/api/ask", json={"question": "Hva?"}, headers={"Accept": "text/event-stream"}).text
        last = stream.strip().split("\n\n")[-1].split("\n")
        assert last[0] == "event: error"
        assert json.loads(last[1].removeprefix("data: "))["error"] == {"code": "internal", "message": UNEXPECTED}


class Endless(Assistant):
    """An assistant that never ends by itself, and tells when it was stopped."""

    stopped = Flag()

    def stream(self, ask: Ask) -> Iterator[Event]:
        try:
            while True:
                yield Event("token", {"text": "og "})
        finally:
            self.stopped.set()

    def manifest(self) -> dict[str, object]:
        return {}


def test_a_stream_stops_when_its_reader_leaves(settings: Settings) -> None:
    endless = Endless(settings)
    sent: list[Any] = []
    left = asyncio.Event()
    headers = [(b"content-type", b"application/json"), (b"accept", b"text/event-stream")]
    scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "scheme": "http", "server": ("localhost", 80)}
    scope |= {"method": "POST", "path": "/api/ask", "root_path": "", "query_string": b"", "headers": headers}
    bodies = [{"type": "http.request", "body": b'{"question": "Hva?"}', "more_body": False}]

    async def receive() -> Any:
        if bodies:
            return bodies.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) > 5:
            left.set()

    async def talk() -> None:
        await asyncio.wait_for(create_app(endless)(scope, receive, send), 30)

    asyncio.run(talk())
    assert endless.stopped.wait(5)


def test_a_taken_port_and_a_foreign_host_stop_the_start_before_anything_is_loaded(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        waiting = Assistant(settings)
        with pytest.raises(HmsError, match=rf"port {port} .* er opptatt; .* --port eller HMS_PORT\.$"):
            serve(waiting, Settings(port=port))
        with pytest.raises(HmsError, match=r"^HMS_HOST er «192\.0\.2\.1»"):
            serve(waiting, Settings(host="192.0.2.1"))
        assert not waiting.ready and waiting.status == Assistant(settings).status


def test_the_program_ends_with_one_sentence_and_2() -> None:
    done = subprocess.run([sys.executable, "app.py", "--port", "x"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "HMS_PORT er «x», men må være et heltall fra 1 til 65535.\n")


@pytest.fixture(scope="module")
def openai_client(assistant: Assistant) -> Iterator[OpenAI]:
    with serving(create_app(assistant)) as url, OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


def said(role: str, content: Any) -> Any:
    """A message as OpenAI's clients send it."""
    return {"role": role, "content": content}


def test_openais_client_gets_an_answer_with_its_sources_as_links(openai_client: OpenAI) -> None:
    assert [each.id for each in openai_client.models.list()] == [MODEL]
    messages = [said("system", "Svar på latin."), said("user", "Hvor lenge sitter verneombudet?")]
    reply = openai_client.chat.completions.create(model="gpt-5", messages=messages, temperature=0.2)
    (choice,) = reply.choices
    assert (reply.model, reply.object, choice.finish_reason, choice.message.role) == (
        MODEL,
        "chat.completion",
        "stop",
        "assistant",
    )
    assert reply.usage and reply.usage.total_tokens == 0
    answer, _, sources = (choice.message.content or "").partition("\n\n**Kilder**\n\n")
    assert "to år" in answer and "[1]" in answer
    host = str(openai_client.base_url).removesuffix("/v1/")
    assert sources.startswith(f"1. [Verneombud – Hvor lenge sitter verneombudet?]({host}/lest/blogs/regnskap/verneombud#hvor")


def test_openais_client_streams_the_same(openai_client: OpenAI) -> None:
    messages = [said("user", "Hvem vant fotballkampen i går?")]
    whole = openai_client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content
    chunks = list(openai_client.chat.completions.create(model=MODEL, messages=messages, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert whole and "Disse artiklene ligger nærmest:\n\n- [" in whole
    assert [chunk.choices[0].finish_reason for chunk in chunks][-2:] == [None, "stop"]
    assert {chunk.id for chunk in chunks} == {chunks[0].id} and {chunk.model for chunk in chunks} == {MODEL}


def test_a_conversation_of_openais_client_is_understood_and_cut_to_what_is_read(openai_client: OpenAI) -> None:
    first = openai_client.chat.completions.create(model=MODEL, messages=[said("user", "Hva er et verneombud?")])
    old = [said("user", "Hva er AMU?"), said("assistant", "å" * 1_000)] * 12
    parts = [{"type": "text", "text": "Og hvor lenge"}, {"type": "text", "text": "sitter det?"}]
    talk = [*old, said("user", "Hva er et verneombud?"), said("assistant", first.choices[0].message.content), said("user", parts)]
    reply = openai_client.chat.completions.create(model=MODEL, messages=talk)
    assert "to år" in (reply.choices[0].message.content or "")


QUESTION = said("user", "Hva er HMS?")


@pytest.mark.parametrize(
    ("changed", "param", "word"),
    [
        ({"messages": []}, "messages", "user"),
        ({"messages": "Hva er HMS?"}, "messages", "user"),
        ({"messages": [said("system", "Hei")]}, "messages", "user"),
        ({"messages": [QUESTION, said("assistant", "Helse")]}, "messages", "user"),
        ({"messages": [said("user", 7)]}, "messages", "user"),
        ({"messages": [said("user", [{"type": "image_url", "image_url": {"url": "x"}}])]}, "messages", "user"),
        ({"messages": [said("user", "a" * 5_000)]}, "question", "5000"),
        ({"messages": [said("user", " ")]}, "question", "tomt"),
        ({"n": 2}, "n", "«n» er 2"),
        ({"tools": [{"type": "function", "function": {"name": "x"}}]}, "tools", "«tools»"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_openais_client_cannot_have_is_one_clear_error_of_its_own_kind(
    openai_client: OpenAI, changed: dict[str, Any], param: str, word: str, stream: bool
) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": [QUESTION], "stream": stream} | changed
    with pytest.raises(UnprocessableEntityError) as caught:
        openai_client.chat.completions.create(**asked)
    told: Any = caught.value.response.json()["error"]
    assert list(told) == ["message", "type", "param", "code"]
    assert (told["type"], told["param"], told["code"]) == ("invalid_request_error", param, "invalid_value")
    assert word in told["message"] and told["message"].endswith(".")


def test_every_fault_below_v1_has_openais_shape(client: TestClient, settings: Settings) -> None:
    replies = [client.get("/v1/nei"), client.get("/v1/chat/completions"), client.post("/v1/chat/completions", content="x")]
    large = client.post("/v1/chat/completions", content=b" " * (MAX_BODY + 1), headers={"Content-Type": "application/json"})
    with TestClient(create_app(Assistant(settings))) as waiting:
        replies += [large, waiting.post("/v1/chat/completions", json={"messages": [QUESTION]})]
        replies += [waiting.post("/v1/chat/completions", json={"messages": [QUESTION], "stream": True})]
    assert [reply.status_code for reply in replies] == [404, 405, 415, 413, 503, 503]
    assert {tuple(reply.json()["error"]) for reply in replies} == {("message", "type", "param", "code")}
    assert [reply.json()["error"]["type"] for reply in replies] == ["invalid_request_error"] * 4 + ["server_error"] * 2
    with TestClient(create_app(Breaking(settings)), raise_server_exceptions=False) as broken:
        stream = broken.post("/v1/chat/completions", json={"messages": [QUESTION], "stream": True}).text
    told = json.loads(stream.strip().split("\n\n")[-1].removeprefix("data: "))["error"]
    assert (told["message"], told["type"], told["code"]) == (UNEXPECTED, "server_error", "internal")
