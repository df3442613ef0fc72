"""Which sentences, list items and table rows answer: what speaks for each, weighed. And which of the law belongs below them.

Knows passages, words and vectors; knows nothing of answers as they are told. The weights were fitted on questions whose answering
units were marked by hand (softmax over a question's units; `python -m eval fit units`), with an embedder that had not seen them;
"passage" and "account" are higher than fitted, which `tune` rewards (eval/LOG.md, 2026-11-25).
Evidence on its own that a unit answers is its closeness to the question under its headings; the kind of question then steers
towards what answers of that kind hold: figures, dates, paragraphs, account numbers.
"""

import functools
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assistant.extract import Pick
from assistant.types import Passage
from corpus import law, rules
from corpus.chunk import Chunk, body, full_text, law_path, section, told
from corpus.dense import Embedder
from corpus.index import Index, Lexical
from corpus.language import in_bokmaal
from corpus.markdown import Unit

if TYPE_CHECKING:
    from assistant.question import Question

READ = 14  # passages that are searched for units
KEPT = 5_000  # units whose terms are remembered: 10 MB at most
# Closeness to an answer from which on a law's passage is shown: of a rule on a figure in it, of a paragraph that it names, of any
# other (eval/LOG.md, 2026-11-25).
RULED, NAMED, SURE = 0.5, 0.6, 0.8
HEADED = re.compile(rb'"headings": \[(?:"[^"]*", )*"\xc2\xa7 ?([^.",]+)')  # a chunk under a law's paragraph, as it lies on disk
POSTINGS = 1.0  # what debet and kredit have behind for those who keep no accounts and ask for none (eval/LOG.md, 2026-11-26)
ASKING = 1.0  # how much the part that asks counts beside the whole question (eval/LOG.md, 2026-11-26)
FAINT = 1e-4  # of the best passage's share; below that all are alike
WEIGHTS: Mapping[str, float] = {
    "alone": -0.333,  # cosine of the unit …
    "placed": 10.294,  # … with its headings
    "placed_chunk": 6.908,  # … the best of its passage
    "headings": -4.207,  # cosine of the headings alone, which count too much in the others
    "held": 2.645,  # share of the question's weight that stands in the unit or its headings …
    "held_headings": -1.416,  # … in the headings
    "shared": 0.194,  # how many of the question's terms the unit holds
    "new": -0.02,  # … and how many others
    "passage": 0.9,  # logarithm of the passage's share, of the best one's
    "page": -0.265,  # … of the page's
    "opening": -1.947,  # in an article's opening, which comes with its best passage's share
    "amount": 1.275,  # from here on: what the question asks for, and the unit holds
    "time": 0.535,
    "law": 0.856,
    "who": 0.694,
    "what": 0.939,
    "account": 2.0,
    "posting": 0.614,
    "denial": 0.402,
    "row_of_difference": 0.783,
    "same_number": 0.444,
}


