"""What is answered from: the open index and the articles in it, got ready in the background.

Opens the index, builds it first when there is none, and takes up each one that is published. Knows articles and how they come to
be searchable; knows nothing of questions.
"""

import logging
import re
import threading
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from assistant import HmsError, NotReadyError
from assistant.cite import page_path, page_url
from assistant.question import read
from assistant.reply import Replier, Tally, writer
from assistant.settings import Settings
from assistant.types import Ask, Page
from corpus import dense
from corpus.article import Article, ContentError, repair
from corpus.chunk import Chunk
from corpus.index import LAW, Busy, Index, IndexFault, current, open_index, read_manifest
from corpus.language import in_bokmaal
from corpus.markdown import render
from corpus.rules import rules

if TYPE_CHECKING:
    from assistant.select import Statutes

log = logging.getLogger(__name__)
WATCH = 2.0  # seconds between two looks at what is published
Versions = tuple[Path | None, Path | None]  # the folders of an index of articles and of one of laws


@dataclass(frozen=True)
class ReaderPage:
    """An article for the app's own reader page; `html` is safe to show."""

    path: str
    title: str
    html: str
    updated: str | None


def reader_page(article: Article, known: Container[str]) -> ReaderPage:
    """An article as the app shows it itself; links lead to our own page of an article, and nowhere when it is not `known`."""

    def link(target: str) -> str | None:
        path, mark, heading = target.partition("#")
        if path.startswith("/"):
            own = path.rstrip("/") or "/"
            return page_url("", own) + mark + heading if own in known else None
        return target if target.startswith(("https://", "http://", "mailto:", "#")) else None

    return ReaderPage(article.path, article.title, _reachable(render(article.body, link)), article.updated)


def _reachable(html: str) -> str:
    """What may be wider than the screen, scrolled by keyboard too: a stop for Tab, and for tables a name of their own."""
    numbers = count(1)
    opened = '<div class="table" role="region" aria-label="Tabell {}" tabindex="0"><table>'
    html = re.sub("<table>", lambda _: opened.format(next(numbers)), html).replace("</table>", "</table></div>")
    return html.replace("<pre>", '<pre tabindex="0">')


