"""Rules as data, and the claims of articles that go against them: "from 50 employees" where the law says 30.

Knows `rules.yaml`, sentences and what stands above them; knows nothing of answers. A rule names the words that tell a claim about
it, the unit of its figure, the figures that are right, and former or wrong ones that are known to linger; or, where the error is
in no figure, the wrong words. Only those are told: a figure that no rule knows may be about something else, and a false alarm
costs more trust than a missed one.
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from corpus.law import laws, link

TABLE = Path(__file__).resolve().parent / "rules.yaml"
NUMERALS = {
    word: str(number)
    for number, words in enumerate(
        "null en|ett|én to tre fire fem seks sju|syv åtte ni ti elleve tolv tretten fjorten femten seksten".split()
    )
    for word in words.split("|")
}
NUMBER = (
    r"(?<![\w.,§-])(\d{1,3}(?:[ .\u00a0]\d{3})+(?!\d)|\d+(?:,\d+)?(?!\d)|"  # "6G" is a figure, "10-2" is none
    rf"(?:{'|'.join(NUMERALS)})(?!\w))(?!-(?!(?:års?|dagers?|måneders?|ukers?|timers?)))"  # "5-årsregelen"
)
ANY = re.compile(NUMBER, re.IGNORECASE)
KEPT = 5_000  # texts whose claims are remembered: an answer asks for them again for each notice that it may carry
BETWEEN = 3  # words at most between a figure and its unit ("50 eller flere ansatte")
HISTORY = re.compile(  # a sentence that tells how things were is right to name the figure of then
    r"\b(?:før \d{4}|tidligere|tidlegare|(?:inn)?til (?:og med )?(?:\d{4}|\d\w*\.? \w+ \d{4})|fram? til \d|gamle? regl\w+|"
    r"var (?:grens|sats|krav)\w+|grens\w+ var|ble (?:endret|senket|hevet|redusert|økt))\b",
    re.IGNORECASE,
)
YEAR = re.compile(r"\b20\d\d\b")
PLAIN = re.compile(r"[\w |-]+")
REFERENCE = re.compile(r"(?P<law>(?:LOV|FOR)-[\d-]+) § (?P<paragraph>.+)")


class RuleError(Exception):
    """A rule that cannot be used. One sentence that names it and what is wrong."""


@dataclass(frozen=True)
class Rule:
    """One figure, or one thing in words, that a law or an authority sets.

    `says` is the rule in a clause, `leads` the whole that it is a step of, "" for none; it stands in `law` § `paragraph`, or in
    `source`. `right` and `former` are figures as written in Norwegian, without spaces ("30", "10,2", "50000"); `wrong` are words
    that say it wrongly, "" for none; `since` is when the right one came into force, "" when long ago; `year` the year of a figure
    that is set anew each year, else 0.
    """

    id: str
    topic: str
    says: str
    right: frozenset[str]
    former: frozenset[str]
    words: tuple[str, ...]  # patterns, of which most are never needed and are compiled when they are
    hints: tuple[str, ...]  # one of them stands in every text that the first group of words does; empty when that is not known
    without: str
    unit: str
    wrong: str = ""
    law: str = ""
    paragraph: str = ""
    source: str = ""
    since: str = ""
    year: int = 0
    leads: str = ""

    @property
    def lead(self) -> str:
        """What is told before an answer: one step alone of a rule in steps would mislead whoever is on another."""
        return self.leads or self.says

    @property
    def url(self) -> str:
        """The deep link to the paragraph; "" for a figure that is set elsewhere."""
        return link(self.law, self.paragraph) if self.law else ""

    def named(self, text: str) -> float:
        """How much of what is regulated a text speaks of: the share of its words, none where others make it something else."""
        if self.without and _pattern(self.without).search(text):
            return 0.0
        return sum(bool(_pattern(word).search(text)) for word in self.words) / len(self.words)

    @property
    def basis(self) -> str:
        """Where the rule stands, for a reader."""
        return f"{laws()[self.law].title} § {self.paragraph}" if self.law else self.source


@dataclass(frozen=True)
class Claim:
    """What a text says about a rule: the figure, "" for wrong words, the words it stands in, and whether it is right."""

    rule: Rule
    figure: str
    quote: str
    right: bool

    def past(self, today: date) -> bool:
        """Whether the figure was right, but of a year that is over."""
        return self.right and 0 < self.rule.year < today.year


class Rules(tuple[Rule, ...]):
    """The rules of the table, in its order."""

    def hinted(self, low: str) -> list[Rule]:
        """Those that a lower-case text may speak of: with hundreds of rules, most are done with here."""
        found = {place for hint, places in self._by_hint.items() if hint in low for place in places}
        return [self[place] for place in sorted(found)]

    @functools.cached_property
    def worded(self) -> "Rules":
        """Those that a text without a figure may go against."""
        return Rules(rule for rule in self if rule.wrong)

    @functools.cached_property
    def _by_hint(self) -> Mapping[str, Sequence[int]]:
        """Hint → the places of the rules that have it; those without hints are under "", which every text holds."""
        hinted: dict[str, list[int]] = {}
        for place, rule in enumerate(self):
            for hint in rule.hints or ("",):
                hinted.setdefault(hint, []).append(place)
        return hinted


@functools.lru_cache(KEPT)
def claims(text: str, above: str = "") -> tuple[Claim, ...]:
    """The claims of a sentence, item or row on the rules' figures; `above` is what stands over it: title, headings, lead-in.

    A figure that is neither right nor known to be wrong is no claim. Each is judged once: wrong by the first rule that says
    so, which knows a case that the others do not, else right.
    """
    found: dict[int, Claim] = {}
    for start, claim in _all_claims(text, f"{above} {text}", rules() if ANY.search(text) else rules().worded):
        if start not in found or (found[start].right and not claim.right):
            found[start] = claim
    return tuple(found[start] for start in sorted(found))


def holds(text: str, rule: Rule) -> bool:
    """Whether a rule's right figure stands in a text of the law."""
    return any(_plain(match[0]) in rule.right for match in ANY.finditer(text))


