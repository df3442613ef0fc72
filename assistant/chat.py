"""The product: one Assistant that every door gets as an argument.

Understands, retrieves, answers and cites, as one LangChain chain. Knows nothing of HTTP, Gradio or terminals, nor of how the
index is got ready. The place of a language model is `_answer`: everything before it finds, everything after it cites. Without
one, and whenever it fails, the articles' own words answer.
"""

import logging
import re
import threading
import time
import uuid
from collections.abc import Container, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from langchain_core.runnables import Runnable, RunnableGenerator, RunnableLambda, ensure_config
from langchain_core.runnables.utils import AddableDict

from assistant import NotReadyError, phrases
from assistant.cite import (
    citation,
    named_laws,
    notices,
    page_text,
    page_url,
    resolve,
)
from assistant.extract import headline
from assistant.library import Library
from assistant.question import Question, read
from assistant.reply import Found, Made, Memory, Replier, Reply, again, pages_at, private, same
from assistant.settings import Settings
from assistant.types import Answer, Ask, Citation, Event, Feedback, Page, Passage, Turn
from corpus import dense
from corpus.chunk import Chunk, body, section
from corpus.index import Index
from corpus.language import FOREIGN

if TYPE_CHECKING:
    from assistant.retrieve import Retriever
    from assistant.store import Store

log = logging.getLogger(__name__)
FOUND = 20  # passages that an answer is made from
NEAREST = 3  # articles named when there is no answer
FOLLOWUPS = 3
PIECE = re.compile(r"(?:\S+\s*){1,8}")  # of an answer that is there already: each piece costs a screen a redrawing
AWAY = "Søket er ute av drift akkurat nå; prøv igjen om litt."  # half of the evidence would find the wrong article now and then
# Questions that are computed at the same time. Thirty at once would each take thirty times as long, and so would turning others
# away: Python runs one thread at a time, and the one that takes requests is only one of them (eval/LOG.md, 2026-11-26).
TURNS = 2
CONFIDENT = 2.0  # log-odds of there being an answer, from which on a question need not be rewritten


