"""The scores, against values computed by hand; texts, as they are read and compared; links, against what Hugo publishes.

What Hugo publishes is what we think it publishes; and the judge of links tells good from bad.
"""

from math import isnan, log2
from pathlib import Path

import pytest

from assistant.cite import deep_link, page_path, page_text
from corpus.article import Article, read_content
from corpus.chunk import chunks
from corpus.markdown import blocks
from eval import metrics
from eval.metrics import build_site, fault, hugo, read_page, rendered
from tests.conftest import BLOG, Writer

BASE = "https://example.no"
needs_hugo = pytest.mark.skipif(hugo() is None, reason="needs hugo")

TRICKY = """# **Fet** og *kursiv*
## [Lenke æøå](/blogs/x "Tittel") etter
## `kode` & co &amp; mer
## §–¯3‘1 “ Krav
## Under_strek og - bindestrek -- to
## Hei :smile: ...
## Slutt ##
## Egen {#egen-id}
## Like
## Like
## !!!
Setext *her*
============
## <em>html</em> b "sitat" it's
## a ![bilde](x.svg "t") b
## ~~strøk~~ og \\*esc\\*
##
## Ã— ganger 1.2
* liste
  ## I liste
> ## I sitat
>
> tekst
"""


def score(name: str, pages: list[str], gold: list[str]) -> float:
    return metrics.ranking(pages, gold)[name]


def test_pages_are_counted_not_passages() -> None:
    assert score("mrr@10", ["/a", "/a", "/a", "/b"], ["/b"]) == 0.5
    assert score("mrr@10", ["/a", "/b"], ["/b", "/a"]) == 1.0
    assert metrics.ranking([], ["/b"]) == dict.fromkeys(("hit@1", "hit@3", "hit@5", "hit@10", "mrr@10", "ndcg@10"), 0.0)
    assert set(metrics.ranking(["/a"], []).values()) == {0.0}


@pytest.mark.parametrize(("place", "hit5", "mrr"), [(1, 1.0, 1.0), (5, 1.0, 0.2), (6, 0.0, 1 / 6), (11, 0.0, 0.0)])
def test_hit_and_reciprocal_rank(place: int, hit5: float, mrr: float) -> None:
    pages = [*(f"/{n}" for n in range(1, place)), "/gold"]
    assert score("hit@5", pages, ["/gold"]) == hit5
    assert score("mrr@10", pages, ["/gold"]) == pytest.approx(mrr)


def test_ndcg_of_one_gold_page_is_the_discount_of_its_place() -> None:
    assert score("ndcg@10", ["/a", "/b"], ["/a"]) == 1.0
    assert score("ndcg@10", ["/x", "/x", "/a"], ["/a"]) == pytest.approx(1 / log2(3))


def test_ndcg_of_several_gold_pages_is_measured_against_the_best_order() -> None:
    gained = 1 / log2(2) + 1 / log2(4)
    assert score("ndcg@10", ["/a", "/x", "/b"], ["/a", "/b"]) == pytest.approx(gained / (1 + 1 / log2(3)))


def test_ndcg_is_zero_past_the_tenth_page() -> None:
    assert score("ndcg@10", [f"/{n}" for n in range(10)] + ["/a"], ["/a"]) == 0.0


def test_ndcg_of_more_gold_pages_than_places_can_still_be_one() -> None:
    pages = [f"/{n}" for n in range(12)]
    assert score("ndcg@10", pages, pages) == pytest.approx(1.0)


def test_a_span_is_scored_as_squad_scores_it() -> None:
    assert metrics.span_scores("Ane Stø. [1]", "ane stø") == (1.0, 1.0)
    assert metrics.span_scores("Leder er Ane Stø", "Ane Stø") == pytest.approx((0.0, 2 / 3))  # precision 2/4, recall 1
    assert metrics.span_scores("noe annet", "Ane Stø") == (0.0, 0.0)
    assert metrics.span_scores("", "Ane Stø") == (0.0, 0.0)


def test_facts_need_one_alternative_of_each() -> None:
    wanted = [["30 ansatte", "tretti ansatte"], ["§ 7-1"]]
    assert metrics.facts("Ved **30 ansatte**, jf. § 7-1. [1]", wanted)
    assert metrics.facts("TRETTI\nansatte (§\u202f7-1)", wanted)
    assert not metrics.facts("Ved 30 ansatte.", wanted)
    assert metrics.facts("Hva som helst", [])


