"""Content health: each fault is found with its file, line and words, and what is right is left alone."""

from pathlib import Path

from corpus.check import Finding, check
from eval.validate import read_articles
from tests.conftest import Writer

FILES = {
    "a.md": "---\ntitle: A\n---\n\nSe [B](/b/#krav), [C](/c) og [ute](https://www.example.no).\n\n"
    "Kravet står i arbeidsmiljøloven § 7-1 og § 99-1, og i FOR-2016-12-06-1721.\n",
    "b.md": "Forskriften er FOR-1996-12-06-1127 § 5.",
}


def findings(folder: Path) -> list[Finding]:
    return list(check(read_articles([folder])))


def test_dead_links_and_unknown_laws_are_found_where_they_stand(content: Writer) -> None:
    found = [(each.kind, each.file, each.line, each.quote) for each in findings(content(FILES))]
    assert found == [
        ("dead_link", "a.md", 5, "C"),
        ("unknown_law", "a.md", 7, "§ 99-1"),
        ("unknown_law", "a.md", 7, "FOR-2016-12-06-1721"),
    ]


def test_each_finding_says_what_to_do(content: Writer) -> None:
    told = [each.message for each in findings(content(FILES))]
    assert told[0] == "Lenken går til /c, men der er det ingen side; rett den eller fjern den."
    assert told[1] == "Arbeidsmiljøloven har ingen § 99-1; rett henvisningen."
    assert told[2].endswith("nummeret FOR-2016-12-06-1721; rett henvisningen.")
