"""Articles → a new version of the index: built beside the live one, verified, swapped by one atomic rename.

    <folder>/lock, lock.json        one writer at a time, and who it is
    <folder>/versions/.<id>/        a version while it is being built

Knows everything between a content folder and a finished version; knows nothing of questions. Whatever happens to a build, the
live version goes on serving; it and the one before it are kept.
"""

import contextlib
import errno
import gc
import json
import os
import secrets
import shutil
import socket
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock, Timeout

from corpus import dense
from corpus.article import Article, Rejected, read_contents
from corpus.chunk import Chunk, chunker, chunks, full_text, searched_text, to_json, weighted_text
from corpus.enrich import FILE, Enricher, Written
from corpus.index import (
    BESIDE_FILE,
    Busy,
    Entry,
    Index,
    IndexFault,
    Lexical,
    Manifest,
    beside,
    current,
    open_index,
    open_version,
    publish,
)
from corpus.language import Analyzer, vocabulary, words
from corpus.markdown import blocks

T = TypeVar("T")
WORDS = "words.npz"  # of a version: every passage as numbered words, so that an unchanged one is not read again
SAME = ("rejected", "content", "base_url", "enriched")  # of a manifest, besides the articles, when nothing is to be built
NEARLY_FULL = 2_000_000  # bytes; a build that fails with less left failed for that
Progress = Callable[[str, int, int], None]  # stage in Norwegian, done, of how many
Reader = Callable[[Sequence[Path]], Iterator[Article | Rejected]]


@dataclass(frozen=True)
class Summary:
    """What a build did. `changed` counts articles that are new, edited or have other questions; `rebuilt` is False when the live
    index was already right."""

    manifest: Manifest
    changed: int
    removed: int
    rebuilt: bool
    written: Written


def build(
    contents: Sequence[Path],
    folder: Path,
    embedder: dense.Embedder,
    base_url: str = "",
    progress: Progress = lambda *_: None,
    read: Reader = read_contents,
    enricher: Enricher | None = None,
    server: str = "",
) -> Summary:
    """Bring the index in `folder` up to date with the content folders; only changed articles are read and embedded again.

    With an `enricher` every passage is found by the questions written to it too; without one the index holds none.
    With a `server` the vectors go to the Chroma server of that address. Raises Busy when another process is building, IndexFault
    when the disk is full or no article could be indexed, ContentError for a content folder that cannot be used, and
    dense.ServerAway. Whatever happens, the live version goes on serving.
    """
    with _writer(folder), _rarely_collected():
        if server:
            dense.reach(server)  # before all is read for nothing
        _sweep(folder, server)
        found = list(_counted(read(contents), "Leser artikler", progress))
        articles = sorted((each for each in found if isinstance(each, Article)), key=lambda article: article.path)
        rejected = tuple(each for each in found if isinstance(each, Rejected))
        if not articles:
            reasons = "".join(f" {each.file}: {each.reason}" for each in rejected[:3])
            raise IndexFault(f"Ingen artikler kunne leses i {', '.join(map(str, contents))}.{reasons}")
        target = Manifest(
            id=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            chunker=chunker(),
            embedder=embedder.name,
            embedder_hash=embedder.hash,
            dimensions=embedder.dimensions,
            content=tuple(str(content.resolve()) for content in contents),
            base_url=base_url,
            articles=(),
            rejected=rejected,
            enriched=enricher.name if enricher else "",
        )
        return _update(folder, target, articles, embedder, enricher, progress, server)


def _update(
    folder: Path,
    target: Manifest,
    articles: Sequence[Article],
    embedder: dense.Embedder,
    enricher: Enricher | None,
    progress: Progress,
    server: str,
) -> Summary:
    """Write, verify and swap in the version that `target` describes, unless the live one already is it."""
    live, read = _reusable(folder, target, embedder, server)
    try:
        changed, written = _changed(articles, live, enricher, folder / FILE, progress)
        removed = len(live.entries.keys() - {article.path for article in articles}) if live else 0
        if live and not changed and not removed and all(getattr(live.manifest, name) == getattr(target, name) for name in SAME):
            return Summary(live.manifest, 0, 0, False, written)
        with _new_version(folder, target.id, server) as place:
            vectors = _copied(place, target.id, live, server)
            manifest = _write(place, vectors, target, articles, (changed, written), (live, read), embedder, progress)
            progress("Kontrollerer indeksen", 0, 1)
            open_version(place, manifest, embedder, server).vectors.close()
    finally:
        if live:
            live.vectors.close()
    return Summary(manifest, len(changed), removed, True, written)


