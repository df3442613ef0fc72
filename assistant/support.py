"""Whether the passages that a sentence cites say what it says: its figures with their units and comparisons, its accounts, law
references and negations, who must do what, and the rest of its words.

Knows sentences, passages, words and vectors; knows nothing of language models. A sentence in another language is read word by
word as Norwegian first. Every piece of evidence compares it with the unit of the cited passages that is nearest, or with all of
them; the weights were fitted on answers with known faults, half of them kept aside (`python -m eval fit support`).
"""

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from assistant.extract import wording
from assistant.types import Verdict
from corpus import law
from corpus.chunk import Chunk, told
from corpus.dense import Embedder
from corpus.index import Lexical
from corpus.language import STOP, in_bokmaal, in_norwegian
from corpus.markdown import Unit

BASE = -1.021
# Log-odds: below PARTLY a sentence is left out, below FOUND it is marked. At PARTLY, 92 of 100 right sentences of `tune` stay.
PARTLY, FOUND = -0.09, 0.52
FIGURES = 0.3  # what a unit with the sentence's figures has ahead, when the nearest is looked for
NEAREST = 3  # units of the cited passages that a sentence is held against
UNKNOWN = 3.0  # rarity of a word that no article holds

Words = Sequence[tuple[str, ...]]  # for each word, the Norwegian ones that it may stand for
Source = tuple[int, Chunk, Unit]  # a unit of a passage, and the passage's number
PATTERNS = ("units", "periods", "kinds")  # tables of support.yaml that hold a pattern of a whole word by a name
OR_MORE = re.compile(r"\s*(?:\S+ ){0,3}?(?:eller (?:flere|mer|eldre|lenger|lengre|over)|og oppover|(?:mer|flere) enn)\b")
OR_LESS = re.compile(r"\s*(?:\S+ ){0,3}?eller (?:færre|mindre|kortere|under)\b")
NOT_ABOVE = re.compile(r"\bikke (?:være |vare )?(?:mer|flere|lenger|lengre|høyere|over|overstige\w*)\b[^.]{0,20}\Z")
NOT_BELOW = re.compile(r"\bikke (?:være |vare )?(?:mindre|færre|kortere|under)\b[^.]{0,20}\Z")
UPWARD = {"at least": 1, "above": 1, "from": 1, "after": 1, "at most": -1, "below": -1, "before": -1}
PARAGRAPH = re.compile(r"§?\d+-\d+[a-z]?\Z|§")
ACCOUNT = re.compile(r"[1-8]\d{3}\Z")
SPEAKS_OF_ACCOUNTS = re.compile(r"konto|account|рахун|kont|sąskait|deb|kred|cred|дебет|кредит", re.IGNORECASE)


@functools.cache
def tables() -> Mapping[str, Any]:
    """What support.yaml holds, as claims are compared by it; read when first needed."""
    told: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_name("support.yaml").read_text("utf-8"))
    whole = {table: {name: re.compile(rf"(?:{rule})\Z") for name, rule in told[table].items()} for table in PATTERNS}
    return {
        **told,
        **whole,
        "numbers": {**dict.fromkeys(("en", "ei", "et", "ett", "én"), 1), **told["numbers"]},
        "months": frozenset(told["months"].split()),
        "negations": frozenset(told["negations"].split()),
        "actors": [re.compile(rf"(?:{rule})\Z") for rule in told["actors"]],
        "compared": {name: re.compile(rf"\b(?:{rule})\b") for name, rule in told["compared"].items()},
        "opposites": [tuple(frozenset(side.split()) for side in pair) for pair in told["opposites"]],
    }


@dataclass(frozen=True)
class Figure:
    """A number in a text, what it counts, what it is compared as ("at least"), and whether it is said for its own sake."""

    value: float
    unit: str
    compared: frozenset[str]
    sure: bool = True


@dataclass(frozen=True)
class Told:
    """A text as it is compared: its words in Norwegian, and what they say."""

    words: tuple[str, ...]  # the first that each may stand for
    figures: tuple[Figure, ...]
    paragraphs: frozenset[str]
    periods: frozenset[str]
    months: frozenset[str]
    negations: int
    actors: frozenset[int]
    sides: Mapping[str, frozenset[str]]  # account → "d" for debet, "k" for kredit

    def any(self, kind: str) -> bool:
        """Whether one of the words is of a kind ("must", "employer")."""
        return any(tables()["kinds"][kind].match(word) for word in self.words)


