"""The terminal door, as a user calls it."""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult, TextContent

from assistant.chat import Assistant
from assistant.settings import Settings
from assistant.store import Store
from assistant.types import Ask, Feedback, Turn
from eval.bench import free_port
from tests.conftest import ROOT, answers


def run(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assistant", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, input=said, check=False)


@pytest.fixture(scope="module")
def index(assistant: object, settings: Settings) -> str:
    return str(settings.index)


def test_ask_prints_the_answer_and_its_sources(index: str) -> None:
    done = run("ask", "Hvor lenge sitter verneombudet?", "--index", index)
    assert done.returncode == 0
    assert "to år" in done.stdout
    assert "Kilder\n[1] Verneombud – " in done.stdout


def test_ask_as_json_is_the_contracts_answer(index: str) -> None:
    answer = json.loads(run("ask", "Hvor lenge sitter verneombudet?", "--json", "--index", index).stdout)
    assert (answer["outcome"], answer["citations"][0]["number"]) == ("answered", 1)
    assert list(answer)[:6] == ["id", "question", "outcome", "answer", "language", "citations"]


def test_no_answer_is_no_error_and_names_the_nearest_articles(index: str) -> None:
    done = run("ask", "Hvem vant fotballkampen i går?", "--index", index)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Disse artiklene ligger nærmest:\n  - " in done.stdout and "/blogs/" in done.stdout


def test_a_bad_question_is_one_sentence_and_exit_2(index: str) -> None:
    done = run("ask", "  ", "--index", index)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "Spørsmålet er tomt; skriv hva du lurer på.\n")


def test_chat_remembers_and_ends_with_the_input(index: str) -> None:
    done = run("chat", "--index", index, said="Hva er et verneombud?\n\nOg hvor lenge sitter det?\n")
    assert done.returncode == 0
    assert "to år" in done.stdout
    assert "Spørsmålet er tomt" in done.stderr


QUESTION = {"question": "Hvor lenge sitter verneombudet?"}
PAGE = "/blogs/regnskap/verneombud"


