"""Vectors and their nearest neighbours: which passages mean the same as the question.

Knows texts, ids and vectors of unit length; knows nothing of articles. A static model is a tokenizer and a matrix and is read
as just that: sentence-transformers costs seconds and 400 MB to import, and gives the same numbers (see tests/test_dense.py).
"""

import contextlib
import functools
import hashlib
import json
import logging
import re
import socket
import unicodedata
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np

log = logging.getLogger(__name__)
SHIPPED = Path(__file__).resolve().parent / "model"
BATCH = 2_000  # vectors a write; Chroma takes at most 5,461
LEAST = 0.6  # cosine of a question and a passage that has something on its matter
ROWS = 250  # compared with others at once: 12 MB
SERVER_BATCH, SERVER_SECONDS = 500, 20  # vectors a request to a Chroma server, and how long it may take; one at most, mostly
APART = r"[^\p{L}\p{N}§%]+"  # what the shipped model's tokenizer takes out between words, and the words that it leaves
WORD = re.compile(r"(?:[^\W_]|[§%])+")
KNOWN, OTHER = 1.5, 2.0  # pieces a word: 1.4 in the articles that the shipped embedder was trained on, 2.0 in the news


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
GRAPH: Any = {"space": "cosine", "ef_search": 2_000, "ef_construction": 100, "max_neighbors": 32}


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
        cut = json.loads(self._tokenizer.to_str())["pre_tokenizer"] or {}
        self._by_word = [each.get("pattern") for each in cut.get("pretokenizers", ())] == [{"Regex": APART}, None]
        self.name = name
        self.hash = _digest([inner / "tokenizer.json", inner / "model.safetensors"])
        self.dimensions = int(self._matrix.shape[1])

    def documents(self, texts: Sequence[str]) -> np.ndarray:
        """See Embedder."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        numbers: dict[str, int] = {}
        found = [[numbers.setdefault(word, len(numbers)) for word in self._parts(text)] for text in texts]
        sums = np.zeros((len(numbers), self.dimensions), dtype=np.float32)
        for number, encoding in enumerate(self._tokenizer.encode_batch_fast(list(numbers), add_special_tokens=False)):
            if encoding.ids:
                sums[number] = self._matrix[encoding.ids].sum(axis=0)
        for row, own in enumerate(found):
            if own:
                vectors[row] = np.add.reduce(sums[own])
        return _unit(vectors)

    queries = documents

    def _parts(self, text: str) -> list[str]:
        """What is tokenized by itself: words, where the model's tokenizer takes a text word by word, else the whole text. A word
        stands in many texts and is tokenized once, which is three times as fast."""
        return WORD.findall(unicodedata.normalize("NFKC", text)) if self._by_word else [text]

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


class Away(Exception):
    """The vectors cannot be asked any more. One Norwegian sentence."""


class ServerAway(Away):
    """The Chroma server does not answer, or not with what was stored there. One Norwegian sentence."""


class Vectors:
    """A Chroma collection, cosine space: embedded in a folder of its own, to which one process may write, or on a server.

    Closed when it is let go of, so that whoever asks it last need not know. Every method may raise Away (a server ServerAway).
    """

    def __init__(self, place: Path | str, name: str = "passages", create: bool = False) -> None:
        """`place` is a folder or a server's address; raises what Chroma does when there is no such collection to open."""
        from chromadb.errors import NotFoundError

        self._place = place
        self._server = place if isinstance(place, str) else ""
        self._batch = SERVER_BATCH if self._server else BATCH
        self._away: bool | None = None  # None while it is being opened, when whoever opens it tells
        with self._reached(passing=NotFoundError):
            self._client = _client(place)
            if not self._server:
                self._closing = weakref.finalize(self, self._client.close)
            if create:
                self._client.get_or_create_collection(name, configuration={"hnsw": GRAPH}, embedding_function=None)
            self._collection = self._client.get_collection(name, embedding_function=None)

    def add(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """Write vectors under their ids; an id already there gets the new vector."""
        for start in range(0, len(ids), self._batch):
            part = slice(start, start + self._batch)
            with self._reached():
                self._collection.upsert(ids=list(ids[part]), embeddings=vectors[part])

    def add_all(self, other: "Vectors") -> None:
        """Write all that another collection holds."""
        for start in range(0, other.count(), self._batch):
            with other._reached():
                found = other._collection.get(limit=self._batch, offset=start, include=["embeddings"])
            self.add(found["ids"], found["embeddings"])

    def of(self, ids: Sequence[str]) -> np.ndarray:
        """The vectors of some ids, in no order: shape (ids, dimensions)."""
        found: list[Any] = []
        for start in range(0, len(ids), self._batch):
            with self._reached():
                part: Any = self._collection.get(ids=list(ids[start : start + self._batch]), include=["embeddings"])
            found += list(part["embeddings"])
        return np.array(found)

    def remove(self, ids: Sequence[str]) -> None:
        """Forget these ids."""
        for start in range(0, len(ids), self._batch):
            with self._reached():
                self._collection.delete(ids=list(ids[start : start + self._batch]))

    def drop(self, name: str) -> None:
        """Remove the collection, whose name this is; nothing else may be asked of it then."""
        with self._reached():
            self._client.delete_collection(name)

    def nearest(self, vector: np.ndarray, limit: int) -> list[tuple[str, float]]:
        """The ids nearest to a vector of shape (dimensions,), best first, with their cosine similarity."""
        with self._reached():
            found: Any = self._collection.query(query_embeddings=[vector], n_results=limit, include=["distances"])
        return [(key, 1.0 - distance) for key, distance in zip(found["ids"][0], found["distances"][0], strict=True)]

    def count(self) -> int:
        """Number of vectors."""
        with self._reached():
            return int(self._collection.count())

    def close(self) -> None:
        """Release the folder, so that it can be moved or deleted."""
        if not self._server:
            self._closing()

    @contextlib.contextmanager
    def _reached(self, passing: type[Exception] | tuple[()] = ()) -> Iterator[None]:
        """Around each call: what goes wrong is Away, told in the log when it begins and when it is over."""
        try:
            yield
        except passing:
            raise
        except Exception as error:  # httpx, orjson and Chroma each have errors of their own for a server that is not there
            if not self._server and self._away is None:
                raise
            told = _told(self._server, error) if self._server else Away(f"Vektorene i {self._place} kan ikke nås ({error}).")
            if self._away is False:
                log.warning(told)
            self._away = True
            raise told from error
        if self._away:
            log.warning("%s answers again", self._place)
        self._away = False


class Held:
    """Which of some vectors, of shape (vectors, dimensions), have one in a collection at a cosine of LEAST or more; kept up while
    that one changes. `held` has shape (vectors,)."""

    def __init__(self, vectors: np.ndarray, held: np.ndarray | None = None) -> None:
        self.vectors = np.asarray(vectors, dtype=np.float32)
        self.held = np.zeros(len(vectors), dtype=bool) if held is None else held

    def add(self, others: np.ndarray) -> None:
        """When others have come to the collection."""
        self.held |= self._near(others)

    def remove(self, others: np.ndarray, collection: Vectors) -> None:
        """When others have gone from it."""
        for row in np.flatnonzero(self.held & self._near(others)):
            self.held[row] = any(cosine >= LEAST for _, cosine in collection.nearest(self.vectors[row], 1))

    def _near(self, others: np.ndarray) -> np.ndarray:
        near = np.zeros(len(self.vectors), dtype=bool)
        for start in range(0, len(others) if len(near) else 0, ROWS):
            near |= (self.vectors @ others[start : start + ROWS].T).max(axis=1) >= LEAST
        return near


def vectors_of(version: Path, name: str, server: str, create: bool = False) -> Vectors:
    """The vectors of the version `name`, whose files lie in the folder `version`; on a server when one is given."""
    return Vectors(server, collection(name), create) if server else Vectors(version / "chroma", create=create)


def collection(name: str) -> str:
    """What the vectors of the version `name` are called on a Chroma server."""
    return f"hms-{name}"


def _told(server: str, error: Exception) -> ServerAway:
    return ServerAway(f"HMS_CHROMA_URL er «{server}», men Chroma-serveren svarer ikke som den skal ({error}); start den.")


def reach(server: str) -> None:
    """Raises ServerAway when a server does not answer."""
    try:
        _server(server).heartbeat()
    except Exception as error:  # as in Vectors
        raise _told(server, error) from error


def forget(server: str, name: str) -> None:
    """Remove the vectors of the version `name` from a server, if they are there. Raises ServerAway."""
    from chromadb.errors import NotFoundError

    with contextlib.suppress(NotFoundError):
        Vectors(server, collection(name)).drop(collection(name))


def _client(place: Path | str) -> Any:
    import chromadb

    return _server(place) if isinstance(place, str) else chromadb.PersistentClient(str(place), _chroma_settings())


@functools.cache
def _server(address: str) -> Any:
    """The one client of a server: Chroma's keeps what it needs to reach one until the process ends, closed or not."""
    import chromadb

    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    socket.create_connection((parts.hostname or "", port), SERVER_SECONDS).close()  # a client for nobody would leave as much
    client: Any = chromadb.HttpClient(address, settings=_chroma_settings())
    client._server._session.timeout = SERVER_SECONDS  # there is no other way to say it, and without it waits for ever
    return client


def _chroma_settings() -> Any:
    from chromadb.config import Settings

    return Settings(anonymized_telemetry=False)
