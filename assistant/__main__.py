"""The terminal door, `python -m assistant`: one question, or a conversation.

Knows arguments and how an answer looks as plain text; knows nothing of how it comes about.
"""

import argparse
import json
import sys
from dataclasses import asdict

from assistant import HmsError, phrases
from assistant.chat import Assistant
from assistant.settings import load
from assistant.types import Answer, Ask, Turn

KEPT_TURNS, KEPT_CHARACTERS = 20, 4_000  # of the conversation are sent along: the Assistant's own limits


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when there was a reply, 2 when not (with one sentence on stderr)."""
    parser = argparse.ArgumentParser(prog="python -m assistant", description="Spør HMS-assistenten i terminalen.")
    commands = parser.add_subparsers(dest="command", required=True)
    ask = commands.add_parser("ask", help="svar på ett spørsmål")
    ask.add_argument("question")
    ask.add_argument("--json", action="store_true", help="hele svaret som JSON")
    chat = commands.add_parser("chat", help="samtale; avslutt med Ctrl-D")
    for command in (ask, chat):
        command.add_argument("--index", help="mappen med søkeindeksen")
    options = parser.parse_args(arguments)
    try:
        assistant = Assistant(load(index=options.index))
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
    if answer.citations:
        lines.append("\nKilder")
    for citation in answer.citations:
        lines += [f"[{citation.number}] {citation.title} – {citation.section}", f"    «{citation.quote}»", f"    {citation.url}"]
    return "\n".join(lines)


def _chat(assistant: Assistant) -> int:
    print("Still et spørsmål. Avslutt med Ctrl-D.")
    history: list[Turn] = []
    while True:
        try:
            question = input("\n> ")
            answer = assistant.ask(Ask(question, tuple(history[-KEPT_TURNS:])))
        except (EOFError, KeyboardInterrupt):
            print()
            return 0
        except HmsError as error:
            print(error, file=sys.stderr)
            continue
        print(text(answer))
        history += [Turn("user", question), Turn("assistant", answer.answer[:KEPT_CHARACTERS])]


if __name__ == "__main__":
    sys.exit(main())
