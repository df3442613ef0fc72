"""Markdown → blocks: structure kept, faults mended for reading, published words kept for links."""

import time

import pytest

from corpus.markdown import blocks, heading_id, render, sentences


def texts(body: str) -> list[tuple[str, list[str]]]:
    return [(block.kind, [unit.text for unit in block.units]) for block in blocks(body)]


def test_paragraphs_are_sentences() -> None:
    text = "Se aml. § 7-1 nr. 2, jf. kap. 3. Det gjelder f.eks. Oslo, bl.a. 1. mai. Beløp: 1.500 kr osv. Ja! (Nei.) Slutt"
    assert [text[start:end] for start, end in sentences(text)] == [
        "Se aml. § 7-1 nr. 2, jf. kap. 3.",
        "Det gjelder f.eks. Oslo, bl.a. 1. mai.",
        "Beløp: 1.500 kr osv. Ja!",
        "(Nei.)",
        "Slutt",
    ]


def test_a_list_keeps_its_lead_in_and_nested_items_the_item_above() -> None:
    (_, listed) = blocks("Arbeidsgiver skal:\n\n1. kartlegge\n   * farer\n   * feil\n2. rette\n")
    assert [(unit.kind, unit.text, unit.lead) for unit in listed.units] == [
        ("item", "kartlegge", "Arbeidsgiver skal:"), ("item", "farer", "kartlegge"), ("item", "feil", "kartlegge"),
        ("item", "rette", "Arbeidsgiver skal:"),
    ]  # fmt: skip


def test_a_paragraph_that_does_not_lead_in_is_no_lead() -> None:
    assert blocks("Dette er noe helt annet.\n\n* punkt")[1].units[0].lead == ""


def test_rows_know_their_header_and_escaped_bars_are_text() -> None:
    (table,) = blocks("| Konto | Bruk \\| merknad |\n|:--|--:|\n| **6550** | a \\| b |\n| 1 |  |\n")
    assert [unit.text for unit in table.units] == ["6550 | a / b", "1"]
    assert {unit.header for unit in table.units} == {("Konto", "Bruk | merknad")}


def test_what_people_read_is_mended_and_what_the_site_publishes_is_kept() -> None:
    (block,) = blocks('* **Aml.** §–¯3‘1 “ krav, se [loven](/x "t") -- og ...')
    assert block.units[0].text == "Aml. § 3-1 – krav, se loven – og …"
    assert block.units[0].raw == "Aml. §–¯3‘1 “ krav, se loven – og …"
    assert [(link.text, link.target) for link in block.links] == [("loven", "/x")]


def test_shortcodes_html_and_images_leave_their_text_only() -> None:
    boxes = '{{< note "x" >}}Viktig.{{< /note >}}\n\n<div class="a">Boks</div>\n\n![bilde](a.svg)'
    body = f"{boxes}\n\nA<br>B <sub>2</sub> <!-- nei -->C\n\n<script>x()</script>"
    assert texts(body) == [("paragraph", ["Viktig."]), ("paragraph", ["Boks"]), ("paragraph", ["A B 2 C"])]


def test_quotes_and_code_are_blocks_of_their_own_and_a_posting_stays_whole() -> None:
    found = texts("> Husk dette. Alltid.\n\n```\nDebet: 6570\nKredit: 2400\n\nSum\n```")
    assert found == [("quote", ["Husk dette.", "Alltid."]), ("code", ["Debet: 6570 Kredit: 2400", "Sum"])]


def test_reference_links_are_resolved() -> None:
    assert blocks("Se [loven][1].\n\n[1]: /blogs/a")[0].links[0].target == "/blogs/a"


def test_headings_nest_and_spans_are_lines_of_the_file() -> None:
    found = blocks("# A\n\nx\n\n### B\n\ny\nz\n\n## C\n\nw\n", first_line=10)
    assert [(block.headings, block.heading_id, block.span) for block in found] == [
        (("A",), "a", (12, 13)), (("A", "B"), "b", (16, 18)), (("A", "C"), "c", (21, 22)),
    ]  # fmt: skip


def test_ids_are_hugos() -> None:
    seen: set[str] = set()
    names = ["Krav til AMU", "Krav til AMU", "§–¯3‘1 “ Krav", "1.2 Æ Ø Å!", "Under_strek - og", "!!!", "!!!", ""]
    assert [heading_id(name, seen) for name in names] == [
        "krav-til-amu", "krav-til-amu-1", "31--krav", "12-æ-ø-å", "under_strek---og", "heading", "heading-1", "",
    ]  # fmt: skip


def test_a_long_item_is_quoted_by_the_sentence() -> None:
    (block,) = blocks("* " + " ".join(f"Setning nummer {number} med noen flere ord i." for number in range(12)))
    assert len(block.units) == 12


@pytest.mark.parametrize(
    "body", ["> " * 5_000 + "x", "* " * 5_000 + "x", "[" * 20_000, "|" * 50_000, "`" * 50_000, "a" * 2_000_000, "<" * 50_000]
)
def test_hostile_markdown_ends_in_time(body: str) -> None:
    begun = time.perf_counter()
    blocks(body)
    render(body)
    assert time.perf_counter() - begun < 10


def test_the_reader_page_has_the_same_ids_and_nothing_that_runs() -> None:
    hostile = "<script>alert(1)</script><b onclick=x>fet</b> [a](javascript:x) [b](/b) ![i](x.png)"
    body = f"## Krav **her**\n\n§–¯3‘1 {hostile}\n\n## Krav her\n\nEn<br>to"
    page = render(body, lambda target: None if target == "/b" else target)
    assert '<h2 id="krav-her">' in page and '<h2 id="krav-her-1">' in page
    assert "§ 3-1" in page and "En<br />" in page
    assert not any(bad in page for bad in ("<script", "onclick", 'href="javascript', "<img", 'href="/b"'))
    assert {block.heading_id for block in blocks(body)} == {"krav-her", "krav-her-1"}
