"""Law references in running text: which law, which paragraph, whether it exists, and its deep link.

Knows the names of Norway's laws and regulations and the paragraph numbers of those that work and accounts rest on (`laws.tsv`:
id, title, names, paragraphs, in force since); knows nothing of what a law says. Source: Lovdata's public data (NLOD 2.0).
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from corpus.language import bokmaal

TABLE = Path(__file__).resolve().parent / "laws.tsv"
SITE = "https://lovdata.no"

# "3-1", "14 A", "2 A-1", "5-15-5", "8-1 a", "14-1a": a letter that stands apart is one only when no word goes on from it and it
# is no "i" or "å" ("§ 3-1 i loven"); a small one may end its sentence.
NUMBER = (
    r"\d+(?:[ ]?[A-Z](?![\w.]))?(?:-\d+)*(?:[ ]?[A-Z](?=-\d))?(?:-\d+)*"
    r"(?:[a-hj-z](?!\w)|[ ](?:[A-H](?![\w.])|[a-h](?!\w|\.(?!\s*$|\s+[A-ZÆØÅ]))))?"
)
LEDD = r"(?:\s+\w+\s+ledd)?(?:\s+(?:bokstav|nr\.?)\s+\w+)?"
# What a number after "og" counts when it is no paragraph ("§ 10-5 og 10 dager").
COUNTED = r"\s*(?:%|prosent|kr|dag|uke|virkedag|måned|år|time|minutt|ansatt|arbeidstak|person|mill|ganger|G\b|\d{3}\b|\.\s+ledd)"
PARAGRAPHS = re.compile(
    rf"(?:(?P<many>§§+)|§|\b[Pp]aragraf(?:en|ene)?(?=\s))[\s–¯]*(?P<first>{NUMBER})"
    rf"(?:(?(many){LEDD})\s*(?:,|og|eller|til|–|-|jf\.?|samt)\s*(?:og\s+)?(?>{NUMBER})(?!{COUNTED}))*"
)
ONE = re.compile(NUMBER)
ID = re.compile(
    r"\b(?P<kind>LOV|FOR|lov|forskrift)[-/ ](?P<date>\d{4}-\d{2}-\d{2})(?:(?:-|\s+nr\.?\s*)(?P<number>\d+))?\b"
    r"(?:/(?:KAPITTEL_[\w-]+)?#?)?"  # in an address, before the paragraph
)
# "lov 17. juni 2005 nr. 62", "forskrift 6. desember 1996 nr. 1127": the date is the id.
DATED = re.compile(
    r"\b(?P<kind>lov|forskrift)(?:en|a)?\s+(?:av\s+)?(?P<day>\d{1,2})\.\s*(?P<month>\d{1,2}\.|januar|februar|mars|april|mai|juni|juli|august|"
    r"september|oktober|november|desember)\s*(?P<year>\d{4})\s+(?:nr\.?|nummer)\s*(?P<number>\d+)",
    re.IGNORECASE,
)
MONTHS = "januar februar mars april mai juni juli august september oktober november desember".split()
WORD = re.compile(r"[A-Za-zÆØÅæøå][\w-]*")
# Words between a law's name and its paragraph, and between a paragraph and its law.
NAME_THEN = re.compile(
    r"\.?(?:s|en|ens)?(?:(?!\n\s*[*#|-])[\s,(*\]])*(?:av\s+\d+\.\s+\w+\s+\d{4}\s*(?:nr\.?\s*\d+\s*)?)?"
    r"(?:om\s(?:(?!\.\s+[A-ZÆØÅ]|,\s+(?:og|men|som|der|jf|se|samt)\b)[^()§]){1,200}?)?(?:kapittel\s+\w+(?:\s+[A-Z])?,?\s*)?(?:bestemmelsen\w*\s+i\s+)?$"
)
THEN_NAME = re.compile(
    r"^(?:[\s,]*(?:\(\d+\)|\w+\.?\s+(?:ledd|punktum)|(?:bokstav|nr\.?)\s+\w+|flg\.?|ff\.?))*\s*(?:i|av|etter)\s+(?:den\s+)?$",
    re.IGNORECASE,
)
THIS = re.compile(r"\b(?:denne\s+(?:lov|forskrift)(?:en|a)?|(?:lov|forskrift)(?:en|a)\s+her)\b", re.IGNORECASE)
# Between two names of a law: "arbeidsmiljøloven (lov 17. juni 2005 nr. 62)", "lov 13. mai 1988 nr. 26 om inkasso (inkassoloven)".
SAME = re.compile(r"\)?[\s,*]*(?:om\s(?:(?!\.\s+[A-ZÆØÅ])[^()§]){1,200})?\(?(?:heretter\s+|forkortet\s+)?[«\"“]?")
CLOSED = re.compile(r"\.?[»\"”]?\)")
# A chapter of the law that is spoken of ("kapittel 10 i samme lov"), and in a law's own text of that law.
CHAPTER = re.compile(r"\b(?:[Kk]apittel|[Kk]ap\.?)\s+\d+(?:\s+[A-Z]\b)?(?P<same>\s+i\s+samme\s+(?:lov|forskrift)\b)?")
SHORTENED = re.compile(r"(?:lov|forskrift) om (?:(?! og | m\.?v|,).)+(?= og | m\.?v|,)")  # the first words of an official title
# A name of one word that is no everyday word ("opplæring" is the short title of an act): it says that it is a law, or is short.
OWN_NAME = re.compile(r" |lov(?:en|a)?$|forskrift(?:en|a)?$|instruks(?:en)?$|reglement(?:et)?$|^\S{1,6}$")
AMENDING = re.compile(r"endring|ikraft|opphev|overgang")
TARGET = re.compile(r"(?<=\])\([^()\s]*(?:\s+[\"“][^)]*)?\)")  # of a link in Markdown, with its title: not what a reader reads
PLAIN = str.maketrans({"\u2011": "-", "\u2010": "-", "\u202f": " ", "\u2009": " ", "\xa0": " "})  # of hyphens and blanks
JOINED = re.compile(r"[A-Za-zÆØÅæøå]+-\s+og\s+[a-zæøå]+")
# Right before a "§" that is of no law ("vedtektenes § 4", "Hovedavtalen LO–NHO § 7-3"), or of one that is not in the table.
PRIVATE = re.compile(
    r"\b\w*(?:avtalen?s?|vedtekt\w*|kontrakt\w*|overenskomst\w*|reglement\w*|statutt\w*|instruks\w*|"
    r"prislist\w*|ordensregl\w*|retningslinje\w*|håndbo[kø]\w*|forretningsorden\w*)(?:\s+[A-ZÆØÅ][\w–-]*)?(?:\s+nr\.?\s*\d+)?[\s:]*$"
    r"|\b(?:NS|ISO|NEK|BGB|HGB)\b[\w\s-]*,?\s*$|\b(?:svenske?|danske?|finske?|tyske?|britiske?)\s+\w+lov\w*\s*$|\w{3,}lagens?\s*$",
    re.IGNORECASE,
)
THEN_PRIVATE = re.compile(
    r"^\s*(?:i|av|etter)\s+(?:\w+\s+)?\w*(?:avtale|vedtekt|kontrakt|overenskomst|reglement|statutt|instruks)", re.IGNORECASE
)
TIED = re.compile(
    r"[\s,(]*(?:(?:\w+\s+ledd|bokstav\s+\w+|nr\.?\s*\d+|\(\d+\))[\s,]*)*(?:om\s[^.;§]{1,80}\s)?"
    r"(?:og|eller|til|samt|jf\.?|jfr\.?|,)\s*(?:også\s+|eventuelt\s+)?$"
)
NAMELESS = re.compile(r"\b(?:\w{3,}(?:lovens?|lova|forskriften|forskrifta)|\w+l\.)[\s*]*$", re.IGNORECASE)
NEAR = 80  # characters before a paragraph in which what it is of is looked for
LONGEST = 14  # words of a name; longer official titles are known by their first words


@dataclass(frozen=True)
class Law:
    """A law or regulation. `paragraphs` are its numbers without blanks ("3-1", "2A-1"), `since` the day on which it came or comes
    into force (YYYY-MM-DD); both empty when they are not known here."""

    id: str
    title: str
    paragraphs: frozenset[str]
    since: str = ""

    def pending(self, today: date) -> bool:
        """Whether it is not yet in force."""
        return self.since > today.isoformat()


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
    """A law named in a text. One that is not `known` may exist all the same: an act that amends others, or is repealed."""

    law: str | None
    start: int
    end: int
    known: bool = True


def link(law: str, paragraph: str = "") -> str:
    """The address of a law, or of its paragraph, at Lovdata ("LOV-2005-06-17-62", "2A-1")."""
    kind, _, number = law.partition("-")
    return f"{SITE}/{'lov' if kind == 'LOV' else 'forskrift'}/{number}" + (f"/§{paragraph}" if paragraph else "")


@functools.cache
def laws() -> Mapping[str, Law]:
    """Every law and regulation of the table, by id."""
    rows = (line.split("\t") for line in TABLE.read_text("utf-8").splitlines())
    return {key: Law(key, title, frozenset(paragraphs.split()), since) for key, title, _, paragraphs, since in rows}


@functools.cache
def _names() -> Mapping[str, str]:
    """Lower-case name → id. A name that several bear is that of the one whose paragraphs are known, else of a law before its
    regulations and of the older law, which would not be in the table if the new one were in force; else nobody's."""
    found: dict[str, set[str]] = {}
    for line in TABLE.read_text("utf-8").splitlines():
        key, title, names, *_ = line.split("\t")
        for name in () if AMENDING.match(title.lower()) else names.split("|"):
            if OWN_NAME.search(name):
                found.setdefault(" ".join(name.split()[:LONGEST]), set()).add(key)
    named: dict[str, str] = {}
    for name, keys in (_shortened(found) | found).items():
        known = [key for key in keys if laws()[key].paragraphs]
        acts = sorted(key for key in keys if key.startswith("LOV"))
        if len(keys) == 1 or len(known) == 1 or (acts and name.endswith(("loven", "lova"))):
            named[name] = (known or acts or [*keys])[0]
    return named


