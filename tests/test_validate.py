"""A question file's faults are found before it is believed."""

from dataclasses import replace
from pathlib import Path

import pytest

from corpus.article import Article
from eval.dataset import Record
from eval.validate import faults, read_articles

PAGE = "/blogs/hms/amu"
GOOD = Record(
    "q1",
    "nb",
    "threshold",
    "når blir vi store nok til å måtte ha et slikt utvalg",
    gold_urls=(PAGE,),
    answer_facts=(("30 ansatte",),),
)


@pytest.fixture
def articles(tmp_path: Path) -> dict[str, Article]:
    page = tmp_path / "blogs" / "hms" / "amu" / "index.md"
    page.parent.mkdir(parents=True)
    page.write_text(
        "---\ntitle: AMU\n---\n## Krav til opprettelse av utvalg\n\nDet kreves fra **30** ansatte – alltid.\n", "utf-8"
    )
    return read_articles([tmp_path])


def told(articles: dict[str, Article], *records: Record) -> list[tuple[str, int, str]]:
    return [(each.id, each.line, each.message) for each in faults(records, articles)]


def test_a_sound_question_has_no_faults(articles: dict[str, Article]) -> None:
    assert told(articles, GOOD) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gold_urls": ("/nowhere",)}, "siden /nowhere finnes ikke"),
        ({"answer_facts": (("50 ansatte",),)}, f"['50 ansatte'] står ikke på {PAGE}"),
        ({"answer_facts": ()}, "mangler «answer_facts»"),
        ({"question": "hva gjelder fra 30 ansatte og oppover"}, "['30 ansatte'] står alt i spørsmålet"),
        ({"question": "Hvilke krav er det til opprettelse av utvalg?"}, None),  # three telling words cannot avoid the heading
        ({"expect": "abstain"}, "har sider, men skal ikke besvares («expect» er «abstain»)"),
    ],
)
def test_each_fault_is_told(articles: dict[str, Article], change: dict[str, object], message: str | None) -> None:
    assert told(articles, replace(GOOD, **change)) == ([("q1", 1, message)] if message else [])  # type: ignore[arg-type]


def test_with_all_the_pages_hold_the_facts_together(articles: dict[str, Article]) -> None:
    articles["/other"] = replace(articles[PAGE], path="/other", body="Helt andre ord.")
    both = replace(GOOD, gold_urls=(PAGE, "/other"))
    assert told(articles, both) == [("q1", 1, "['30 ansatte'] står ikke på /other")]
    assert told(articles, replace(both, must_cite="all")) == []


def test_an_echo_of_a_heading_and_a_double_are_told(articles: dict[str, Article]) -> None:
    articles[PAGE] = replace(articles[PAGE], body="## Valg av leder og nestleder i utvalget\n\n30 ansatte")
    echo = replace(GOOD, question="valg av leder og nestleder i utvalget?")
    assert told(articles, echo, replace(echo, id="q2")) == [
        ("q1", 1, f"gjentar overskriften «Valg av leder og nestleder i utvalget» på {PAGE}"),
        ("q2", 2, f"gjentar overskriften «Valg av leder og nestleder i utvalget» på {PAGE}"),
        ("q2", 2, "ligner for mye på q1"),
    ]
