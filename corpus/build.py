"""Articles → a new version of the index: built beside the live one, verified, swapped by one atomic rename.

    <folder>/lock, lock.json        one writer at a time, and who it is
    <folder>/versions/.<id>/        a version while it is being built

Knows everything between a content folder and a finished version; knows nothing of questions. Whatever happens to a build, the
live version goes on serving; it and the one before it are kept.
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
import socket
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from corpus import dense
from corpus.article import Article, Rejected, read_contents
from corpus.chunk import Chunk, chunks, full_text, to_json
from corpus.index import Entry, Index, IndexFault, Manifest, current, open_index, open_version
from corpus.language import Analyzer, vocabulary, words
from corpus.lexical import Lexical
from corpus.markdown import blocks

T = TypeVar("T")
NEARLY_FULL = 2_000_000  # bytes; a build that fails with less left failed for that
Progress = Callable[[str, int, int], None]  # stage in Norwegian, done, of how many


@dataclass(frozen=True)
class Summary:
    """What a build did. `changed` counts new and edited articles; `rebuilt` is False when the live index was already right."""

    manifest: Manifest
    changed: int
    removed: int
    rebuilt: bool


def build(
    contents: Sequence[Path], folder: Path, embedder: dense.Embedder, base_url: str = "", progress: Progress = lambda *_: None
) -> Summary:
    """Bring the index in `folder` up to date with the content folders; only changed articles are read and embedded again.

    Raises IndexFault when another process is building, when the disk is full, or when no article could be indexed; ContentError
    for a content folder that cannot be used. Whatever happens, the live version goes on serving.
    """
    with _writer(folder):
        _sweep(folder)
        found = list(_counted(read_contents(contents), "Leser artikler", progress))
        articles = sorted((each for each in found if isinstance(each, Article)), key=lambda article: article.path)
        rejected = tuple(each for each in found if isinstance(each, Rejected))
        if not articles:
            reasons = "".join(f" {each.file}: {each.reason}" for each in rejected[:3])
            raise IndexFault(f"Ingen artikler kunne leses i {', '.join(map(str, contents))}.{reasons}")
        target = Manifest(
            id=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            chunker=_chunker(),
            embedder=embedder.name,
            embedder_hash=embedder.hash,
            dimensions=embedder.dimensions,
            content=tuple(str(content.resolve()) for content in contents),
            base_url=base_url,
            articles=(),
            rejected=rejected,
        )
        return _update(folder, target, articles, embedder, progress)


def _chunker() -> str:
    """What decides how an article becomes chunks: a digest of the code that does it, so that nobody has to count versions."""
    digest = sha256()
    for name in ("normalise", "article", "markdown", "chunk"):
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:8]


def _update(folder: Path, target: Manifest, articles: Sequence[Article], embedder: dense.Embedder, progress: Progress) -> Summary:
    """Write, verify and swap in the version that `target` describes, unless the live one already is it."""
    live = _reusable(folder, target, embedder)
    known = {path: entry.hash for path, entry in live.entries.items()} if live else {}
    changed = sum(known.get(article.path) != article.hash for article in articles)
    removed = len(known.keys() - {article.path for article in articles})
    try:
        if live and not changed and not removed and _same(live.manifest, target):
            return Summary(live.manifest, 0, 0, rebuilt=False)
        with _new_version(folder, target.id) as place:
            manifest = _write(place, target, articles, live, embedder, progress)
            progress("Kontrollerer indeksen", 0, 1)
            open_version(place, manifest, embedder).vectors.close()
    finally:
        if live:
            live.vectors.close()
    return Summary(manifest, changed, removed, rebuilt=True)


def _same(live: Manifest, target: Manifest) -> bool:
    return (live.rejected, live.content, live.base_url) == (target.rejected, target.content, target.base_url)


def _reusable(folder: Path, target: Manifest, embedder: dense.Embedder) -> Index | None:
    """The live index, if its chunks and vectors can be taken over; a damaged one cannot."""
    try:
        live = open_index(folder, embedder)
    except IndexFault:
        return None
    if live.manifest.chunker == target.chunker:
        return live
    live.vectors.close()
    return None


def _write(
    place: Path, target: Manifest, articles: Sequence[Article], live: Index | None, embedder: dense.Embedder, progress: Progress
) -> Manifest:
    """All files of a version in `place`; chunks and vectors of unchanged articles come from the live one."""
    if live:
        shutil.copytree(live.folder / "chroma", place / "chroma")
    vectors = dense.Vectors(place / "chroma")
    old = {path: [f"{path}#{number}" for number in range(entry.chunks)] for path, entry in live.entries.items()} if live else {}
    passages: list[Chunk] = []
    fresh: list[Chunk] = []
    entries: list[Entry] = []
    for article in _counted(articles, "Deler opp artikler", progress):
        if live and article.path in old and live.entries[article.path].hash == article.hash:
            own = [live.chunk(live.rows[key]) for key in old.pop(article.path)]
        else:
            own = chunks(article, blocks(article.body, article.first_line))
            fresh += own
        passages += own
        entries.append(Entry(article.path, article.title, article.file, article.hash, article.updated, len(own)))
    vectors.remove([key for keys in old.values() for key in keys])
    for start in _counted(range(0, len(fresh), dense.BATCH), "Lager vektorer", progress):
        part = fresh[start : start + dense.BATCH]
        vectors.add([chunk.id for chunk in part], embedder.documents([full_text(chunk) for chunk in part]))
    vectors.close()
    progress("Lager ordindeksen", 0, 1)
    _write_words(place, passages)
    (place / "chunks.jsonl").write_text("".join(to_json(chunk) + "\n" for chunk in passages), "utf-8")
    (place / "articles.jsonl").write_text("".join(_line(article) for article in articles), "utf-8")
    manifest = replace(target, articles=tuple(entries), chunks=len(passages))
    (place / "manifest.json").write_text(json.dumps(asdict(manifest), ensure_ascii=False, indent=1), "utf-8")
    return manifest


def _write_words(place: Path, passages: Sequence[Chunk]) -> None:
    """The vocabulary and the BM25 matrix. Title and headings count twice: they say what the passage is about."""
    numbers: dict[str, int] = {}  # of the distinct words: each is analysed once, however often it stands

    def numbered(text: str) -> "array[int]":  # subscripted for types only: Python 3.11 cannot
        return array("I", (numbers.setdefault(word, len(numbers)) for word in words(text)))

    documents = [numbered(f"{full_text(chunk)} {chunk.title} {' '.join(chunk.headings)}") for chunk in passages]
    names = list(numbers)
    known = vocabulary([names[number] for number in set(document)] for document in documents)
    analyzer = Analyzer(known)
    terms = [analyzer.terms(name) for name in names]
    Lexical.build([[term for number in document for term in terms[number]] for document in documents], analyzer).save(
        place / "lexical"
    )
    (place / "vocabulary.json").write_text(json.dumps(known, ensure_ascii=False), "utf-8")


def _line(article: Article) -> str:
    return json.dumps(vars(article), ensure_ascii=False) + "\n"


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
        raise IndexFault(
            f"Søkeindeksen i {folder} bygges allerede av prosess {who['pid']} på {who['host']} (siden {who['since']}); "
            "vent til den er ferdig."
        ) from None
    except OSError as error:
        raise IndexFault(f"Kan ikke skrive søkeindeksen i {folder}: {error.strerror or error}.") from error


def _sweep(folder: Path) -> None:
    """Remove what a killed build left behind."""
    for leftover in folder.glob("versions/.*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _new_version(folder: Path, name: str) -> Iterator[Path]:
    """A folder to build in, that becomes the live version when all goes well and vanishes when not."""
    place = folder / "versions" / f".{name}"
    place.mkdir(parents=True)
    try:
        yield place
        before = current(folder)
        place.rename(folder / "versions" / name)
        pointer = folder / ".CURRENT"
        pointer.write_text(name, "utf-8")
        pointer.replace(folder / "CURRENT")
    except Exception as error:
        # Chroma, sqlite and numpy each say it in their own way; what is left tells.
        full = getattr(error, "errno", 0) == errno.ENOSPC or shutil.disk_usage(folder).free < NEARLY_FULL
        shutil.rmtree(place, ignore_errors=True)
        if full:
            raise IndexFault(f"Disken med {folder} ble full under byggingen; frigjør plass og bygg på nytt.") from error
        raise
    for version in (folder / "versions").iterdir():
        if version.name not in (name, before.name if before else name):
            shutil.rmtree(version, ignore_errors=True)
