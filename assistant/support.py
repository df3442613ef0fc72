"""Whether the passages that a sentence cites say what it says.

A small language model reads the sentence and its passages together (entailment/README.md). What such a reader overlooks is looked
up: figures, paragraphs of a law, negations, the side of an account. Knows sentences, passages, words and vectors; knows nothing
of the models that answers come from. The weights were fitted on sentences with known faults (`python -m eval fit support`).
"""

import functools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assistant.extract import wording
from assistant.types import Verdict
from corpus.chunk import Chunk, full_text, told
from corpus.dense import Embedder
from corpus.index import Lexical
from corpus.language import STOP, in_bokmaal, in_norwegian, listed
from corpus.markdown import Unit

SHIPPED = Path(__file__).with_name("entailment")
# Log-odds. What is looked up was fitted on `tune` by itself, since the model was taught with it; the model is believed READ.
WEIGHTS = {
    "cosine": 0.547,  # the nearest unit's
    "behind": 2.751,
    "missing_figures": -2.526,
    "missing_paragraphs": -1.697,
    "other_paragraph": -2.347,
    "dropped_negation": -1.933,  # by the share of the sentence that its nearest unit holds, as the next
    "added_negation": -1.449,
    "other_side": -1.928,
}
BASE, READ = 0.134, 1.2
# Below PARTLY a sentence is left out, below FOUND it is marked: of what is `apart`, answers and written sentences alike, 91 of
# 100 right ones exceed the first, and 95 of 100 faulty ones stay below the second.
PARTLY, FOUND = -0.6, 1.18
LONGEST = 400  # pieces of a sentence with its passages; a passage of 110 words has some 160
FIGURES = 0.3  # what a unit with the sentence's figures has ahead, when the nearest is looked for
SAYS = 3  # words of a sentence that claims something
UNKNOWN = 3.0  # rarity of a word that no article holds

Words = Sequence[tuple[str, ...]]  # for each word, the Norwegian ones that it may stand for
Source = tuple[int, Chunk, Unit]  # a unit of a passage, and the passage's number
PARAGRAPH = re.compile(r"§?\d+-\d+[a-z]?\Z|§")
NEGATIONS = frozenset("ikke ingen ingenting aldri uten unntatt unntak verken nei fritatt unntas slipper".split())
ACCOUNT = re.compile(r"[1-8]\d{3}\Z")
ORDINAL = frozenset("andre tredje fjerde femte sjette sjuende tiende begge halvparten dobbel tredel tredjedel fjerdedel".split())
NUMBERS = {
    word: float(value)
    for word, value in (
        pair.split("=")
        for pair in (
            "en=1 ei=1 et=1 ett=1 én=1 to=2 tre=3 fire=4 fem=5 seks=6 sju=7 syv=7 åtte=8 ni=9 ti=10 elleve=11 tolv=12 tretten=13 "
            "fjorten=14 femten=15 seksten=16 sytten=17 atten=18 nitten=19 tjue=20 tyve=20 tjueen=21 tjuefire=24 tjuefem=25 "
            "tretti=30 tredve=30 trettifem=35 trettiseks=36 trettisju=37 førti=40 førtifem=45 førtiåtte=48 femti=50 seksti=60 "
            "sytti=70 åtti=80 nitti=90 hundre=100 tusen=1000 første=1 andre=2 tredje=3 fjerde=4 femte=5 sjette=6 sjuende=7 "
            "tiende=10 begge=2 halv=0.5 halve=0.5 halvt=0.5 halvparten=50 dobbel=2 tredel=3 tredjedel=3 fjerdedel=4"
        ).split()
    )
}
CAPITALS = re.compile(r"\b[A-ZÆØÅ]{2,}\b")
CARDINAL = re.compile(rf"\b({'|'.join(word for word, value in NUMBERS.items() if value >= 2 and word not in ORDINAL)})\b", re.I)
# Bounds as they are told in Norwegian → one way to tell them, since the model takes another way for another bound.
MORE, LESS = "(?:flere|fleire|mer|meir|lenger|lengre|eldre|over|høyere)", "(?:færre|mindre|kortere|yngre|under|lavere)"
BOUNDS = [
    (re.compile(rf"(\d[\d .,]*) (\w+ )?eller {MORE}\b"), r"minst \1 \2"),
    (re.compile(rf"(\d[\d .,]*) (\w+ )?eller {LESS}\b"), r"høyst \1 \2"),
    (re.compile(rf"\b(?:inntil|opptil|maksimalt|maks|høgst|ikk?j?e {MORE} (?:enn )?)\s*(?=\d)", re.I), "høyst "),
    (re.compile(rf"\b(?:minimum|ikk?j?e {LESS} (?:enn )?)\s*(?=\d)", re.I), "minst "),
]


@dataclass(frozen=True)
class Told:
    """What a text says that can be looked up, from its words in Norwegian. `figures` maps each number to whether it is said for
    its own sake: "to" and "første" are said of many things, "2" and "fem" are not."""

    figures: Mapping[float, bool]
    paragraphs: frozenset[str]
    negations: int
    sides: Mapping[str, frozenset[str]]  # account → "d" for debet, "k" for kredit


