"""Law references in running text: which law, which paragraph, whether it exists, and its deep link.

Knows the names of Norway's laws and regulations and the paragraph numbers of those that work and accounts rest on (`laws.tsv`:
id, title, names, paragraphs); knows nothing of what a law says. Source of the table: Lovdata's public data (NLOD 2.0).
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).resolve().parent / "laws.tsv"
SITE = "https://lovdata.no"

# "3-1", "14 A", "2 A-1", "5-15-5", "8-1 a", "14-1a": a letter that stands apart is one only when no word goes on from it and it
# is no "i" or "å" ("§ 3-1 i loven").
NUMBER = r"\d+(?:[ ]?[A-Z](?![\w.]))?(?:-\d+)*(?:[ ]?[A-Z](?=-\d))?(?:-\d+)*(?:[a-hj-z](?!\w)|[ ](?:[a-h]|[A-H])(?![\w.]))?"
PARAGRAPHS = re.compile(
    rf"§+\s*(?P<first>{NUMBER})(?:\s*(?:,|og|eller|til|–|-|jf\.?|samt)\s*(?:og\s+)?§*\s*(?:{NUMBER})(?!\s*(?:%|prosent|kroner|kr)))*"
)
ONE = re.compile(NUMBER)
ID = re.compile(r"\b(?P<kind>LOV|FOR|lov|forskrift)[-/ ](?P<date>\d{4}-\d{2}-\d{2})(?:-(?P<number>\d+))?\b")
# "lov 17. juni 2005 nr. 62", "forskrift 6. desember 1996 nr. 1127": the date is the id.
DATED = re.compile(
    r"\b(?P<kind>lov|forskrift)(?:en|a)?\s+(?:av\s+)?(?P<day>\d{1,2})\.\s*(?P<month>januar|februar|mars|april|mai|juni|juli|august|"
    r"september|oktober|november|desember)\s+(?P<year>\d{4})\s+(?:nr\.?|nummer)\s*(?P<number>\d+)",
    re.IGNORECASE,
)
MONTHS = "januar februar mars april mai juni juli august september oktober november desember".split()
WORD = re.compile(r"[A-Za-zÆØÅæøå][\w-]*")
# Words between a law's name and its paragraph, and between a paragraph and its law.
NAME_THEN = re.compile(r"\.?(?:s|en|ens)?[\s,(]*(?:kapittel\s+\w+(?:\s+[A-Z])?,?\s*)?(?:bestemmelsen\w*\s+i\s+)?$")
THEN_NAME = re.compile(r"^\s*(?:\w+\s+ledd\s*)?(?:(?:bokstav|nr\.?)\s+\w+\s*)?(?:i|av|etter)\s+(?:den\s+)?$", re.IGNORECASE)
JOINED = re.compile(r"[A-Za-zÆØÅæøå]+-\s+og\s+[a-zæøå]+")
LONGEST = 14  # words of a name; longer official titles are known by their first words


@dataclass(frozen=True)
class Law:
    """A law or regulation. `paragraphs` are its numbers without blanks ("3-1", "2A-1"); empty when they are not known here."""

    id: str
    title: str
    paragraphs: frozenset[str]


@dataclass(frozen=True)
class Reference:
    """A law, or one paragraph of it, named in a text.

    `start` and `end` are where it stands; `law` is the id, None for a law that does not exist or that the text does not name;
    `paragraph` is the number without blanks, "" for the law as a whole. `exists` is False for what is known not to exist.
    """

    text: str
    start: int
    end: int
    law: str | None
    paragraph: str = ""
    exists: bool = True

    @property
    def url(self) -> str:
        """The deep link, "" for what does not exist or is not known."""
        if self.law is None or not self.exists:
            return ""
        return link(self.law, self.paragraph)


@dataclass(frozen=True)
class _Name:
    law: str | None
    start: int
    end: int


def link(law: str, paragraph: str = "") -> str:
    """The address of a law, or of its paragraph, at Lovdata ("LOV-2005-06-17-62", "2A-1")."""
    kind, _, number = law.partition("-")
    return f"{SITE}/{'lov' if kind == 'LOV' else 'forskrift'}/{number}" + (f"/§{paragraph}" if paragraph else "")


@functools.cache
def laws() -> Mapping[str, Law]:
    """Every law and regulation of the table, by id."""
    rows = (line.split("\t") for line in TABLE.read_text("utf-8").splitlines())
    return {key: Law(key, title, frozenset(paragraphs.split())) for key, title, _, paragraphs in rows}


@functools.cache
def _names() -> Mapping[str, str]:
    """Lower-case name → id. A name that several bear is that of the one whose paragraphs are known, else nobody's."""
    found: dict[str, set[str]] = {}
    for line in TABLE.read_text("utf-8").splitlines():
        key, _, names, _ = line.split("\t")
        for name in names.split("|"):
            found.setdefault(" ".join(name.split()[:LONGEST]), set()).add(key)
    named: dict[str, str] = {}
    for name, keys in found.items():
        known = [key for key in keys if laws()[key].paragraphs]
        if len(keys) == 1 or len(known) == 1:
            named[name] = (known or [*keys])[0]
    return named


