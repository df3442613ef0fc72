"""Reading a Hugo content tree: addresses, dates, what is not published, what is broken."""

import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.article import Article, ContentError, Rejected, read_content, read_contents, repair, repair_mapped
from tests.conftest import BLOG, Writer

TODAY = date(2026, 11, 24)


def read(root: Path) -> dict[str, Article]:
    return {each.path: each for each in read_content(root, TODAY) if isinstance(each, Article)}


def reasons(root: Path) -> dict[str, str]:
    return {each.file: each.reason for each in read_content(root, TODAY) if isinstance(each, Rejected)}


@pytest.mark.parametrize(
    ("file", "front", "path"),
    [
        ("blogs/a/index.md", "", "/blogs/a"),
        ("blogs/a.md", "", "/blogs/a"),
        ("blogs/_index.md", "", "/blogs"),
        ("_index.md", "", "/"),
        ("blogs/a/index.nb.md", "", "/blogs/a"),
        ("blogs/a.en.md", "", "/en/blogs/a"),
        ("blogs/v1.2.md", "", "/blogs/v1.2"),
        ("Blogs/Ny Side/index.md", "", "/blogs/ny-side"),
        ("blogs/ære/index.md", "", "/blogs/ære"),
        ("blogs/a/index.md", "slug: Ny slug", "/blogs/ny-slug"),
        ("blogs/a/index.md", "url: /helt/annet/", "/helt/annet"),
        ("a.md", "slug: b", "/b"),
    ],
)
def test_the_address_is_the_one_that_hugo_gives(content: Writer, file: str, front: str, path: str) -> None:
    assert list(read(content({file: f"---\ntitle: x\n{front}\n---\n\nTekst.\n"}))) == [path]


def test_yaml_toml_and_no_front_matter_are_read(content: Writer) -> None:
    root = content(
        {
            "y/index.md": "---\ntitle: Ø‘y\ndescription: d\ndate: 2024-01-02\nlastmod: 2025-03-04T10:00:00Z\n---\nTekst.\n",
            "t/index.md": '+++\ntitle = "T"\nsummary = "s"\ndate = 2024-05-06\n+++\n\nTekst.\n',
            "n/index.md": "---\n---\n# Overskrift\n\nTekst.\n",
        }
    )
    (root / "b.md").write_bytes("\ufeff---\r\ntitle: B\r\n---\r\n\r\nTekst.\r\n".encode())
    found = read(root)
    assert (found["/y"].title, found["/y"].description, found["/y"].updated) == ("Ø-y", "d", "2025-03-04")
    assert (found["/t"].title, found["/t"].description, found["/t"].updated) == ("T", "s", "2024-05-06")
    assert (found["/n"].title, found["/n"].updated) == ("Overskrift", None)
    assert (found["/b"].title, found["/b"].body, found["/b"].first_line) == ("B", "\nTekst.\n", 4)


def test_first_line_and_body_fit_the_file(content: Writer) -> None:
    root = content({"a/index.md": "---\ntitle: x\n---\n\nFørste.\n\n---\n\nAndre.\n"})
    article = read(root)["/a"]
    lines = (root / "a/index.md").read_text("utf-8").split("\n")
    assert lines[article.first_line - 1 :] == article.body.split("\n")


def test_what_hugo_does_not_publish_is_rejected_with_the_reason(content: Writer) -> None:
    told = reasons(
        content(
            {
                "draft.md": "---\ndraft: true\n---\nx\n",
                "expired.md": "---\nexpiryDate: 2025-01-01\n---\nx\n",
                "future.md": "---\ndate: 2027-01-01\n---\nx\n",
                "later.md": "---\npublishDate: 2027-02-01\n---\nx\n",
                "empty.md": "---\ntitle: x\n---\n\n",
            }
        )
    )
    assert [
        (file, word in told[file])
        for file, word in zip(sorted(told), ("draft", "ingen brødtekst", "2025-01-01", "2027-01-01", "2027-02-01"), strict=True)
    ] == [(file, True) for file in sorted(told)]


def test_a_broken_file_is_rejected_and_the_others_are_read(content: Writer) -> None:
    root = content(
        {
            "ok.md": "Tekst.",
            "yaml.md": "---\ntitle: [a\n---\nx\n",
            "open.md": "---\ntitle: a\n\nx\n",
            "list.md": "---\n- a\n- b\n---\nx\n",
            "toml.md": "+++\ntitle = \n+++\nx\n",
        }
    )
    (root / "latin.md").write_bytes("blåbær".encode("latin-1"))
    (root / "binary.md").write_bytes(b"abc\x00def")
    (root / "gone.md").symlink_to(root / "nowhere.md")
    told = reasons(root)
    assert list(read(root)) == ["/ok"]
    assert sorted(told) == ["binary.md", "gone.md", "latin.md", "list.md", "open.md", "toml.md", "yaml.md"]
    assert "linje 2" in told["yaml.md"] or "linje 3" in told["yaml.md"]
    assert "UTF-8" in told["latin.md"]
    assert "mangler avslutning" in told["open.md"]
    assert all(reason.endswith(".") and "\n" not in reason for reason in told.values())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_rejected(content: Writer) -> None:
    root = content({"a.md": "Tekst."})
    (root / "a.md").chmod(0)
    assert "rettighetene" in reasons(root)["a.md"]