@dataclass(frozen=True)
class Support:
    """How far the cited passages bear a sentence (log-odds), and the unit of each that bears it best, by its number."""

    score: float
    units: Mapping[int, Unit]

    @property
    def verdict(self) -> Verdict:
        """As the reader is told."""
        return "støttet" if self.score >= FOUND else "delvis" if self.score >= PARTLY else "ikke funnet"


class Checker:
    """Holds sentences against passages; one for an open index. Safe to use from several threads."""

    def __init__(self, embedder: Embedder, lexical: Lexical) -> None:
        self._embedder = embedder
        self._lexical = lexical
        self._terms = functools.lru_cache(20_000)(lambda text: frozenset(lexical.analyzer.terms(text)))

    def check(self, sentence: str, language: str, passages: Sequence[Chunk], cited: Sequence[int]) -> Support:
        """Judge a sentence without its markers; `cited` are numbers of `passages`, counted from 1, one at least."""
        evidence, best = self.evidence(sentence, language, passages, cited)
        units = ((number, unit) for number in cited for unit in passages[number - 1].units)
        copied = {number: unit for number, unit in units if _letters(sentence) in (_letters(unit.text), _letters(wording(unit)))}
        score = math.inf if copied else BASE + sum(weight * evidence[name] for name, weight in tables()["weights"].items())
        return Support(score, {**best, **copied})

    def evidence(
        self, sentence: str, language: str, passages: Sequence[Chunk], cited: Sequence[int]
    ) -> tuple[dict[str, float], dict[int, Unit]]:
        """The pieces of evidence by name, and the nearest unit of each cited passage."""
        sources = [(number, chunk, unit) for number, chunk in enumerate(passages, 1) for unit in chunk.units]
        said = in_norwegian(sentence, language)
        near, held = self._closeness(sentence if language == "nb" else " ".join(word[0] for word in said), said, sources)
        own = told_in(tuple(said))
        total = near + held + FIGURES * np.array([_shared(own, _of_unit(told(unit))) for *_, unit in sources])
        order = sorted((row for row, (number, *_) in enumerate(sources) if number in cited), key=lambda row: -total[row])
        others = [total[row] for row, (number, *_) in enumerate(sources) if number not in cited]
        units = [sources[row][2] for row in order]
        texts = [_of_unit(told(unit)) for unit in units]
        above = [_of_unit(_headings(passages[number - 1])) for number in cited]
        evidence = {
            "cosine": float(max(near[row] for row in order)),
            "behind": min(0.0, float(total[order[0]] - max(others, default=0.0))),  # … a passage that is not cited
            "words": math.log(len(said) + 1),
            "longer": math.log((len(self._alternatives(said)) + 1) / (len(self._terms(told(units[0]))) + 1)),
            **_figures(own, texts, above),
            **_references(sentence, own, units[0], texts),
            **_polarity(own, texts[:NEAREST], float(held[order[0]])),
            "other_actors": float(len(own.actors - {actor for each in (*texts[:NEAREST], *above) for actor in each.actors})),
            **_accounts(sentence, own, units),
        }
        return evidence, {sources[row][0]: sources[row][2] for row in reversed(order)}

    def _closeness(self, text: str, said: Words, sources: Sequence[Source]) -> tuple[np.ndarray, np.ndarray]:
        """For each source its cosine with the sentence, and the share of the sentence's weight that stands in it or above it."""
        texts = [told(unit) for *_, unit in sources]
        near = self._embedder.documents(texts) @ self._embedder.queries([in_bokmaal(text)])[0]
        asked = self._alternatives(said)
        weights = [max(self._rarity(terms[0]) for terms in each) for each in asked]
        total = max(sum(weights), 1e-6)

        def share(terms: frozenset[str]) -> float:
            holds = (any(term in terms for own in each for term in own) for each in asked)
            return sum(weight for weight, held in zip(weights, holds, strict=True) if held) / total

        return near, np.array(
            [share(self._terms(text) | self._terms(_headings(chunk))) for text, (_, chunk, _) in zip(texts, sources, strict=True)]
        )

    def _alternatives(self, said: Words) -> list[list[tuple[str, ...]]]:
        """The terms of each telling word, for every Norwegian word that it may stand for."""
        telling = ([word for word in each if word not in STOP and word[0] not in "0123456789§%"] for each in said)
        return [[self._lexical.analyzer.word(word) for word in each] for each in telling if each]

    def _rarity(self, term: str) -> float:
        return self._lexical.rarity(term) if self._lexical.knows(term) else UNKNOWN


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


