"""Question → passages: the ranking by words and the ranking by meaning, fused; a LangChain retriever.

Knows the index; knows nothing of answers. Both scores are brought to the same scale (words: the share of the question's rarity
that the passage holds; meaning: cosine) and added, which keeps how sure each ranking is; ranks alone throw that away.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from assistant.types import Passage
from corpus.chunk import full_text, section
from corpus.index import Index

CANDIDATES = 100  # of each ranking
PER_ARTICLE = 3  # passages of one article among the results: more would push out other articles that answer too
MEANING, WORDS, ARTICLE, PAGE = 1.0, 0.8, 0.3, 0.15  # weights; eval/LOG.md, 2026-11-24


class Retriever(BaseRetriever):
    """Passages for a question, best first, as LangChain documents; `metadata` holds row, score, path, title and section."""

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
    scores = fused(index, question)
    paths = {row: _path(index, row) for row in scores}
    # An article that speaks of the matter in several places is more likely about it than one that mentions it once.
    best_of: dict[str, list[float]] = {}
    for row, score in scores.items():
        best_of.setdefault(paths[row], []).append(score)
    support = {path: sum(sorted(own, reverse=True)[1:3]) for path, own in best_of.items()}
    total = {row: score + ARTICLE * support[paths[row]] / 2 + PAGE * (paths[row] == page) for row, score in scores.items()}
    taken: Counter[str] = Counter()
    found: list[Passage] = []
    for row in sorted(total, key=lambda row: (-total[row], row)):
        if len(found) == limit:
            break
        if taken[paths[row]] < PER_ARTICLE:
            taken[paths[row]] += 1
            found.append(Passage(index.chunk(row), round(float(total[row]), 4)))
    return found


def fused(index: Index, question: str) -> dict[int, float]:
    """Row → score of the candidates of both rankings. A row that one ranking does not name gets that ranking's lowest score."""
    words = index.lexical.scores(index.lexical.analyzer.terms(question)) / max(weight(index, question), 1e-6)
    meaning = dict(index.nearest(question, CANDIDATES))
    floor = min(meaning.values(), default=0.0)
    rows = set(meaning) | {int(row) for row in _top(words, CANDIDATES)}
    return {row: MEANING * meaning.get(row, floor) + WORDS * float(words[row]) for row in rows}


def weight(index: Index, question: str) -> float:
    """The rarity of a question's words together: what a passage that held them all would score, about."""
    return sum(index.lexical.rarity(term) for term in dict.fromkeys(index.lexical.analyzer.terms(question)))


def _top(scores: np.ndarray, limit: int) -> Sequence[int]:
    best = np.argsort(-scores, kind="stable")[:limit]
    return [int(row) for row in best if scores[row] > 0]


def _path(index: Index, row: int) -> str:
    return index.ids[row].rpartition("#")[0]
