"""Question → passages: found by words and by meaning, put in order by what speaks for each, and whether they are ground for an
answer; a LangChain retriever.

Knows the index and numbers; knows nothing of answers. To find, both scores are brought to the same scale (words: the share of the
question's rarity that the passage holds; meaning: cosine) and added, which keeps how sure each ranking is; ranks alone throw that
away. The best by that sum are put in order by weighed evidence. Its weights were fitted on the development questions' `tune` part
(softmax over a question's candidates, all passages of the right pages counting as right) and hold for any articles: each piece of
evidence is a share, a cosine or a yes. Trees over the same evidence, trained on thousands of questions with one right page each,
did worse (eval/LOG.md, 2026-11-25).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from assistant.question import asks_for_somebody, language, matters
from assistant.types import Audience, Passage
from corpus.chunk import full_text, section
from corpus.index import Index
from corpus.language import STOP, bokmaal, everyday, words

CANDIDATES = 100  # of each ranking
JUDGED = 80  # of both together, by the sum
PER_ARTICLE = 4  # passages of one article among the results: more would push out other articles that answer too
MEANING, WORDS = 1.0, 0.8  # weights; eval/LOG.md, 2026-11-24
PAGE = 1.5  # what a passage of the page that is being read has ahead, in the judge's units
DOUBT, WRITTEN = 0.75, 13.0  # where the embedder knows none of the words: what meaning loses, and what likeness in letters weighs
HEADED, ALIKE = 8.0, 0.5  # what a heading that is the question itself weighs, and from how alike on one counts
AHEAD, FEW = 20, 2  # of how many of the best passages headings are read, and words that are too few to be compared
RUN = 4  # letters; K1 and B are of BM25 over such runs: that one stands in a text says most, how often little
K1, B = 0.5, 0.75
OTHERS = 0.5  # what a page about an account has behind, for those who keep no accounts (eval/LOG.md, 2026-11-26)
ACCOUNT = re.compile(r"(?<![\d§.-])([1-8]\d{3})(?![\d.-])")
ASKS_ACCOUNT = re.compile(
    r"\b(?:konto\w*|account\w*|bokfør\w*|føre[rs]?|debet\w*|kredit\w*|postere\w*|debit|book)\b", re.IGNORECASE
)
NAME = re.compile(r"\b[A-ZÆØÅ][a-zæøåé]+(?:[ -][A-ZÆØÅ][a-zæøåé]+){1,2}\b")  # of a person: "Kari Nordmann"
UNNAMED = -1.0  # the ground at most, where who somebody is is asked for and no passage names any
KONTOPLAN = re.compile(r"/kontoplan/(\d{4})?")  # a page about one account, in a path
WEIGHTS = {
    "meaning": 9.27,  # cosine of the passage
    "words": 1.02,  # share of the question's weight that the passage holds, as BM25 counts it
    "page_meaning": 8.79,  # the same of the best passage of its page …
    "page_words": 4.81,
    "page_meaning_2": 1.25,  # … and of the second best: a page that speaks of the matter twice is more likely about it
    "page_words_2": 2.81,
    "held": 2.78,  # share of the question's weight in terms that stand in the passage
    "held_page": 3.11,  # … anywhere on its page
    "held_title": -4.47,  # … in its title, which counts too much in the others
    "title_meaning": 3.18,  # cosine of the title
    "account_page": 5.82,  # a page about an account, when an account is asked for
    "account_named": 10.0,  # the page of the very account that the question names; set by hand, `tune` names none
    "chunks": -0.63,  # logarithm of how many passages the page has: more of them, more luck
    "kontoplan": -0.77,
}

# Whether the articles answer at all, in log-odds: a logistic regression over questions that they do and do not answer, of the
# real blog and of the shipped articles (`python -m eval fit ground`; eval/LOG.md, 2026-11-26). At BOUND, 2.6 of 100 answerable
# questions of `tune` are turned away.
GROUND = {
    "meaning_max": 10.962,  # the best cosine
    "words": -2.733,  # of the best passage
    "title": 0.207,
    "score": 1.883,  # a tenth of what speaks for the best passage
    "share": -2.374,  # of the softmax over all candidates that the best page has
    "margin": 0.973,  # … less that of the second best
    "unknown": -0.56,  # share of the question's weight in words that no article has, by any name
    "missing_page": -1.833,  # … that the best page does not hold
    "rarest_page": -0.133,  # the rarest such word, of the rarest there can be
    "rarest_chunk": 0.964,  # … that the best passage does not hold
    "terms": 0.557,  # logarithm of how many words the question has
    "few": -2.13,  # one over it
    "english": 0.017,
    "size": -5.2,  # a tenth of the logarithm of how many passages there are; fitted -6.3: few articles would answer too much
    "beside": -12.798,  # the cosine with the nearest question on a matter that such articles leave open
    # What the words say by themselves, in log-odds, fitted on top of all the others: of 691 answerable questions too few to fit
    # both at once (`kept` lost what `tune` won)
    "open": -0.26,  # that it is such a matter, up to OPEN
    "own": -0.2,  # beyond OWN, that only those around the asker know
    "elsewhere": -1.2,  # beyond ELSEWHERE, that it is none of working life or accounts
}
BASE, BOUND = 3.448, -1.32
# No more than OPEN is believed: what was read word by word from Polish goes far beyond. OWN and ELSEWHERE are the log-odds that
# one in 200 answerable questions of `tune` exceeds.
OPEN, OWN, ELSEWHERE = 3.0, -1.0, 0.4
SMALLEST = 0.7  # "size" of the smallest collection that the weights were fitted on; what holds there is assumed of smaller ones


@dataclass(frozen=True)
class Candidates:
    """Rows that may answer, with their cosine and their share of the question's weight in words; arrays of one length."""

    rows: np.ndarray
    meaning: np.ndarray
    words: np.ndarray


