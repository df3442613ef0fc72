"""The terminal door, `python -m assistant`: one question, a conversation, what is kept of an answer, or tools for other programs.

Knows arguments and how an answer looks as plain text; knows nothing of how it comes about.
"""

import argparse
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from assistant import HmsError, phrases
from assistant.chat import Assistant
from assistant.question import MAX_TURN, MAX_TURNS
from assistant.settings import Settings, load
from assistant.types import Answer, Ask, Audience, Citation, Turn

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from assistant.store import Store


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when there was a reply, 2 when not (with one sentence on stderr)."""
    parser = argparse.ArgumentParser(prog="python -m assistant", description="Spør HMS-assistenten i terminalen.")
    commands = parser.add_subparsers(dest="command", required=True)
    ask = commands.add_parser("ask", help="svar på ett spørsmål")
    ask.add_argument("question")
    ask.add_argument("--json", action="store_true", help="hele svaret som JSON")
    chat = commands.add_parser("chat", help="samtale; avslutt med Ctrl-D")
    serving = commands.add_parser("mcp", help="verktøy for andre programmer, over Model Context Protocol")
    serving.add_argument("--http", action="store_true", help="server på HMS_HOST og HMS_PORT i stedet for stdin og stdout")
    serving.add_argument("--host")
    serving.add_argument("--port")
    kept = [commands.add_parser(name, help=about) for name, (about, _) in KEPT.items()]
    for command in kept:
        command.add_argument("answer_id", help="svarets id")
    for command in (ask, chat, serving, *kept):
        command.add_argument("--index", help="mappen med søkeindeksen")
    options = parser.parse_args(arguments)
    try:
        if options.command == "mcp":
            return _mcp(load(index=options.index, host=options.host, port=options.port), options.http)
        settings = load(index=options.index)
        if options.command in KEPT:
            return _kept(settings, options.answer_id, KEPT[options.command][1])
        assistant = Assistant(settings)
        assistant.load()
        if options.command == "chat":
            return _chat(assistant)
        answer = assistant.ask(Ask(options.question))
    except HmsError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # what a shell expects of a command that was stopped by Ctrl-C
    print(json.dumps(asdict(answer), ensure_ascii=False, indent=2) if options.json else text(answer))
    return 0


def text(answer: Answer) -> str:
    """An answer as plain text, its sources below."""
    lines = [answer.answer]
    lines += [f"\n! {notice.message}" for notice in answer.notices]
    left_out = [each.sentence for each in answer.support if each.verdict == "ikke funnet"]
    lines += [f"\n! Utelatt, ikke funnet i kildene: {sentence}" for sentence in left_out]
    if answer.nearest:
        lines += ["", phrases.NEAREST[answer.language], *(f"  - {page.title}\n    {page.url}" for page in answer.nearest)]
    return "\n".join([*lines, *_sources(answer.citations)])


def _sources(citations: Sequence[Citation]) -> list[str]:
    lines = ["\nKilder"] if citations else []
    for each in citations:
        lines += [f"[{each.number}] {each.title} – {each.section}", f"    «{each.quote}»", f"    {each.url}"]
    return lines


def replay(store: "Store", settings: Settings, answer_id: str) -> str:
    """Why it said that: what was asked, from which passages of which index, and what was answered."""
    kept = store.answer(answer_id)
    if kept is None:
        return ""
    there = "ligger på disken" if (settings.index / "versions" / kept.index).is_dir() else "er ikke lenger på disken"
    lines = [f"Spurt {kept.time:%Y-%m-%d %H:%M} UTC: {kept.question or '(spørsmålet er ikke lagret)'}"]
    lines += [f"Før det: {each}" for each in kept.history]
    lines += [f"Indeks {kept.index}, som {there}", f"Utfall {kept.outcome}, modell {kept.model}, {kept.elapsed_ms} ms"]
    lines += ["\nAvsnitt, de beste først", *(f"  {each}" for each in kept.passages), "\nSvar", kept.answer]
    lines += [f"\n! {notice.message}" for notice in kept.notices]
    lines += [
        "\nKilder",
        *(f"[{each.number}] {each.title} – {each.section}\n    «{each.quote}»\n    {each.url}" for each in kept.citations),
    ]
    return "\n".join(lines)


def export(store: "Store", _: Settings, answer_id: str) -> str:
    """All that is kept of an answer, as JSON."""
    found = store.export(answer_id)
    return json.dumps(found, ensure_ascii=False, indent=2) if found else ""


def forget(store: "Store", _: Settings, answer_id: str) -> str:
    """Delete an answer, and what was said of it."""
    return f"Svaret {answer_id} er slettet." if store.forget(answer_id) else ""


KEPT: dict[str, tuple[str, Callable[["Store", Settings, str], str]]] = {
    "replay": ("hvorfor et svar ble som det ble", replay),
    "export": ("alt som er lagret om et svar, som JSON", export),
    "forget": ("slett et svar og det som er sagt om det", forget),
}


def _kept(settings: Settings, answer_id: str, act: Callable[["Store", Settings, str], str]) -> int:
    from assistant.store import Store  # not for every question in the terminal

    with Store(settings) as store:
        told = act(store, settings, answer_id)
    if not told:
        raise HmsError(f"Det er ikke lagret noe svar med id «{answer_id}».")
    print(told)
    return 0


def _chat(assistant: Assistant) -> int:
    print("Still et spørsmål. Avslutt med Ctrl-D.")
    history: list[Turn] = []
    while True:
        try:
            question = input("\n> ")
            answer = assistant.ask(Ask(question, tuple(history[-MAX_TURNS:])))
        except (EOFError, KeyboardInterrupt):
            print()
            return 0
        except HmsError as error:
            print(error, file=sys.stderr)
            continue
        print(text(answer))
        history += [Turn("user", question), Turn("assistant", answer.answer[:MAX_TURN])]


def _mcp(settings: Settings, http: bool) -> int:
    """Serve the tools until the client leaves; over HTTP at /mcp, under the same limits as the API."""
    try:
        from mcp.server.transport_security import TransportSecuritySettings
    except ImportError:
        raise HmsError("Verktøyene trenger pakken mcp; installer den med «.venv/bin/pip install mcp».") from None
    assistant = Assistant(settings)
    if not http:
        tools(assistant).run("stdio")  # which turns aside whatever else would be printed
        return 0
    from assistant.guards import Meter, around
    from assistant.server import serve

    own = f"[{settings.host}]" if ":" in settings.host else settings.host
    hosts = ["127.0.0.1", "localhost", "[::1]", own, *(urlsplit(site).netloc for site in settings.allowed_origins)]
    names = [*hosts, *(f"{host}:*" for host in hosts)]  # no page may reach this by a name of its own
    origins = [*settings.allowed_origins, *(f"http://{name}" for name in names)]
    security = TransportSecuritySettings(allowed_hosts=names, allowed_origins=origins)
    app = tools(assistant).streamable_http_app(stateless_http=True, json_response=True, transport_security=security)
    serve(assistant, settings, lambda _: around(app, settings, Meter(settings), assistant.tally))
    return 0


def tools(assistant: Assistant) -> "MCPServer[Any]":
    """What a program may call: ask, search, article. What goes wrong is the tool's error, in one sentence."""
    from mcp.server.mcpserver import MCPServer
    from mcp_types import CallToolResult, TextContent, ToolAnnotations
    from pydantic import Field

    from assistant.wire import markdown

    @asynccontextmanager
    async def started(_: "MCPServer[Any]") -> AsyncIterator[None]:
        if not assistant.ready:
            assistant.start()  # while the client gets ready itself
        yield

    def told(find: Callable[[], tuple[str, dict[str, Any]]]) -> CallToolResult:
        try:
            assistant.load()  # waits until it is
            text, whole = find()
        except HmsError as error:
            return CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True)
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=whole)

    Question = Annotated[str, Field(description="Spørsmålet / the question, in Norwegian if you can; at most 2,000 characters")]
    History = Annotated[list[Turn] | None, Field(description="Samtalen til nå / the conversation so far, at most 20 turns")]
    Role = Annotated[Audience | None, Field(description="Hvem som spør / who asks")]
    Limit = Annotated[int, Field(ge=1, le=50, description="Antall avsnitt / number of passages")]
    Path = Annotated[str, Field(description="Artikkelens sti eller adresse / its path, or an address from ask or search")]

    def ask(question: Question, history: History = None, role: Role = None) -> Annotated[CallToolResult, Answer]:
        def find() -> tuple[str, dict[str, Any]]:
            answer = assistant.ask(Ask(question, tuple(history or ()), role))
            return markdown(answer), asdict(answer)

        return told(find)

    def search(question: Question, limit: Limit = 10) -> CallToolResult:
        return told(lambda: _passages(assistant.search(Ask(question), limit)))

    def article(path: Path) -> CallToolResult:
        return told(lambda: _article(assistant, path))

    server = MCPServer("hms-assistenten", title="HMS-assistenten", instructions=TOOLS, log_level="WARNING", lifespan=started)
    for tool, about in ((ask, ASK), (search, SEARCH), (article, ARTICLE)):
        server.add_tool(tool, description=about, annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
    return server


def _passages(found: list[dict[str, object]]) -> tuple[str, dict[str, Any]]:
    texts = (f"## {each['title']} – {each['section']}\n{each['url']}\n\n{each['text']}" for each in found)
    return "\n\n".join(texts), {"passages": found}


def _article(assistant: Assistant, path: str) -> tuple[str, dict[str, Any]]:
    """An article in Markdown. Raises HmsError when there is none."""
    if (found := assistant.article(path)) is None:
        raise HmsError(f"Det er ingen artikkel på «{path[:200]}»; finn adressen med search.")
    return f"# {found['title']}\n{found['url']}\nOppdatert {found['updated'] or 'ukjent'}\n\n{found['text']}", found


TOOLS = """Svar om HMS, arbeidsliv og regnskap i Norge fra en bedrifts egne artikler, med kilder.
Answers on health, safety, work and accounting in Norway from a company's own articles, with sources."""
ASK = """Svar på et spørsmål om HMS, arbeidsliv eller regnskap, med en kilde for hver setning; `outcome` «not_covered» betyr at
artiklene ikke sier det. Answers a question on Norwegian health, safety, work or accounting rules, each sentence with its source;
`outcome` "not_covered" means that the articles do not say. Keep the [1] markers and their links when you pass the answer on."""
SEARCH = """Finn avsnittene i artiklene som passer best til et spørsmål, best først, uten å svare på det.
Finds the passages of the articles that fit a question best, best first, without answering it."""
ARTICLE = """Hent hele teksten i en artikkel som Markdown, med tittel, dato og adresse.
Gets the whole text of an article in Markdown, with title, date and address."""

if __name__ == "__main__":
    sys.exit(main())
