"""The best passages first, and whether they are ground for an answer: what speaks for each candidate, weighed.

Knows the index and numbers; knows nothing of answers. The weights were fitted on the development questions' `tune` part (softmax
over a question's candidates, all passages of the right pages counting as right) and hold for any articles: every piece of
evidence is a share, a cosine or a yes. Trees over the same evidence, trained on thousands of questions with one right page each,
did worse (eval/LOG.md, 2026-11-25).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from corpus.index import Index

ACCOUNT = re.compile(r"(?<![\d§.-])([1-8]\d{3})(?![\d.-])")
ASKS_ACCOUNT = re.compile(
    r"\b(?:konto\w*|account\w*|bokfør\w*|føre[rs]?|debet\w*|kredit\w*|postere\w*|debit|book)\b", re.IGNORECASE
)
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
# real blog and of the shipped articles (`python -m eval fit ground`; eval/LOG.md, 2026-11-26). At BOUND, 4 of 100 answerable
# questions of `tune` are turned away.
GROUND = {
    "meaning_max": 10.875,  # the best cosine
    "words": -2.549,  # of the best passage
    "title": -0.191,
    "score": 1.884,  # a tenth of what speaks for the best passage
    "share": -2.198,  # of the softmax over all candidates that the best page has
    "margin": 0.974,  # … less that of the second best
    "unknown": -0.947,  # share of the question's weight in terms that no article holds
    "missing_page": -1.13,  # … that the best page does not hold
    "rarest_page": -0.712,  # the rarest such term, of the rarest there can be
    "rarest_chunk": 1.934,  # … that the best passage does not hold
    "terms": 0.506,  # logarithm of how many terms the question has
    "few": -1.426,  # one over it
    "english": -0.024,
    "size": -5.2,  # a tenth of the logarithm of how many passages there are; fitted -6.2: few articles would answer too much
    "beside": -12.894,  # the cosine with the nearest question on a matter that such articles leave open
}
BASE, BOUND = 2.907, -1.33
SMALLEST = 0.7  # "size" of the smallest collection that the weights were fitted on; what holds there is assumed of smaller ones


@dataclass(frozen=True)
class Candidates:
    """Rows that may answer, with their cosine and their share of the question's weight in words; arrays of one length."""

    rows: np.ndarray
    meaning: np.ndarray
    words: np.ndarray


def scores(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """How much speaks for each candidate by its evidence: higher is better, comparable within one question."""
    return np.asarray(sum(WEIGHTS[name] * column for name, column in columns.items()))


def ground(told: Mapping[str, float]) -> float:
    """How sure it is that the articles answer, in log-odds above the bound; below 0 there is no ground for an answer."""
    return BASE - BOUND + sum(GROUND[name] * value for name, value in told.items())


def ground_evidence(
    index: Index,
    question: str,
    weights: Mapping[str, float],
    found: Candidates,
    columns: Mapping[str, np.ndarray],
    english: bool,
) -> dict[str, float]:
    """What speaks for there being an answer, by name, from the candidates' evidence."""
    total = scores(columns)
    best = int(np.argmax(total))
    pages = index.pages[found.rows]
    shares = np.exp(total - total.max())
    of_page = np.sort(np.bincount(pages, weights=shares / shares.sum()))[::-1]
    # Of an English question only what was looked up can stand in Norwegian articles.
    own = {term: index.lexical.rarity(term) for term, weight in weights.items() if (weight < 1 if english else weight == 1)}
    whole, rarest = max(sum(own.values()), 1e-6), float(np.log1p(len(index.ids) / 0.5))
    rows = {term: index.lexical.rows_with(term) for term in own}
    off_page = [weight for term, weight in own.items() if not (index.pages[rows[term]] == pages[best]).any()]
    off_chunk = [weight for term, weight in own.items() if not (rows[term] == found.rows[best]).any()]
    return {
        "meaning_max": float(found.meaning.max()),
        "words": float(columns["words"][best]),
        "title": float(columns["title_meaning"][best]),
        "score": float(total[best] / 10),
        "share": float(of_page[0]),
        "margin": float(of_page[0] - (of_page[1] if len(of_page) > 1 else 0.0)),
        "unknown": sum(weight for term, weight in own.items() if not index.lexical.knows(term)) / whole,
        "missing_page": sum(off_page) / whole,
        "rarest_page": max(off_page, default=0.0) / rarest,
        "rarest_chunk": max(off_chunk, default=0.0) / rarest,
        "terms": float(np.log1p(len(own))),
        "few": 1 / max(len(own), 1),
        "english": float(english),
        "beside": index.beside(index.vector(question)),
        "size": max(SMALLEST, float(np.log1p(len(index.ids)) / 10)),
    }


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
