"""Broken text → clean text, with a map back to the broken one. Pure; knows characters, not articles.

Most faults have one cause: UTF-8 read as Windows-1252, so that "–" (bytes E2 80 93) became "â€“", after which somebody removed
"â" or "â€", or turned "â€" into "–". What is left of the bytes still tells which character it was. Each rule below says what it
mends; the order matters, since the later rules take what the earlier ones left.
"""

import re
from collections.abc import Callable
from functools import lru_cache

Mend = Callable[[re.Match[str]], str]

# Windows-1252 leaves five bytes without a character; text that went through it holds them as control characters.
_CP1252 = {bytes([b]).decode("cp1252", "ignore") or chr(b): b for b in range(0x80, 0x100)}
_CONTINUATION = "".join(re.escape(character) for character, byte in _CP1252.items() if byte < 0xC0)


def _bytes(lead: bytes) -> Mend:
    """The character whose UTF-8 bytes are `lead` and the matched group 1, read as Windows-1252."""

    def mend(match: re.Match[str]) -> str:
        try:
            return (lead + bytes(_CP1252[character] for character in match[1])).decode("utf-8")
        except (KeyError, UnicodeDecodeError):
            return match[0]

    return mend


@lru_cache(maxsize=10_000)
def _ftfy(run: str) -> str:
    import ftfy

    return ftfy.fix_encoding(run)


_LATIN = str.maketrans("сипровакеі", "siprovakei")

# (pattern, what it becomes). A plain string is put as it stands.
RULES: tuple[tuple[re.Pattern[str], str | Mend], ...] = (
    # Whole mojibake ("Ã—" ×, "Ã¼" ü, "Î£" Σ): ftfy knows it. One run of such characters at a time, so that the map stays exact.
    (re.compile(r"[^\x00-\x7f\xa0]+"), lambda match: _ftfy(match[0])),
    # "à" was "Ã" and a no-break space, of which the space is often followed by another.
    (re.compile(r"\bÃ\xa0"), "à"),
    # "â€" turned into "–", the last byte kept: "–œ" and "–\x9d" quotation marks (one of a pair is often lost: straight ones) …
    (re.compile("–[œ\x9d]"), '"'),
    # … "–¯" narrow no-break space, "–¢" bullet, "–¦" ellipsis, "–‰" thin space.
    (re.compile("–([¯¢¦‰])"), _bytes(b"\xe2\x80")),
    # "â" removed, two bytes kept: "ˆ’" minus, "†’" arrow, "‰¤" ≤, "‚¬" €, "‚‚" subscript 2, "˜\x90" ballot box, "œ…" check mark.
    (re.compile(f"([‚†ˆ‰˜œ\x9d][{_CONTINUATION}])"), _bytes(b"\xe2")),
    # "â€" removed, the last byte kept. "“" that no "”" closes, and that is no opening of a quotation, was an en dash …
    (re.compile("“(?![^“”\n]*”)"), "–"),
    # … a lone "”" an em dash …
    (re.compile("(?<![^\\s|])”(?=\\s|$)"), "—"),
    # … and "‘" inside or at the end of a word a hyphen ("§ 3‘1", "A‘melding", "ERP‘ og").
    (re.compile(r"(?<=[\w*])‘(?=\w|[ ]+og\b)"), "-"),
    # A Norwegian word with Cyrillic letters among its own ("økonomи").
    (
        re.compile("(?<=[a-zæøå])(?:[сипровакеі]|Ñ–)+|[сипровакеі]+(?=[a-zæøå])"),
        lambda match: match[0].replace("Ñ–", "i").translate(_LATIN),
    ),
    # What cannot be seen and only breaks words: soft hyphens, zero-width characters, byte order marks.
    (re.compile("[\xad\u200b-\u200f\u2060\ufeff]"), ""),
    # One hyphen and one space are enough for reading and searching.
    (re.compile("\u2011"), "-"),
    (re.compile("[\xa0\u2000-\u200a\u202f\u205f\u3000]"), " "),
)
_SUSPECT = re.compile(r"[^\x00-\x7fæøåÆØÅ]")


def repair(raw: str) -> str:
    """The text as it was meant."""
    return repair_mapped(raw)[0] if _SUSPECT.search(raw) else raw


def repair_mapped(raw: str) -> tuple[str, list[int]]:
    """The text as it was meant, and for each of its characters, and its end, the position in `raw` that it comes from."""
    text, origin = raw, list(range(len(raw) + 1))
    for pattern, mend in RULES if _SUSPECT.search(raw) else ():
        pieces: list[str] = []
        places: list[int] = []
        at = 0
        for match in pattern.finditer(text):
            new = mend(match) if callable(mend) else mend
            pieces += [text[at : match.start()], new]
            places += origin[at : match.start()] + [origin[min(match.start() + n, match.end() - 1)] for n in range(len(new))]
            at = match.end()
        text, origin = "".join([*pieces, text[at:]]), places + origin[at:]
    return text, origin
