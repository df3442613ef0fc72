"""What people read holds no tag, attribute or address of anybody else's; what they keep says what the answer says."""

import io
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from assistant import render
from assistant.chat import Assistant
from assistant.extract import accounts, excerpts
from assistant.types import Answer, Ask, Checked, Citation, Law, Notice, Page
from corpus.chunk import Chunk
from corpus.markdown import Unit

URL = "/lest/a#krav:~:text=x%2Cy"
CITATION = Citation(1, URL, "Tittel <b>", "Krav", 'sitat <script> "x"', updated="2025-11-20")
ANSWER = Answer("id1", "Hva <i> er?", "answered", r"Ja \[2\] [1] og [9]", "nb", citations=(CITATION,), index="v1")
WHEN = datetime(2026, 1, 2, 13, 14, tzinfo=UTC)
HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "[x](https://evil.example/)",
    "![x](https://evil.example/x.png)", "<https://evil.example>", '<a href="https://evil.example" onclick=x>y</a>',
    "[1](data:text/html,x)",
    "[x]: https://evil.example\n\n[x]", "<svg/onload=alert(1)>", "[x](//evil.example)", "[x](HTTPS://lovdata.no.evil.example/)",
    "`<style>*{}</style>`", "[\\[1\\]](https://evil.example)", "&lt;script&gt;", "[a [1] b](https://evil.example)", "<!-- x -->",
    "[x](https://lovdata.no@evil.example/)", "{{ 7*7 }} ${alert(1)}", '" onmouseover="alert(1)', "# <iframe src=//evil.example>",
)  # fmt: skip
OURS = {"class", "data-number", "href", "aria-label", "target", "rel", "start"}


def exchange(answer: Answer, **more: object) -> render.Exchange:
    quoted = tuple(excerpts(answer.citations, lambda url: ()))
    return render.Exchange(answer.question, "", answer, quoted, origin="https://hms.example.no", at=WHEN, **more)  # type: ignore[arg-type]


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def safe(text: str) -> str:
    marker = f'<a class="marker" data-number="1" href="{URL}">1</a>'
    return render.safe_html(text, ANSWER, {1: marker})


PIECES = st.sampled_from(HOSTILE) | st.text("[]()<>\"'`*#|\\ \n1a/:.-&;", max_size=30)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=6).map("".join))
def test_nothing_of_anybody_elses_comes_through(text: str) -> None:
    for tag, attributes in Tags(safe(text)).found:
        assert tag in render.TAGS
        assert attributes.keys() <= OURS
        href = attributes.get("href")
        assert href is None or href == URL or href.startswith("https://lovdata.no/")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_are_shown_as_words(text: str) -> None:
    answer = Answer(
        "id", text, "answered", f"{text} [1]", "nb", citations=(Citation(1, URL, text, text, text),), nearest=(Page(URL, text),)
    )
    each = exchange(answer, words=(text,))
    html = render.conversation_html([each], "nb", latest=True) + render.sources_html([each], "nb")
    html += render.conversation_html([render.Exchange(text, text)], "nb", latest=True)
    tags = Tags(html).found
    assert not {"script", "img", "iframe", "style", "object"} & {tag for tag, _ in tags}
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert {a["href"] for _, a in tags if "href" in a} <= {URL}


def test_markers_are_links_to_their_sources_and_other_brackets_stay() -> None:
    html = safe(ANSWER.answer)
    assert html.count("<a ") == 1 and f'data-number="1" href="{URL}"' in html
    assert "Ja [2] " in html and "og [9]" in html
    assert safe("`[1]`").count("<a ") == 0


def test_references_to_the_law_are_links_and_links_elsewhere_are_words() -> None:
    html = safe("Se arbeidsmiljøloven § 3-1, [loven](https://lovdata.no/lov/2005-06-17-62) og [andre](https://example.com).")
    assert 'href="https://lovdata.no/lov/2005-06-17-62/§3-1"' in html
    assert html.count("<a ") == 2 and "og andre." in html


def test_sources_show_kind_title_section_date_and_quote_escaped() -> None:
    html = render.sources_html([exchange(ANSWER)], "nb")
    assert "Tittel &lt;b&gt;" in html and "sitat &lt;script&gt; &#34;x&#34;" in html
    assert "Artikkel · Oppdatert 20.11.2025" in html and f'href="{URL}" target="_blank" rel="noopener"' in html


@pytest.mark.parametrize(("language", "words"), [("nb", "Utdatert"), ("nn", "Utdatert"), ("en", "Outdated")])
def test_notices_are_told_in_words_with_their_law(language: str, words: str) -> None:
    notice = Notice("outdated", "<Gammel>", "https://lovdata.no/lov/x")
    html = render.sources_html([exchange(Answer("1", "?", "answered", "Ja", "nb", notices=(notice,)))], language)
    assert words in html and "&lt;Gammel&gt;" in html and 'href="https://lovdata.no/lov/x"' in html