def _headings(chunk: Chunk) -> str:
    return " ".join((chunk.title, *chunk.headings))


@functools.lru_cache(20_000)
def _of_unit(text: str) -> Told:
    return told_in(tuple(in_norwegian(text, "nb")))


@functools.lru_cache(2_000)
def told_in(said: tuple[tuple[str, ...], ...]) -> Told:
    """What a text says, from its words as Norwegian ones."""
    low = tuple(tuple(word.lower() for word in each) for each in said)
    first = tuple(each[0] for each in low)
    return Told(
        words=first,
        figures=tuple(_figures_in(low)),
        paragraphs=frozenset(word.lstrip("§") for word in first if PARAGRAPH.match(word)),
        periods=frozenset(name for name, rule in tables()["periods"].items() if any(rule.match(word) for word in first)),
        months=frozenset(word for each in low for word in each if word in tables()["months"]),
        negations=sum(any(word in tables()["negations"] for word in each) for each in low),
        actors=frozenset(
            n for n, rule in enumerate(tables()["actors"]) if any(rule.match(word) for each in low for word in each[:2])
        ),
        sides=_sides(low),
    )


def number(text: str) -> float | None:
    """A number as Norwegians and others write it ("20 000", "14,1", "1.500")."""
    text = re.sub(r"\s", "", text).rstrip(".")
    if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", text):
        text = re.sub("[.,]", "", text)
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _figures_in(said: Words) -> list[Figure]:
    found: list[Figure] = []
    first = [each[0] for each in said]
    numbers: Mapping[str, float] = tables()["numbers"]
    for place, each in enumerate(said):
        figure = first[place][:1].isdigit()
        value = number(first[place]) if figure else next((numbers[word] for word in each if word in numbers), None)
        # One and two are said of many things ("to each", "the other"): as words they bear a digit ("2 år"), but claim nothing.
        counted = figure or (value or 0) > 1 or _unit(said[place + 1 : place + 2])
        if value is not None and counted and not PARAGRAPH.match(first[place]):
            before, after = " ".join(first[max(0, place - 8) : place]), " ".join(first[place + 1 : place + 6])
            found.append(Figure(value, _unit(said[place + 1 : place + 4]), _compared(before, after), figure or value > 2))
    return found


def _unit(following: Words) -> str:
    """What a figure counts, from the words after it; a month is a unit of its own."""
    words = [word for each in following for word in each]
    months, units = tables()["months"], tables()["units"].items()
    found = (word if word in months else next((name for name, rule in units if rule.match(word)), "") for word in words)
    return next(filter(None, found), "")


def _compared(before: str, after: str) -> frozenset[str]:
    found = {"at most"} if NOT_ABOVE.search(before) else {"at least"} if NOT_BELOW.search(before) else set()
    if not found:
        last = " ".join(before.split()[-4:])
        places = [(match.end(), name) for name, rule in tables()["compared"].items() for match in rule.finditer(last)]
        found = {max(places)[1]} if places else set()
    return frozenset(found | ({"at least"} if OR_MORE.match(after) else set()) | ({"at most"} if OR_LESS.match(after) else set()))


def _sides(said: Words) -> dict[str, frozenset[str]]:
    """The accounts of a text, each with the side that stands nearest to it; "på konto" lies between them and parts nothing."""
    said = [each for each in said if each[0] not in ("konto", "kontoen", "på", "til", "to", "i")]
    sides = [
        (place, "d" if any(word.startswith("deb") for word in each) else "k")
        for place, each in enumerate(said)
        if any(word.startswith(("deb", "kredit")) for word in each)
    ]
    found: dict[str, frozenset[str]] = {}
    for place, each in enumerate(said):
        counts = place + 1 < len(said) and said[place + 1][0] in ("kroner", "kr", "timer")
        if ACCOUNT.match(each[0]) and not counts:
            nearest = min(sides, key=lambda side: abs(side[0] - place) + (0.5 if side[0] > place else 0.0), default=None)
            found[each[0]] = found.get(each[0], frozenset()) | ({nearest[1]} if nearest else frozenset())
    return found


