"""The report: the figures of the rows, on one page that needs nothing from elsewhere."""

import re
from pathlib import Path
from typing import Any

import pytest

from eval.report import Report, mean, write


def row(number: int, **fields: Any) -> dict[str, Any]:
    scores = {"hit@1": float(number % 2), "hit@5": 1.0, "mrr@10": 0.5, "facts_and_cited": float(number % 2), "abstained": 0.0}
    asked: dict[str, Any] = {
        "id": f"q{number}",
        "lang": "nb" if number < 6 else "en",
        "type": "figure",
        "persona": "ansatt",
        "split": "kept",
    }
    asked |= {"turns": [], "question": f"Hvor mange <{number}>?", "expect": "answer"}
    asked |= {"gold_urls": ["/a"], "answer_facts": [["30"]]}
    told = {"answer": {"answer": "<script>alert(1)</script>"}, "outcome": "answered", "words": 80, "error": None}
    told |= {"ranking": ["/b", "/a"], "ms": 12.0, "confidence": 0.1 * number}
    return asked | told | {"scores": scores} | fields


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    rest = {"gold_urls": [], "expect": "abstain", "type": "out_of_domain", "scores": {"as_expected": 0.0}}
    return [*(row(number) for number in range(10)), row(10, **rest), row(11, **rest, confidence=-0.2)]


def test_the_mean_is_over_the_rows_that_have_the_score(rows: list[dict[str, Any]]) -> None:
    value, low, high, count = mean(rows, "hit@1") or (0.0, 0.0, 0.0, 0)
    assert (value, count) == (0.5, 10)
    assert low < value < high
    assert mean(rows, "links_valid") is None


def test_the_page_shows_the_figures_and_holds_everything_itself(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    table = {"Against": {"ours": {"hit@1": 0.5, "build_s": 30.0}, "bm25": {"hit@1": 0.25}}}
    write(Report("Title", {"blog": rows}, table, ["A note & more"]), tmp_path / "out" / "report.html")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "50 %" in page and "A note &amp; more" in page and "<b>0.500</b>" in page
    assert page.count("<svg") == 3  # by language, abstention, latency; of one type and one persona there is nothing to compare
    assert not re.search(r"(?:src|href)=[\"']?https?:", page.replace("xlink:href", ""))


def test_what_readers_and_articles_say_is_escaped(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    write(Report("T", {"blog": rows}), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<script>" not in page and "Hvor mange &lt;0&gt;?" in page


def test_the_worst_questions_come_with_what_was_found(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    write(Report("T", {"blog": rows}), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Where it goes wrong (7, the worst 7)" in page  # five without the facts, two that should not have been answered
    assert "<li class=gold>/a</li>" in page
