"""Baselines: judged by the same measures as ours, by pages found and facts handed on."""

import pytest

from assistant.chat import Assistant
from eval import baselines
from eval.baselines import Ranked
from eval.dataset import Record

RECORD = Record("q", "nb", "figure", "hvor mange?", gold_urls=("/a",), answer_facts=(("30",),))


def test_a_ranking_is_judged_by_pages_and_by_the_facts_in_what_is_handed_on() -> None:
    def search(turns: list[str]) -> Ranked:
        assert turns[-1] == "hvor mange?"
        return [("/b", "30"), ("/a", "minst 30 ansatte"), ("/c", "")]

    figures = baselines.judge([RECORD], search)  # type: ignore[arg-type]
    assert (figures["hit@1"], figures["hit@5"], figures["mrr@10"], figures["facts@4"]) == (0.0, 1.0, 0.5, 1.0)


def test_facts_past_the_fourth_passage_or_without_the_page_do_not_count() -> None:
    def late(_: object) -> Ranked:
        return [*[("/a", "")] * 4, ("/a", "30")]

    def elsewhere(_: object) -> Ranked:
        return [("/b", "30")]

    assert baselines.judge([RECORD], late)["facts@4"] == 0.0
    assert baselines.judge([RECORD], elsewhere)["facts@4"] == 0.0


@pytest.mark.parametrize("name", ["ours", "bm25", "dense", "fusion"])
def test_each_ranking_of_our_own_index_finds_what_is_plainly_there(assistant: Assistant, name: str) -> None:
    found = baselines.own(assistant.index)[name](["hvor lenge velges verneombudet for"])
    assert "/blogs/regnskap/verneombud" in [page for page, _ in found[:5]]


def test_the_tutorial_is_built_once_and_found_again(tmp_path: object) -> None:
    from pathlib import Path

    work = Path(str(tmp_path))
    (work / "content").mkdir()
    (work / "content" / "a.md").write_text("The safety representative is elected for two years.", "utf-8")
    (work / "content" / "b.md").write_text("Invoices are sent to customers.", "utf-8")
    first = baselines.tutorial([work / "content"], work / "cache")
    again = baselines.tutorial([work / "content"], work / "cache")
    assert (first.chunks, again.build_s) == (2, first.build_s)
    assert again.search(["who elects the safety representative"])[0][0] == "/a"
