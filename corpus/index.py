"""The index as it is read: chunks, BM25 and vectors under one manifest.

    <folder>/CURRENT                the id of the live version
    <folder>/versions/<id>/         manifest.json  chunks.jsonl  articles.jsonl  vocabulary.json  words.npz
                                    beside.npz  lexical/  chroma/ (not with a Chroma server: there the collection hms-<id>)

Knows how an index lies on disk and what makes it whole; knows nothing of questions. Versions are written by `corpus.build`;
nothing under a finished version is ever changed.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from corpus.language import Analyzer

if TYPE_CHECKING:
    import bm25s
import contextlib
import functools
import json
import mmap
from dataclasses import dataclass, field
from typing import Any

from corpus import dense
from corpus.article import Article, Rejected
from corpus.chunk import Chunk, from_json, full_text
from corpus.language import in_bokmaal, words

# Short chunks of one topic: a second mention says little more than the first, and length is mostly list or table size.
K1, B = 0.9, 0.5


class Lexical:
    """A BM25 index: which passages use a question's words. Row i (0-based) is the i-th document it was built from."""

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


LAW = "lov"  # folder within an index's own: the index of the laws' text, when there is one
BESIDE = Path(__file__).resolve().parent / "questions" / "beside.jsonl"
BESIDE_FILE = "beside.npz"  # of a version: the vectors of those questions, and on which of their matters there is something
BESIDE_TRIED, NOT_BESIDE = 5, 0.35  # the nearest such questions that are looked at; the cosine of a question like none of them
KEPT = 2_000  # chunks and questions that are held in memory: an answer reads its articles several times over


class IndexFault(Exception):
    """The index is missing, damaged, locked, or made by another embedder. One Norwegian sentence."""


class Busy(IndexFault):
    """Another process is building; waiting helps."""


@dataclass(frozen=True)
class Entry:
    """An article in the manifest. `chunks` is how many it has; they stand together in chunks.jsonl. `questions` is a digest of
    those that a model wrote to them, "" when there are none."""

    path: str
    title: str
    file: str
    hash: str
    updated: str | None
    chunks: int
    questions: str = ""


@dataclass(frozen=True)
class Manifest:
    """How an index was made, and of what. `enriched` is the model whose questions its passages are found by too, or ""."""

    id: str
    created: str
    chunker: str
    embedder: str
    embedder_hash: str
    dimensions: int
    content: tuple[str, ...]
    base_url: str
    articles: tuple[Entry, ...]
    rejected: tuple[Rejected, ...] = ()
    chunks: int = 0
    enriched: str = ""


@dataclass
class Index:
    """An open version. Rows are 0-based chunk numbers, the same in chunks.jsonl, in BM25 and in `ids`."""

    manifest: Manifest
    folder: Path
    lexical: Lexical
    vectors: dense.Vectors
    embedder: dense.Embedder
    ids: tuple[str, ...]
    _lines: "Lines"
    _articles: "Lines"
    asked: dense.Held  # the questions of questions/beside.jsonl
    rows: dict[str, int] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    _spelt: dict[int, str] = field(default_factory=dict)
    pages: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))  # the article's number of each row

    def __post_init__(self) -> None:
        self.pages = np.repeat(np.arange(len(self.manifest.articles)), [entry.chunks for entry in self.manifest.articles])
        self.rows = {key: row for row, key in enumerate(self.ids)}
        self.entries = {entry.path: entry for entry in self.manifest.articles}
        lines, embedder = self._lines, self.embedder  # caches that held `self` would keep a replaced index in memory
        self._chunk = functools.lru_cache(KEPT)(lambda row: from_json(lines[row]))
        self._vector = functools.lru_cache(KEPT)(lambda text: embedder.queries([text])[0])

    def chunk(self, row: int) -> Chunk:
        """The chunk of a row."""
        return self._chunk(row)

    @functools.cached_property
    def title_vectors(self) -> np.ndarray:
        """The vectors of the articles' titles: float32, shape (articles, dimensions)."""
        return self.embedder.documents([entry.title for entry in self.manifest.articles])

    @functools.cached_property
    def title_terms(self) -> list[frozenset[str]]:
        """The terms of each article's title."""
        return [frozenset(self.lexical.analyzer.terms(entry.title)) for entry in self.manifest.articles]

    def beside(self, vector: np.ndarray) -> float:
        """How near a question comes to what lies beside these articles: its cosine with the nearest question on such matters.

        Of the questions that articles like these most often leave open, those on which these have something are passed over.
        """
        near = self.asked.vectors @ vector
        best = np.argsort(-near)[:BESIDE_TRIED]
        return next((float(near[row]) for row in best if not self.asked.held[row]), NOT_BESIDE)

    def warm(self) -> None:
        """Make now what the first question would have to wait for."""
        self.lexical.analyzer.warm()
        _ = self.title_terms, self.title_vectors, self.strange

    def line(self, row: int) -> bytes:
        """The chunk of a row as it lies on disk."""
        return self._lines[row]

    def page(self, path: str) -> list[Chunk]:
        """All chunks of an article, in order."""
        first = self.rows[f"{path}#0"] if self.entries[path].chunks else 0
        return [self.chunk(row) for row in range(first, first + self.entries[path].chunks)]

    @functools.cached_property
    def strange(self) -> float:
        """How little the embedder knows of the articles' words, from 0 to 1."""
        return self.embedder.strange(self.lexical.analyzer.vocabulary)

    def spelt(self, number: int) -> str:
        """The words of an article, by its number in the manifest: lower case, a space between."""
        if number not in self._spelt:
            page = self.page(self.manifest.articles[number].path)
            self._spelt[number] = " ".join(word for chunk in page for word in words(full_text(chunk)))
        return self._spelt[number]

    def nearest(self, question: str, limit: int) -> list[tuple[int, float]]:
        """Rows nearest in meaning to a question, best first, with their cosine similarity."""
        return [(self.rows[key], score) for key, score in self.vectors.nearest(self.vector(question), min(limit, len(self.ids)))]

    def vector(self, question: str) -> np.ndarray:
        """A question as the embedder reads it, in bokmål: float32, shape (dimensions,)."""
        vector: np.ndarray = self._vector(in_bokmaal(question))
        return vector

    def article(self, path: str) -> Article | None:
        """An article as it was indexed, or None."""
        if path not in self.entries:
            return None
        return Article(**json.loads(self._articles[list(self.entries).index(path)]))