def _all_claims(text: str, whole: str, table: Rules) -> Iterator[tuple[int, Claim]]:
    """Where each claim's figure or wrong words begin, and the claim."""
    years = {int(year) for year in YEAR.findall(whole)}
    for rule in table.hinted(whole.lower()):
        if all(_pattern(word).search(whole) for word in rule.words) and not (
            rule.without and _pattern(rule.without).search(whole)
        ):
            elsewhen = bool(rule.year and years and rule.year not in years)
            for match in _figure(rule.unit).finditer(text) if rule.unit else ():
                number = next(number for number, group in enumerate(match.groups(), 1) if group)
                figure = _plain(match[number])
                right = figure in rule.right
                if right or (figure in rule.former and not elsewhen and not HISTORY.search(text)):
                    yield match.start(number), Claim(rule, figure, _whole_words(text, match), right)
            for match in _pattern(rule.wrong).finditer(text) if rule.wrong and not elsewhen else ():
                if not HISTORY.search(f"{text[: match.start()]} {text[match.end() :]}"):
                    yield match.start(), Claim(rule, "", _whole_words(text, match), False)


def _whole_words(text: str, match: re.Match[str]) -> str:
    """The words of a match to their end, without the signs of a table around them or half a bracket; a figure alone with the word
    before it."""
    rest = re.match(r"\w*", text[match.end() :])
    words = (match[0] + (rest[0] if rest else "")).strip(" |(+–-")
    words = words if ")" in words else words.partition(" (")[0]
    words = words if "(" in words else words.replace(")", "")
    before = re.search(r"[^\W\d_]+ $", text[: match.start()])
    return words if re.search(r"[^\d\s.,]", words) or not before else before[0] + words


def above(chunk_title: str, headings: Sequence[str], lead: str, header: Sequence[str]) -> str:
    """What stands over a sentence, item or row and says what it is about."""
    return " ".join((headings[-1] if headings else chunk_title, lead, *header))


def message(claim: Claim) -> str:
    """What a reader is told about a claim that is wrong, or of a year that is over."""
    if claim.right:
        return (
            f"«{claim.quote}» gjelder {claim.rule.year}. Tallet settes på nytt for hvert år; se etter det som gjelder nå "
            f"({claim.rule.basis})."
        )
    since = f", og har vært slik siden {claim.rule.since}" if claim.rule.since else ""
    return f"Artikkelen sier «{claim.quote}». Det stemmer ikke: {claim.rule.says} ({claim.rule.basis}){since}."


@functools.cache
def rules() -> Rules:
    """The rules of the table. Raises RuleError."""
    import yaml

    return Rules(read(row) for row in yaml.load(TABLE.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def read(row: Mapping[str, Any]) -> Rule:
    """A rule of the table. Raises RuleError that names it and what is wrong."""
    name = row.get("id", "?")
    needed = ("id", "topic", "says", "words", *(() if row.get("wrong") else ("right", "unit")))
    if missing := [key for key in needed if not row.get(key)]:
        raise RuleError(f"rule {name}: {', '.join(missing)} is missing")
    reference = REFERENCE.fullmatch(str(row.get("law", "")))
    if not reference and not row.get("source"):
        raise RuleError(f"rule {name}: needs a law (LOV-… § …) or a source")
    if reference and reference["law"] not in laws():
        raise RuleError(f"rule {name}: there is no law {reference['law']}")
    return Rule(
        id=name,
        topic=row["topic"],
        says=row["says"],
        right=_figures(row.get("right", ())),
        former=_figures(row.get("former", ())),
        words=tuple(row["words"]),
        hints=tuple(row["words"][0].lower().split("|")) if PLAIN.fullmatch(row["words"][0]) else (),
        without=row.get("without", ""),
        unit=row.get("unit", ""),
        wrong=row.get("wrong", ""),
        law=reference["law"] if reference else "",
        paragraph=re.sub(r"\s", "", reference["paragraph"]) if reference else "",
        source=row.get("source", ""),
        since=str(row.get("since", "")),
        year=int(row.get("year", 0)),
        leads=row.get("leads", ""),
    )


@functools.cache
def _pattern(words: str) -> re.Pattern[str]:
    """Alternatives ("amu|arbeidsmiljøutvalg"), each the beginning of a word."""
    return re.compile(rf"(?<![^\W_])(?:{words})", re.IGNORECASE)


@functools.cache
def _figure(unit: str) -> re.Pattern[str]:
    """A figure before its unit with a few words between, or after it and a colon."""
    between = rf"(?:\s*[-–+]?\s*[^\W\d_]+){{0,{BETWEEN}}}?\s*-?"
    return re.compile(rf"{NUMBER}{between}(?:{unit})|(?:{unit})\w*\s*:\s*(?:minst |fra |over )?{NUMBER}", re.IGNORECASE)


def _figures(values: Sequence[Any]) -> frozenset[str]:
    return frozenset(_plain(str(value).replace(".", ",")) for value in values)


def _plain(figure: str) -> str:
    """A figure as rules have it: a numeral as digits, no spaces or points between thousands."""
    low = figure.lower()
    return NUMERALS.get(low) or re.sub(r"(?<=\d)[ .\u00a0](?=\d{3})", "", low)
