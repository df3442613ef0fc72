"""A Hugo content tree → Articles: front matter, body, address, dates; and broken text → clean text.

Knows how Hugo reads a content folder (gohugo.io/content-management) and what has happened to its characters; knows nothing of
Markdown inside the body. One bad file never stops the others: it is rejected with a reason.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

Mend = Callable[[re.Match[str]], str]

# Repair, with a map back to the broken text. Most faults have one cause: UTF-8 read as Windows-1252, so that "–" (bytes E2 80 93)
# became "â€“", after which somebody removed "â" or "â€", or turned "â€" into "–". What is left of the bytes still tells which
# character it was. Each rule says what it mends; the order matters, since the later ones take what the earlier ones left.

# Windows-1252 leaves five bytes without a character; text that went through it holds them as control characters.
_CP1252 = {bytes([b]).decode("cp1252", "ignore") or chr(b): b for b in range(0x80, 0x100)}
_CONTINUATION = "".join(re.escape(character) for character, byte in _CP1252.items() if byte < 0xC0)


def _meant(lead: bytes) -> Mend:
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
REPAIRS: tuple[tuple[re.Pattern[str], str | Mend], ...] = (
    # Whole mojibake ("Ã—" ×, "Ã¼" ü, "Î£" Σ): ftfy knows it. One run of such characters at a time, so that the map stays exact.
    (re.compile(r"[^\x00-\x7f\xa0]+"), lambda match: _ftfy(match[0])),
    # "à" was "Ã" and a no-break space, of which the space is often followed by another.
    (re.compile(r"\bÃ\xa0"), "à"),
    # "â€" turned into "–", the last byte kept: "–œ" and "–\x9d" quotation marks (one of a pair is often lost: straight ones) …
    (re.compile("–[œ\x9d]"), '"'),
    # … "–¯" narrow no-break space, "–¢" bullet, "–¦" ellipsis, "–‰" thin space.
    (re.compile("–([¯¢¦‰])"), _meant(b"\xe2\x80")),
    # "â" removed, two bytes kept: "ˆ’" minus, "†’" arrow, "‰¤" ≤, "‚¬" €, "‚‚" subscript 2, "˜\x90" ballot box, "œ…" check mark.
    (re.compile(f"([‚†ˆ‰˜œ\x9d][{_CONTINUATION}])"), _meant(b"\xe2")),
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
_SUSPECT = re.compile(r"[^\x00-\x7fæøåÆØÅ§«»éÉ]")  # none of the others is left of a fault by itself


def repair(raw: str) -> str:
    """The text as it was meant."""
    return repair_mapped(raw)[0] if _SUSPECT.search(raw) else raw


def repair_mapped(raw: str) -> tuple[str, list[int]]:
    """The text as it was meant, and for each of its characters, and its end, the position in `raw` that it comes from."""
    text, origin = raw, list(range(len(raw) + 1))
    for pattern, mend in REPAIRS if _SUSPECT.search(raw) else ():
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


LARGEST = 5_000_000  # bytes; the longest article of the real blog has 60,000
OWN_LANGUAGES = ("nb", "no")  # of the site: their pages stand without a language in the address
LANGUAGES = frozenset(("nb", "no", "nn", "en", "pl", "lt", "uk", "sv", "da", "de"))
FRONT = re.compile(r"\A(?:---|\+\+\+)[ \t]*\n.*?^(?:---|\+\+\+)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


class ContentError(Exception):
    """A content folder that cannot be used. One Norwegian sentence."""


@dataclass(frozen=True)
class Article:
    """One page of a content tree. `body` is the Markdown as published, faults included; `title` and `description` are repaired.

    `path` is the page's path without a trailing slash ("/blogs/regnskap/hms"; "/" for the home page), `file` its file relative to
    the content folder, `first_line` the 1-based line of the file on which `body` begins. `updated` is `lastmod`, else `date`, as
    YYYY-MM-DD. `hash` is the SHA-256 of the file's bytes, in hex; `kind` the source's kind (artikkel, lov, forskrift).
    """

    path: str
    title: str
    description: str
    body: str
    first_line: int
    file: str
    language: str
    updated: str | None
    hash: str
    kind: str = "artikkel"


@dataclass(frozen=True)
class Rejected:
    """A file that did not become an article, and one Norwegian sentence that says why."""

    file: str
    reason: str


class _Reject(Exception):
    """The reason for rejecting the file at hand."""


def read_contents(roots: Sequence[Path], today: date | None = None) -> Iterator[Article | Rejected]:
    """Every Markdown file of the content folders, in order; of two with the same address the first is kept.

    Raises ContentError for a folder that does not exist or holds no Markdown.
    """
    first: dict[str, str] = {}
    for root in roots:
        for found in read_content(root, today):
            if isinstance(found, Article) and found.path in first:
                reason = f"Adressen {found.path} er alt brukt av {first[found.path]}; gi en av dem en annen «slug»."
                yield Rejected(found.file, reason)
                continue
            if isinstance(found, Article):
                first[found.path] = found.file
            yield found


def read_content(root: Path, today: date | None = None) -> Iterator[Article | Rejected]:
    """Every Markdown file under one content folder, in order. Raises ContentError."""
    if not root.is_dir():
        raise ContentError(f"Artikkelmappen {root} finnes ikke; oppgi en mappe med Markdown-filer (HMS_CONTENT).")
    files = sorted(_markdown_files(root))
    if not files:
        raise ContentError(f"Artikkelmappen {root} har ingen Markdown-filer (.md); oppgi content-mappen til et Hugo-nettsted.")
    for file in files:
        name = file.relative_to(root).as_posix()
        try:
            yield _article(file, name, today or date.today())
        except _Reject as reason:
            yield Rejected(name, str(reason))


def _markdown_files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):  # links are not followed, so a loop of them cannot trap us
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if name.endswith(".md") and not name.startswith("."))


def _article(file: Path, name: str, today: date) -> Article:
    data = _bytes(file)
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise _Reject(f"Filen er ikke UTF-8-tekst (byte {error.start}); lagre den som UTF-8.") from None
    if "\0" in text:
        raise _Reject("Filen er ikke tekst (den har nullbyte); fjern den eller lagre den på nytt.")
    fields, body = _front_matter(text)
    _check_published(fields, today)
    if not body.strip():
        raise _Reject("Siden har ingen brødtekst, bare front matter; det er ingenting å svare med.")
    path, language = _address(PurePosixPath(name), fields)
    return Article(
        path=path,
        title=" ".join(repair(str(fields.get("title") or _first_heading(body) or path.rpartition("/")[2])).split()),
        description=" ".join(repair(str(fields.get("description") or fields.get("summary") or "")).split()),
        body=body,
        first_line=text[: len(text) - len(body)].count("\n") + 1,
        file=name,
        language=language,
        updated=_day(fields.get("lastmod")) or _day(fields.get("date")),
        hash=hashlib.sha256(data).hexdigest(),
    )


def _bytes(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise _Reject(f"Filen er på {size / 1e6:.1f} MB, men kan ha høyst {LARGEST / 1e6:.0f} MB; del den opp.")
        return file.read_bytes()
    except OSError as error:
        raise _Reject(f"Filen kan ikke leses ({error.strerror}); sjekk rettighetene.") from None


def _front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The fields of a file's front matter, YAML or TOML, and the text after it."""
    from frontmatter.default_handlers import YAMLHandler

    match = FRONT.match(text)
    if not match:
        if text.startswith(("---\n", "+++\n")):
            raise _Reject("Front matter mangler avslutning; sett en linje med --- (eller +++) etter feltene.")
        return {}, text
    try:
        fields = tomllib.loads(match[0].strip().strip("+")) if text[0] == "+" else YAMLHandler().load(match[0].strip().strip("-"))
    except Exception as error:  # yaml and toml have error trees of their own
        where = getattr(error, "problem_mark", None)
        line = f" i linje {where.line + 1}" if where else ""
        raise _Reject(
            f"Front matter kan ikke leses{line}: {' '.join(str(getattr(error, 'problem', error)).split())}; rett feltene."
        ) from None
    if not isinstance(fields, dict | None):
        raise _Reject("Front matter er ikke felter på formen «navn: verdi»; rett den.")
    return {str(name).lower(): value for name, value in (fields or {}).items()}, text[match.end() :]