def _rule(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# What a question asks for, and what a unit must hold to be an answer of that kind.
ASKS = {
    "amount": _rule(
        r"\b(?:hvor (?:mange|mye|stor|høy|lang)|[kj]or (?:mange|mykje|mye|stor|høg)|ka mye|how (?:many|much|large|high)|"
        r"prosent\w*|sats\w*|beløp\w*|percent\w*|rate|grense\w*|limit|threshold|minst\w*|maks\w*)\b"
    ),
    "time": _rule(
        r"\b(?:når|frist\w*|[hk]?v?or (?:lenge|ofte|raskt|fort|gam[ma]el)|how (?:long|often|soon|old|quickly)|when|deadline|dato|"
        r"innan|innen)\b"
    ),
    "law": _rule(
        r"§|\b(?:\w*paragraf\w*|(?:hvilken|kva) lov|hjemmel|heimel|(?:which|what) (?:law|act)|section|lova?|loven|legal)\b"
    ),
    "account": _rule(r"\b(?:konto\w*|account|bokfør\w*|føre[rs]?|debet|kredit|debit|credit|postere\w*|book)\b"),
    "who": _rule(r"\b(?:hvem|kven|kem|who|whom|hvilken etat)\b"),
    "what": _rule(
        r"\b(?:(?:hva|kva) (?:er|betyr|kalles|heter|heiter|vil det (?:si|seie))|ka e|what (?:is|are)|define|mean\w*|betydning|"
        r"definisjon)\b"
    ),
    "difference": _rule(r"\b(?:forskjell\w*|skilnad\w*|difference|kontra|versus|vs|sammenlign\w*|samanlikn\w*|eller|compared)\b"),
    "yes_or_no": _rule(
        r"^(?:og |men |ja,? |hei,? )*(?:kan|må|skal|får|er|har|blir|bør|trenger|treng|gjelder|gjeld|går|do|does|can|must|is|are|"
        r"should|may|will|have)\b|\b(?:lov (?:å|til)|(?:må|kan) (?:vi|jeg|eg|me|man|sjefen)|allowed|do (?:i|we) (?:have|need))\b"
    ),
}
FIGURE = _rule(r"\d")
REFERENCE = _rule(r"\([^()]*§[^()]*\)|§§?\s*\d+(?:\s?[A-Z])?(?:-\d+)?(?:\s[a-z]\b)?")  # whose number is no amount
TIME = _rule(
    r"\b\d*\s?(?:dag(?:er)?|uker?|måned(?:er)?|år|timer?|virkedager|termin\w*)\b|\binnen\b|\bfrist\w*|"
    r"\d{1,2}\. (?:jan|feb|mar|apr|mai|jun|jul|aug|sep|okt|nov|des)"
)
LAW = _rule(r"§|\b\w+loven\b|forskrift")
ACCOUNT = _rule(r"\bkonto (?:nr\.? )?\d{4}\b|^\d{4}\b")
POSTING = _rule(r"\b(?:debet|kredit)\b")
WHO = _rule(
    r"\b(?:arbeidsgiver\w*|arbeidstaker\w*|styret|daglig leder|nav|skatteetaten|altinn|\w*tilsyn\w*|revisor|regnskapsfører|"
    r"leder\w*|ansvar\w*)\b"
)
DEFINES = _rule(r"^[\w\s()-]{2,60}\b(?:er|betyr|kalles|innebærer)\b")
DENIES = _rule(r"\b(?:ikke|ingen|aldri|unntatt|unntak|uten)\b")
NUMBER = re.compile(r"\d+")
FLUFF = re.compile(
    r"^(?:les (?:mer|også)|se|i denne (?:artikkelen|guiden)|(?:denne )?artikkelen|denne guiden|sist oppdatert|"
    r"for (?:mer|en|et|å)\b.*\bse)\b",
    re.IGNORECASE,
)  # words about the article itself
QUOTED = re.compile(r"[\"“”«'‘’][^\"“”«»]+[\"“”»'‘’][.,:;]?")  # what others say, as in a list of misunderstandings
NAVIGATION = re.compile(r"\b(?:relatert\w*|intern lenking|se også|les (?:mer|også)|videre lesning)\b", re.IGNORECASE)  # headings


@dataclass(frozen=True)
class Place:
    """A unit, and the passage that it stands in."""

    unit: Unit
    passage: Passage


class Selector:
    """Judges units; one for an open index."""

    def __init__(self, embedder: Embedder, lexical: Lexical) -> None:
        self._embedder = embedder
        self._lexical = lexical
        # Every unit is asked twice, and the units of an article for each question on its matter.
        self._terms = functools.lru_cache(KEPT)(lambda text: frozenset(lexical.analyzer.terms(text)))

    def picks(self, question: "Question", passages: Sequence[Passage]) -> list[Pick]:
        """The units of the best passages that say something, with their scores; in the passages' order."""
        places = self.places(question, passages[:READ])
        scores = self.scores(question, places) if places else np.zeros(0)
        return [Pick(place.unit, place.passage.chunk, float(score)) for place, score in zip(places, scores, strict=True)]

    def places(self, question: "Question", passages: Sequence[Passage]) -> list[Place]:
        """The units of the passages that say something."""
        asked = self._weights(question)
        return [
            Place(unit, passage)
            for passage in passages
            if not NAVIGATION.search(section(passage.chunk))
            for unit in passage.chunk.units
            if self._tells(unit, asked)
        ]

    def scores(self, question: "Question", places: Sequence[Place]) -> np.ndarray:
        """How much speaks for each place: higher is better, comparable within one question."""
        columns = self.evidence(question, places)
        total = np.asarray(sum(WEIGHTS[name] * columns[name] for name in WEIGHTS))
        if question.role in (None, "regnskap") or ASKS["account"].search(question.text):
            return total
        return total - POSTINGS * np.array([bool(POSTING.search(place.unit.text)) for place in places])

    def evidence(self, question: "Question", places: Sequence[Place]) -> dict[str, np.ndarray]:
        """The pieces of evidence by name, an array over the places each. There must be a place."""
        texts = [told(place.unit) for place in places]
        placed = [f"{_headings(place.passage)} {text}" for place, text in zip(places, texts, strict=True)]
        headings = {place.passage.chunk.id: _headings(place.passage) for place in places}
        chunks = np.array([list(headings).index(place.passage.chunk.id) for place in places])
        asked = self._asked(question)
        near = self._embedder.documents([*texts, *placed, *headings.values()]) @ asked
        alone, under, heads = np.split(near, [len(texts), 2 * len(texts)])
        return {
            "alone": alone,
            "placed": under,
            "placed_chunk": np.array([under[chunks == chunk].max() for chunk in range(len(headings))])[chunks],
            "headings": heads[chunks],
            **self._words(question, texts, [headings[place.passage.chunk.id] for place in places]),
            **_standing(places),
            **_kinds(question.text, [place.unit for place in places]),
        }

    def closeness(self, question: "Question", text: str) -> float:
        """The cosine of a question and a text."""
        return float(self._embedder.documents([text])[0] @ self._asked(question))

    def _asked(self, question: "Question") -> np.ndarray:
        """The question as a vector of unit length, leaning towards the part of it that asks."""
        mended = in_bokmaal if question.language == "en" else self._lexical.analyzer.mended
        parts = [mended(part) for part in (question.search, question.asks) if part]
        whole, *asking = self._embedder.queries(parts)
        vector = np.asarray(whole + ASKING * asking[0] if asking else whole)
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6))

    def _words(self, question: "Question", texts: Sequence[str], headings: Sequence[str]) -> dict[str, np.ndarray]:
        """What the units hold of the question's words, by themselves and with their headings, and what they add."""
        weights = self._weights(question)
        total = max(sum(weights.values()), 1e-6)
        own = [self._terms(text) for text in texts]
        above = {text: self._terms(text) for text in set(headings)}

        def share(terms: frozenset[str]) -> float:
            return sum(weight for term, weight in weights.items() if term in terms) / total

        return {
            "held": np.array([share(terms | above[heading]) for terms, heading in zip(own, headings, strict=True)]),
            "held_headings": np.array([share(above[heading]) for heading in headings]),
            "shared": np.array([sum(term in weights for term in terms) for terms in own], dtype=float),
            "new": np.array([sum(term not in weights for term in terms) for terms in own], dtype=float),
        }

    def _weights(self, question: "Question") -> dict[str, float]:
        meant = self._lexical.analyzer.meant(question.search, question.language == "en")
        return {term: weight * self._lexical.rarity(term) for term, weight in meant.items() if self._lexical.knows(term)}

    def _tells(self, unit: Unit, asked: Mapping[str, float]) -> bool:
        """Whether a unit says something: no lead-in, no question, no quoted claim, no pointer to further reading, no echo of
        what was asked."""
        if unit.text.endswith((":", "?")) or FLUFF.match(unit.text) or QUOTED.fullmatch(unit.text):
            return False
        return any(term not in asked for term in self._terms(unit.text))