def _changed(
    articles: Sequence[Article], live: Index | None, enricher: Enricher | None, file: Path, progress: Progress
) -> tuple[dict[str, list[Chunk]], Written]:
    """The passages of each article that the live index does not have as it is to be, and the questions written to passages."""
    entries = live.entries if live else {}
    new = [each for each in articles if each.path not in entries or entries[each.path].hash != each.hash]
    divided = _counted(new, "Deler opp artikler", progress)
    pages = {each.path: chunks(each, blocks(each.body, each.first_line)) for each in divided}
    held = [each.path for each in articles if each.path not in pages]
    kept = {path: live.page(path) for path in held if enricher or entries[path].questions} if live else {}
    texts = {chunk.id: full_text(chunk) for page in (*pages.values(), *kept.values()) for chunk in page} if enricher else {}
    written = enricher.write(file, texts, progress) if enricher else Written({}, 0)
    digests = {path: written.digest(chunk.id for chunk in page) for path, page in kept.items()}
    return pages | {path: page for path, page in kept.items() if digests[path] != entries[path].questions}, written


def _reusable(folder: Path, target: Manifest, embedder: dense.Embedder, server: str) -> "tuple[Index | None, _Words]":
    """The live index and its words, if they can be taken over; a damaged one cannot."""
    try:
        live = open_index(folder, embedder, server)
    except IndexFault:
        return None, _Words()
    with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):
        if live.manifest.chunker == target.chunker:
            return live, _Words(live.folder / WORDS)
    live.vectors.close()
    return None, _Words()


def _copied(place: Path, name: str, live: Index | None, server: str) -> dense.Vectors:
    """The vectors to begin a version with: those of the live one, in a collection of the version's own."""
    if live and not server:
        shutil.copytree(live.folder / "chroma", place / "chroma")
    vectors = dense.vectors_of(place, name, server, create=True)
    if live and server:
        vectors.add_all(live.vectors)
    return vectors


def _write(
    place: Path,
    vectors: dense.Vectors,
    target: Manifest,
    articles: Sequence[Article],
    fresh: tuple[Mapping[str, Sequence[Chunk]], Written],
    taken_over: "tuple[Index | None, _Words]",
    embedder: dense.Embedder,
    progress: Progress,
) -> Manifest:
    """All files of a version in `place`; chunks, words and vectors of unchanged articles come from the live one."""
    (changed, written), (live, read) = fresh, taken_over
    old = {path: [f"{path}#{number}" for number in range(entry.chunks)] for path, entry in live.entries.items()} if live else {}
    documents: list[np.ndarray] = []
    lines: list[bytes] = []
    entries: list[Entry] = []
    for article in articles:
        before = len(lines)
        if live and article.path not in changed:
            questions = live.entries[article.path].questions
            rows = [live.rows[key] for key in old.pop(article.path)]
            documents += [read.passages[row] for row in rows]
            lines += [live.line(row) for row in rows]
        else:
            own = changed[article.path]
            questions = written.digest(chunk.id for chunk in own)
            documents += [read.numbered(weighted_text(chunk, written.of(chunk.id))) for chunk in own]
            lines += [f"{to_json(chunk)}\n".encode() for chunk in own]
        length = len(lines) - before
        entries.append(Entry(article.path, article.title, article.file, article.hash, article.updated, length, questions))
    gone = [key for keys in old.values() for key in keys]
    asked = live.asked if live else beside(embedder, articles)
    lost = vectors.of(gone)
    vectors.remove(gone)
    asked.remove(lost, vectors)
    new = [chunk for page in changed.values() for chunk in page]
    for start in _counted(range(0, len(new), dense.BATCH), "Lager vektorer", progress):
        part = new[start : start + dense.BATCH]
        texts = [searched_text(chunk, written.of(chunk.id)) for chunk in part]
        found = embedder.documents(texts)
        vectors.add([chunk.id for chunk in part], found)
        asked.add(found)
    vectors.close()
    progress("Lager ordindeksen", 0, 1)
    _write_words(place, read.names, documents)
    (place / "chunks.jsonl").write_bytes(b"".join(lines))
    (place / "articles.jsonl").write_text(
        "".join(f"{json.dumps(vars(each), ensure_ascii=False)}\n" for each in articles), "utf-8"
    )
    np.savez(place / BESIDE_FILE, vectors=asked.vectors.astype(np.float16), held=asked.held)
    manifest = replace(target, articles=tuple(entries), chunks=len(lines))
    (place / "manifest.json").write_text(json.dumps(asdict(manifest), ensure_ascii=False, indent=1), "utf-8")
    return manifest


