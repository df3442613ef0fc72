"""Text repair: every fault seen in real articles, and nothing that is not one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.normalise import repair, repair_mapped
from tests.conftest import BLOG


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