def _claims(unit: Unit, chunk: Chunk) -> Sequence[rules.Claim]:
    return rules.claims(unit.text, rules.above(chunk.title, chunk.headings, unit.lead, unit.header))


def _headings(passage: Passage) -> str:
    return " ".join((passage.chunk.title, *passage.chunk.headings))


def _standing(places: Sequence[Place]) -> dict[str, np.ndarray]:
    """Where the units stand: in how sure a passage, on how sure a page, in an article's opening."""
    passages = {place.passage.chunk.id: place.passage for place in places}
    pages: dict[str, float] = {}
    for passage in passages.values():
        pages[passage.chunk.path] = pages.get(passage.chunk.path, 0.0) + passage.score
    best, best_page = max(passage.score for passage in passages.values()), max(pages.values())

    def log(share: float, top: float) -> float:
        return math.log(max(share / top, FAINT)) if top > 0 else 0.0

    return {
        "passage": np.array([log(place.passage.score, best) for place in places]),
        "page": np.array([log(pages[place.passage.chunk.path], best_page) for place in places]),
        "opening": np.array([place.passage.chunk.id.endswith("#0") for place in places], dtype=float),
    }


def _kinds(asked: str, units: Sequence[Unit]) -> dict[str, np.ndarray]:
    """Whether a unit holds what the question asks for, by kind of question."""
    asks = {name: bool(rule.search(asked)) for name, rule in ASKS.items()}
    numbers = set(NUMBER.findall(asked))

    def both(name: str, rule: re.Pattern[str]) -> np.ndarray:
        return np.array([asks[name] and bool(rule.search(unit.text)) for unit in units], dtype=float)

    return {
        "amount": np.array([asks["amount"] and bool(FIGURE.search(REFERENCE.sub("", unit.text))) for unit in units], dtype=float),
        "time": both("time", TIME),
        "law": both("law", LAW),
        "who": both("who", WHO),
        "what": both("what", DEFINES),
        "account": both("account", ACCOUNT),
        "posting": both("account", POSTING),
        "denial": both("yes_or_no", DENIES),
        "row_of_difference": np.array([asks["difference"] and unit.kind == "row" for unit in units], dtype=float),
        "same_number": np.array([bool(numbers & set(NUMBER.findall(unit.text))) for unit in units], dtype=float),
    }


