"""An answer without a language model: the sentences, list items and table rows that answer, in a short readable order.

Knows passages, words and vectors; knows nothing of links. A unit is judged by its closeness to the question in meaning, by the
share of the question's telling words that it holds, and by where it stands. Nothing is rewritten: what is said is the article's.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assistant.question import Question
from assistant.types import Passage
from corpus.chunk import Chunk, section
from corpus.dense import Embedder
from corpus.language import in_bokmaal
from corpus.lexical import Lexical
from corpus.markdown import Unit
from corpus.normalise import repair

WORD_BUDGET = 86  # of an answer; longer ones are not read, shorter ones lack facts
HARD_LIMIT = 120
READ = 12  # passages that are searched for units
UNITS = 9  # that an answer holds at most
ARTICLES = 3  # that an answer quotes: from more, the reader gets scraps
KEEP = 0.8  # below the best unit's score a further unit is left out
MEANING, WITH_HEADING, OWN_WORDS, ALL_WORDS, PLACE, FIGURE, ACCOUNT, SIBLING = 0.5, 0.7, 0.2, 0.3, 0.12, 0.12, 0.4, 0.12
ASKS_FIGURE = re.compile(
    r"\b(?:hvor (?:mange|mye|lenge|ofte|lang|stor|høy|gammel)|kor (?:mange|mykje|lenge|ofte|lang|stor|høg)|"
    r"når|frist\w*|grense\w*|sats\w*|prosent\w*|beløp\w*|"
    r"how (?:many|much|long|often|old)|when|deadline|rate|threshold|percent\w*|paragraf\w*|§|konto\w*|account)\b",
    re.IGNORECASE,
)
ASKS_ACCOUNT = re.compile(r"\b(?:konto\w*|account|bokfør\w*|føre[rs]?|debet|kredit|postere\w*)\b", re.IGNORECASE)
NAMES_ACCOUNT = re.compile(r"\bkonto (?:nr\.? )?\d{4}\b|^\d{4}\b", re.IGNORECASE)
ASKS_LIST = re.compile(
    r"\b(?:hvilke|kva for|hvordan|korleis|steg\w*|trinn\w*|liste\w*|which|what are|how (?:do|to|should|can)|steps)\b",
    re.IGNORECASE,
)
FLUFF = re.compile(
    r"^(?:les (?:mer|også)|se|i denne (?:artikkelen|guiden)|(?:denne )?artikkelen|denne guiden|sist oppdatert|"
    r"for (?:mer|en|et|å)\b.*\bse)\b",
    re.IGNORECASE,
)  # words about the article itself


NAVIGATION = re.compile(r"\b(?:relatert\w*|intern lenking|se også|les (?:mer|også)|videre lesning)\b", re.IGNORECASE)  # headings


@dataclass(frozen=True)
class Pick:
    """A unit that goes into the answer, and the chunk that it stands in."""

    unit: Unit
    chunk: Chunk
    score: float


@dataclass(frozen=True)
class Draft:
    """Markdown whose marker `[n]` stands for the n-th source."""

    text: str
    sources: tuple[tuple[Unit, Chunk], ...] = ()


class Extractor:
    """Picks the units that answer; one for an open index."""

    def __init__(self, embedder: Embedder, lexical: Lexical) -> None:
        self._embedder = embedder
        self._lexical = lexical

    def extract(self, question: Question, passages: Sequence[Passage]) -> list[Pick]:
        """The units that answer, in reading order; empty when the passages are no ground for an answer."""
        if not passages or passages[0].ground < 0:
            return []
        return arrange(choose(self._scored(question, passages[:READ]), bool(ASKS_LIST.search(question.text))))

    def _scored(self, question: Question, passages: Sequence[Passage]) -> list[Pick]:
        weights = self._weights(question)
        asks_figure, asks_account = bool(ASKS_FIGURE.search(question.text)), bool(ASKS_ACCOUNT.search(question.text))
        places = [
            (unit, passage)
            for passage in passages
            if not NAVIGATION.search(section(passage.chunk))
            for unit in passage.chunk.units
            if self._tells(unit, weights)
        ]
        if not places:
            return []
        asked = self._embedder.queries([in_bokmaal(question.search)])[0]
        alone = self._embedder.documents([told(unit) for unit, _ in places]) @ asked
        placed = self._embedder.documents([_under_headings(unit, passage.chunk) for unit, passage in places]) @ asked
        top = max(passages[0].score, 1e-6)
        return [
            Pick(
                unit,
                passage.chunk,
                MEANING * float(near)
                + WITH_HEADING * float(near_placed)
                + OWN_WORDS * self._covered(weights, told(unit))
                + ALL_WORDS * self._covered(weights, _under_headings(unit, passage.chunk))
                + PLACE * math.log(max(passage.score, 1e-9) / top)
                + FIGURE * (asks_figure and bool(re.search(r"\d", unit.text)))
                + ACCOUNT * (asks_account and bool(NAMES_ACCOUNT.search(unit.text))),
            )
            for (unit, passage), near, near_placed in zip(places, alone, placed, strict=True)
        ]

    def _weights(self, question: Question) -> dict[str, float]:
        meant = self._lexical.analyzer.meant(question.search, question.language == "en")
        return {term: weight * self._lexical.rarity(term) for term, weight in meant.items() if self._lexical.knows(term)}

    def _tells(self, unit: Unit, asked: Mapping[str, float]) -> bool:
        """Whether a unit says something: no lead-in, no question, no pointer to further reading, no echo of what was asked."""
        if unit.text.endswith((":", "?")) or FLUFF.match(unit.text):
            return False
        return any(term not in asked for term in self._lexical.analyzer.terms(unit.text))

    def _covered(self, weights: dict[str, float], text: str) -> float:
        held = set(self._lexical.analyzer.terms(text))
        return sum(weight for term, weight in weights.items() if term in held) / max(sum(weights.values()), 1e-6)


def told(unit: Unit) -> str:
    """A unit with what it needs to be understood."""
    return " ".join(part for part in (unit.lead, " ".join(unit.header), unit.text) if part)


def _under_headings(unit: Unit, chunk: Chunk) -> str:
    return " ".join((chunk.title, *chunk.headings, told(unit)))


def choose(picks: Sequence[Pick], wants_list: bool) -> list[Pick]:
    """The best units within the budgets, none of them a repetition. Items of a list that was begun come easier."""
    rest = list(picks)
    chosen: list[Pick] = []
    words = 0
    while rest and words < WORD_BUDGET and len(chosen) < UNITS:
        ease = {pick: SIBLING * (wants_list and _sibling(pick, chosen)) for pick in rest}
        best = max(rest, key=lambda pick: pick.score + ease[pick])
        rest.remove(best)
        if chosen and best.score + ease[best] < chosen[0].score - KEEP:
            break
        size = len((best.unit.text if _sibling(best, chosen) else told(best.unit)).split())
        articles = {pick.chunk.path for pick in (*chosen, best)}
        fits = not chosen or (words + size <= HARD_LIMIT and len(articles) <= ARTICLES)
        if fits and not any(_repeats(best.unit.text, pick.unit.text) for pick in chosen):
            chosen.append(best)
            words += size
    return chosen


def _sibling(pick: Pick, chosen: Sequence[Pick]) -> bool:
    return any(
        other.unit.kind == pick.unit.kind != "sentence"
        and other.chunk.path == pick.chunk.path
        and other.unit.lead == pick.unit.lead
        and other.chunk.headings == pick.chunk.headings
        for other in chosen
    )


def _repeats(text: str, other: str) -> bool:
    mine, theirs = set(re.findall(r"\w+", text.lower())), set(re.findall(r"\w+", other.lower()))
    return len(mine & theirs) > 0.8 * min(len(mine), len(theirs)) and abs(len(mine) - len(theirs)) < 0.5 * max(
        len(mine), len(theirs)
    )


def arrange(picks: Sequence[Pick]) -> list[Pick]:
    """Reading order: the article of the best unit first, within an article as it is written."""
    articles = list(dict.fromkeys(pick.chunk.path for pick in picks))
    return sorted(
        picks,
        key=lambda pick: (
            articles.index(pick.chunk.path),
            int(pick.chunk.id.rpartition("#")[2]),
            pick.chunk.units.index(pick.unit),
        ),
    )


def tell(picks: Sequence[Pick], pages: Mapping[str, Sequence[Chunk]]) -> Draft:
    """The picks as Markdown with a marker after each; `pages` holds all chunks of each article that is quoted."""
    sources: list[tuple[Unit, Chunk]] = []
    lines: list[str] = []
    before: Pick | None = None
    for pick in picks:
        if pick.unit.lead and not (before and _sibling(pick, [before])):
            lines += ["", _lead(pick, pages[pick.chunk.path], sources), ""]
        sources.append((pick.unit, pick.chunk))
        said = f"{_wording(pick.unit)} [{len(sources)}]"
        if pick.unit.kind != "sentence":
            lines += [*([""] if before and before.unit.kind == "sentence" else []), f"- {said}"]
        elif before and before.unit.kind == "sentence" and before.chunk.headings == pick.chunk.headings:
            lines[-1] += f" {said}"
        else:
            lines += ["", said]
        before = pick
    return Draft(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(), tuple(sources))


def _lead(pick: Pick, page: Sequence[Chunk], sources: list[tuple[Unit, Chunk]]) -> str:
    """The sentence that introduces a list or table, cited where it stands; without a marker of its own, the item's."""
    number = len(sources) + 1
    for chunk in page:
        for unit in chunk.units:
            if unit.text == pick.unit.lead and chunk.headings == pick.chunk.headings:
                sources.append((unit, chunk))
                return f"{unit.text} [{number}]"
    return f"{pick.unit.lead} [{number}]"


def _wording(unit: Unit) -> str:
    """How a unit is said: a row with its column names, the rest as it stands. What Markdown would read as markup is escaped."""
    if unit.kind == "code":
        return _escape("; ".join(repair(unit.raw).split("\n")).replace(":;", ":"))
    if unit.kind != "row" or not any(unit.header):
        return _escape(unit.text)
    cells = [cell.strip(" |") for cell in f" {unit.text}".split(" | ")]
    named = [_escape(f"{name}: {cell}" if name else cell) for name, cell in zip(unit.header, cells, strict=False) if cell]
    return " – ".join([f"**{named[0]}**", *(["; ".join(named[1:])] if named[1:] else [])])


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", text)