def references(text: str, about: str | None = None) -> list[Reference]:
    """The references of a text in order; `about` is the id of the law that a bare "§ 3-1" is of when the text names none before.

    A law is named once for all the paragraphs that follow it in its sentence.
    """
    names = sorted(_find_names(text), key=lambda name: name.start)
    taken: set[int] = set()
    found: list[Reference] = []
    for match in PARAGRAPHS.finditer(text):
        before = [name for name in names if name.end <= match.start()]
        after = [name for name in names if name.start >= match.end() and THEN_NAME.match(text[match.end() : name.start])]
        own = after[0] if after and not (before and NAME_THEN.fullmatch(text[before[-1].end : match.start()])) else None
        if own is None and before:
            own = before[-1]
        if own:
            taken.add(own.start)
        beside = own is not None and own.end <= match.start() and bool(NAME_THEN.fullmatch(text[own.end : match.start()]))
        found += _paragraphs(text, match, own, beside, about)
    found += [_whole(text, name) for name in names if name.start not in taken]
    return sorted(found, key=lambda reference: reference.start)


def _paragraphs(text: str, match: re.Match[str], own: _Name | None, beside: bool, about: str | None) -> Iterator[Reference]:
    law = own.law if own else about
    named = own is None or own.law is not None
    first = match.span("first")
    spans = [first, *((number.start(), number.end()) for number in ONE.finditer(text, match.end("first"), match.end()))]
    for place, (start, end) in enumerate(spans):
        number = re.sub(r"\s", "", text[start:end])
        sign = text[:start].rstrip()
        begin = len(sign.rstrip("§")) if sign.endswith("§") else start
        if place == 0:
            begin = own.start if beside and own else match.start()
        yield Reference(text[begin:end], begin, end, law, number, named and _exists(law, number))


def _whole(text: str, name: _Name) -> Reference:
    return Reference(text[name.start : name.end], name.start, name.end, name.law, "", name.law is not None)


def _exists(law: str | None, number: str) -> bool:
    known = laws()[law].paragraphs if law in laws() and law else frozenset()
    return not known or number in known or number.lower() in {each.lower() for each in known}


def _find_names(text: str) -> Iterator[_Name]:
    """Laws by id, by date and number, and by name."""
    for match in ID.finditer(text):
        key = f"{match['kind'][:3].upper()}-{match['date']}" + (f"-{match['number']}" if match["number"] else "")
        yield _Name(key if key in laws() else None, *match.span())
    for match in DATED.finditer(text):
        month = MONTHS.index(match["month"].lower()) + 1
        key = f"{match['kind'][:3].upper()}-{match['year']}-{month:02}-{int(match['day']):02}-{int(match['number'])}"
        if key in laws():  # acts that amend others are not in the table, and are named so
            yield _Name(key, *match.span())
    words = list(WORD.finditer(text))
    reached = 0
    for place, word in enumerate(words):
        if word.start() >= reached and (name := _name_at(text, words, place)):
            reached = name.end
            yield name


def _name_at(text: str, words: list[re.Match[str]], place: int) -> _Name | None:
    """The longest name of a law that begins at a word."""
    start, first = words[place].start(), words[place][0].lower()
    if first in ("lov", "forskrift", "lova", "loven", "forskriften"):
        for last in range(min(len(words), place + LONGEST) - 1, place, -1):
            end = words[last].end()
            if key := _names().get(" ".join(text[start:end].lower().split())):
                return _Name(key, start, end)
        return None
    if first.endswith("-") and (pair := JOINED.match(text, start)):  # "brann- og eksplosjonsvernloven"
        key = _names().get(_indefinite(" ".join(pair[0].lower().split())))
        return _Name(key, start, pair.end()) if key else None
    key = _names().get(first) or _names().get(_indefinite(first))
    # An abbreviation is one only when a paragraph or a full stop follows ("aml. § 7-1"): "asl" may be anything.
    if key and len(first) <= 6 and not first.endswith("loven") and not re.match(r"\.?\s*(?:§|kap)", text[words[place].end() :]):
        return None
    return _Name(key, start, words[place].end()) if key else None


def _indefinite(word: str) -> str:
    """The form that the table has ("arbeidsmiljølovens", "arbeidsmiljølova" → "arbeidsmiljøloven")."""
    word = word.removesuffix("s")
    for ending, own in (("lova", "loven"), ("lov", "loven"), ("forskrifta", "forskriften")):
        if word.endswith(ending):
            return word.removesuffix(ending) + own
    return word