class Library:
    """The articles. Safe to use from several threads once `ready`; `status` and `failed` tell how that goes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.status = "Starter"
        self.failed = False
        self.tally = Tally()
        self._embedder: dense.Embedder | None = None
        self._replier: Replier | None = None
        self._seen: Versions | None = None  # what was live when it was last opened; None: look again
        self._writer = writer(settings)
        self._loading = threading.Lock()

    def start(self) -> None:
        """Begin to load in the background, and from then on take up what is published; `ready`, `status` and `failed` tell."""
        threading.Thread(target=self._keep_up, name="load", daemon=True).start()

    def load(self) -> None:
        """Open the live index, the first time brought up to date with the content folders before, and built when there is none.
        Raises HmsError; what was open goes on answering then."""
        with self._loading:
            if self._replier and self._seen == self._live():
                return
            try:
                self.status = "Leser søkeindeksen"
                embedder = self._embedder or dense.load(self.settings.embedder)
                if self._embedder is None or self._live()[0] is None:  # just started, or somebody removed the index
                    self._refresh(embedder)
                self._embedder = embedder
                self._seen = self._live()
                self._replier = self._opened(embedder)
                self.status, self.failed = "Klar", False
            except (IndexFault, ContentError, dense.EmbedderError, dense.Away) as error:
                waiting = isinstance(error, Busy | dense.ServerAway)
                self._seen = None if waiting else self._seen or self._live()
                # Readers see the status, and the server's address is nothing for them.
                self.status = "Venter på Chroma-serveren" if isinstance(error, dense.ServerAway) else str(error)
                self.failed = not waiting and not self.ready
                raise HmsError(str(error)) from error

    def _live(self) -> Versions:
        """The versions that are published."""
        return current(self.settings.index), current(self.settings.index / LAW)

    def _opened(self, embedder: dense.Embedder) -> Replier:
        """Over the live index, and over that of the laws when there is one; warm. Raises IndexFault, dense.ServerAway."""
        index = open_index(self.settings.index, embedder, self.settings.chroma_url)
        index.warm()
        # An answer multiplies small matrices by the dozen; threads for each wait for one another, and half of the time is theirs.
        threadpool_limits(1, user_api="blas")
        rules(), read(Ask("Hva er HMS?"))  # their tables are read now, so that the first answer need not wait
        # Units are compared by the shipped embedder: dozens a question, too many for a slow one.
        own = dense.load() if self.settings.embedder else embedder
        return Replier(index, own, self._open_statutes(embedder), self._writer, self.tally)

    def _open_statutes(self, embedder: dense.Embedder) -> "Statutes | None":
        """The laws, when they are indexed; answers go on without them when their index cannot be read."""
        from assistant.select import Statutes

        folder = self.settings.index / LAW
        try:
            return Statutes(open_index(folder, embedder, self.settings.chroma_url)) if current(folder) else None
        except IndexFault as error:
            log.warning("answers will not quote the law: %s", error)
            return None

    def _keep_up(self) -> None:
        """What cannot be opened is tried again when something else is published; at once when another process was in the way."""
        told = ""
        while True:
            try:
                if self._seen is None or self._seen != self._live():
                    self.load()
            except HmsError as error:  # `status` holds the sentence; while nothing is open, every question is answered with it
                if str(error) != told:
                    log.warning("%s: %s", "still answering from the index that is open" if self.ready else "not ready", error)
                told = str(error)
            except Exception as error:
                self._seen = self._live()
                self.status, self.failed = f"Oppstarten stoppet på en uventet feil ({type(error).__name__}); se loggen.", True
                log.exception("the index cannot be opened")
            time.sleep(WATCH)

    def _refresh(self, embedder: dense.Embedder) -> None:
        """Build the index, or bring it up to date; a live one goes on serving when that cannot be done."""
        from corpus.build import build
        from corpus.enrich import Enricher

        version, settings = current(self.settings.index), self.settings
        if version is None:
            build(settings.content, settings.index, embedder, settings.base_url, self._progress, server=settings.chroma_url)
            return
        was = read_manifest(version)
        if was.embedder_hash != embedder.hash or not all(content.is_dir() for content in settings.content):
            return  # opening it says what is wrong with it, if anything
        # Questions that were written to passages are kept; new passages get theirs by `python -m corpus build --enrich`.
        kept = Enricher(was.enriched) if was.enriched else None
        site = settings.base_url or was.base_url
        try:
            done = build(
                settings.content, settings.index, embedder, site, self._progress, enricher=kept, server=settings.chroma_url
            )
            if done.written.missing:
                log.warning("%d passages have no written questions; build the index with --enrich", done.written.missing)
        except (IndexFault, ContentError) as error:
            log.warning("the index was not brought up to date: %s", error)

    def _progress(self, stage: str, done: int, total: int) -> None:
        self.status = f"{stage}: {done + 1} av {total}" if total > 1 else stage

    @property
    def ready(self) -> bool:
        """Whether questions can be answered."""
        return self._replier is not None

    @property
    def index(self) -> Index:
        """The open index; raises NotReadyError before there is one. Another may be open the next time."""
        return self._open.index

    @property
    def _open(self) -> Replier:
        if self._replier is None:
            waiting = f"Assistenten er ikke klar ennå ({self.status}); prøv igjen om litt."
            raise NotReadyError(self.status if self.failed else waiting)
        return self._replier

    @property
    def base_url(self) -> str:
        """The site that citations link to; "" for the app's own reader pages."""
        return self._site(self.index)

    def _site(self, index: Index) -> str:
        return self.settings.base_url or index.manifest.base_url

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
        index = self.index
        article = index.article(path)
        return reader_page(article, index.entries) if article else None

    def article(self, address: str) -> dict[str, object] | None:
        """An article in Markdown by its path or address, or None when there is none. Raises NotReadyError."""
        index = self.index
        if (found := index.article(page_path(address, self._site(index)))) is None:
            return None
        url = page_url(self._site(index), found.path)
        return {"title": found.title, "url": url, "updated": found.updated, "text": repair(found.body)}

    def article_at(self, url: str) -> list[Chunk]:
        """The passages of the article that a link of an answer opens, in order; none for any other address."""
        index = self.index
        path = page_path(url, self._site(index))
        return index.page(path) if path in index.entries else []

    def pages(self) -> list[Page]:
        """Every article. Raises NotReadyError."""
        index = self.index
        return [Page(page_url(self._site(index), entry.path), entry.title) for entry in index.manifest.articles]

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
        index = self.index
        named = [entry.path for entry in index.manifest.articles if re.match(rf"Konto {number}\b", entry.title)]
        return (page_url(self._site(index), named[0]), index.page(named[0])) if len(named) == 1 else ("", [])
