"""What the chat page does when a reader asks, presses, or speaks another language; what a browser sends is not believed."""

import base64
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant import render
from assistant.chat import Assistant
from assistant.settings import Settings
from assistant.store import Store
from assistant.types import Answer, Ask, Event, Feedback, Rated
from assistant.ui import Talk, build, converse, done
from assistant.wire import preferred

QUESTION = "Hvor lenge sitter verneombudet?"


def last(assistant: Assistant, question: str, kept: Talk = (), language: str = "nb", role: str = "alle") -> tuple[object, ...]:
    return list(converse(assistant, question, kept, language, role, "https://hms.example.no"))[-1]


def talk(assistant: Assistant, *questions: str) -> Talk:
    kept: Talk = ()
    for question in questions:
        kept = last(assistant, question, kept)[0]  # type: ignore[assignment]
    return kept


@pytest.fixture(scope="module")
def one(assistant: Assistant) -> tuple[Talk, str]:
    """A talk of one question, and the id of its answer."""
    kept = talk(assistant, QUESTION)
    assert kept[0].answer is not None
    return kept, kept[0].answer.id


def test_a_conversation_streams_and_ends_with_sources_and_suggestions(assistant: Assistant) -> None:
    steps = list(converse(assistant, QUESTION, ()))
    assert len(steps) > 3 and "Leter i artiklene" in steps[0][2]
    kept, before, now, sources, suggestions = steps[-1]
    assert (before, kept[0].question) == ("", QUESTION)
    assert QUESTION in now and "to år" in now and 'class="source"' in sources
    assert '<button type="button" class="suggestion"' in suggestions


def test_a_follow_up_is_understood_from_the_talk_and_earlier_answers_stay(assistant: Assistant) -> None:
    kept = talk(assistant, "Hva er et verneombud?", "Og hvor lenge sitter det?")
    assert len(kept) == 2 and kept[1].answer is not None and "to år" in kept[1].answer.answer
    _, before, now, sources, _ = last(assistant, "Hvem velger det?", kept)
    assert str(before).count('<article class="turn"') == 2 and str(now).count('<article class="turn"') == 1
    assert str(sources).count(" hidden>") == 2  # those of the earlier answers wait for their markers


def test_a_question_that_cannot_be_used_is_given_back_with_the_sentence(assistant: Assistant) -> None:
    _, _, now, *_ = last(assistant, "a" * 3_000)
    assert "<span data-text>" + "a" * 3_000 in str(now) and 'data-answer=""' in str(now) and "høyst 2000" in str(now)


@pytest.mark.parametrize(
    ("language", "question", "says"),
    [
        ("nn", "a" * 3_000, "på 3000 teikn, men kan ha høgst 2000"),
        ("en", "a" * 3_000, "has 3000 characters, but may have 2000"),
        ("en", " ", "The question is empty"),
    ],
)
def test_what_is_wrong_with_a_question_is_told_in_the_pages_language(
    assistant: Assistant, language: str, question: str, says: str
) -> None:
    assert says in str(last(assistant, question, language=language)[2])


@pytest.mark.parametrize(
    ("seconds", "language", "says"),
    [
        (90, "nb", "90 sekunder"),
        (90, "nn", "90 sekund"),
        (1, "en", "2 seconds"),
        (101, "en", "2 minutes"),
        (6_001, "en", "2 hours"),
    ],
)
def test_how_long_to_wait_is_told_in_the_pages_language(seconds: int, language: str, says: str) -> None:
    assert render.too_many(seconds, language).endswith(f" {says}.")
    assert render.too_many(0, language) == ""


def test_a_rating_that_is_one_too_many_is_told_so_and_can_be_tried_again(assistant: Assistant, one: tuple[Talk, str]) -> None:
    kept, answer = one
    *_, file = done(assistant, kept, "en", {"do": "up", "answer": answer}, lambda: 30)
    assert file == {"failed": render.too_many(30, "en")} and "30 seconds" in file["failed"]


def test_a_question_that_is_one_too_many_is_told_so_and_stays_in_the_box(assistant: Assistant) -> None:
    told = "Det kom mange forespørsler herfra på kort tid; prøv igjen om 12 sekunder."
    ((_, _, now, *_),) = converse(assistant, QUESTION, (), refusal=told)
    assert QUESTION in now and told in now and 'data-answer=""' in now


def test_the_page_can_be_built_before_the_index_is_there(settings: Settings) -> None:
    assert build(Assistant(settings), lambda counted, scope: 0).title == "HMS-assistenten"


def test_a_question_before_the_index_is_there_is_answered_with_what_is_being_waited_for(settings: Settings) -> None:
    _, _, now, *_ = last(Assistant(settings), "Hva er HMS?")
    assert "<span data-text>Hva er HMS?" in str(now) and 'data-answer=""' in str(now) and "ikke klar" in str(now)


class Breaking(Assistant):
    """An assistant with faults of its own."""

    def stream(self, ask: Ask) -> Iterator[Event]:
        raise ValueError("/hemmelig/sti")

    def rate(self, feedback: Feedback) -> None:
        raise OSError("/hemmelig/sti")


@pytest.mark.parametrize("language", render.LANGUAGES)
def test_a_fault_of_our_own_leaves_nobody_waiting(settings: Settings, language: str) -> None:
    _, _, now, *_ = last(Breaking(settings), "Hva er HMS?", language=language)
    assert "<span data-text>Hva er HMS?" in str(now) and 'data-answer=""' in str(now)  # what the page gives back to the box
    assert render.texts(language)["unexpected"] in str(now) and "hemmelig" not in str(now)