def test_facts_are_read_as_a_reader_sees_them() -> None:
    assert metrics.facts("100\u00a0000 kr", [["100 000 kr"]])
    assert metrics.facts("Satsen er 25 % [1], som før.", [["25 %, som"]])
    assert metrics.facts(r"a\_b og \[x\]", [["a_b"], ["[x]"]])
    assert not metrics.facts("Se der [30].", [["30"]])
    assert metrics.facts(r"Skriv \[30\].", [["30"]])


def test_forbidden_words_are_found_as_facts_are() -> None:
    assert metrics.contains_any("Fra **50** ansatte [3]", ["50 ansatte", "3"]) == ["50 ansatte"]


def test_cited_asks_for_any_or_all() -> None:
    assert metrics.cited(["/b"], ["/a", "/b"], "any")
    assert not metrics.cited(["/b"], ["/a", "/b"], "all")
    assert metrics.cited(iter(["/b", "/a"]), ["/a", "/b"], "all")
    assert not metrics.cited([], ["/a"], "any")
    assert not metrics.cited(["/a"], [], "all")


def test_quotes_are_compared_after_repair_and_without_markup() -> None:
    text = metrics.plain_text(
        '1. [§–¯3‘1](/a) *gjelder* &amp; <b>mer</b>\n> - sitat -- slutt...\n![bilde](x.svg "t") {{< kort >}}\n\n`<Header>`'
    )
    assert "§ 3-1 gjelder & mer sitat - slutt… " in text
    assert "bilde" not in text.partition("§–")[0].partition("\n")[0].split("slutt")[1]
    assert "<Header>" in text


def test_words_leave_out_markers_and_list_signs() -> None:
    assert metrics.words("Det er tre ord her [1][2].\n\n- **Fem** – og seks [12]") == 8
    assert metrics.words("") == 0


def test_the_interval_holds_the_mean_and_is_the_same_every_time() -> None:
    values = [0.0] * 50 + [1.0] * 50
    low, high = metrics.interval(values)
    assert (low, high) == metrics.interval(values)
    assert low == pytest.approx(0.40, abs=0.02)  # 0.5 ± 1.96 · √(0.25/100)
    assert high == pytest.approx(0.60, abs=0.02)
    assert metrics.interval([1.0]) == (1.0, 1.0)


def test_without_values_there_is_no_figure() -> None:
    assert all(isnan(value) for value in (*metrics.interval([]), metrics.percentile([], 50)))


def test_percentiles() -> None:
    assert metrics.percentile([1, 2, 3], 50) == 2
    assert metrics.percentile(list(range(101)), 95) == 95


@pytest.mark.parametrize(
    ("url", "base", "path"),
    [
        (f"{BASE}/blogs/amu/#krav:~:text=a", BASE, "/blogs/amu"),
        ("https://x.no/blogs/a%C3%A5/", "", "/blogs/aå"),
        ("/lest/blogs/amu#krav", "", "/blogs/amu"),
        (f"{BASE}/", BASE, "/"),
        ("/lest/", "", "/"),
    ],
)
def test_page_paths_are_written_as_gold_pages_are(url: str, base: str, path: str) -> None:
    assert page_path(url, base) == path


@needs_hugo
def test_tricky_headings_get_the_ids_that_hugo_gives(content: Writer, tmp_path: Path) -> None:
    body = "\n".join(f"{line}\n" if line.startswith("#") else line for line in TRICKY.splitlines())
    body = body.replace("\n\n", "\n\nSetning.\n\n")
    site = build_site(content({"a.md": body}), tmp_path / "site")
    built = read_page(site / "a" / "index.html").ids
    ours = {block.heading_id for block in blocks(body)} - {""}
    assert ours <= built
    assert len(ours) >= 16


@pytest.fixture(scope="module")
def blog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not BLOG.is_dir():
        pytest.skip("needs the real blog")
    return build_site(BLOG, tmp_path_factory.mktemp("blog") / "site")


def articles() -> list[Article]:
    return [each for each in read_content(BLOG) if isinstance(each, Article)]


