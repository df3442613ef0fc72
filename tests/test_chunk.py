"""Chunks: whole where the meaning needs it, small enough to rank."""

from pathlib import Path

import pytest

from corpus.article import Article, ContentError, Rejected
from corpus.chunk import FULL, body, chunks, from_json, law_path, read_statutes, statute, to_json
from corpus.markdown import blocks

ARTICLE = Article("/a", "Tittel", "", "", 1, "a/index.md", "nb", "2025-11-20", "0")


def made(text: str) -> list[list[str]]:
    return [[unit.text for unit in chunk.units] for chunk in chunks(ARTICLE, blocks(text))]


def test_a_chunk_never_crosses_a_heading() -> None:
    assert made("## En\n\nFørste.\n\n## To\n\nAndre.") == [["Første."], ["Andre."]]


def test_short_blocks_of_a_section_stay_together() -> None:
    assert made("## En\n\nFørste.\n\nAndre.\n\n* a b\n* c d") == [["Første.", "Andre.", "a b", "c d"]]


def test_a_long_list_keeps_its_lead_in_with_every_part() -> None:
    items = "\n".join(f"* punkt nummer {number} " + "ord " * 20 for number in range(12))
    found = chunks(ARTICLE, blocks(f"## En\n\nArbeidsgiver skal:\n\n{items}"))
    assert len(found) > 1
    assert all("Arbeidsgiver skal:" in body(chunk) for chunk in found)
    assert all(unit.lead == "Arbeidsgiver skal:" for chunk in found for unit in chunk.units if unit.kind == "item")
    assert [unit.kind for unit in found[0].units][:2] == ["sentence", "item"]


def test_a_long_table_keeps_its_header_with_every_row() -> None:
    rows = "\n".join(f"| konto {number} | {'ord ' * 20} |" for number in range(12))
    found = chunks(ARTICLE, blocks(f"| Konto | Bruk |\n|---|:-:|\n{rows}"))
    assert len(found) > 1
    assert all("Konto | Bruk" in body(chunk) for chunk in found)
    assert all(unit.header == ("Konto", "Bruk") for chunk in found for unit in chunk.units)


def test_a_definition_is_not_cut() -> None:
    text = " ".join(f"Setning {number} " + "ord " * 18 + "slutt." for number in range(9))
    assert len(text.split()) > FULL
    assert len(made(text)) == 1


def test_ids_hold_the_articles_path_so_that_equal_passages_stay_two() -> None:
    other = Article("/b", "Tittel", "", "", 1, "b/index.md", "nb", None, "0")
    ids = [chunk.id for article in (ARTICLE, other) for chunk in chunks(article, blocks("Samme ord."))]
    assert ids == ["/a#0", "/b#0"]


def test_a_chunk_knows_where_it_stands() -> None:
    (chunk,) = chunks(ARTICLE, blocks("# A\n\n## B æ\n\nEn setning.\n", first_line=7))
    assert (chunk.headings, chunk.heading_id, chunk.span, chunk.updated) == (("A", "B æ"), "b-æ", (11, 12), "2025-11-20")


def test_a_chunk_survives_json() -> None:
    for chunk in chunks(ARTICLE, blocks("## En\n\nLinje:\n\n* a\n\n| x | y |\n|---|---|\n| 1 | æ |")):
        assert from_json(to_json(chunk)) == chunk


LAW = """<?xml version="1.0"?>
<html><body>
<header><dl>
  <dd class="legacyID">LOV-2005-06-17-62</dd><dd class="lastChangeInForce">2025-07-01</dd>
  <dd class="titleShort">Prøveloven – pl</dd><dd class="title">Lov om prøver (prøveloven)</dd>
</dl></header>
<main>
  <section class="section"><h2>Kapittel 7. Utvalg</h2>
    <article class="legalArticle">
      <h3><span class="legalArticleValue">§ 7-1</span>. <span class="legalArticleTitle">Plikt til utvalg</span></h3>
      <article class="numberedLegalP">(1) Minst 30 ansatte skal ha utvalg.<sup class="footnotereference">1</sup></article>
      <article class="numberedLegalP">(2) Utvalget skal:
        <ol><li data-name="a."><article class="listArticle"><article class="legalP">møtes <i>ofte</i>,</article></article></li>
        <li data-name="b."><article class="legalP">skrive referat.</article></li></ol></article>
      <article class="numberedLegalP">(3) <article class="legalP">Lederen velges for to år.</article></article>
      <article class="numberedLegalP">(4) Departementet kan gi forskrift med regler om utvalget.</article>
      <article class="changesToParent">Endret ved lov 17 mars 2023.</article>
    </article>
    <article class="legalArticle"><h3><span class="legalArticleValue">§ 7-2</span></h3>
      <article class="legalP">(Opphevet)</article></article>
    <article class="legalArticle">
      <h3><span class="legalArticleValue">§ 7-3</span>. <span class="legalArticleTitle">Satser</span></h3>
      <article class="legalP">Satsene er:<table><thead><tr><th>Trinn</th><th>Sats</th></tr></thead>
        <tbody><tr><td>1</td><td>10 %</td></tr></tbody></table></article>
      <article class="legalP">Grensene er:<table><tbody><tr><td/><td>a)</td><td>nedre grense: 80 dB</td></tr></tbody></table>
      </article>
    </article>
  </section>
</main></body></html>"""


@pytest.fixture(scope="module")
def law() -> Article:
    return statute(LAW.encode(), "lov.xml")


def passages(law: Article) -> list[tuple[str, str]]:
    return [(chunk.headings[-1], body(chunk)) for chunk in chunks(law, blocks(law.body, 1))]


def test_a_law_is_an_article_with_its_own_path_and_date(law: Article) -> None:
    assert (law.path, law.title, law.kind, law.updated) == ("/lov/2005-06-17-62", "Prøveloven", "lov", "2025-07-01")
    assert law_path("FOR-1996-12-06-1127") == "/forskrift/1996-12-06-1127"


def test_every_ledd_is_a_passage_under_its_paragraph(law: Article) -> None:
    assert passages(law)[:3] == [
        ("§ 7-1. Plikt til utvalg", "(1) Minst 30 ansatte skal ha utvalg."),
        ("§ 7-1. Plikt til utvalg", "(2) Utvalget skal:\na. møtes ofte,\nb. skrive referat."),
        ("§ 7-1. Plikt til utvalg", "(3) Lederen velges for to år."),
    ]
    assert all(chunk.kind == "lov" for chunk in chunks(law, blocks(law.body, 1)))


def test_tables_are_kept_and_tables_that_only_set_letters_are_lists(law: Article) -> None:
    assert passages(law)[3:] == [
        ("§ 7-3. Satser", "Satsene er:\nTrinn | Sats\n1 | 10 %"),
        ("§ 7-3. Satser", "Grensene er:\na) nedre grense: 80 dB"),
    ]


@pytest.mark.parametrize("word", ["Endret", "Departementet", "Opphevet", "§ 7-2"])
def test_notes_delegations_and_what_is_repealed_are_left_out(law: Article, word: str) -> None:
    assert word not in law.body


def test_a_file_that_is_no_law_is_rejected_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<html", "utf-8")
    (tmp_path / "b.xml").write_text("<html><body/></html>", "utf-8")
    (tmp_path / "c.xml").write_text(LAW, "utf-8")
    found = list(read_statutes([tmp_path]))
    assert [type(each) for each in found] == [Rejected, Rejected, Article]
    assert isinstance(found[1], Rejected) and "den mangler datokode" in found[1].reason


def test_a_folder_without_laws_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="har ingen lover"):
        list(read_statutes([tmp_path]))