class Listening(Assistant):
    """An assistant that keeps what it is asked."""

    asked: Ask | None = None

    def stream(self, ask: Ask) -> Iterator[Event]:
        self.asked = ask
        yield Event("answer", Answer("1", ask.question, "greeting", "Hei", "nb"))


@pytest.mark.parametrize(("role", "meant"), [("alle", None), ("verneombud", "verneombud"), ("<sjef>", None)])
def test_the_role_goes_along_when_there_is_one(settings: Settings, role: str, meant: str | None) -> None:
    assistant = Listening(settings)
    last(assistant, "Hei", role=role)
    assert assistant.asked == Ask("Hei", (), meant)  # type: ignore[arg-type]


@pytest.fixture
def kept_by(assistant: Assistant, settings: Settings, tmp_path: Path) -> Iterator[Callable[[], list[Rated]]]:
    """What the assistant has kept of ratings so far."""
    own = replace(settings, index=tmp_path / "index")

    def ratings() -> list[Rated]:
        opened.close()  # which writes what waits
        store = assistant.store = opened.enter_context(Store(own))
        return store.ratings(datetime(1970, 1, 1, tzinfo=UTC))

    with contextlib.ExitStack() as opened:
        assistant.store = opened.enter_context(Store(own))
        yield ratings
    assistant.store = None


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({"do": "up"}, ("up", None, None)),
        ({"do": "down", "reason": "mangler kilder", "comment": " Hvor står det? "}, ("down", "mangler kilder", "Hvor står det?")),
        ({"do": "down", "reason": "annet", "comment": "x" * 2_000}, ("down", "annet", "x" * 1_000)),
        ({"do": "missing"}, ("down", "mangler i artiklene", None)),
    ],
)
def test_a_rating_is_kept_once_and_thanked_for(
    assistant: Assistant,
    kept_by: Callable[[], list[Rated]],
    one: tuple[Talk, str],
    told: dict[str, str],
    kept: tuple[str, ...],
) -> None:
    rated, now, file = done(assistant, one[0], "nn", {**told, "answer": one[1]})
    assert [(each.rating, each.reason, each.comment) for each in kept_by()] == [kept]
    assert "Takk" in now and 'data-do="up"' not in now and file is None
    done(assistant, rated, "nn", {**told, "answer": one[1]})
    assert len(kept_by()) == 1


@pytest.mark.parametrize(
    "told",
    [{}, {"do": "up"}, {"do": "up", "answer": "fremmed"}, {"do": "drop", "answer": "egen"}, {"do": ["up"], "answer": "egen"},
     {"do": "down", "reason": "<b>", "answer": "egen"}, {"do": "up", "answer": {"x": 1}}],
)  # fmt: skip
def test_what_no_button_of_ours_sends_changes_nothing(
    assistant: Assistant, kept_by: Callable[[], list[Rated]], one: tuple[Talk, str], told: dict[str, object]
) -> None:
    told = {**told, "answer": one[1] if told.get("answer") == "egen" else told.get("answer")}
    state, _, file = done(assistant, one[0], "nb", told)
    assert not isinstance(state, tuple) and kept_by() == []
    assert isinstance(file, dict) and "data" not in file


def test_a_rating_that_cannot_be_kept_is_told_in_a_sentence(settings: Settings, one: tuple[Talk, str]) -> None:
    _, now, _ = done(Breaking(settings), one[0], "nb", {"do": "up", "answer": one[1]})
    assert render.texts("nb")["unrated"] in now and "hemmelig" not in now


@pytest.mark.parametrize(("kind", "begins", "name"), [("pdf", b"%PDF-", ".pdf"), ("markdown", b"# Hvor lenge", ".md")])
def test_an_answer_is_saved_as_a_file(assistant: Assistant, one: tuple[Talk, str], kind: str, begins: bytes, name: str) -> None:
    file = done(assistant, one[0], "nb", {"do": kind, "answer": one[1]})[2]
    assert base64.b64decode(file["data"]).startswith(begins) and file["name"] == f"hvor-lenge-sitter-verneombudet{name}"


def test_only_the_latest_answer_is_rated_and_an_earlier_one_can_still_be_saved(
    assistant: Assistant, kept_by: Callable[[], list[Rated]]
) -> None:
    kept = talk(assistant, QUESTION, "Hva er internkontroll?")
    assert kept[0].answer is not None
    done(assistant, kept, "nb", {"do": "up", "answer": kept[0].answer.id})
    assert kept_by() == []
    assert done(assistant, kept, "nb", {"do": "markdown", "answer": kept[0].answer.id})[2]["data"]


def test_a_long_talk_lets_go_of_its_beginning(assistant: Assistant, one: tuple[Talk, str]) -> None:
    kept: Talk = tuple(replace(one[0][0], question=f"Nummer {number}?") for number in range(20))
    after = last(assistant, "Hva er internkontroll?", kept)[0]
    assert isinstance(after, tuple) and len(after) == 20 and after[0].question == "Nummer 1?"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("nb-NO,nb;q=0.9,en;q=0.8", "nb"), ("no", "nb"), ("nn-NO,nb;q=0.9", "nn"), ("en-US,en;q=0.9", "en"), ("pl", "en"),
     ("", "nb"), ("*", "nb"), ("sv-SE", "nb"), (";;q=,,", "nb")],
)  # fmt: skip
def test_the_page_begins_in_the_browsers_language(accepted: str, language: str) -> None:
    assert preferred(accepted) == language