@dataclass(frozen=True)
class Support:
    """How far the cited passages bear a sentence (log-odds), and the unit of each that bears it best, by its number."""

    score: float
    units: Mapping[int, Unit]

    @property
    def verdict(self) -> Verdict:
        """As the reader is told."""
        return "støttet" if self.score >= FOUND else "delvis" if self.score >= PARTLY else "ikke funnet"


class Entailment:
    """The model that reads a sentence with its source: whether it follows from that. Safe to use from several threads."""

    def __init__(self, folder: Path = SHIPPED) -> None:
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        options = SessionOptions()
        options.intra_op_num_threads = 2
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting costs no processor
        self._session = InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(LONGEST, strategy="longest_first")

    def read(self, sentence: str, source: str) -> float:
        """Log-odds that the source says what the sentence says."""
        ids = np.array([self._tokenizer.encode(sentence, source).ids])
        (logits,) = self._session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        return float(logits[0, 0])


def plainly(text: str) -> str:
    """Norwegian with its abbreviations written out, its numbers in figures and its bounds told in one way ("fem eller flere" →
    "minst 5")."""
    known = listed("abbreviations")
    text = CAPITALS.sub(lambda word: known.get(word[0].lower()) or known.get(f"caps:{word[0].lower()}", word[0]), text)
    text = CARDINAL.sub(lambda word: f"{NUMBERS[word[0].lower()]:g}", text)
    return functools.reduce(lambda said, bound: bound[0].sub(bound[1], said), BOUNDS, text)


def source(passages: Sequence[Chunk]) -> str:
    """Passages as the model reads them, and was taught with."""
    return " / / ".join(full_text(each).replace("\n", " / ") for each in passages)


@functools.cache
def entailment() -> Entailment:
    """The shipped model, loaded once, with the first sentence: without a language model nobody asks it."""
    return Entailment()


class Checker:
    """Holds sentences against passages; one for an open index. Safe to use from several threads."""

    def __init__(self, embedder: Embedder, lexical: Lexical) -> None:
        self._embedder = embedder
        self._lexical = lexical
        self._terms = functools.lru_cache(20_000)(lambda text: frozenset(lexical.analyzer.terms(text)))

    def check(self, sentence: str, language: str, passages: Sequence[Chunk], cited: Sequence[int]) -> Support:
        """Judge a sentence without its markers; `cited` are numbers of `passages`, counted from 1, one at least."""
        units = ((number, unit) for number in cited for unit in passages[number - 1].units)
        copied = {number: unit for number, unit in units if _letters(sentence) in (_letters(unit.text), _letters(wording(unit)))}
        evidence, best = self.evidence(sentence, language, passages, cited)
        if not copied and not self._claims(sentence, language, [passages[number - 1] for number in cited]):
            return Support(-math.inf, best)
        score = math.inf if copied else READ * self.read(sentence, language, passages, cited) + looked_up(evidence)
        return Support(score, {**best, **copied})

    def _claims(self, sentence: str, language: str, passages: Sequence[Chunk]) -> bool:
        """Whether a sentence says something, and on what the passages are about: small talk goes against nothing. Of German,
        which has no list of words here, the model alone judges."""
        said = in_norwegian(sentence, language)
        theirs = {term for each in passages for term in self._terms(full_text(each))}
        shared = any(term in theirs for each in self._telling(said) for own in each for term in own)
        return len(said) >= SAYS and (shared or language == "de")

    def read(self, sentence: str, language: str, passages: Sequence[Chunk], cited: Sequence[int]) -> float:
        """Log-odds of the model alone. A sentence in another language is read as it stands, and word by word as bokmål, which
        has our terms."""
        given = plainly(source([passages[number - 1] for number in dict.fromkeys(cited)]))
        own = entailment().read(plainly(sentence) if language in ("nb", "nn") else sentence, given)
        if language == "nb":
            return own
        return (own + entailment().read(plainly(glossed(in_norwegian(sentence, language))), given)) / 2

    def evidence(
        self, sentence: str, language: str, passages: Sequence[Chunk], cited: Sequence[int]
    ) -> tuple[dict[str, float], dict[int, Unit]]:
        """What is looked up by name, and the nearest unit of each cited passage."""
        sources = [(number, chunk, unit) for number, chunk in enumerate(passages, 1) for unit in chunk.units]
        said = in_norwegian(sentence, language)
        near, held = self._closeness(sentence if language == "nb" else glossed(said), said, sources)
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
            "missing_figures": _missing_figures(own, [*texts, *above]),
            **_paragraphs(own, texts),
            "dropped_negation": float(held[order[0]]) * (own.negations == 0 < texts[0].negations),
            "added_negation": float(held[order[0]]) * (own.negations > 0 == texts[0].negations),
            "other_side": _other_side(own, units),
        }
        return evidence, {sources[row][0]: sources[row][2] for row in reversed(order)}

    def _closeness(self, text: str, said: Words, sources: Sequence[Source]) -> tuple[np.ndarray, np.ndarray]:
        """For each source its cosine with the sentence, and the share of the sentence's weight that stands in it or above it."""
        texts = [told(unit) for *_, unit in sources]
        near = self._embedder.documents(texts) @ self._embedder.queries([in_bokmaal(text)])[0]
        asked = self._telling(said)
        weights = [max(self._rarity(terms[0]) for terms in each) for each in asked]
        total = max(sum(weights), 1e-6)

        def share(terms: frozenset[str]) -> float:
            holds = (any(term in terms for own in each for term in own) for each in asked)
            return sum(weight for weight, held in zip(weights, holds, strict=True) if held) / total

        above = [self._terms(_headings(chunk)) for _, chunk, _ in sources]
        return near, np.array([share(self._terms(text) | terms) for text, terms in zip(texts, above, strict=True)])

    def _telling(self, said: Words) -> list[list[tuple[str, ...]]]:
        """The terms of each telling word, for every Norwegian word that it may stand for."""
        telling = ([word for word in each if word not in STOP and word[0] not in "0123456789§%"] for each in said)
        return [[self._lexical.analyzer.word(word) for word in each] for each in telling if each]

    def _rarity(self, term: str) -> float:
        return self._lexical.rarity(term) if self._lexical.knows(term) else UNKNOWN


