"""The terminal door, as a user calls it."""

import json
import subprocess
import sys

import pytest

from assistant.settings import Settings
from tests.conftest import ROOT


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
