"""Question → passages: the ranking by words and the ranking by meaning, fused and put in order; a LangChain retriever.

Knows the index; knows nothing of answers. Both scores are brought to the same scale (words: the share of the question's rarity
that the passage holds; meaning: cosine) and added, which keeps how sure each ranking is; ranks alone throw that away. The best by
that sum are put in order by `assistant.rerank`.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from assistant import rerank
from assistant.question import language
from assistant.rerank import Candidates
from assistant.types import Passage
from corpus.chunk import full_text, section
from corpus.index import Index

CANDIDATES = 100  # of each ranking
JUDGED = 80  # of both together, by the sum
PER_ARTICLE = 4  # passages of one article among the results: more would push out other articles that answer too
MEANING, WORDS = 1.0, 0.8  # weights; eval/LOG.md, 2026-11-24
PAGE = 1.5  # what a passage of the page that is being read has ahead, in the judge's units


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


def passages(index: Index, question: str, limit: int, page: str | None = None) -> list[Passage]:
    """The `limit` best passages for a question, at most PER_ARTICLE of an article; those of `page` come forward a little."""
    english = language(question) == "en"
    weights = index.lexical.analyzer.meant(question, english)
    found = candidates(index, question, weights)
    if not len(found.rows):
        return []
    evidence = rerank.evidence(index, question, weights, found)
    ground = round(rerank.ground(rerank.ground_evidence(index, question, weights, found, evidence, english)), 3)
    scores = rerank.scores(evidence) + PAGE * (index.pages[found.rows] == _number(index, page))
    shares = np.exp(scores - scores.max())
    taken: Counter[int] = Counter()
    chosen: list[Passage] = []
    for place in np.argsort(-shares, kind="stable"):
        row = int(found.rows[place])
        if len(chosen) < limit and taken[index.pages[row]] < PER_ARTICLE:
            taken[index.pages[row]] += 1
            chosen.append(Passage(index.chunk(row), round(float(shares[place] / shares.sum()), 6), ground))
    return chosen


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
