"""Everything at once: what is at hand is measured, and what is not is said."""

from pathlib import Path

from eval import full


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
