"""Vectors and their nearest neighbours: which passages mean the same as the question, and, where an embedder does not know their
words, which are written alike.

Knows texts, ids and vectors of unit length; knows nothing of articles. A static model is a tokenizer and a matrix and is read
as just that: sentence-transformers costs seconds and 400 MB to import, and gives the same numbers (see tests/test_dense.py).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

SHIPPED = Path(__file__).resolve().parent / "model"
BATCH = 2_000  # vectors a write; Chroma takes at most 5,461
KNOWN, OTHER = 1.5, 2.0  # pieces a word: 1.4 in the articles that the shipped embedder was trained on, 2.0 in the news
RUN = 4  # letters
K1, B = 0.5, 0.75  # of BM25 over runs of letters: that one stands in a text says most, how often little


class Embedder(Protocol):
    """Texts → vectors: float32, shape (texts, dimensions), rows of unit length."""

    name: str
    hash: str
    dimensions: int

    def documents(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of passages."""

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of questions."""

    def strange(self, counts: Mapping[str, int]) -> float:
        """How little it knows of these words (word → number of texts): 0 for those it was trained on, 1 for another matter's."""


# Chroma's graph misses one in twenty of the hundred nearest as it comes, and other ones each time it is built. With this it
# misses none of 18,000, so that two runs give the same answers; a query takes 5 ms instead of 2 (eval/LOG.md, 2026-11-25).
GRAPH: Any = {"space": "cosine", "ef_search": 2_000, "ef_construction": 200, "max_neighbors": 32}


class EmbedderError(Exception):
    """The embedder cannot be loaded. One Norwegian sentence."""


def load(name: str = "") -> Embedder:
    """The shipped embedder for "", else the sentence-transformers model of that name or folder.

    Raises EmbedderError when there is no such folder and the model is not on this machine: nothing is fetched from a network.
    """
    folder = Path(name) if name else SHIPPED
    if not name and not (folder / "modules.json").is_file():
        raise EmbedderError("Modellen i corpus/model mangler; hent prosjektet på nytt, eller kjør `python -m corpus train`.")
    if (folder / "modules.json").is_file() and _is_static(folder):
        return StaticEmbedder(folder, name or "shipped")
    return TransformerEmbedder(name)


def _is_static(folder: Path) -> bool:
    kinds = [module["type"].rsplit(".", 1)[-1] for module in json.loads((folder / "modules.json").read_text("utf-8"))]
    return kinds[0] == "StaticEmbedding" and set(kinds[1:]) <= {"Normalize"}


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


class StaticEmbedder:
    """A `StaticEmbedding` model: a text's vector is the mean of its tokens' rows, scaled to unit length."""

    def __init__(self, folder: Path, name: str) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        inner = next((path for path in (folder / "0_StaticEmbedding", folder) if (path / "tokenizer.json").is_file()), folder)
        try:
            self._tokenizer = Tokenizer.from_file(str(inner / "tokenizer.json"))
            self._matrix = load_file(inner / "model.safetensors")["embedding.weight"].astype(np.float32)
        except Exception as error:  # both libraries raise bare Exceptions of their own for a broken file
            raise EmbedderError(f"Modellen i {folder} kan ikke leses ({error}); hent den på nytt.") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.name = name
        self.hash = _digest([inner / "tokenizer.json", inner / "model.safetensors"])
        self.dimensions = int(self._matrix.shape[1])

    def documents(self, texts: Sequence[str]) -> np.ndarray:
        """See Embedder."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, encoding in enumerate(self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)):
            if encoding.ids:
                vectors[row] = self._matrix[encoding.ids].mean(axis=0)
        return _unit(vectors)

    queries = documents

    def strange(self, counts: Mapping[str, int]) -> float:
        """See Embedder: by how many pieces a word is read in."""
        read = self._tokenizer.encode_batch_fast(list(counts), add_special_tokens=False)
        pieces = sum(count * len(each.ids) for count, each in zip(counts.values(), read, strict=True))
        return float(np.clip((pieces / max(sum(counts.values()), 1) - KNOWN) / (OTHER - KNOWN), 0.0, 1.0))


class TransformerEmbedder:
    """Any other sentence-transformers model, prompts included where it has them."""

    def __init__(self, name: str) -> None:
        from sentence_transformers import SentenceTransformer

        try:
            self._model = SentenceTransformer(name, device="cpu", local_files_only=True, trust_remote_code=False)
        except Exception as error:  # the library has no error of its own for "no such model"
            raise EmbedderError(
                f"HMS_EMBEDDER er «{name}», men det finnes ingen slik modell på maskinen; "
                "oppgi en mappe med en sentence-transformers-modell."
            ) from error
        self.name = name
        folder = Path(name)
        self.hash = _digest(folder.rglob("*.safetensors")) if folder.is_dir() else name
        self.dimensions = int(self._model.get_embedding_dimension() or 0)

    def documents(self, texts: Sequence[str]) -> np.ndarray:
        """See Embedder."""
        return _unit(np.asarray(self._model.encode_document(list(texts), batch_size=32), dtype=np.float32))

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        """See Embedder."""
        return _unit(np.asarray(self._model.encode_query(list(texts), batch_size=32), dtype=np.float32))

    def strange(self, counts: Mapping[str, int]) -> float:
        """Such a model was trained on texts of all kinds."""
        return 0.0


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray(vectors / lengths, dtype=np.float32)


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


class Vectors:
    """An embedded Chroma collection in a folder of its own; cosine space. One process may write to a folder."""

    def __init__(self, folder: Path) -> None:
        import chromadb
        from chromadb.config import Settings

        self._client: Any = chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))
        self._collection = self._client.get_or_create_collection("passages", configuration={"hnsw": GRAPH})

    def add(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """Write vectors under their ids; an id already there gets the new vector."""
        for start in range(0, len(ids), BATCH):
            part = slice(start, start + BATCH)
            self._collection.upsert(ids=list(ids[part]), embeddings=vectors[part])

    def remove(self, ids: Sequence[str]) -> None:
        """Forget these ids."""
        for start in range(0, len(ids), BATCH):
            self._collection.delete(ids=list(ids[start : start + BATCH]))

    def nearest(self, vector: np.ndarray, limit: int) -> list[tuple[str, float]]:
        """The ids nearest to a vector of shape (dimensions,), best first, with their cosine similarity."""
        found: Any = self._collection.query(query_embeddings=[vector], n_results=limit, include=["distances"])
        return [(key, 1.0 - distance) for key, distance in zip(found["ids"][0], found["distances"][0], strict=True)]

    def count(self) -> int:
        """Number of vectors."""
        return int(self._collection.count())

    def close(self) -> None:
        """Release the folder, so that it can be moved or deleted."""
        self._client.close()
