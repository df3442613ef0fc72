"""How the page shows an answer: links, sources, and everything from outside escaped."""

from collections.abc import Iterator
from dataclasses import replace

from assistant import phrases
from assistant.chat import Assistant
from assistant.settings import Settings
from assistant.types import Answer, Ask, Citation, Event, Notice, Page
from assistant.ui import NO_SOURCES, UNEXPECTED, build, converse, day, linked, sources_html
from assistant.wire import markdown

CITATION = Citation(1, "/lest/a#krav:~:text=x%2Cy", "Tittel <b>", "Krav", 'sitat <script> "x"', updated="2025-11-20")
ANSWER = Answer("1", "?", "answered", r"Ja \[2\] [1] og [9]", "nb", citations=(CITATION,))


def test_markers_are_links_to_their_sources_and_other_brackets_stay() -> None:
    assert linked(ANSWER) == r"Ja \[2\] [\[1\]](/lest/a#krav:~:text=x%2Cy) og [9]"


def test_sources_show_title_section_quote_date_and_link_escaped() -> None:
    html = sources_html(ANSWER)
    assert "Tittel &lt;b&gt;" in html and "sitat &lt;script&gt; &quot;x&quot;" in html
    assert "Oppdatert 20.11.2025" in html and 'href="/lest/a#krav:~:text=x%2Cy" target="_blank" rel="noopener"' in html
    assert "<script" not in html


def test_notices_and_nearest_articles_are_shown() -> None:
    answer = Answer(
        "1", "?", "not_covered", "Nei.", "nn", notices=(Notice("outdated", "<Gammel>"),), nearest=(Page("/lest/b", "B & C"),)
    )
    html = sources_html(answer)
    assert "&lt;Gammel&gt;" in html and "B &amp; C" in html and phrases.NEAREST["nn"] in html
    assert sources_html(Answer("1", "?", "greeting", "Hei", "nb")) == NO_SOURCES


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


def test_a_conversation_streams_and_ends_with_sources_and_suggestions(assistant: Assistant) -> None:
    steps = list(converse(assistant, "Hvor lenge sitter verneombudet?", []))
    assert len(steps) > 3
    box, history, sources, *suggestions = steps[-1]
    assert (box, history[0]["content"]) == ("", "Hvor lenge sitter verneombudet?")
    assert "to år" in history[1]["content"] and "Kilder" in sources
    assert [button.value for button in suggestions if button.visible]


def test_a_question_that_cannot_be_used_is_given_back_with_the_sentence(assistant: Assistant) -> None:
    box, history, *_ = list(converse(assistant, "a" * 3_000, []))[-1]
    assert len(box) == 3_000
    assert "høyst 2000" in history[-1]["content"]


def test_gradios_messages_are_read_as_turns(assistant: Assistant) -> None:
    history = [
        {"role": "user", "content": [{"type": "text", "text": "Hva er et verneombud?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "En representant."}]},
    ]
    _, shown, *_ = list(converse(assistant, "Og hvor lenge sitter det?", history))[-1]
    assert "to år" in shown[-1]["content"]


def test_a_question_that_is_one_too_many_is_told_so_and_stays_in_the_box(assistant: Assistant) -> None:
    told = "Det kom mange forespørsler herfra på kort tid; prøv igjen om 12 sekunder."
    ((box, shown, *_),) = converse(assistant, "Hva er HMS?", [], told)
    assert box == "Hva er HMS?"
    assert [message["content"] for message in shown] == ["Hva er HMS?", told]


def test_the_page_can_be_built_before_the_index_is_there(settings: Settings) -> None:
    assert build(Assistant(settings), lambda scope: "").title == "HMS-assistenten"


def test_a_question_before_the_index_is_there_is_answered_with_what_is_being_waited_for(settings: Settings) -> None:
    box, history, *_ = list(converse(Assistant(settings), "Hva er HMS?", []))[-1]
    assert box == "Hva er HMS?"
    assert "ikke klar" in history[-1]["content"]


class Breaking(Assistant):
    """An assistant with a fault of its own."""

    def stream(self, ask: Ask) -> Iterator[Event]:
        raise ValueError("/hemmelig/sti")


def test_a_fault_of_our_own_leaves_nobody_waiting(settings: Settings) -> None:
    box, history, *_ = list(converse(Breaking(settings), "Hva er HMS?", []))[-1]
    assert (box, history[-1]["content"]) == ("Hva er HMS?", UNEXPECTED)


def test_dates_are_written_as_norwegians_do_and_other_words_stay() -> None:
    assert [day("2025-11-20"), day("høsten 2025")] == ["20.11.2025", "høsten 2025"]