@needs_hugo
def test_every_heading_id_of_the_real_blog_stands_on_its_built_page(blog: Path) -> None:
    missing = []
    for article in articles():
        page = read_page(blog / article.path.strip("/") / "index.html")
        missing += [(article.path, block.heading_id) for block in blocks(article.body) if block.heading_id not in {*page.ids, ""}]
    assert missing == []


@needs_hugo
def test_nearly_all_published_words_of_the_real_blog_are_the_built_pages(blog: Path) -> None:
    lost, units = [], 0
    for article in articles():
        page = " ".join(text for _, text in read_page(blog / article.path.strip("/") / "index.html").blocks)
        for unit in (unit for block in blocks(article.body) if block.kind != "code" for unit in block.units):
            units += 1
            parts = [part for cell in unit.raw.split(" | ") for part in cell.split("\n")]
            lost += [(article.path, part) for part in parts if rendered(part).strip(" |") not in page]
    assert len(lost) / units < 0.001, lost[:20]


@needs_hugo
def test_every_hundredth_unit_of_the_real_blog_can_be_opened_at_its_words(blog: Path) -> None:
    faults, links = [], 0
    for article in articles()[::4]:
        own = chunks(article, blocks(article.body))
        page = page_text(own, BASE)
        for chunk in own:
            for unit in chunk.units[::25]:
                links += 1
                if wrong := fault(blog, deep_link(unit, chunk, page), BASE):
                    faults.append((article.path, unit.kind, unit.text, wrong))
    assert links > 1_000
    assert faults == []


@needs_hugo
def test_the_judge_tells_good_links_from_bad(content: Writer, tmp_path: Path) -> None:
    site = build_site(
        content({"a.md": "## Krav\n\nAlle skal med.\n\n## Unntak\n\nAlle skal med, unntatt noen."}), tmp_path / "site"
    )
    assert fault(site, f"{BASE}/a/#krav:~:text=Alle%20skal%20med.", BASE) is None
    assert fault(site, f"{BASE}/a/#unntak:~:text=Alle%20skal%20med,noen.", BASE) is not None  # first matches under Krav
    assert fault(site, f"{BASE}/a/#unntak:~:text=Unntak-,Alle%20skal,noen.", BASE) is None
    assert fault(site, f"{BASE}/b/#krav", BASE) == "no such page"
    assert fault(site, f"{BASE}/a/#nei", BASE) == "no such id: nei"
    assert fault(site, f"{BASE}/a/#krav:~:text=all", BASE) == "no such text: all"


@needs_hugo
def test_the_judge_keeps_the_spaces_that_a_browser_keeps(content: Writer, tmp_path: Path) -> None:
    body = "## Krav\n\n```\nDebet:   100\nKredit: 100\n```\n\nGange\u00a0 to, og\u00a0så   tre."
    site = build_site(content({"a.md": body}), tmp_path / "site")
    valid = ("Debet:%20%20%20100", "Debet:,100", "Kredit:%20100", "Gange%C2%A0%20to", "og%20s%C3%A5%20tre")
    assert [fault(site, f"{BASE}/a/#krav:~:text={words}", BASE) for words in valid] == [None] * len(valid)
    for words in ("Debet:%20100", "100%20Kredit:", "Gange%20to"):
        assert "no such text" in (fault(site, f"{BASE}/a/#krav:~:text={words}", BASE) or "")


@needs_hugo
def test_the_judge_reads_what_stands_before_and_after(content: Writer, tmp_path: Path) -> None:
    site = build_site(content({"a.md": "## En\n\nRett svar her.\n\n## To\n\nRett svar der.\n\nSlutt."}), tmp_path / "site")
    assert fault(site, f"{BASE}/a/#to:~:text=Rett%20svar,-der", BASE) is None
    assert fault(site, f"{BASE}/a/#to:~:text=Rett%20svar%20der.,-Slutt", BASE) is None
    assert fault(site, f"{BASE}/a/#en:~:text=Rett%20svar,-der", BASE) == "the text first stands under «to», not «en»"
    assert "no such text" in (fault(site, f"{BASE}/a/#to:~:text=nei-,Rett%20svar", BASE) or "")
    assert "no such text" in (fault(site, f"{BASE}/a/#to:~:text=der.%20Slutt", BASE) or "")  # a start keeps to its block