def _check_published(fields: dict[str, Any], today: date) -> None:
    """Reject what Hugo would not publish."""
    if fields.get("draft") is True:
        raise _Reject("Artikkelen er et utkast (draft: true) og er ikke publisert.")
    expires, begins = _day(fields.get("expirydate")), _day(fields.get("publishdate")) or _day(fields.get("date"))
    if expires and expires <= today.isoformat():
        raise _Reject(f"Artikkelen gikk ut {expires} (expiryDate).")
    if begins and begins > today.isoformat():
        raise _Reject(f"Artikkelen publiseres først {begins}.")


def _day(value: object) -> str | None:
    """A front-matter date as YYYY-MM-DD, or None."""
    if isinstance(value, datetime | date):
        return value.strftime("%Y-%m-%d")
    match = re.match(r"\d{4}-\d{2}-\d{2}", str(value or ""))
    return match[0] if match else None


def _address(file: PurePosixPath, fields: dict[str, Any]) -> tuple[str, str]:
    """A page's path and language, from its file's place and its `slug` or `url`."""
    stem, _, suffix = file.stem.rpartition(".")
    language = suffix if stem and suffix in LANGUAGES else ""
    name = stem if language else file.stem
    parts = [*file.parent.parts] if name in ("index", "_index") else [*file.parent.parts, name]
    if fields.get("slug") and parts and name != "_index":
        parts[-1] = str(fields["slug"])
    path = str(fields["url"]) if fields.get("url") else "/".join(parts)
    prefix = "" if language in ("", *OWN_LANGUAGES) or fields.get("url") else f"/{language}"
    return (f"{prefix}/{_url_path(path)}".rstrip("/") or "/"), language or OWN_LANGUAGES[0]


def _url_path(path: str) -> str:
    """As Hugo writes a path: lower case, blanks as hyphens, characters with a meaning in addresses left out."""
    return re.sub(r"[^\w./+~-]", "", re.sub(r"\s+", "-", path.strip().strip("/").lower()))


def _first_heading(body: str) -> str:
    match = re.search(r"^#{1,6}\s+(.+?)\s*#*$", body, re.MULTILINE)
    return match[1] if match else ""
