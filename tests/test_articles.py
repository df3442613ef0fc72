"""The shipped articles: right by the law, whole, and linked to each other."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from corpus.article import Article
from corpus.check import check, references
from corpus.law import Reference
from corpus.markdown import blocks
from eval import read_articles
from tests.conftest import ROOT

ARTICLES = read_articles([ROOT / "corpus" / "articles"])
EXCEPTIONS = ROOT / "tests" / "articles" / "figures.tsv"
LAW = ROOT.parent / "shared" / "law" / "paragraphs.jsonl"
WORDS = "null en to tre fire fem seks sju åtte ni ti elleve tolv tretten fjorten femten seksten sytten atten nitten tjue".split()
TENS = {30: "tretti", 40: "førti", 50: "femti", 60: "seksti", 70: "sytti", 80: "åtti", 90: "nitti", 100: "hundre"}
SAME = {
    "en": "et ett én ein eit",
    "to": "begge",
    "sju": "syv",
    "tjue": "tyve",
    "tretti": "tredve",
    "null": "ingen",
    "tre": "tredje",
}
FIGURE = re.compile(r"(?<![\w§.,-])\d+(?:[ .]\d{3})*(?:,\d+)?(?![\w-])")
# Not a claim of the law: dates and years, numbers of laws, items and accounts, amounts in a worked example.
ASIDE = re.compile(
    r"\b\d{1,2}\. (?:januar|februar|mars|april|mai|juni|juli|august|september|oktober|november|desember)(?: \d{4})?|"
    r"\b(?:19|20)\d\d\b|\bnr\.? \d+|\bbokstav \w|\b(?:første|andre|tredje|\d+\.) ledd|\bkapittel \d+(?: [A-Z])?|"
    r"\bkonto(?:en)? \d{4}|\b[1-8]\d{3}(?= [A-ZÆØÅ])|\bkl\. ?\d+"
)


def figures(text: str, named: Iterable[Reference]) -> list[str]:
    """The figures of a text that are claims: not those of its law references, dates and numbering."""
    for reference in named:
        text = text.replace(reference.text, " ")
    return FIGURE.findall(ASIDE.sub(" ", re.sub(r"§+ ?\d+(?: ?[A-Z]\b)?(?:-\d+)*(?: ?[a-z]\b)?", " ", text)))


def forms(figure: str) -> set[str]:
    """How a law may write a figure."""
    found = {figure, figure.replace(" ", ""), figure.replace(".", " "), figure.replace(" ", ".")}
    if figure.isdigit() and (value := int(figure)) <= 100:
        word = WORDS[value] if value <= 20 else TENS.get(value, f"tjue{WORDS[value - 20]}" if value < 30 else "")
        found |= {word, *SAME.get(word, "").split()} - {""}
    return found


def unverified(article: Article, laws: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, str]]:
    """(figure, sentence) for each figure beside references to known paragraphs in none of which it stands."""
    for block in blocks(article.body, article.first_line):
        for unit in block.units:
            named = {reference for own, reference in references(block) if own is unit and reference.paragraph}
            texts = [laws[key].lower() for each in named if (key := (each.law or "", each.paragraph)) in laws]
            for figure in figures(unit.text, named) if texts else ():
                if not any(
                    re.search(rf"(?<![\d,.-]){re.escape(form)}(?![\d]|,\d)", text) for form in forms(figure) for text in texts
                ):
                    yield figure, unit.text


def law_texts() -> dict[tuple[str, str], str]:
    rows = map(json.loads, LAW.read_text("utf-8").splitlines())
    return {
        (row["law"], re.sub(r"[§\s]", "", row["para"])): f"{row['heading']} {row['text']}".replace("\xa0", " ") for row in rows
    }


def exceptions() -> dict[tuple[str, str], str]:
    """(path, figure) → why it stands in no paragraph named beside it."""
    lines = EXCEPTIONS.read_text("utf-8").splitlines() if EXCEPTIONS.is_file() else []
    return {(path, figure): reason for path, figure, reason in (line.split("\t") for line in lines if line)}


def test_the_shipped_articles_are_healthy() -> None:
    found = check(ARTICLES.values())
    assert [finding for finding in found if finding.kind != "past_year"] == []


@pytest.mark.skipif(not LAW.is_file(), reason="needs the law text in ../shared/law")
def test_every_figure_beside_a_law_reference_stands_in_that_paragraph() -> None:
    laws, excused = law_texts(), exceptions()
    found = {(article.path, figure): text for article in ARTICLES.values() for figure, text in unverified(article, laws)}
    assert {key: text for key, text in found.items() if key not in excused} == {}
    assert [key for key in excused if key not in found] == [], "exceptions that are no longer needed"


def test_every_article_says_what_it_rests_on_and_for_whom() -> None:
    import frontmatter

    for file in sorted((ROOT / "corpus" / "articles").rglob("index.md")):
        fields: dict[str, Any] = frontmatter.load(str(file)).metadata
        assert {"title", "description", "summary", "date", "lastmod", "rules", "audience"} <= fields.keys(), file
        assert set(fields["audience"]) <= {"ansatt", "verneombud", "leder", "regnskap"}, file


def test_worked_postings_balance() -> None:
    """In a table with debet and kredit and a sum, both columns add up to the same."""
    for article in ARTICLES.values():
        for block in blocks(article.body):
            if block.kind != "table" or not {"debet", "kredit"} <= {name.lower() for name in block.units[0].header}:
                continue
            names = [name.lower() for name in block.units[0].header]
            rows = [[cell.strip() for cell in f"{unit.text} ".split(" | ")] for unit in block.units]
            sums = [
                sum(amount(row[names.index(side)]) for row in rows if len(row) > names.index(side))
                for side in ("debet", "kredit")
            ]
            assert sums[0] == pytest.approx(sums[1]), (article.path, block.span, sums)


def amount(cell: str) -> float:
    digits = re.sub(r"[^\d,-]", "", cell).replace(",", ".")
    return float(digits) if re.search(r"\d", digits) and not re.search(r"[A-Za-zÆØÅæøå]{3}", cell) else 0.0


def test_figures_are_read_as_the_law_writes_them(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("Det kreves minst 30 personer og 4 medlemmer (arbeidsmiljøloven § 7-1).", "utf-8")
    (article,) = read_articles([tmp_path]).values()
    laws = {("LOV-2005-06-17-62", "7-1"): "I virksomhet hvor det jevnlig sysselsettes minst tretti arbeidstakere"}
    assert [figure for figure, _ in unverified(article, laws)] == ["4"]
