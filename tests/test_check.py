"""Content health: each fault is found with its file, line and words, and what is right is left alone."""

import json
from datetime import date
from pathlib import Path

import pytest

from corpus.__main__ import main
from corpus.article import read_content
from corpus.check import KINDS, Finding, as_json, check, page
from tests.conftest import Writer

LONG = "Her står det nok ord til at artikkelen ikke er tynn, for den har mange setninger som denne. " * 9
FRONT = "---\ntitle: {}\ndescription: Om noe.\ndate: 2025-01-01\n---\n\n"
FILES = {
    "a.md": FRONT.format("A") + "Se [B](/b/#krav), [C](/bb) og [ute](https://www.example.no).\n\n"
    "Kravet står i arbeidsmiljøloven § 7-1 og § 99-1, og i FOR-2016-12-06-1721.\n\n"
    "![](tegning.svg)\n\nPrisen er 69–¯300 kr.\n\n" + LONG,
    "b.md": FRONT.format("B") + "Forskriften er FOR-1996-12-06-1127 § 5. " + LONG.replace("artikkelen", "siden"),
}  # fmt: skip


def findings(folder: Path) -> list[Finding]:
    return check(read_content(folder))


def test_faults_are_found_where_they_stand(content: Writer) -> None:
    assert [(each.kind, each.file, each.line, each.quote) for each in findings(content(FILES))] == [
        ("dead_link", "a.md", 7, "C"),
        ("unknown_law", "a.md", 9, "§ 99-1"),
        ("unknown_law", "a.md", 9, "FOR-2016-12-06-1721"),
        ("image", "a.md", 11, "tegning.svg"),
        ("broken_text", "a.md", 13, "Prisen er 69–¯300 kr."),
    ]


def test_each_finding_says_what_to_do(content: Writer) -> None:
    link, paragraph, number, _, text = findings(content(FILES))
    assert link.message == "Lenken går til /bb, men der er det ingen side; rett den eller fjern den."
    assert paragraph.message == "Arbeidsmiljøloven har ingen § 99-1; rett henvisningen."
    assert number.message.endswith("nummeret FOR-2016-12-06-1721; rett henvisningen.")
    assert text.proposal == "Prisen er 69 300 kr."


def test_a_missing_page_is_proposed_by_its_name_and_never_the_page_itself(content: Writer) -> None:
    links = "Se [ombud](/hva-er-vernombud) og [året](/hva-er-%C3%A5ret). "
    files = {
        **FILES,
        "verneombud.md": FRONT.format("V") + links + LONG.replace("artikkelen", "teksten"),
        "c.md": FRONT.format("C") + links + LONG.replace("artikkelen", "denne"),
        "hva-er-året.md": FRONT.format("År") + LONG.replace("artikkelen", "året"),
    }
    found = [(each.file, each.kind, each.proposal) for each in findings(content(files)) if each.file in ("c.md", "verneombud.md")]
    assert found == [("c.md", "dead_link", "/verneombud"), ("verneombud.md", "dead_link", "")]


def test_figures_against_the_law_and_articles_that_disagree(content: Writer) -> None:
    said = "Arbeidsmiljøutvalg skal opprettes i virksomheter med minst {} ansatte.\n\n"
    files = {
        "a.md": FRONT.format("A") + said.format(50) + LONG,
        "b.md": FRONT.format("B") + said.format(30) + LONG.replace("artikkelen", "siden"),
    }
    outdated, contradiction = findings(content(files))
    assert (outdated.kind, outdated.line, outdated.quote) == ("outdated", 7, "50 ansatte")
    assert outdated.proposal.startswith("Arbeidsmiljøutvalg er påbudt i virksomheter som jevnlig sysselsetter minst 30")
    assert (contradiction.kind, contradiction.message) == ("contradiction", "Her står «50 ansatte», men «B» sier «30 ansatte».")


def test_a_figure_of_a_year_is_past_when_the_year_is(content: Writer) -> None:
    article = {"a.md": FRONT.format("A") + "Grunnbeløpet (G) er 130 160 kr.\n\n" + LONG}
    read = list(read_content(content(article)))
    assert [each.kind for each in check(read, date(2026, 1, 1))] == ["past_year"]
    assert check(read, date(2025, 12, 31)) == []


def test_thin_empty_and_double_articles_and_missing_fields(content: Writer) -> None:
    files = {
        "a.md": FRONT.format("A") + "".join(f"Dette er setning nummer {n} i en lang artikkel om ting. " for n in range(20)),
        "b.md": FRONT.format("B") + "".join(f"Dette er setning nummer {n} i en lang artikkel om ting. " for n in range(19)),
        "c.md": "---\ntitle: C\ndescription: Om noe.\n---\n\nKort.",
        "d.md": FRONT.format("D"),
        "_index.md": "---\ntitle: Liste\n---\n\nAlle artikler.",
    }
    assert [(each.kind, each.file) for each in findings(content(files))] == [
        ("duplicate", "a.md"),
        ("front_matter", "c.md"),
        ("thin", "c.md"),
        ("thin", "d.md"),
    ]


def test_the_page_shows_every_finding_with_its_words_escaped(content: Writer) -> None:
    files = {"a.md": FRONT.format("A") + "Se [<i>C</i> & D](/c). " + LONG}
    html = page(findings(content(files)), "<blogg>", 1)
    assert "<q>C &amp; D</q>" in html and "&lt;blogg&gt;" in html and KINDS["dead_link"] in html
    assert "http://" not in html and "https://" not in html


def test_the_command_writes_both_files_and_fails_when_there_is_something_to_mend(
    content: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, told = tmp_path / "ut" / "side.html", tmp_path / "ut" / "funn.json"
    assert main(["check", str(content(FILES)), "--html", str(made), "--json", str(told)]) == 1
    assert capsys.readouterr().out == "2 artikler, 5 funn (2 unknown_law, 1 dead_link, 1 image, 1 broken_text).\n"
    assert len(json.loads(told.read_text("utf-8"))) == 5 and made.read_text("utf-8").startswith("<!doctype html>")
    assert main(["check", str(content({"b.md": FILES["b.md"]}, "sound"))]) == 0
    assert as_json([]) == "[]"
