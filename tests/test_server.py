"""The HTTP door, over the real Assistant: routes, events, limits and one error shape."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from assistant.chat import Assistant
from assistant.server import MAX_BODY, create_app
from assistant.settings import Settings

ANSWER = [
    "id", "question", "outcome", "answer", "language", "citations", "laws", "notices", "nearest", "followups", "model", "index",
    "elapsed_ms",
]  # fmt: skip


@pytest.fixture(scope="module")
def client(assistant: Assistant) -> Iterator[TestClient]:
    with TestClient(create_app(assistant)) as client:
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


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 60_000])
def test_a_body_that_is_no_json_object_is_malformed(client: TestClient, body: bytes) -> None:
    assert error(client.post("/api/ask", content=body, headers={"Content-Type": "application/json"}), 400)["code"] == "malformed"


def test_a_body_that_is_too_large_is_stopped_while_it_is_read(client: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(MAX_BODY // 1024 + 2):
            yield b" " * 1024

    assert (
        error(client.post("/api/ask", content=parts(), headers={"Content-Type": "application/json"}), 413)["code"] == "too_large"
    )


def test_other_content_types_are_refused(client: TestClient) -> None:
    assert "text/plain" in error(client.post("/api/ask", content="hei", headers={"Content-Type": "text/plain"}), 415)["message"]


def test_unknown_addresses_and_methods_have_the_same_shape(client: TestClient) -> None:
    assert error(client.get("/api/finnes-ikke"), 404)["code"] == "not_found"
    assert error(client.get("/finnes-ikke"), 404)["code"] == "not_found"
    assert error(client.get("/api/ask"), 405)["code"] == "method_not_allowed"


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
    for path in ("/", "/api/health", "/lest/blogs/regnskap/hms"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors" in headers["content-security-policy"]


def test_openapi_names_the_routes(client: TestClient) -> None:
    assert {"/api/ask", "/api/search", "/api/health", "/api/ready"} <= set(client.get("/openapi.json").json()["paths"])