def glossed(said: Words) -> str:
    """A text word by word in Norwegian: of each the most usual word, and both of "kan ikke", "med mindre" and "ikke tillatt"."""

    def most(word: tuple[str, ...]) -> str:
        pair = (word[0] != "ingen" and word[1:2] in (("ikke",), ("mindre",))) or (word[0] == "ikke" and len(word) > 2)
        return " ".join(word[: 1 + pair])

    return " ".join(map(most, said))


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


def _headings(chunk: Chunk) -> str:
    return " ".join((chunk.title, *chunk.headings))


@functools.lru_cache(20_000)
def _of_unit(text: str) -> Told:
    return told_in(tuple(in_norwegian(text, "nb")))


@functools.lru_cache(2_000)
def told_in(said: tuple[tuple[str, ...], ...]) -> Told:
    """What a text says that can be looked up, from its words as Norwegian ones."""
    low = tuple(tuple(word.lower() for word in each) for each in said)
    return Told(
        figures=_figures(low),
        paragraphs=frozenset(each[0].lstrip("§") for each in low if PARAGRAPH.match(each[0])),
        negations=sum(any(word in NEGATIONS for word in each) for each in low),
        sides=_sides(low),
    )


def looked_up(evidence: Mapping[str, float]) -> float:
    """What speaks for a sentence beside the model, in log-odds."""
    return BASE + sum(weight * evidence[name] for name, weight in WEIGHTS.items())


def number(text: str) -> float | None:
    """A number as Norwegians and others write it ("20 000", "14,1", "1.500")."""
    text = re.sub(r"\s", "", text).rstrip(".")
    if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", text):
        text = re.sub("[.,]", "", text)
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _figures(said: Words) -> dict[float, bool]:
    found: dict[float, bool] = {}
    for each in said:
        written = each[0][:1].isdigit()
        value = number(each[0]) if written else next((NUMBERS[word] for word in each if word in NUMBERS), None)
        if value is not None and (written or value > 1) and not PARAGRAPH.match(each[0]):
            found[value] = found.get(value, False) or written or value > 2
    return found


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
    return sum(value in other.figures for value in own.figures) / max(len(own.figures), 1)


def _missing_figures(own: Told, texts: Sequence[Told]) -> float:
    """How many figures no cited passage holds."""
    return float(sum(sure and not any(value in each.figures for each in texts) for value, sure in own.figures.items()))


def _paragraphs(own: Told, texts: Sequence[Told]) -> dict[str, float]:
    """Paragraphs that the cited passages do not name, and others than the nearest unit's."""
    known = [paragraph for each in texts for paragraph in each.paragraphs]
    return {
        "missing_paragraphs": float(sum(not any(p.startswith(k) or k.startswith(p) for k in known) for p in own.paragraphs)),
        "other_paragraph": float(len(own.paragraphs - texts[0].paragraphs)) if texts[0].paragraphs else 0.0,
    }


def _other_side(own: Told, units: Sequence[Unit]) -> float:
    """How many accounts stand on another side than in the cited passages."""
    sides: dict[str, set[str]] = {}
    for unit in units:
        for account, side in _posted(unit).items():
            sides.setdefault(account, set()).update(side)
    return float(sum(bool(side and sides.get(account) and not side & sides[account]) for account, side in own.sides.items()))


def _posted(unit: Unit) -> Mapping[str, frozenset[str]]:
    """The accounts of a unit with their sides; in a row the column that holds an amount is the side."""
    account = re.search(r"\b[1-8]\d{3}\b", unit.text)
    if unit.kind != "row" or not unit.header or not account:
        return _of_unit(unit.text).sides
    cells = [cell.strip(" |") for cell in f" {unit.text}".split(" | ")]
    named = {name.lower()[:3] for name, cell in zip(unit.header, cells, strict=False) if cell}
    return {account[0]: frozenset(side for start, side in (("deb", "d"), ("kre", "k")) if start in named)}