class Statutes:
    """The laws' own text, in an index of its own: which of it belongs below an answer."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._rows: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, key in enumerate(index.ids):
            if match := HEADED.search(index.line(row)):
                self._rows[key.rpartition("#")[0], re.sub(r"\s", "", match[1].decode())].append(row)

    def passage(self, question: str, picks: Sequence[Pick]) -> Passage | None:
        """The ledd that an answer rests on, None when that is not sure.

        Its paragraph is that of a rule on a figure in the answer, else one that the quoted words name, else any; the ledd is the
        nearest to question and answer, which must be near enough.
        """
        if not picks:
            return None
        asked = self.index.vector(question)
        said = self.index.embedder.documents([" ".join(pick.unit.text for pick in picks)])[0]
        others = ((rows, bound) for rows, bound in ((self._ruled(picks), RULED), (self._named(picks), NAMED)) if rows)
        rows, bound = next(others, ([row for row, _ in self.index.nearest(question, 10)], SURE))
        chunks = [self.index.chunk(row) for row in rows]
        vectors = self.index.embedder.documents([full_text(chunk) for chunk in chunks])
        best = int(np.argmax(vectors @ (said + 0.3 * asked)))
        close = float(vectors[best] @ said)
        return Passage(chunks[best], round(close, 3)) if close >= bound else None

    def _ruled(self, picks: Sequence[Pick]) -> list[int]:
        """The ledd that hold the right figures of the rules that an answer speaks of."""
        found: dict[int, None] = {}
        for pick in picks:
            for rule in (claim.rule for claim in _claims(pick.unit, pick.chunk) if claim.rule.law):
                rows = self._rows.get((law_path(rule.law), rule.paragraph), [])
                found |= dict.fromkeys(row for row in rows if rules.holds(body(self.index.chunk(row)), rule))
        return list(found)

    def _named(self, picks: Sequence[Pick]) -> list[int]:
        """The ledd of the paragraphs that the quoted units name."""
        found: dict[int, None] = {}
        for pick in picks:
            for reference in law.references(pick.unit.text):
                if reference.law and reference.paragraph:
                    found |= dict.fromkeys(self._rows.get((law_path(reference.law), reference.paragraph), []))
        return list(found)