def _shortened(names: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The first words of official titles ("lov om arbeidsmiljø"), each with all that are called so."""
    short = {match[0]: set[str]() for match in map(SHORTENED.match, names) if match}
    for name, keys in names.items():
        words = name.replace(",", " ,").split()
        for size in range(3, len(words) + 1):
            if (first := " ".join(words[:size])) in short:
                short[first] |= keys
    return short


def references(text: str, about: str | None = None, own: bool = False) -> list[Reference]:
    """The references of a text in order; `about` is the id of the law that a bare "§ 3-1" is of when the text names none before.

    A law is named once for all the paragraphs that follow it. In a law's `own` text, which `about` then is, a bare paragraph is
    its own again as soon as nothing ties it to another law's.
    """
    text = TARGET.sub(lambda match: " " * len(match[0]), text.translate(PLAIN))
    this = [_Name(about, *match.span(), known=False) for match in THIS.finditer(text)]
    names = _merged(text, sorted([*_find_names(text), *this], key=lambda name: name.start))
    taken: set[int] = set()
    found: list[Reference] = []
    last: _Name | None = None
    private = -1  # where the last paragraph of an agreement or the like ends
    for match in PARAGRAPHS.finditer(text):
        named = any(private <= name.start < match.start() for name in names)
        if PRIVATE.search(_before(text, match)) or THEN_PRIVATE.match(text[match.end() :]) or (private >= 0 and not named):
            private = match.end()
            continue
        private = -1
        if re.match(r"-kurs", text[match.end() :]):
            continue
        owner, beside = _owner(text, match, names)
        if owner and beside:
            taken.add(owner.start)
        elif own and owner and owner.known:
            owner = last if found and TIED.fullmatch(text[found[-1].end : match.start()]) else None
        last = owner
        found += _paragraphs(text, match, owner, about)
    found += _chapters(text, names, about if own else None)
    for name in names:
        # "sivilbeskyttelsesloven § 23 (lov 25. juni 2010 nr. 45)" is told by its paragraph.
        told = any(each.law == name.law and re.fullmatch(r"\s*\(", text[each.end : name.start]) for each in found)
        if name.start not in taken and name.known and not told:
            found.append(Reference(text[name.start : name.end], name.start, name.end, name.law, "", name.law is not None))
    return sorted(found, key=lambda reference: reference.start)


def _chapters(text: str, names: Sequence[_Name], about: str | None) -> Iterator[Reference]:
    """The chapters that stand without their law's name: of the law just named, or of the one that the text is of."""
    for match in CHAPTER.finditer(text):
        before = next((name for name in reversed(names) if name.end <= match.start()), None)
        after = next((name for name in names if name.start >= match.end()), None)
        beside = before and NAME_THEN.fullmatch(text[before.end : match.start()])
        beside = beside or (after and THEN_NAME.match(text[match.end() : after.start]))
        law = before.law if match["same"] and before else about
        if law and (match["same"] or not (beside or PRIVATE.search(_before(text, match)))):
            yield Reference(match[0], *match.span(), law)


def _before(text: str, match: re.Match[str]) -> str:
    return text[max(match.start() - NEAR, 0) : match.start()]


def _merged(text: str, names: Sequence[_Name]) -> list[_Name]:
    """The names, those that stand for one law beside each other as one."""
    merged: list[_Name] = []
    for name in names:
        last = merged[-1] if merged else None
        between = text[last.end : name.start] if last else ""
        one = last and (last.law == name.law or (not last.law and between.endswith("(")))  # one that is repealed, by its name
        if last and one and SAME.fullmatch(between):
            closed = CLOSED.match(text, name.end) if "(" in between else None
            merged[-1] = replace(last, end=closed.end() if closed else name.end)
        else:
            merged.append(name)
    return merged


def _owner(text: str, match: re.Match[str], names: Sequence[_Name]) -> tuple[_Name | None, bool]:
    """The name of the law that paragraphs are of, and whether it stands right beside them."""
    before = next((name for name in reversed(names) if name.end <= match.start()), None)
    if before and NAME_THEN.fullmatch(text[before.end : match.start()]):
        return before, True
    after = next((name for name in names if name.start >= match.end()), None)
    if after and THEN_NAME.match(text[match.end() : after.start]):
        return after, True
    nameless = NAMELESS.search(_before(text, match))
    if nameless and not (before and before.end > match.start() - len(nameless[0])):
        return _Name(None, match.start(), match.start(), known=False), False
    return before, False


def _paragraphs(text: str, match: re.Match[str], own: _Name | None, about: str | None) -> Iterator[Reference]:
    law = own.law if own else about
    named = own is None or own.law is not None or not own.known
    first = match.span("first")
    spans = [first, *((number.start(), number.end()) for number in ONE.finditer(text, match.end("first"), match.end()))]
    for place, (start, end) in enumerate(spans):
        number = re.sub(r"\s", "", text[start:end])
        letter = re.match(r" ?([a-z])\b", text[end:])
        if law in laws() and law and letter and number + letter[1] in laws()[law].paragraphs:  # "§ 1-3 b." ends a sentence
            number, end = number + letter[1], end + letter.end()
        sign = text[:start].rstrip()
        begin = len(sign.rstrip("§")) if sign.endswith("§") else start
        if place == 0:
            beside = own and own.end <= match.start() and NAME_THEN.fullmatch(text[own.end : match.start()])
            begin = own.start if own and beside else match.start()
        yield Reference(text[begin:end], begin, end, law, number, named and _exists(law, number))


def _exists(law: str | None, number: str) -> bool:
    known = laws()[law].paragraphs if law in laws() and law else frozenset()
    return not known or number in known or number.lower() in {each.lower() for each in known}


def _find_names(text: str) -> Iterator[_Name]:
    """Laws by id, by date and number, and by name."""
    for match in ID.finditer(text):
        key = f"{match['kind'][:3].upper()}-{match['date']}" + (f"-{match['number']}" if match["number"] else "")
        yield _Name(key if key in laws() else None, *match.span())
    for match in DATED.finditer(text):
        month = int(match["month"][:-1]) if match["month"].endswith(".") else MONTHS.index(match["month"].lower()) + 1
        key = f"{match['kind'][:3].upper()}-{match['year']}-{month:02}-{int(match['day']):02}-{int(match['number'])}"
        titled = re.match(r"\s+om\s+(?P<title>\w+)", text[match.end() :])  # an act of its own, and repealed
        known = key in laws() or bool(titled and not AMENDING.match(titled["title"]))
        yield _Name(key if key in laws() else None, *match.span(), known=known)
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
    if text[words[place].end() :].startswith(".") and (key := _names().get(_whole_name(first))):  # "folketrygdl. § 8-19"
        return _Name(key, start, words[place].end())
    own = _indefinite(first)
    key = (
        _names().get(first)
        or _names().get(own)
        or (_names().get(own.removesuffix("en") + "a") if own.endswith("loven") else None)
    )
    # An abbreviation is one only when a paragraph or a full stop follows ("aml. § 7-1"): "asl" may be anything.
    if (
        key
        and len(first) <= 6
        and not (len(first) >= 5 and words[place][0].isupper())  # "FSFIN"
        and not first.endswith("loven")
        and not re.match(r"\.?\)?\s*(?:§|kap)", text[words[place].end() :])
    ):
        return None
    return _Name(key, start, words[place].end()) if key else None


def _whole_name(short: str) -> str:
    """A shortened name as the table has it ("folketrygdl", "bokføringsforskr"), "" when it is none."""
    for ending, own in (("l", "loven"), ("forskr", "forskriften")):
        if short.endswith(ending) and len(short) > 6:
            return short.removesuffix(ending) + own
    return ""


def _indefinite(word: str) -> str:
    """The form that the table has ("arbeidsmiljølovens", "arbeidsmiljølova" → "arbeidsmiljøloven")."""
    word = bokmaal(word.removesuffix("s"))
    for ending, own in (("lova", "loven"), ("lov", "loven"), ("forskrifta", "forskriften")):
        if word.endswith(ending):
            return word.removesuffix(ending) + own
    return word
