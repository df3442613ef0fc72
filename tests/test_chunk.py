"""Chunks: whole where the meaning needs it, small enough to rank."""

from corpus.article import Article
from corpus.chunk import FULL, body, chunks, from_json, to_json
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
