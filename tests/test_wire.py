"""Answers as other programs read them."""

from dataclasses import replace

from assistant import phrases
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
