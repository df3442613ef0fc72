"""What it costs is measured on real processes; baselines are judged as ours are, by pages found and facts handed on."""

import json
import sys
from pathlib import Path

import pytest

from assistant.chat import Assistant
from assistant.settings import Settings
from eval import EvalError, Record, bench
from eval.bench import Ranked

RECORD = Record("q", "nb", "figure", "hvor mange?", gold_urls=("/a",), answer_facts=(("30",),))


def test_a_process_is_measured_on_its_own() -> None:
    took = bench.run_to_end([sys.executable, "-c", "x = b'x' * 150_000_000; import time; time.sleep(0.2)"])
    assert took.peak > 150_000_000
    assert 0.2 < took.seconds < 20


def test_a_command_that_fails_is_named() -> None:
    with pytest.raises(EvalError, match="stoppet med 3"):
        bench.run_to_end([sys.executable, "-c", "raise SystemExit(3)"])


def test_growth_is_drawn(tmp_path: Path) -> None:
    names = [name for group in bench.PLOTTED.values() for name in group]
    bench.plot({size: dict.fromkeys(names, float(size)) for size in (10, 100)}, tmp_path / "bench.svg")
    assert "<svg" in (tmp_path / "bench.svg").read_text("utf-8")


def test_questions_for_the_bench_are_different_and_stand_alone(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    rows = [{"question": "a"}, {"question": "a"}, {"question": "b", "turns": ["x"]}, {"question": "c", "turns": []}]
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert bench.read_questions(file) == ["a", "c"]


def test_a_served_page_and_answer_are_timed(assistant: Assistant, settings: Settings) -> None:
    assert assistant.ready
    with bench.server(settings.content, settings.index) as (process, client, begun):
        page = bench._until(process, lambda: client.get("/"), begun)
        answer = bench._until(process, lambda: client.post("/api/ask", json={"question": "Hva er AMU?"}), begun)
        assert 0 < page < answer
        assert bench._resident(process) > 50_000_000
    assert process.poll() is not None


def test_a_ranking_is_judged_by_pages_and_by_the_facts_in_what_is_handed_on() -> None:
    def search(turns: list[str]) -> Ranked:
        assert turns[-1] == "hvor mange?"
        return [("/b", "30"), ("/a", "minst 30 ansatte"), ("/c", "")]

    figures = bench.judge([RECORD], search)  # type: ignore[arg-type]
    assert (figures["hit@1"], figures["hit@5"], figures["mrr@10"], figures["facts@4"]) == (0.0, 1.0, 0.5, 1.0)


def test_facts_past_the_fourth_passage_or_without_the_page_do_not_count() -> None:
    def late(_: object) -> Ranked:
        return [*[("/a", "")] * 4, ("/a", "30")]

    def elsewhere(_: object) -> Ranked:
        return [("/b", "30")]

    assert bench.judge([RECORD], late)["facts@4"] == 0.0
    assert bench.judge([RECORD], elsewhere)["facts@4"] == 0.0


@pytest.mark.parametrize("name", ["ours", "bm25", "dense", "fusion"])
def test_each_ranking_of_our_own_index_finds_what_is_plainly_there(assistant: Assistant, name: str) -> None:
    found = bench.own(assistant.index)[name](["hvor lenge velges verneombudet for"])
    assert "/blogs/regnskap/verneombud" in [page for page, _ in found[:5]]


def test_every_ranking_is_judged_over_each_part(assistant: Assistant, settings: Settings) -> None:
    assert assistant.ready
    asked = Record("q", "nb", "fact", "hvor lenge velges verneombudet for", gold_urls=("/blogs/regnskap/verneombud",))
    tables = bench.rank(settings.index, {"one": [asked], "none": []}, {"blind": lambda _: [("/x", "")]})
    assert list(tables["one"]) == ["ours", "bm25", "dense", "fusion", "blind"]
    assert [figures["hit@5"] for figures in tables["one"].values()] == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert "hit@5" not in tables["none"]["ours"]


def test_the_tutorial_is_built_once_and_found_again(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "a.md").write_text("The safety representative is elected for two years.", "utf-8")
    (tmp_path / "content" / "b.md").write_text("Invoices are sent to customers.", "utf-8")
    search, took = bench.open_tutorial([tmp_path / "content"], tmp_path / "cache")
    again, taken = bench.open_tutorial([tmp_path / "content"], tmp_path / "cache")
    assert taken == took and took["build_s"] > 0
    assert [page for page, _ in search(["who elects the safety representative"])] == ["/a", "/b"]
    assert again(["who gets invoices"])[0][0] == "/b"
