"""What is answered from: the open index and the articles in it, got ready in the background.

Opens the index, and builds it first when there is none. Knows articles and how they come to be searchable; knows nothing of
questions.
"""

import logging
import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from assistant import HmsError, NotReadyError
from assistant.cite import ReaderPage, page_path, page_url, reader_page
from assistant.reply import Replier, Tally, writer
from assistant.settings import Settings
from assistant.types import Page
from corpus import dense
from corpus.article import ContentError, repair
from corpus.chunk import Chunk
from corpus.index import LAW, Index, IndexFault, current, open_index, read_manifest
from corpus.language import in_bokmaal
from corpus.rules import rules

if TYPE_CHECKING:
    from assistant.retrieve import Statutes

log = logging.getLogger(__name__)


class Library:
    """The articles. Safe to use from several threads once `ready`; `status` and `failed` tell how that goes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.status = "Starter"
        self.failed = False
        self.tally = Tally()
        self._index: Index | None = None
        self._replier: Replier | None = None
        self._writer = writer(settings)
        self._loading = threading.Lock()

    def start(self) -> None:
        """Begin to load in the background; `ready`, `status` and `failed` tell how it goes."""
        threading.Thread(target=self._load_quietly, name="load", daemon=True).start()

    def load(self) -> None:
        """Open the index, brought up to date with the content folders first. Raises HmsError."""
        with self._loading:
            if self._index is not None:
                return
            try:
                self.status = "Leser søkeindeksen"
                embedder = dense.load(self.settings.embedder)
                self._refresh(embedder)
                index = open_index(self.settings.index, embedder)
                index.warm()
                rules()  # read now, so that the first answer need not wait
                # Units are compared by the shipped embedder: dozens a question, too many for a slow one.
                own = dense.load() if self.settings.embedder else embedder
                self._replier = Replier(index, own, self._open_statutes(embedder), self._writer, self.tally)
                self._index = index
                self.status = "Klar"
            except (IndexFault, ContentError, dense.EmbedderError) as error:
                self.status, self.failed = str(error), True
                raise HmsError(str(error)) from error

    def _open_statutes(self, embedder: dense.Embedder) -> "Statutes | None":
        """The laws, when they are indexed; answers go on without them when their index cannot be read."""
        from assistant.retrieve import Statutes

        try:
            return Statutes(open_index(folder, embedder)) if current(folder := self.settings.index / LAW) else None
        except IndexFault as error:
            log.warning("answers will not quote the law: %s", error)
            return None

    def _load_quietly(self) -> None:
        try:
            self.load()
        except HmsError:
            pass  # `status` holds the sentence; every question is answered with it
        except Exception as error:
            self.status, self.failed = f"Oppstarten stoppet på en uventet feil ({type(error).__name__}); se loggen.", True
            raise

    def _refresh(self, embedder: dense.Embedder) -> None:
        """Build the index, or bring it up to date; a live one goes on serving when that cannot be done."""
        from corpus.build import build
        from corpus.enrich import Enricher

        version, settings = current(self.settings.index), self.settings
        if version is None:
            build(settings.content, settings.index, embedder, settings.base_url, self._progress)
            return
        live = read_manifest(version)
        if live.embedder_hash != embedder.hash or not all(content.is_dir() for content in settings.content):
            return  # opening it says what is wrong with it, if anything
        # Questions that were written to passages are kept; new passages get theirs by `python -m corpus build --enrich`.
        enricher = Enricher(live.enriched) if live.enriched else None
        base_url = settings.base_url or live.base_url
        try:
            done = build(settings.content, settings.index, embedder, base_url, self._progress, enricher=enricher)
            if done.written.missing:
                log.warning("%d passages have no written questions; build the index with --enrich", done.written.missing)
        except (IndexFault, ContentError) as error:
            log.warning("the index was not brought up to date: %s", error)

    def _progress(self, stage: str, done: int, total: int) -> None:
        self.status = f"{stage}: {done + 1} av {total}" if total > 1 else stage

    @property
    def ready(self) -> bool:
        """Whether questions can be answered."""
        return self._index is not None

    @property
    def index(self) -> Index:
        """The open index; raises NotReadyError before there is one."""
        if self._index is None:
            waiting = f"Assistenten er ikke klar ennå ({self.status}); prøv igjen om litt."
            raise NotReadyError(self.status if self.failed else waiting)
        return self._index

    @property
    def base_url(self) -> str:
        """The site that citations link to; "" for the app's own reader pages."""
        return self.settings.base_url or self.index.manifest.base_url

    def manifest(self) -> dict[str, object]:
        """What is loaded, in short."""
        manifest = self.index.manifest
        return {
            "id": manifest.id,
            "created": manifest.created,
            "articles": len(manifest.articles),
            "chunks": manifest.chunks,
            "embedder": {"name": manifest.embedder, "hash": manifest.embedder_hash, "dimensions": manifest.dimensions},
        }

    # Reading

    def page(self, path: str) -> ReaderPage | None:
        """An article for the reader page, or None when there is none at this path. Raises NotReadyError."""
        article = self.index.article(path)
        return reader_page(article, self.index.entries) if article else None

    def article(self, address: str) -> dict[str, object] | None:
        """An article in Markdown by its path or address, or None when there is none. Raises NotReadyError."""
        if (found := self.index.article(page_path(address, self.base_url))) is None:
            return None
        url = page_url(self.base_url, found.path)
        return {"title": found.title, "url": url, "updated": found.updated, "text": repair(found.body)}

    def article_at(self, url: str) -> list[Chunk]:
        """The passages of the article that a link of an answer opens, in order; none for any other address."""
        path = page_path(url, self.base_url)
        return self.index.page(path) if path in self.index.entries else []

    def pages(self) -> list[Page]:
        """Every article. Raises NotReadyError."""
        return [Page(page_url(self.base_url, entry.path), entry.title) for entry in self.index.manifest.articles]

    def alike(self, questions: Sequence[str], least: float) -> list[list[int]]:
        """Numbers (from 0) of the questions that ask for the same, by groups: two are joined while their mean cosine is `least`
        or more. Compares each with each. Raises NotReadyError."""
        from scipy.cluster.hierarchy import fcluster, linkage

        vectors = self.index.embedder.queries([in_bokmaal(each) for each in questions])
        if len(questions) < 2:
            return [[number] for number in range(len(questions))]
        apart = 1 - np.clip(vectors @ vectors.T, -1, 1)[np.triu_indices(len(questions), 1)]
        groups: dict[int, list[int]] = {}
        for number, name in enumerate(fcluster(linkage(apart, "average"), 1 - least, "distance")):
            groups.setdefault(int(name), []).append(number)
        return list(groups.values())

    def account(self, number: str) -> tuple[str, list[Chunk]]:
        """The address and the passages of the one article on an account; nothing when there is none, or several."""
        named = [entry.path for entry in self.index.manifest.articles if re.match(rf"Konto {number}\b", entry.title)]
        return (page_url(self.base_url, named[0]), self.index.page(named[0])) if len(named) == 1 else ("", [])
