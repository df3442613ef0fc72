"""Links that open the page at the very words, and markers that name only what was supplied."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.cite import MARKER, citation, deep_link, fragment, named_laws, page_path, page_text, page_url, resolve
from corpus.chunk import Chunk
from corpus.markdown import Unit

SITE = "https://x.no"


def chunk(number: int, *units: Unit, heading: str = "Krav", heading_id: str = "krav") -> Chunk:
    return Chunk(f"/a#{number}", "/a", "Artikkel", (heading,), heading_id, units, (1, 2))


def sentence(text: str, raw: str = "") -> Unit:
    return Unit("sentence", text, raw or text)


@pytest.mark.parametrize(
    ("text", "sources", "expected", "used"),
    [
        ("Ja [2]. Nei [1].", 2, "Ja [1]. Nei [2].", [2, 1]),
        ("Ja [7].", 2, "Ja .", []),
        ("[[9]1] [2]", 1, "[1] ", [1]),
        ("Ja [0] [2] [2]", 2, "Ja  [1] [1]", [2]),
        (r"se \[1\] og [1]", 1, r"se \[1\] og [1]", [1]),
        ("ingen", 0, "ingen", []),
    ],
)
def test_markers_are_renumbered_and_unknown_ones_dropped(text: str, sources: int, expected: str, used: list[int]) -> None:
    assert resolve(text, sources) == (expected, used)


@given(st.text(alphabet="[]0123456789a \\"), st.integers(0, 12))
def test_no_marker_outlives_its_source(text: str, sources: int) -> None:
    said, used = resolve(text, sources)
    assert all(1 <= number <= sources for number in used)
    assert {int(number) for number in MARKER.findall(said)} <= set(range(1, len(used) + 1))


def test_the_page_of_a_site_ends_with_a_slash_and_the_reader_page_does_not() -> None:
    assert page_url("https://x.no", "/blogs/a") == "https://x.no/blogs/a/"
    assert page_url("https://x.no", "/") == "https://x.no/"
    assert page_url("", "/blogs/a") == "/lest/blogs/a"


def test_a_short_passage_is_named_whole_and_a_long_one_by_its_ends() -> None:
    short, long = sentence("Ja, det er et krav."), sentence(" ".join(f"ord{number}" for number in range(30)))
    own = chunk(0, short, long)
    assert unquote(fragment(short, own, page_text([own], SITE))) == "Ja, det er et krav."
    assert "%2C" in fragment(short, own, page_text([own], SITE))
    start, end = unquote(fragment(long, own, page_text([own], SITE))).split(",")
    assert start == "ord0 ord1 ord2 ord3 ord4 ord5"
    assert end == "ord24 ord25 ord26 ord27 ord28 ord29"


def test_the_site_publishes_its_faults_and_the_reader_page_the_repaired_words() -> None:
    unit = sentence("§ 3-1 til § 3-6", "§–¯3‘1 til §–¯3‘6")
    own = chunk(0, unit)
    assert unquote(deep_link(unit, own, page_text([own], SITE))) == "https://x.no/a/#krav:~:text=§–¯3‘1 til §–¯3‘6"
    assert unquote(deep_link(unit, own, page_text([own], ""))) == "/lest/a#krav:~:text=§ 3-1 til § 3-6"


def test_hyphens_are_encoded_since_they_mean_something_in_a_fragment() -> None:
    unit = sentence("a-melding")
    own = chunk(0, unit)
    assert fragment(unit, own, page_text([own], SITE)) == "a%2Dmelding"


def test_a_double_is_told_apart_by_the_words_before_it() -> None:
    first = chunk(0, sentence("Gjelder alle."), sentence("Se loven."))
    second = chunk(1, sentence("Bare noen få steder."), sentence("Se loven."), heading="Unntak", heading_id="unntak")
    page = page_text([first, second], SITE)
    assert unquote(fragment(first.units[1], first, page)) == "Se loven."
    assert unquote(fragment(second.units[1], second, page)) == "Bare noen få steder.-,Se loven."


def test_a_row_is_named_by_its_first_and_last_cell() -> None:
    row = Unit(
        "row",
        "Helse | Ansattes helse |  | Kostnader",
        "Helse | Ansattes helse |  | Kostnader",
        "",
        ("Pilar", "Fokus", "", "Følge"),
    )
    own = chunk(0, sentence("Velferd."), row)
    assert unquote(fragment(row, own, page_text([own], SITE))) == "Helse,Kostnader"


def test_a_citation_carries_the_words_and_where_they_stand() -> None:
    unit = sentence("Et krav.")
    own = chunk(0, unit)
    made = citation(3, unit, own, page_text([own], ""))
    assert (made.number, made.title, made.section, made.quote, made.kind) == (3, "Artikkel", "Krav", "Et krav.", "artikkel")


def test_the_laws_that_are_cited_are_linked_once_each() -> None:
    texts = [
        "Arbeidsgiver skal ha verneombud (arbeidsmiljøloven § 6-1).",
        "Se arbeidsmiljøloven § 6-1 og § 99-1.",
        "Ingen lov her.",
    ]
    laws = named_laws((unit, chunk(0, unit)) for unit in map(sentence, texts))
    assert [(each.text, each.url) for each in laws] == [("Arbeidsmiljøloven § 6-1", "https://lovdata.no/lov/2005-06-17-62/§6-1")]


@pytest.mark.parametrize(
    ("url", "base", "path"),
    [
        (f"{SITE}/blogs/amu/#krav:~:text=a", SITE, "/blogs/amu"),
        ("https://x.no/blogs/a%C3%A5/", "", "/blogs/aå"),
        ("/lest/blogs/amu#krav", "", "/blogs/amu"),
        (f"{SITE}/", SITE, "/"),
        ("/lest/", "", "/"),
        ("https://assistent.example/lest/blogs/amu#krav", SITE, "/blogs/amu"),
        ("/blogs/amu/", SITE, "/blogs/amu"),
    ],
)
def test_page_paths_are_read_from_addresses_as_articles_have_them(url: str, base: str, path: str) -> None:
    assert page_path(url, base) == path
