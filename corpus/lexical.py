"""BM25 over chunks: which passages use the question's words.

Knows rows (0-based chunk numbers) and terms; knows nothing of articles, and stores nothing but its own matrix.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from corpus.language import Analyzer

if TYPE_CHECKING:
    import bm25s

# Short chunks of one topic: a second mention says little more than the first, and length is mostly list or table size.
K1, B = 0.9, 0.5


class Lexical:
    """A BM25 index; row i is the i-th document it was built from."""

    def __init__(self, matrix: "bm25s.BM25", analyzer: Analyzer) -> None:
        self._matrix = matrix
        self.analyzer = analyzer

    @classmethod
    def build(cls, documents: Iterable[Sequence[str]], analyzer: Analyzer) -> Self:
        """From the terms of each document; `analyzer` is the one that made them and will read the questions."""
        import bm25s

        numbers: dict[str, int] = {}  # bm25s would number the terms anew each time in another order, and add them up so
        numbered = [[numbers.setdefault(term, len(numbers)) for term in document] for document in documents]
        matrix = bm25s.BM25(method="lucene", k1=K1, b=B)
        matrix.index((numbered, numbers), show_progress=False)
        return cls(matrix, analyzer)

    @classmethod
    def load(cls, folder: Path, analyzer: Analyzer) -> Self:
        """From a folder written by `save`."""
        import bm25s

        return cls(bm25s.BM25.load(folder, show_progress=False), analyzer)

    def save(self, folder: Path) -> None:
        """Write the matrix to a folder of its own."""
        self._matrix.save(folder, show_progress=False)

    def scores(self, weights: Mapping[str, float]) -> np.ndarray:
        """BM25 of every row for weighted terms: float32, shape (rows,); 0 where no term occurs."""
        columns = self._matrix.scores
        total = np.zeros(self.rows, dtype=np.float32)
        for term, weight in weights.items():
            if (column := self._matrix.vocab_dict.get(term)) is not None:
                part = slice(int(columns["indptr"][column]), int(columns["indptr"][column + 1]))
                total[columns["indices"][part]] += weight * columns["data"][part]
        return total

    def rows_with(self, term: str) -> np.ndarray:
        """The rows that hold a term."""
        if (column := self._matrix.vocab_dict.get(term)) is None:
            return np.zeros(0, dtype=int)
        ends = self._matrix.scores["indptr"]
        return np.asarray(self._matrix.scores["indices"][ends[column] : ends[column + 1]])

    def rarity(self, term: str) -> float:
        """Inverse document frequency of a term, ln(1 + N / (n + 0.5)); of an unknown one as if half a document held it."""
        column = self._matrix.vocab_dict.get(term)
        ends = self._matrix.scores["indptr"]
        found = 0 if column is None else int(ends[column + 1] - ends[column])
        return float(np.log1p(self.rows / (found + 0.5)))

    def knows(self, term: str) -> bool:
        """Whether any document holds the term."""
        return term in self._matrix.vocab_dict

    @property
    def rows(self) -> int:
        """Number of documents."""
        return int(self._matrix.scores["num_docs"])