async def used(client: Client) -> None:
    """Every tool does what it says, and a fault is one sentence."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"ask", "search", "article"}
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools.values())
    assert tools["ask"].output_schema and {"outcome", "citations"} <= set(tools["ask"].output_schema["properties"])
    assert set(tools["ask"].input_schema["properties"]) == {"question", "history", "role"}
    said, answer = result(await client.call_tool("ask", QUESTION | {"role": "verneombud"}))
    assert "to år" in said and "\n\n**Kilder**\n\n1. [Verneombud" in said
    assert (answer["outcome"], answer["citations"][0]["number"]) == ("answered", 1)
    history = [{"role": "user", "content": "Hva er et verneombud?"}]
    _, answer = result(await client.call_tool("ask", {"question": "Og hvor lenge sitter det?", "history": history}))
    assert "to år" in answer["answer"]
    said, found = result(await client.call_tool("search", {"question": "verneombud", "limit": 2}))
    assert len(found["passages"]) == 2 and found["passages"][0]["text"] in said
    said, article = result(await client.call_tool("article", {"path": found["passages"][0]["url"]}))
    assert said.startswith("# Verneombud\n") and (article["title"], article["updated"]) == ("Verneombud", "2026-11-26")
    for name, arguments, sentence in (
        ("ask", {"question": " "}, "Spørsmålet er tomt; skriv hva du lurer på."),
        ("ask", QUESTION | {"history": history * 21}, "Samtalen har 21 innlegg, men kan ha høyst 20; begynn en ny samtale."),
        ("search", {"question": " "}, "Spørsmålet er tomt; skriv hva du lurer på."),
        ("article", {"path": "/nei"}, "Det er ingen artikkel på «/nei»; finn adressen med search."),
    ):
        wrong = await client.call_tool(name, arguments)
        assert (wrong.is_error, text_of(wrong)) == (True, sentence)


def result(given: CallToolResult) -> tuple[str, dict[str, Any]]:
    assert not given.is_error
    return text_of(given), given.structured_content


def text_of(given: CallToolResult) -> str:
    (content,) = given.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_program_uses_the_tools_over_stdin_and_stdout(index: str, mode: str) -> None:
    async def talk() -> None:
        program = StdioServerParameters(command=sys.executable, args=["-m", "assistant", "mcp", "--index", index], cwd=ROOT)
        async with Client(stdio_client(program), mode=mode) as client:
            await used(client)

    asyncio.run(asyncio.wait_for(talk(), 120))


def test_nothing_else_is_printed_where_the_tools_talk(index: str) -> None:
    asks = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}  # fmt: skip
    calls = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "ask", "arguments": QUESTION}}
    command = [sys.executable, "-m", "assistant", "mcp", "--index", index]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin and program.stdout
        for message in (asks, {"jsonrpc": "2.0", "method": "notifications/initialized"}, calls):
            program.stdin.write(json.dumps(message) + "\n")
        program.stdin.flush()
        lines = [json.loads(program.stdout.readline()) for _ in range(2)]
        program.stdin.close()
        assert program.stdout.read() == "" and program.wait(30) == 0
    assert [line["id"] for line in lines] == [1, 2]
    assert "to år" in lines[1]["result"]["content"][0]["text"]


def test_a_program_uses_the_tools_over_http_and_no_page_by_another_name_does(index: str) -> None:
    port = free_port()
    environment = {**os.environ, "HMS_RATE": "40", "HMS_ALLOWED_ORIGINS": "https://assistent.example"}
    command = [sys.executable, "-m", "assistant", "mcp", "--http", "--port", str(port), "--index", index]
    url = f"http://127.0.0.1:{port}/mcp"
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}

    def status(**more: str) -> int:
        return httpx.post(url, json=ping, headers=headers | more).status_code

    async def talk() -> None:
        async with Client(url) as client:
            await used(client)

    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as program:
        try:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    assert status() == 200
                    break
                assert program.poll() is None
                time.sleep(0.2)
            asyncio.run(asyncio.wait_for(talk(), 120))
            assert [status(Host=host) for host in ("stranger.example", "localhost.stranger.example")] == [421, 421]
            assert [status(Host="assistent.example"), status(Host=f"localhost:{port}")] == [200, 200]
            assert [status(Origin="https://stranger.example"), status(Origin="https://assistent.example")] == [403, 200]
            assert 429 in [status() for _ in range(40)]
        finally:
            program.terminate()


def test_a_port_in_use_stops_the_tools_with_one_sentence(index: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("mcp", "--http", "--port", str(taken.getsockname()[1]), "--index", index)
    assert (done.returncode, done.stdout) == (2, "") and "opptatt" in done.stderr.splitlines()[-1]


def test_what_is_kept_of_an_answer_can_be_replayed_exported_and_forgotten(assistant: Assistant, settings: Settings) -> None:
    ask = Ask("Hvor lenge sitter verneombudet?", (Turn("user", "Hva er et verneombud?"),))
    with Store(settings) as store:
        asked = Assistant(settings, store)
        asked.load()
        answer = asked.ask(ask)
        store.rate(Feedback(answer.id, "down", comment="Kort."))
    index = str(settings.index)
    replayed = run("replay", answer.id, "--index", index).stdout
    assert f"Indeks {answer.index}, som ligger på disken" in replayed
    assert "\nFør det: Hva er et verneombud?\n" in replayed
    passages = re.search(r"\nAvsnitt, de beste først\n((?:  \S+#\d+\n)+)", replayed)
    assert passages and set(passages[1].split()) <= assistant.index.rows.keys() and f"  {PAGE}#" in passages[1]
    assert answer.question in replayed and answer.answer in replayed and f"«{answer.citations[0].quote}»" in replayed
    assert json.loads(run("export", answer.id, "--index", index).stdout)["feedback"][0]["comment"] == "Kort."
    assert run("forget", answer.id, "--index", index).stdout == f"Svaret {answer.id} er slettet.\n"
    done = run("replay", answer.id, "--index", index)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Det er ikke lagret noe svar med id «{answer.id}».\n")


def test_the_terminal_keeps_nothing(index: str, settings: Settings) -> None:
    with Store(settings) as store:
        before = len(answers(store, datetime(1970, 1, 1, tzinfo=UTC)))
        run("ask", "Hva er AMU?", "--index", index)
        assert len(answers(store, datetime(1970, 1, 1, tzinfo=UTC))) == before