class Retriever(BaseRetriever):
    """Passages for a question, best first, as LangChain documents; `metadata` holds score, path, title and section."""

    index: Any  # corpus.index.Index; pydantic would copy a dataclass that it knows
    limit: int = 10
    page: str | None = None

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [
            Document(
                id=passage.chunk.id,
                page_content=full_text(passage.chunk),
                metadata={
                    "score": passage.score,
                    "path": passage.chunk.path,
                    "title": passage.chunk.title,
                    "section": section(passage.chunk),
                },
            )
            for passage in passages(self.index, query, self.limit, self.page)
        ]


def passages(index: Index, question: str, limit: int, page: str | None = None, role: Audience | None = None) -> list[Passage]:
    """The `limit` best passages for a question, at most PER_ARTICLE of an article.

    Those of `page` come forward a little; pages about accounts go back a little when `role` is another than an accountant's.
    """
    text, weights = understood(index, question)
    found = candidates(index, text, weights)
    if not len(found.rows):
        return []
    columns = evidence(index, text, weights, found)
    sure = round(ground(with_matter(question, ground_evidence(index, text, weights, found, columns))), 3)
    total = scores(columns) + _doubted(index, text, found, columns) + PAGE * (index.pages[found.rows] == _number(index, page))
    total = total + _headed(index, text, found, total)
    if role not in (None, "regnskap"):
        total = total - OTHERS * columns["kontoplan"]
    shares = np.exp(total - total.max())
    taken: Counter[int] = Counter()
    chosen: list[Passage] = []
    for place in np.argsort(-shares, kind="stable"):
        row = int(found.rows[place])
        if len(chosen) < limit and taken[index.pages[row]] < PER_ARTICLE:
            taken[index.pages[row]] += 1
            chosen.append(Passage(index.chunk(row), round(float(shares[place] / shares.sum()), 6), sure))
    if asks_for_somebody(question) and not any(_names(index, weights, passage) for passage in chosen):
        return [Passage(each.chunk, each.score, min(sure, UNNAMED)) for each in chosen]
    return chosen


def _names(index: Index, asked: Mapping[str, float], passage: Passage) -> bool:
    """Whether a passage names somebody in a unit that holds a term of the question."""
    texts = [unit.text for unit in passage.chunk.units if NAME.search(unit.text)]
    return any(term in asked for text in texts for term in index.lexical.analyzer.terms(text))


def understood(index: Index, question: str) -> tuple[str, dict[str, float]]:
    """A question as it is compared by meaning, and the terms that it is compared by words with."""
    analyzer, english = index.lexical.analyzer, language(question) == "en"
    return question if english else analyzer.mended(question), analyzer.meant(question, english)


def with_opening(index: Index, found: list[Passage]) -> list[Passage]:
    """The passages and, after the best one, the opening of its article: there stands what a thing is, or which account."""
    if not found or found[0].chunk.id.endswith("#0"):
        return found
    best = found[0]
    opening = index.chunk(index.rows[f"{best.chunk.path}#0"])
    return [best, Passage(opening, best.score, best.ground), *(each for each in found[1:] if each.chunk.id != opening.id)]


