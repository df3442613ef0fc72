"""Everything at once: what is at hand is measured, and what is not is said.

Baselines are judged by the same measures as ours, by pages found and facts handed on. NorQuAD's format goes through as articles
do.
"""

import json
from pathlib import Path

import pytest

from assistant.chat import Assistant
from eval import full
from eval.dataset import Record
from eval.full import Ranked

RECORD = Record("q", "nb", "figure", "hvor mange?", gold_urls=("/a",), answer_facts=(("30",),))
PASSAGES = {
    "news-1": ("Ny flyplass i Moss", "Flyplassen i Moss heter Rygge.\nDen har vært stengt siden 2016."),
    "news-2": ("Tørt i Bergen", "Det falt 51 millimeter nedbør i Bergen i november."),
    "news-3": ("Valg i kommunen", "Ordføreren ble valgt for fire år."),
}
QUERIES = {
    "q1": ("Hva heter flyplassen i Moss?", "Rygge", "news-1"),
    "q2": ("Hvor lenge er ordføreren valgt?", "fire år", "news-3"),
}


def test_without_a_blog_and_norquad_the_shipped_articles_are_measured(tmp_path: Path) -> None:
    report = full.measure(tmp_path, None, None)
    assert list(report.sets) == ["shipped"] and report.tables == {}
    assert len(report.sets["shipped"]) >= 70
    assert all(row["scores"].get("links_valid", 1.0) == 1.0 for row in report.sets["shipped"])
    assert [note for note in report.notes if "left out" in note] != []
    assert (tmp_path / "shipped" / "records.jsonl").is_file()


def test_figures_are_told_by_split_language_and_turns() -> None:
    rows = [
        {
            "lang": "nb", "type": "figure", "expect": "answer", "turns": [], "split": "kept", "persona": "",
            "words": 3, "ms": 1.0,
            "scores": {"hit@1": hit},
        }
        for hit in (1.0, 0.0)
    ]  # fmt: skip
    assert full.figures(rows) == {name: {"hit@1": 0.5} for name in ("lang=nb", "split=kept", "turns=single")}


def test_a_ranking_is_judged_by_pages_and_by_the_facts_in_what_is_handed_on() -> None:
    def search(turns: list[str]) -> Ranked:
        assert turns[-1] == "hvor mange?"
        return [("/b", "30"), ("/a", "minst 30 ansatte"), ("/c", "")]

    figures = full.judge([RECORD], search)  # type: ignore[arg-type]
    assert (figures["hit@1"], figures["hit@5"], figures["mrr@10"], figures["facts@4"]) == (0.0, 1.0, 0.5, 1.0)


def test_facts_past_the_fourth_passage_or_without_the_page_do_not_count() -> None:
    def late(_: object) -> Ranked:
        return [*[("/a", "")] * 4, ("/a", "30")]

    def elsewhere(_: object) -> Ranked:
        return [("/b", "30")]

    assert full.judge([RECORD], late)["facts@4"] == 0.0
    assert full.judge([RECORD], elsewhere)["facts@4"] == 0.0


@pytest.mark.parametrize("name", ["ours", "bm25", "dense", "fusion"])
def test_each_ranking_of_our_own_index_finds_what_is_plainly_there(assistant: Assistant, name: str) -> None:
    found = full.own(assistant.index)[name](["hvor lenge velges verneombudet for"])
    assert "/blogs/regnskap/verneombud" in [page for page, _ in found[:5]]


def test_the_tutorial_is_built_once_and_found_again(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "a.md").write_text("The safety representative is elected for two years.", "utf-8")
    (tmp_path / "content" / "b.md").write_text("Invoices are sent to customers.", "utf-8")
    first = full.open_tutorial([tmp_path / "content"], tmp_path / "cache")
    again = full.open_tutorial([tmp_path / "content"], tmp_path / "cache")
    assert (first.chunks, again.build_s) == (2, first.build_s)
    assert again.search(["who elects the safety representative"])[0][0] == "/a"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "norquad"
    out.mkdir()
    corpus = [{"_id": key, "title": title, "text": f"{title}\n{text}"} for key, (title, text) in PASSAGES.items()]
    queries = [{"_id": key, "text": text, "answer": answer} for key, (text, answer, _) in QUERIES.items()]
    qrels = [{"qid": key, "docid": page, "score": 1} for key, (*_, page) in QUERIES.items()]
    for name, rows in (("corpus", corpus), ("queries", queries), ("qrels", qrels)):
        (out / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return out


def test_passages_are_found_by_every_leg(folder: Path, tmp_path: Path) -> None:
    figures = full.retrieval(folder, tmp_path / "work")
    assert set(figures) == {"ours", "bm25", "dense", "fusion"}
    assert figures["ours"]["hit@1"] == figures["bm25"]["hit@1"] == 1.0


def test_spans_are_looked_for_in_the_answers(folder: Path, tmp_path: Path) -> None:
    figures = full.answers(folder, tmp_path / "work")
    assert figures["gold passage"]["holds"] == 1.0
    assert 0 < figures["gold passage"]["f1"] < 1