def _shared(own: Told, other: Told) -> float:
    """The share of a text's figures that another has too."""
    values = {figure.value for figure in other.figures}
    return sum(figure.value in values for figure in own.figures) / max(len(own.figures), 1)


def _figures(own: Told, texts: Sequence[Told], above: Sequence[Told]) -> dict[str, float]:
    """Figures that no cited passage holds, and figures that are counted or compared otherwise there."""
    headings = {figure.value for each in above for figure in each.figures}
    values = {figure.value for each in texts for figure in each.figures} | headings
    other_unit = other_bound = turned_bound = 0
    for figure in own.figures:
        places = (texts[:1], texts[:NEAREST], texts) if figure.sure else ()
        same = next((found for some in places if (found := [f for t in some for f in t.figures if f.value == figure.value])), [])
        units = {each.unit for each in same if each.unit}
        compared = frozenset(name for each in same for name in each.compared)
        other_unit += bool(figure.unit and units and figure.unit not in units)
        if figure.compared and compared and not figure.compared & compared:
            same_way = {UPWARD[name] for name in figure.compared} & {UPWARD[name] for name in compared}
            other_bound, turned_bound = other_bound + bool(same_way), turned_bound + (not same_way)
    return {
        "missing_figures": float(sum(figure.sure and figure.value not in values for figure in own.figures)),
        "other_unit": other_unit,
        "other_bound": other_bound,
        "turned_bound": turned_bound,
        "other_period": float(bool(own.periods - texts[0].periods and texts[0].periods - own.periods)),
        "other_month": float(bool(own.months - texts[0].months and texts[0].months)),
    }


def _references(sentence: str, own: Told, nearest: Unit, texts: Sequence[Told]) -> dict[str, float]:
    """Paragraphs that the cited passages do not name; laws and paragraphs other than the nearest unit's."""
    known = [paragraph for each in texts for paragraph in each.paragraphs]
    named, best = ({(each.law, each.paragraph) for each in law.references(text) if each.law} for text in (sentence, nearest.text))
    return {
        "missing_paragraphs": sum(not any(p.startswith(k) or k.startswith(p) for k in known) for p in own.paragraphs),
        "other_law": float(len(named - best)) if best else 0.0,
        "other_paragraph": float(len(own.paragraphs - texts[0].paragraphs)) if texts[0].paragraphs else 0.0,
    }


def _polarity(own: Told, nearest: Sequence[Told], held: float) -> dict[str, float]:
    """Negations, duties and opposites that the nearest units do not have; they weigh more, the more of the words are the same."""
    best = nearest[0]
    mine, theirs = set(own.words), set(best.words)
    opposite = sum(
        bool(mine & one and not mine & other and theirs & other and not theirs & one)
        for pair in tables()["opposites"]
        for one, other in (pair, pair[::-1])
    )
    return {
        "dropped_negation": held * (own.negations == 0 < best.negations),
        "added_negation": held * (own.negations > 0 == best.negations),
        "added_must": float(own.any("must") and not best.any("must") and not best.any("forbids")),
        "added_should": float(own.any("should") and not any(each.any("should") for each in nearest)),
        "opposites": float(opposite),
        "opposites_held": held * opposite,
    }


def _accounts(sentence: str, own: Told, units: Sequence[Unit]) -> dict[str, float]:
    """Accounts on another side than in the passages, and accounts that the nearest unit does not name."""
    sides: dict[str, set[str]] = {}
    for unit in units:
        for account, side in _posted(unit).items():
            sides.setdefault(account, set()).update(side)
    asked = own.sides if SPEAKS_OF_ACCOUNTS.search(sentence) else {}
    return {
        "other_side": float(
            sum(bool(own.sides[each] and sides.get(each) and not own.sides[each] & sides[each]) for each in own.sides)
        ),
        "far_accounts": float(sum(account not in units[0].text for account in asked)),
    }


def _posted(unit: Unit) -> Mapping[str, frozenset[str]]:
    """The accounts of a unit with their sides; in a row the column that holds an amount is the side."""
    account = re.search(r"\b[1-8]\d{3}\b", unit.text)
    if unit.kind != "row" or not unit.header or not account:
        return _of_unit(unit.text).sides
    cells = [cell.strip(" |") for cell in f" {unit.text}".split(" | ")]
    named = {name.lower()[:3] for name, cell in zip(unit.header, cells, strict=False) if cell}
    return {account[0]: frozenset(side for start, side in (("deb", "d"), ("kre", "k")) if start in named)}
