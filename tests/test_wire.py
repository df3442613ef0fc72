"""Answers as other programs read them, and what they may send."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import settings as runs
from hypothesis import strategies as some
from starlette.testclient import TestClient

from assistant import phrases
from assistant.chat import Assistant
from assistant.server import create_app
from assistant.types import Answer, Citation, Notice, Page
from assistant.wire import markdown

CITATION = Citation(1, "/lest/a#krav:~:text=x%2Cy", "Tittel <b>", "Krav", 'sitat <script> "x"', updated="2025-11-20")
ANSWER = Answer("1", "?", "answered", r"Ja \[2\] [1] og [9]", "nb", citations=(CITATION,))


def test_in_others_chats_sources_stand_below_the_answer_and_are_links_and_nothing_else() -> None:
    answer = replace(
        ANSWER, citations=(CITATION, replace(CITATION, number=2, url="https://x.no/b", title="[a](b)", section="[a](b)"))
    )
    assert markdown(answer, "http://own").split("\n\n") == [
        ANSWER.answer,
        "**Kilder**",
        '1. [Tittel \\<b> – Krav](http://own/lest/a#krav:~:text=x%2Cy): «sitat \\<script> "x"»\n'
        '2. [\\[a\\](b)](https://x.no/b): «sitat \\<script> "x"»',
    ]
    nearest = Answer(
        "1", "?", "not_covered", "Nei.", "nn", notices=(Notice("outdated", "Gammel."),), nearest=(Page("/lest/b", "B"),)
    )
    assert markdown(nearest) == f"Nei.\n\n> Gammel.\n\n{phrases.NEAREST['nn']}\n\n- [B](/lest/b)"


WORDS = some.text(max_size=40) | some.sampled_from(["Hva er HMS?", "Hei!", "\ud800", "a" * 2_001])
ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | WORDS,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)
CONTENT = (
    WORDS | some.lists(some.fixed_dictionaries({"type": some.just("text"), "text": WORDS | ANYTHING}), max_size=3) | ANYTHING
)
ROLE = some.sampled_from(["user", "assistant", "system", "tool"]) | ANYTHING
MESSAGE = some.fixed_dictionaries({}, optional={"role": ROLE, "content": CONTENT}) | ANYTHING
WHOLE = some.fixed_dictionaries({"role": ROLE, "content": CONTENT})
BODY = some.fixed_dictionaries(
    {"messages": some.lists(WHOLE, max_size=25) | some.lists(MESSAGE, max_size=4) | ANYTHING},
    optional={"stream": some.booleans() | ANYTHING, "n": ANYTHING, "tools": ANYTHING, "model": ANYTHING},
)


@pytest.fixture(scope="module")
def client(assistant: Assistant) -> Iterator[TestClient]:
    with TestClient(create_app(assistant), raise_server_exceptions=False) as client:
        yield client


@runs(max_examples=150, deadline=None)
@example({"messages": [], "n": "\ud800"})  # half a sign in what is repeated
@given(BODY | ANYTHING)
def test_whatever_another_chat_sends_is_answered_or_told_what_is_wrong_with_it(client: TestClient, body: object) -> None:
    reply = client.post("/v1/chat/completions", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert reply.status_code in (200, 400, 413, 422, 429), reply.text
    if reply.status_code != 200:
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    elif reply.headers["content-type"].startswith("text/event-stream"):
        assert reply.text.endswith("data: [DONE]\n\n")
    else:
        assert reply.json()["choices"][0]["message"]["content"]