def test_what_a_model_wrote_beyond_its_sources_is_told() -> None:
    support = (Checked("Ja.", "støttet", (1,)), Checked("Nei.", "ikke funnet", ()))
    html = render.sources_html(
        [exchange(Answer("1", "?", "answered", "Ja. [1]", "nb", citations=(CITATION,), support=support))], "nb"
    )
    assert "1 av 2 setninger er støttet" in html and "Utelatt, ikke funnet i kildene:" in html


def test_an_abstention_tells_what_was_looked_for_what_is_nearest_and_can_be_reported(assistant: Assistant) -> None:
    ask = Ask("Hvem vant fotballkampen i går?")
    each = render.exchange(assistant, ask, assistant.ask(ask))
    html = render.conversation_html([each], "nb", latest=True)
    assert "<q>fotballkampen</q>" in html and html.count("<li>") == 3
    assert 'data-do="missing"' in html and 'data-do="missing"' not in render.conversation_html([each], "nb")


def row(text: str, lead: str = "Eksempel:", header: tuple[str, ...] = ("Konto", "Debet", "Kredit")) -> Unit:
    return Unit("row", text, text, lead, header)


def chunk(title: str, *units: Unit) -> Chunk:
    return Chunk("c", "/a", title, ("Krav",), "krav", units, (1, 2))


def test_quotes_stand_among_their_neighbours() -> None:
    units = [Unit("sentence", text, text) for text in ("Null.", "En.", "To.", "Tre.", "Fire.", "Fem.", "Seks.")]
    quotes = [Citation(1, URL, "A", "Krav", "To."), Citation(2, URL, "A", "Krav", "Seks.")]
    (part,) = excerpts(quotes, lambda url: [chunk("A", *units)])
    assert [(line.text, line.number) for line in part.lines] == [
        ("En.", 0), ("To.", 1), ("Tre.", 0), ("…", 0), ("Fem.", 0), ("Seks.", 2)
    ]  # fmt: skip
    long = " ".join(["ord"] * 60)
    between = [Unit("sentence", text, text, "", ()) for text in ("Først.", f"{long}.", f"{long}!", "Sist.")]
    ends = [Citation(1, URL, "A", "Krav", "Først."), Citation(2, URL, "A", "Krav", "Sist.")]
    (cut,) = excerpts(ends, lambda url: [chunk("A", *between)])
    assert "… …" not in " ".join(line.text for line in cut.lines) and cut.lines[1].text.endswith(" …")
    (alone,) = excerpts([*quotes, Citation(3, URL, "A", "Krav", "Står ikke der.")], lambda url: [chunk("A", *units)])
    assert [line.number for line in alone.lines] == [1, 2, 3]


@pytest.mark.parametrize(
    ("title", "rows", "told"),
    [
        ("Konto 6570 – Arbeidsklær", [row("6570 Arbeidsklær | 6 000"), row("2400 Gjeld |  | 6 000")], 3),
        ("Konto 6570 – Arbeidsklær", [row("6570 Arbeidsklær | 6 000"), row("2400 Gjeld |  | 5 000")], 0),  # sums that differ
        ("Konto 6570 – Arbeidsklær", [row("6600 Utstyr | 6 000"), row("2400 Gjeld |  | 6 000")], 0),  # of other accounts
        (
            "Konto 6570 - Arbeidsklær",
            [row("Kjøp | Konto 6570 - Arbeidsklær | Konto 2400 - Gjeld", "", ("Hva", "Debet", "Kredit"))],
            2,
        ),
    ],
)
def test_an_account_is_told_with_an_entry_that_is_certain(title: str, rows: list[Unit], told: int) -> None:
    quote = Citation(1, URL, "Verneutstyr", "Krav", "Dette føres på konto 6570.")
    (card,) = accounts([quote], lambda number: ("/lest/6570", [chunk(title, *rows)]))
    assert (card.number, card.name, card.url, len(card.rows)) == ("6570", "Arbeidsklær", "/lest/6570", told)


def test_there_is_no_card_when_no_article_tells_the_account() -> None:
    quote = Citation(1, URL, "Verneutstyr", "Krav", "Dette føres på konto 6570.")
    assert list(accounts([quote], lambda number: ("", []))) == []
    assert list(accounts([quote], lambda number: ("/lest/x", [chunk("Om kontoer")]))) == []


def test_cards_of_the_shipped_articles(assistant: Assistant) -> None:
    ask = Ask("Hvilken konto fører jeg arbeidsklær på?")
    each = render.exchange(assistant, ask, assistant.ask(ask))
    assert [card.number for card in each.accounts] == ["6570"]
    html = render.conversation_html([each], "nb")
    assert "Arbeidsklær og verneutstyr" in html and "6 000" in html and 'href="/lest/blogs/kontoplan/6570-' in html