class _Words:
    """The words of passages as numbers, and what each number means; those of a finished version, when there is one."""

    def __init__(self, file: Path | None = None) -> None:
        self._numbers: dict[str, int] = {}
        self.passages: list[np.ndarray] = []
        if file:
            with np.load(file) as saved:
                self._numbers = {name: number for number, name in enumerate(str(saved["names"]).split("\n"))}
                self.passages = np.split(saved["words"], saved["ends"][:-1])

    def numbered(self, text: str) -> np.ndarray:
        """The words of a text as numbers, in order."""
        numbers = self._numbers
        return np.fromiter((numbers.setdefault(word, len(numbers)) for word in words(text)), dtype=np.uint32)

    @property
    def names(self) -> list[str]:
        """The word of each number."""
        return list(self._numbers)


def _write_words(place: Path, names: Sequence[str], documents: Sequence[np.ndarray]) -> None:
    """The words of every passage, the vocabulary and the BM25 matrix. Each distinct word is analysed once, however often it
    stands."""
    ends = np.cumsum([len(document) for document in documents])
    used, flat = np.unique(np.concatenate(documents), return_inverse=True)  # words of what is gone are left behind
    names = [names[number] for number in used]
    np.savez(place / WORDS, names=np.array("\n".join(names)), words=flat.astype(np.uint32), ends=ends)
    passage = np.repeat(np.arange(len(documents)), np.diff(ends, prepend=0))
    pairs = np.sort(passage * len(names) + flat)
    held = pairs[np.diff(pairs, prepend=-1) > 0] % len(names)  # each word once for each passage that holds it
    known = vocabulary(dict(zip(names, np.bincount(held, minlength=len(names)).tolist(), strict=True)))
    analyzer = Analyzer(known)
    terms = [analyzer.terms(name) for name in names]
    own = (part.tolist() for part in np.split(flat, ends[:-1]))
    Lexical.build(([term for number in part for term in terms[number]] for part in own), analyzer).save(place / "lexical")
    (place / "vocabulary.json").write_text(json.dumps(known, ensure_ascii=False), "utf-8")


def _counted(things: Iterable[T], stage: str, progress: Progress) -> Iterator[T]:
    """The things, with progress told for each."""
    total = len(things) if isinstance(things, Sequence) else 0
    for done, thing in enumerate(things):
        progress(stage, done, total)
        yield thing


@contextlib.contextmanager
def _writer(folder: Path) -> Iterator[None]:
    """Hold the index folder for writing; raises IndexFault that says who does."""
    holder = folder / "lock.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock", blocking=False):
            holder.write_text(
                json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now():%H:%M:%S}"}), "utf-8"
            )
            yield
    except Timeout:
        who = json.loads(holder.read_text("utf-8"))
        raise Busy(
            f"Søkeindeksen i {folder} bygges allerede av prosess {who['pid']} på {who['host']} (siden {who['since']}); "
            "vent til den er ferdig."
        ) from None
    except OSError as error:
        raise IndexFault(f"Kan ikke skrive søkeindeksen i {folder}: {error.strerror or error}.") from error


@contextlib.contextmanager
def _rarely_collected() -> Iterator[None]:
    """With the collector of cycles seldom at work: at its own pace it goes over a million live objects again and again, a fifth
    of a build's time; never, the parser's cycles double the memory (eval/LOG.md, 2026-11-26)."""
    pace = gc.get_threshold()
    gc.set_threshold(100_000, 50, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*pace)


def _sweep(folder: Path, server: str) -> None:
    """Remove what a killed build left behind."""
    for leftover in folder.glob("versions/.*"):
        _remove(leftover, server)


def _remove(version: Path, server: str) -> None:
    """Remove a version, finished or not: its collection first, since a folder without one can be removed later, but nobody would
    know of a collection without a folder."""
    if server:
        dense.forget(server, version.name.lstrip("."))
    shutil.rmtree(version, ignore_errors=True)


@contextlib.contextmanager
def _new_version(folder: Path, name: str, server: str) -> Iterator[Path]:
    """A folder to build in, that becomes the live version when all goes well and vanishes when not."""
    place = folder / "versions" / f".{name}"
    place.mkdir(parents=True)
    try:
        yield place
        before = current(folder)
        place.rename(folder / "versions" / name)
        publish(folder, name)
    except Exception as error:
        # Chroma, sqlite and numpy each say it in their own way; what is left tells.
        full = getattr(error, "errno", 0) == errno.ENOSPC or shutil.disk_usage(folder).free < NEARLY_FULL
        with contextlib.suppress(dense.ServerAway):  # then the next build removes it
            _remove(place, server)
        if full:
            raise IndexFault(f"Disken med {folder} ble full under byggingen; frigjør plass og bygg på nytt.") from error
        raise
    for version in (folder / "versions").iterdir():
        if version.name not in (name, before.name if before else name):
            _remove(version, server)