class Lines:
    """The lines of a file by number, without holding the file in memory."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as stream:
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if file.stat().st_size else b""
        ends = np.flatnonzero(np.frombuffer(self._map, dtype=np.uint8) == ord("\n")) + 1
        self._starts = np.concatenate(([0], ends))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, row: int) -> bytes:
        return bytes(self._map[self._starts[row] : self._starts[row + 1]])


def beside(embedder: dense.Embedder, articles: Sequence[Article]) -> dense.Held:
    """The questions of questions/beside.jsonl, beside no passages yet: none for laws, of which nobody asks what they leave open,
    and none for a slow embedder, which would take minutes."""
    wanted = isinstance(embedder, dense.StaticEmbedder) and any(article.kind == "artikkel" for article in articles)
    rows = map(json.loads, BESIDE.read_text("utf-8").splitlines() if wanted else ())
    texts = [in_bokmaal(" ".join((*row.get("turns", ()), row["question"]))) for row in rows]
    vectors = embedder.queries(texts) if texts else np.zeros((0, embedder.dimensions))
    return dense.Held(vectors.astype(np.float16))  # as they are kept, so that an updated index is like a new one


def current(folder: Path) -> Path | None:
    """The folder of the live version, or None when there is no index yet."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return folder / "versions" / (folder / "CURRENT").read_text("utf-8").strip()
    return None


def publish(folder: Path, name: str) -> None:
    """Make a version the live one, by one rename."""
    pointer = folder / ".CURRENT"
    pointer.write_text(name, "utf-8")
    pointer.replace(folder / "CURRENT")


def rollback(folder: Path) -> str:
    """Make the other version that is kept the live one, and tell its name; raises IndexFault when there is none."""
    live = current(folder)
    others = sorted(path.name for path in folder.glob("versions/[!.]*") if path != live)
    if live is None or not others:
        raise IndexFault(f"Det er ingen annen utgave av søkeindeksen i {folder} å gå tilbake til; bygg en ny.")
    publish(folder, others[-1])
    return others[-1]


def read_manifest(version: Path) -> Manifest:
    """The manifest of a version folder; raises IndexFault when it cannot be read."""
    try:
        fields: dict[str, Any] = json.loads((version / "manifest.json").read_text("utf-8"))
        fields["articles"] = tuple(Entry(**entry) for entry in fields["articles"])
        fields["rejected"] = tuple(Rejected(**entry) for entry in fields["rejected"])
        return Manifest(**{**fields, "content": tuple(fields["content"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexFault(f"Søkeindeksen i {version} er skadet ({error}); slett mappen og bygg den på nytt.") from error


def open_index(folder: Path, embedder: dense.Embedder, server: str = "") -> Index:
    """Open the live version for reading; its vectors lie with it, or on a Chroma server.

    Raises IndexFault when there is none, when it is damaged, and when another embedder made it; dense.ServerAway.
    """
    version = current(folder)
    if version is None:
        raise IndexFault(f"Det er ingen søkeindeks i {folder}; bygg den med `python -m corpus build`.")
    manifest = read_manifest(version)
    if manifest.embedder_hash != embedder.hash:
        raise IndexFault(
            f"Søkeindeksen i {folder} er laget med modellen «{manifest.embedder}», ikke «{embedder.name}»; "
            "bygg den på nytt med `python -m corpus build`, eller sett HMS_EMBEDDER tilbake."
        )
    try:
        return open_version(version, manifest, embedder, server)
    except dense.ServerAway:
        raise
    except Exception as error:  # Chroma, bm25s and json each have errors of their own for a broken file
        raise IndexFault(
            f"Søkeindeksen i {version} er skadet ({error}); slett mappen og bygg den på nytt med `python -m corpus build`."
        ) from error


def open_version(version: Path, manifest: Manifest, embedder: dense.Embedder, server: str = "") -> Index:
    """Open one version and check that its parts agree; raises IndexFault, or the error of the part that is broken."""
    analyzer = Analyzer(json.loads((version / "vocabulary.json").read_text("utf-8")))
    asked = np.load(version / BESIDE_FILE)
    index = Index(
        manifest=manifest,
        folder=version,
        lexical=Lexical.load(version / "lexical", analyzer),
        vectors=dense.vectors_of(version, manifest.id, server),
        embedder=embedder,
        ids=tuple(f"{entry.path}#{number}" for entry in manifest.articles for number in range(entry.chunks)),
        _lines=Lines(version / "chunks.jsonl"),
        _articles=Lines(version / "articles.jsonl"),
        asked=dense.Held(asked["vectors"], asked["held"]),
    )
    counts = {len(index.ids), len(index._lines), index.lexical.rows, index.vectors.count(), manifest.chunks}
    if len(counts) != 1:
        index.vectors.close()
        raise IndexFault(f"antallet avsnitt stemmer ikke: {sorted(counts)}")
    return index