ALPHABETS = "Zażółć gęślą jaźń · Їжак, ґудзик, єнот · Ąžuolas, ėjęs, ūkis · «æøå – ÆØÅ» § 3-1 … • €"
PARAGRAPH, TABLE = "Et langt avsnitt med mange ord. " * 40, "| A | B |\n|---|---|\n| ord | ord |"
LONG = "\n\n".join([f"{ALPHABETS} [1]", *[f"{PARAGRAPH}[1]"] * 6, TABLE, "x" * 400])


def test_the_pdf_holds_question_answer_quotes_links_dates_and_more_over_numbered_pages() -> None:
    answer = Answer(
        "1", "Hvor mange må vi være?", "answered", LONG, "nb", citations=(CITATION,), index="v-17",
        laws=(Law("Arbeidsmiljøloven § 6-1", "https://lovdata.no/lov/2005-06-17-62/§6-1"),),
        notices=(Notice("outdated", "Gammel sats."),),
    )  # fmt: skip
    data = render.pdf_file(exchange(answer), "nb")
    reader = PdfReader(io.BytesIO(data))
    text = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
    assert len(reader.pages) > 1 and f"Side 2 av {len(reader.pages)}" in text
    assert round(float(reader.pages[0].mediabox.width)) == 595 and round(float(reader.pages[0].mediabox.height)) == 842
    for words in (answer.question, ALPHABETS, CITATION.quote, "Krav", "20.11.2025", "02.01.2026 13:14", "v-17", "Gammel sats."):
        assert words in text
    links = {
        note.get_object()["/A"]["/URI"] for page in reader.pages for note in page.get("/Annots", []) if "/A" in note.get_object()
    }
    assert f"https://hms.example.no{URL}" in links and any(link.startswith("https://lovdata.no/") for link in links)


@pytest.mark.parametrize("before", range(2, 9))
def test_on_paper_a_source_stands_on_one_page_with_its_heading(before: int) -> None:
    cited = tuple(Citation(number, URL, f"Kilde {number}", "Krav", f"sitat {number}") for number in range(1, 10))
    answer = Answer("1", "?", "answered", "\n\n".join([f"{PARAGRAPH}[1]"] * before), "nb", citations=cited)
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(render.pdf_file(exchange(answer), "nb"))).pages]
    for number in range(1, 10):
        (page,) = [text for text in pages if f"Kilde {number} " in text]
        assert f"«sitat {number}»" in page


def test_figures_and_paragraphs_of_law_are_not_broken() -> None:
    assert "Ta 1&nbsp;250&nbsp;000 kroner i 2025 og 30 dager" in safe("Ta 1 250 000 kroner i 2025 og 30 dager")
    assert ">folketrygdloven §&nbsp;8-24</a>" in safe("Se folketrygdloven § 8-24.")


def test_files_link_to_nobody_else() -> None:
    text = "\n\n".join(HOSTILE)
    answer = Answer("1", text, "answered", f"{text} [1]", "nb", citations=(Citation(1, URL, text, text, text),))
    reader = PdfReader(io.BytesIO(render.pdf_file(exchange(answer), "nb")))
    notes = [note.get_object() for page in reader.pages for note in page.get("/Annots", [])]
    assert {note["/A"]["/URI"] for note in notes} == {f"https://hms.example.no{URL}"}


def test_the_markdown_file_and_the_copied_text_hold_the_same() -> None:
    each = exchange(ANSWER)
    for told in (render.markdown_file(each, "nb"), render.plain_text(each, render.texts("nb"))):
        assert "[1]" in told.replace("\\[1\\]", "[1]") and "20.11.2025" in told and f"https://hms.example.no{URL}" in told
    assert render.plain_text(each, render.texts("nb")).startswith("Hva <i> er?\n\nJa [2] [1] og [9]\n")
    assert "02.01.2026 13:14" in render.markdown_file(each, "nb") and "v1" in render.markdown_file(each, "nb")


def test_every_text_is_there_in_every_language() -> None:
    keys = [render.texts(language).keys() for language in render.LANGUAGES]
    assert keys[0] == keys[1] == keys[2]
    assert all(text.strip() for language in render.LANGUAGES for text in render.texts(language).values())


@pytest.mark.parametrize("role", render.ROLES)
@pytest.mark.parametrize("language", render.LANGUAGES)
def test_every_example_is_answered_by_the_shipped_articles(assistant: Assistant, role: str, language: str) -> None:
    questions = render.examples(language, role)
    assert 4 <= len(questions) <= 6
    answers = [assistant.ask(Ask(each)) for each in questions]
    assert [answer.question for answer in answers if answer.outcome != "answered"] == []


def test_dates_are_written_as_norwegians_do_and_other_words_stay() -> None:
    assert [render.day("2025-11-20"), render.day("høsten 2025")] == ["20.11.2025", "høsten 2025"]
