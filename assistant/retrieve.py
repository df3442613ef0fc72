"""Question → passages: the ranking by words and the ranking by meaning, fused and put in order; a LangChain retriever.

Knows the index; knows nothing of answers. Both scores are brought to the same scale (words: the share of the question's rarity
that the passage holds; meaning: cosine) and added, which keeps how sure each ranking is; ranks alone throw that away. The best by
that sum are put in order by `assistant.rerank`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from assistant import rerank
from assistant.extract import Pick
from assistant.question import language
from assistant.rerank import Candidates
from assistant.types import Passage
from corpus import law, rules
from corpus.chunk import body, full_text, section
from corpus.index import Index
from corpus.statute import path

CANDIDATES = 100  # of each ranking
JUDGED = 80  # of both together, by the sum
PER_ARTICLE = 4  # passages of one article among the results: more would push out other articles that answer too
MEANING, WORDS = 1.0, 0.8  # weights; eval/LOG.md, 2026-11-24
# Closeness to an answer from which on a law's passage is shown: of a rule on a figure in it, of a paragraph that it names, of any
# other (eval/LOG.md, 2026-11-25).
RULED, NAMED, SURE = 0.5, 0.6, 0.8
HEADED = re.compile(rb'"headings": \[(?:"[^"]*", )*"\xc2\xa7 ?([^.",]+)')  # a chunk under a law's paragraph, as it lies on disk
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
            over = rules.above(pick.chunk.title, pick.chunk.headings, pick.unit.lead, pick.unit.header)
            for rule in (claim.rule for claim in rules.claims(pick.unit.text, over) if claim.rule.law):
                rows = self._rows.get((path(rule.law), rule.paragraph), [])
                found |= dict.fromkeys(row for row in rows if rules.holds(body(self.index.chunk(row)), rule))
        return list(found)

    def _named(self, picks: Sequence[Pick]) -> list[int]:
        """The ledd of the paragraphs that the quoted units name."""
        found: dict[int, None] = {}
        for pick in picks:
            for reference in law.references(pick.unit.text):
                if reference.law and reference.paragraph:
                    found |= dict.fromkeys(self._rows.get((path(reference.law), reference.paragraph), []))
        return list(found)