class Assistant(Library):
    """Answers questions from the indexed articles. Safe to use from several threads once `ready`.

    What is answered and said of it is kept in `store`; without one, nothing is.
    """

    def __init__(self, settings: Settings, store: "Store | None" = None) -> None:
        super().__init__(settings)
        self.store = store
        self._memory = Memory(settings.cache)
        self._turn = threading.Semaphore(TURNS)
        self.chain: Runnable[Ask, AddableDict] = (
            RunnableLambda(self._retrieve, name="retrieve")
            | RunnableGenerator(self._answer, name="answer")
            | RunnableGenerator(self._cite, name="cite")
        )

    def figures(self) -> bytes:
        """What has been asked and how it went, as Prometheus reads it."""
        waiting, manifest = len(self.store.waiting) if self.store else 0, self.index.manifest if self.ready else None
        return self.tally.text(waiting, *((manifest.id, len(manifest.articles), manifest.chunks) if manifest else ()))

    # Asking

    def ask(self, ask: Ask) -> Answer:
        """The answer to a question. Raises QuestionError, NotReadyError."""
        for event in self.stream(ask):
            if isinstance(event.data, Answer):
                return event.data
        raise AssertionError("a stream ends with its answer")

    def stream(self, ask: Ask) -> Iterator[Event]:
        """The answer as it comes: status, tokens, citations, and the whole Answer last. Raises as `ask` does."""
        begun = time.perf_counter()
        question = read(ask)  # what is wrong with it is said before anything is streamed
        yield Event("status", {"stage": phrases.SEARCHING["nb"]})
        with self.tally.running.track_inprogress(), self.tally.left.count_exceptions(GeneratorExit):
            kept = self._memory.get(same(ask, question, self.index.manifest.id))
            self.tally.memory.labels("no" if kept is None else "yes").inc()
            made, passages = yield from (self._made(ask) if kept is None else again(kept, question))
        if kept is None and (self._writer is None or made.model != "extractive"):  # the model may be back for the next who asks
            self._memory.keep(same(ask, question, made.index), (made, passages))
        self.tally.answers.labels(made.outcome).inc()
        answer = replace(made, elapsed_ms=round(1000 * (time.perf_counter() - begun)))
        if self.store:
            self.store.answered(answer, ask, passages)
        yield Event("answer", answer)

    def _made(self, ask: Ask) -> Generator[Event, None, Made]:
        """The events of an answer that is made now, and the answer."""
        whole, left = AddableDict(), threading.Event()
        parts = self.chain.stream(ask, {"configurable": {"left": left}})
        try:
            for part in parts:
                whole += part
                if "stage" in part:
                    yield Event("status", {"stage": part["stage"]})
                if text := part.get("draft") or ("" if "draft" in whole else part.get("answer")):
                    yield Event("token", {"text": text})
                for each in part.get("citations", ()):
                    yield Event("citation", each)
        except dense.Away as error:
            raise NotReadyError(AWAY) from error
        finally:
            left.set()  # LangChain reads a stream that is closed to its end
        told = {name: value for name, value in whole.items() if name not in ("draft", "stage", "passages")}
        return Answer(**told), whole.get("passages", ())

    def rate(self, feedback: Feedback) -> None:
        """Keep what a reader says of an answer."""
        if self.store:
            self.store.rate(feedback)

    def confidence(self, ask: Ask) -> float | None:
        """How sure it is that the articles answer (log-odds, 0 is the bound); None when nothing is searched for."""
        found = self._plainly(ask)
        return found.ground if found.passages else None

    def search(self, ask: Ask, limit: int = 10) -> list[dict[str, object]]:
        """The best passages for a question, best first, ranked as for asking. Raises QuestionError, NotReadyError."""
        index = self.index
        try:
            found = self._passages(index, read(ask), limit)
        except dense.Away as error:
            raise NotReadyError(AWAY) from error
        return [
            {
                "url": page_url(self._site(index), chunk.path) + (f"#{chunk.heading_id}" if chunk.heading_id else ""),
                "title": chunk.title,
                "section": section(chunk),
                "text": body(chunk),
                "score": passage.score,
            }
            for passage in found
            for chunk in (passage.chunk,)
        ]

    def retriever(self, limit: int = 10) -> "Retriever":
        """The same search as a LangChain retriever."""
        from assistant.retrieve import Retriever

        return Retriever(index=self.index, limit=limit)

    # The chain: retrieve → answer → cite

    def _plainly(self, ask: Ask) -> Found:
        """What is found without a model's help; nothing is searched for to greet or to refuse."""
        question, replier = read(ask), self._open
        if question.kind in ("greeting", "vague", "refused"):
            return Found(question, replier=replier)
        return self._found(question, ask.history, replier)

    def _retrieve(self, ask: Ask) -> Found:
        with self._turn:
            found = self._plainly(ask)
        question = found.question
        unsure = question.kind == "search" and found.ground < CONFIDENT  # one in danger does not wait for a model
        needs_rewriting = unsure and (ask.history or question.language in FOREIGN)
        rewritten = self._writer.rewrite(question, ask.history) if self._writer and needs_rewriting else ""
        if not rewritten:
            return found
        with self._turn:
            anew = self._found(replace(question, rewritten=rewritten), ask.history, found.replier or self._open)
        return max(found, anew, key=lambda each: each.ground)

    def _found(self, question: Question, history: tuple[Turn, ...], replier: Replier) -> Found:
        from assistant.retrieve import with_opening

        passages = with_opening(replier.index, self._passages(replier.index, question, FOUND))
        return Found(question, tuple(passages), history, replier)

    def _passages(self, index: Index, question: Question, limit: int) -> list[Passage]:
        from assistant.retrieve import passages

        return passages(index, question.search, limit, question.page, question.role)

    def _answer(self, founds: Iterator[Found]) -> Iterator[AddableDict]:
        """What is written as it comes ("draft", "stage"), and the Reply last; no more once the reader has left."""
        left = ensure_config().get("configurable", {}).get("left")
        for found in founds:
            parts = (found.replier or self._open).reply(found)
            if not self._writer:  # else most of the time is the model's
                with self._turn:
                    parts = iter(list(parts))
            for part in parts:
                yield AddableDict(reply=part) if isinstance(part, Reply) else AddableDict([part])
                if left and left.is_set():
                    return

    def _cite(self, parts: Iterator[AddableDict]) -> Iterator[AddableDict]:
        for part in parts:
            reply: Reply | None = part.get("reply")
            if reply is None:
                yield part
                continue
            question, index = reply.found.question, (reply.found.replier or self._open).index
            text, used = resolve(reply.draft.text, len(reply.draft.sources))
            sources = [reply.draft.sources[number - 1] for number in used]
            with self._turn:
                chunks = pages_at(index, (chunk.path for _, chunk in sources))
                pages = {path: page_text(own, self._site(index)) for path, own in chunks.items()}
                citations = [citation(number, *source, pages.get(source[1].path)) for number, source in enumerate(sources, 1)]
            for piece in PIECE.findall(text):
                yield AddableDict(answer=piece)
            yield AddableDict(
                id=uuid.uuid4().hex,
                question=question.text,
                outcome=reply.outcome,
                language=question.language,
                citations=tuple(citations),
                laws=named_laws(sources),
                notices=(*private(question), *reply.notices, *notices(sources)),
                nearest=self._nearest(reply, self._site(index)) if reply.outcome == "not_covered" else (),
                followups=self._followups(reply, index, citations),
                support=tuple(
                    replace(each, citations=tuple(used.index(number) + 1 for number in each.citations if number in used))
                    for each in reply.support
                ),
                model=reply.model,
                index=index.manifest.id,
                passages=tuple(passage.chunk.id for passage in reply.found.passages),
            )

    def _nearest(self, reply: Reply, site: str) -> tuple[Page, ...]:
        titles = {passage.chunk.path: passage.chunk.title for passage in reply.found.passages}
        return tuple(Page(page_url(site, path), title) for path, title in list(titles.items())[:NEAREST])

    def _followups(self, reply: Reply, index: Index, citations: Sequence[Citation]) -> tuple[str, ...]:
        """Questions that the articles can answer: examples before the talk has begun, then what the cited articles hold too."""
        if reply.outcome in ("greeting", "clarify", "refused"):
            return tuple(phrases.EXAMPLES[:FOLLOWUPS])
        pages = pages_at(index, (chunk.path for _, chunk in reply.draft.sources)).values()
        return tuple(dict.fromkeys(_further(pages, {each.section for each in citations})))[:FOLLOWUPS]


def _further(pages: Iterable[Sequence[Chunk]], said: Container[str]) -> Iterator[str]:
    """Questions that the cited articles can answer: their sections other than those that were quoted."""
    for page in pages:
        for chunk in page:
            asks = headline(chunk)
            if chunk.headings and section(chunk) not in said and asks:
                title = re.split(r"[?|:]|\s–\s", chunk.title)[0].strip()  # without its subtitle
                yield asks if asks.endswith("?") else f"{title}: {asks}"