def candidates(index: Index, question: str, weights: Mapping[str, float]) -> Candidates:
    """The best of both rankings. A row that the ranking by meaning does not name gets its lowest score."""
    words = index.lexical.scores(weights) / max(weight(index, weights), 1e-6)
    near = dict(index.nearest(question, CANDIDATES))
    floor = min(near.values(), default=0.0)
    best = np.argsort(-words, kind="stable")[:CANDIDATES]
    rows = np.array(sorted({*near, *(int(row) for row in best if words[row] > 0)}), dtype=int)
    found = Candidates(rows, np.array([near.get(int(row), floor) for row in rows]), words[rows])
    top = np.argsort(-(MEANING * found.meaning + WORDS * found.words), kind="stable")[:JUDGED]
    return Candidates(found.rows[top], found.meaning[top], found.words[top])


def weight(index: Index, weights: Mapping[str, float]) -> float:
    """The rarity of a question's own terms together: what a passage that held them all would score, about."""
    return sum(index.lexical.rarity(term) for term, own in weights.items() if own == 1.0)


def _number(index: Index, page: str | None) -> int:
    return list(index.entries).index(page) if page in index.entries else -1


def scores(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """How much speaks for each candidate by its evidence: higher is better, comparable within one question."""
    return np.asarray(sum(WEIGHTS[name] * column for name, column in columns.items()))


def _doubted(index: Index, question: str, found: Candidates, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """What is added where the embedder knows few of the words: less of meaning, and how alike question and page are written."""
    if not (strange := index.strange):
        return np.zeros(len(found.rows))
    own, place = np.unique(index.pages[found.rows], return_inverse=True)
    written = alike(f" {' '.join(words(question))} ", [index.spelt(page) for page in own])[place]
    by_meaning = sum(WEIGHTS[name] * column for name, column in columns.items() if "meaning" in name)
    return np.asarray(strange * (WRITTEN * written - DOUBT * by_meaning))


def _headed(index: Index, question: str, found: Candidates, total: np.ndarray) -> np.ndarray:
    """What is added where the question is, almost word for word, the heading of a passage: by the share of their weight in terms
    that both have. A heading of a word or two ("Frister") tells nothing."""
    analyzer, added = index.lexical.analyzer, np.zeros(len(total))
    asked = frozenset(analyzer.terms(question))
    for place in np.argsort(-total, kind="stable")[:AHEAD] if len(list(words(question))) > FEW else ():
        headings = index.chunk(int(found.rows[place])).headings
        own = frozenset(analyzer.terms(headings[-1])) if headings else frozenset()
        both, either = (sum(map(index.lexical.rarity, terms)) for terms in (asked & own, asked | own))
        added[place] = HEADED * max(0.0, both / max(either, 1e-6) - ALIKE) / (1 - ALIKE)
    return added


def alike(question: str, texts: Sequence[str]) -> np.ndarray:
    """How alike a question and each of some texts are written: shape (texts,), the share of the question's runs of letters that a
    text holds, those that few of the texts hold counting most. Finds names, and words in other forms and compounds."""
    runs = sorted({question[start : start + RUN] for start in range(len(question) - RUN + 1)})
    times = np.array([[text.count(run) for run in runs] for text in texts], dtype=float).reshape(len(texts), len(runs))
    sizes = np.array([len(text) for text in texts]) / max(np.mean([len(text) for text in texts]), 1)
    held = times * (1 + K1) / (times + K1 * (1 - B + B * sizes)[:, None])
    having = (times > 0).sum(axis=0)
    rarity = np.log1p((len(texts) - having + 0.5) / (having + 0.5))
    return np.asarray(held @ rarity / max(rarity.sum(), 1e-6))


def ground(told: Mapping[str, float]) -> float:
    """How sure it is that the articles answer, in log-odds above the bound; below 0 there is no ground for an answer."""
    return BASE - BOUND + sum(GROUND[name] * value for name, value in told.items())


def ground_evidence(
    index: Index,
    question: str,
    weights: Mapping[str, float],
    found: Candidates,
    columns: Mapping[str, np.ndarray],
) -> dict[str, float]:
    """What speaks for there being an answer, by name, from the candidates' evidence."""
    total = scores(columns)
    best = int(np.argmax(total))
    pages = index.pages[found.rows]
    shares = np.exp(total - total.max())
    of_page = np.sort(np.bincount(pages, weights=shares / shares.sum()))[::-1]
    english = language(question) == "en"
    # Of an English question only what was looked up can stand in Norwegian articles.
    looked_up: list[list[tuple[str, ...]]] = [[(term,)] for term, weight in weights.items() if weight < 1]
    named = looked_up if english else _named(index, question)
    own = [max(min(index.lexical.rarity(term) for term in way) for way in ways) for ways in named]
    whole, rarest = max(sum(own), 1e-6), float(np.log1p(len(index.ids) / 0.5))
    rows = {term: index.lexical.rows_with(term) for ways in named for way in ways for term in way}

    def missing(there: Mapping[str, bool]) -> list[float]:
        return [weight for ways, weight in zip(named, own, strict=True) if not any(all(map(there.get, way)) for way in ways)]

    off_page = missing({term: bool((index.pages[holding] == pages[best]).any()) for term, holding in rows.items()})
    off_chunk = missing({term: bool((holding == found.rows[best]).any()) for term, holding in rows.items()})
    return {
        "meaning_max": float(found.meaning.max()),
        "words": float(columns["words"][best]),
        "title": float(columns["title_meaning"][best]),
        "score": float(total[best] / 10),
        "share": float(of_page[0]),
        "margin": float(of_page[0] - (of_page[1] if len(of_page) > 1 else 0.0)),
        "unknown": sum(missing({term: index.lexical.knows(term) for term in rows})) / whole,
        "missing_page": sum(off_page) / whole,
        "rarest_page": max(off_page, default=0.0) / rarest,
        "rarest_chunk": max(off_chunk, default=0.0) / rarest,
        "terms": float(np.log1p(len(own))),
        "few": 1 / max(len(own), 1),
        "english": float(english),
        "beside": index.beside(index.vector(question)),
        "size": max(SMALLEST, float(np.log1p(len(index.ids)) / 10)),
    }


def with_matter(question: str, told: Mapping[str, float]) -> dict[str, float]:
    """Evidence and, by name, what the words of the question as it was put say of its matter: that there is no answer. Whatever
    it is, a page that holds every word of the question speaks of it."""
    left_open, elsewhere, own = matters(question)
    found = {"open": min(left_open, OPEN), "own": max(0.0, own - OWN), "elsewhere": max(0.0, elsewhere - ELSEWHERE)}
    return {**told, **(found if told["missing_page"] else dict.fromkeys(found, 0.0))}


def _named(index: Index, text: str) -> list[list[tuple[str, ...]]]:
    """For each word of a text the ways to name the same, each as the terms that it takes: the word, its parts, what articles
    call it."""
    analyzer = index.lexical.analyzer
    asked = [own for word in words(text) if (own := bokmaal(word)) not in STOP]
    return [
        [terms[:1], *([terms[1:]] if len(terms) > 1 else []), *(analyzer.word(each)[:1] for each in everyday(word))]
        for word in asked
        for terms in (analyzer.word(word),)
    ]


def evidence(index: Index, question: str, weights: Mapping[str, float], found: Candidates) -> dict[str, np.ndarray]:
    """The pieces of evidence by name, an array over the candidates each."""
    pages = index.pages[found.rows]
    told = {term: weight * index.lexical.rarity(term) for term, weight in weights.items()}
    total = max(sum(told.values()), 1e-6)
    on_rows, on_pages = np.zeros(len(index.ids)), np.zeros(len(index.entries))
    for term, weight in told.items():
        rows = index.lexical.rows_with(term)
        on_rows[rows] += weight
        on_pages[np.unique(index.pages[rows])] += weight
    best_meaning, second_meaning = _of_page(pages, found.meaning)
    best_words, second_words = _of_page(pages, found.words)
    accounts = [KONTOPLAN.search(index.manifest.articles[page].path) for page in pages]
    named = set(ACCOUNT.findall(question))
    kontoplan = np.array([account is not None for account in accounts], dtype=float)
    return {
        "meaning": found.meaning,
        "words": found.words,
        "page_meaning": best_meaning,
        "page_words": best_words,
        "page_meaning_2": second_meaning,
        "page_words_2": second_words,
        "held": on_rows[found.rows] / total,
        "held_page": on_pages[pages] / total,
        "held_title": np.array([sum(told.get(term, 0.0) for term in index.title_terms[page]) for page in pages]) / total,
        "title_meaning": index.title_vectors[pages] @ index.vector(question),
        "account_page": kontoplan * bool(ASKS_ACCOUNT.search(question)),
        "account_named": np.array([account is not None and account[1] in named for account in accounts], dtype=float),
        "chunks": np.log1p([index.manifest.articles[page].chunks for page in pages]),
        "kontoplan": kontoplan,
    }


def _of_page(pages: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each candidate, the best and the second best value among those of its page (0 when there is no second)."""
    best, second = np.zeros(len(pages)), np.zeros(len(pages))
    for page in np.unique(pages):
        own = pages == page
        ordered = np.sort(values[own])[::-1]
        best[own], second[own] = ordered[0], ordered[1] if len(ordered) > 1 else 0.0
    return best, second