def test_hidden_files_and_link_loops_are_left_alone(content: Writer) -> None:
    root = content({"a.md": "Tekst.", ".git/b.md": "Tekst.", ".c.md": "Tekst."})
    (root / "loop").symlink_to(root, target_is_directory=True)
    assert list(read(root)) == ["/a"]


def test_a_folder_without_articles_is_said(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="finnes ikke"):
        list(read_content(tmp_path / "nowhere"))
    with pytest.raises(ContentError, match="ingen Markdown-filer"):
        list(read_content(tmp_path))


def test_of_two_folders_with_one_address_the_first_is_kept(content: Writer) -> None:
    roots = [content({"a.md": "En."}, "one"), content({"a/index.md": "To."}, "two")]
    kept, rejected = read_contents(roots, TODAY)
    assert isinstance(kept, Article) and kept.file == "a.md"
    assert isinstance(rejected, Rejected) and rejected.file == "a/index.md"


@pytest.mark.parametrize(
    ("broken", "meant"),
    [
        ("§–¯3‘1 til §–¯3‘6 “ Generelle krav", "§ 3-1 til § 3-6 – Generelle krav"),
        ("20“49 ansatte, Juli“november", "20–49 ansatte, Juli–november"),
        ("Ã— 100 Ã· 2, grÃ¼ndere, Ã‰n gang, Î£ Ïƒ", "× 100 ÷ 2, gründere, Én gang, Σ σ"),
        ("3 stk Ã\xa0 150", "3 stk à 150"),
        ("ˆ’ kr 20 †’ †\x90 †“ ‰ˆ ‰¤ ‰¥ ˆš2", "− kr 20 → ← ↓ ≈ ≤ ≥ √2"),
        ("‚¬125 CO‚‚ FCF‚\x81", "€125 CO₂ FCF₁"),
        ("–¢ punkt –¦", "• punkt …"),
        ("–œFrikort–\x9d", '"Frikort"'),
        ("˜\x90 utført œ… ja \x9dŒ nei", "☐ utført ✅ ja ❌ nei"),
        ("debet ‰\xa0 kredit", "debet ≠ kredit"),
        ("5–¯000 kr, 12–¯%, 100\xa0000", "5 000 kr, 12 %, 100 000"),
        ("2–‰“–‰4", "2 – 4"),
        ("A‘melding, INV‘2024‘0456, ERP‘ og", "A-melding, INV-2024-0456, ERP- og"),
        ("| ” |", "| — |"),
        ("lønns\xadkostnad MVA‑satser\ufeff", "lønnskostnad MVA-satser"),
        ("sirkulærøkonomÐ¸", "sirkulærøkonomi"),
    ],
)
def test_a_fault_is_mended(broken: str, meant: str) -> None:
    assert repair(broken) == meant


@pytest.mark.parametrize(
    "text",
    [
        "0–30 ansatte – det er nok",
        "«heder og ære» og “ordentlige sitater”",
        "Det er Olas ’egen’ bil; it's",
        "600,– kr à 1,5 °C ± 2 m² é ü",
        "§ 3-1 og §§ 7-1, 7-2",
        "e-post: a@b.no, 5 % ‰",
    ],
)
def test_what_is_right_is_left_alone(text: str) -> None:
    assert repair(text) == text


@given(st.text(alphabet="abcæøå 019§–¯“”‘’ˆÃ—‚†\x9d\xa0.,*|\n", max_size=60))
def test_the_map_leads_back_to_where_each_character_came_from(raw: str) -> None:
    text, origin = repair_mapped(raw)
    assert len(origin) == len(text) + 1
    assert origin == sorted(origin)
    assert origin[-1] == len(raw)
    assert all(
        raw[place] == character
        for character, place in zip(text, origin, strict=False)
        if character.isascii() and character.isalnum()
    )


@pytest.mark.skipif(not BLOG.is_dir(), reason="needs the real blog")
def test_the_real_blog_is_mended_whole_and_once_is_enough() -> None:
    for file in BLOG.rglob("*.md"):
        text = repair(file.read_text("utf-8"))
        assert repair(text) == text, file
        assert not [character for character in "¯ˆÃÐÑ‘\xad\x90\x9d" if character in text], file
