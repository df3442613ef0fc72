"""What Hugo publishes is what we think it publishes; and the judge of links tells good from bad."""

from pathlib import Path

import pytest

from assistant.cite import deep_link, page_text
from corpus.article import Article, read_content
from corpus.chunk import chunks
from corpus.markdown import blocks
from eval.site import build_site, fault, fold, hugo, read_page
from tests.conftest import BLOG, Writer

BASE = "https://example.no"
pytestmark = pytest.mark.skipif(hugo() is None, reason="needs hugo")

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


def test_every_heading_id_of_the_real_blog_stands_on_its_built_page(blog: Path) -> None:
    missing = []
    for article in articles():
        page = read_page(blog / article.path.strip("/") / "index.html")
        missing += [(article.path, block.heading_id) for block in blocks(article.body) if block.heading_id not in {*page.ids, ""}]
    assert missing == []


def test_nearly_all_published_words_of_the_real_blog_are_the_built_pages(blog: Path) -> None:
    lost, units = [], 0
    for article in articles():
        page = " ".join(text for _, text in read_page(blog / article.path.strip("/") / "index.html").blocks)
        for unit in (unit for block in blocks(article.body) if block.kind != "code" for unit in block.units):
            units += 1
            parts = [part for cell in unit.raw.split(" | ") for part in cell.split("\n")]
            lost += [(article.path, part) for part in parts if fold(part).strip(" |") not in page]
    assert len(lost) / units < 0.001, lost[:20]


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


def test_the_judge_keeps_the_spaces_that_a_browser_keeps(content: Writer, tmp_path: Path) -> None:
    body = "## Krav\n\n```\nDebet:   100\nKredit: 100\n```\n\nGange\u00a0 to, og\u00a0så   tre."
    site = build_site(content({"a.md": body}), tmp_path / "site")
    valid = ("Debet:%20%20%20100", "Debet:,100", "Kredit:%20100", "Gange%C2%A0%20to", "og%20s%C3%A5%20tre")
    assert [fault(site, f"{BASE}/a/#krav:~:text={words}", BASE) for words in valid] == [None] * len(valid)
    for words in ("Debet:%20100", "100%20Kredit:", "Gange%20to"):
        assert "no such text" in (fault(site, f"{BASE}/a/#krav:~:text={words}", BASE) or "")


def test_the_judge_reads_what_stands_before_and_after(content: Writer, tmp_path: Path) -> None:
    site = build_site(content({"a.md": "## En\n\nRett svar her.\n\n## To\n\nRett svar der.\n\nSlutt."}), tmp_path / "site")
    assert fault(site, f"{BASE}/a/#to:~:text=Rett%20svar,-der", BASE) is None
    assert fault(site, f"{BASE}/a/#to:~:text=Rett%20svar%20der.,-Slutt", BASE) is None
    assert fault(site, f"{BASE}/a/#en:~:text=Rett%20svar,-der", BASE) == "the text first stands under «to», not «en»"
    assert "no such text" in (fault(site, f"{BASE}/a/#to:~:text=nei-,Rett%20svar", BASE) or "")
    assert "no such text" in (fault(site, f"{BASE}/a/#to:~:text=der.%20Slutt", BASE) or "")  # a start keeps to its block
