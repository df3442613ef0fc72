"""What was found → what is said: fixed words, the articles' own, or a language model's when there is one and it can be relied on.
What was said is remembered for whoever asks the same, and counted.

Knows an open index and the parts that choose, write and check; knows nothing of links, which are made of a reply's sources.
"""

import hashlib
import math
import pickle
import re
import threading
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import chain
from typing import TYPE_CHECKING

from cachetools import LRUCache
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from assistant import phrases
from assistant.cite import corrected, law_quote
from assistant.extract import Draft, Pick, extract, tell
from assistant.question import Question
from assistant.select import READ, Selector
from assistant.settings import Settings
from assistant.support import Checker
from assistant.types import Answer, Ask, Checked, Event, Notice, Outcome, Passage, Phrase, Turn
from corpus.chunk import Chunk
from corpus.dense import Embedder
from corpus.index import Index
from corpus.markdown import Unit
from corpus.rules import Claim

if TYPE_CHECKING:
    from assistant.generate import Writer
    from assistant.select import Statutes

# A figure of the law before an answer is on what was asked, and on no side matter of the quotes (eval/LOG.md, 2026-11-27).
BEHIND = 1.0  # the best unit, from where on one is a side matter
NAMED = 3.0  # of being behind that a question makes up for which names all that a rule is on
NEAR, FAR = 0.45, 5.0  # the cosine of question and rule below which it is another matter, and how fast it becomes one
PRESSING = 1.0  # the ground for quotes to one in danger: those beside the point ("brenner": brennevin, .45) would hold them up
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # bounds of the histogram


@dataclass(frozen=True)
class Found:
    """A question and its passages, best first; `history` is what was said before, `replier` whose index they are from."""

    question: Question
    passages: tuple[Passage, ...] = ()
    history: tuple[Turn, ...] = ()
    replier: "Replier | None" = field(default=None, repr=False, compare=False)

    @property
    def ground(self) -> float:
        """How sure it is that the articles answer, in log-odds above the bound."""
        return self.passages[0].ground if self.passages else -math.inf


@dataclass(frozen=True)
class Reply:
    """What is to be said, before its markers become citations."""

    found: Found
    outcome: Outcome
    draft: Draft
    model: str = "extractive"
    support: tuple[Checked, ...] = ()
    notices: tuple[Notice, ...] = ()


class Tally:
    """What was asked through whatever door and how it ended, for Prometheus; labelled by nothing that people write."""

    kind = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        ProcessCollector(registry=own)
        self.answers = Counter("hms_answers", "Answers by outcome", ["outcome"], registry=own)
        self.fallbacks = Counter("hms_fallbacks", "Answers without the model, by why it was not used", ["reason"], registry=own)
        self.memory = Counter("hms_memory", "Answers by whether they were remembered", ["found"], registry=own)
        self.left = Counter("hms_left", "Answers that the reader did not wait for", registry=own)
        self.running = Gauge("hms_running", "Questions that are being answered", registry=own)
        self.requests = Counter("hms_requests", "Requests by route and status", ["route", "status"], registry=own)
        self.seconds = Histogram("hms_request_seconds", "Time until a reply's end", ["route"], buckets=SECONDS, registry=own)
        self.limits = Counter("hms_limits", "Requests turned away, by limit", ["limit"], registry=own)
        self._ready = Gauge("hms_ready", "Whether questions can be answered", registry=own)
        self._waiting = Gauge("hms_waiting", "Answers and ratings that wait for the database", registry=own)
        self._index = Gauge("hms_index", "How much is searched, in which index", ["id", "of"], registry=own)

    def text(self, waiting: int, index: str = "", articles: int = 0, chunks: int = 0) -> bytes:
        """All figures, of this process too, as Prometheus reads them: rows that wait to be kept, the open index, by its id."""
        self._ready.set(bool(index))
        self._waiting.set(waiting)
        self._index.clear()
        for of, many in (("articles", articles), ("chunks", chunks)) if index else ():
            self._index.labels(index, of).set(many)
        return generate_latest(self._registry)


class Replier:
    """Replies from an open index. Safe to use from several threads. A question keeps to one from start to end, so a published
    index is taken up by a new one; the old closes with its last question."""

    def __init__(
        self, index: Index, embedder: Embedder, statutes: "Statutes | None", writer: "Writer | None", tally: Tally
    ) -> None:
        self.index = index
        self._selector = Selector(embedder, index.lexical)
        self._checker = Checker(embedder, index.lexical)
        self._statutes = statutes
        self._writer = writer
        self._tally = tally

    def reply(self, found: Found) -> Iterator[tuple[str, str] | Reply]:
        """What a model writes as it comes (("draft", text), ("stage", what is done)), and the Reply last.

        No ground, no call: a model is asked only where the articles are likely to hold the answer. Without one, and whenever it
        cannot be used, the articles' own words are the reply.
        """
        if self._writer and found.question.kind == "search" and found.ground >= 0:
            yield from self._written(found, self._writer)
        else:
            yield self._told(found)

    def _written(self, found: Found, writer: "Writer") -> Iterator[tuple[str, str] | Reply]:
        """The model's answer, as far as its sources bear it; the articles' own words, with a notice, when it cannot be used."""
        from assistant.generate import Markers, checked
        from corpus.enrich import Fault

        question, whole = found.question, ""
        chunks = [passage.chunk for passage in found.passages[:READ]]  # as many as are read without a model
        markers = Markers(len(chunks))
        try:
            for piece in chain(writer.write(question, chunks, found.history), [None]):
                shown = markers.close() if piece is None else markers.feed(piece)
                whole += shown
                if shown:
                    yield "draft", shown
            yield "stage", phrases.CHECKING[question.language]
            written = checked(whole, question, chunks, self._checker)
        except Fault as fault:
            self._tally.fallbacks.labels(fault.reason).inc()
            notice = Notice("fallback", phrases.INSTEAD.format(reason=phrases.FALLBACK[fault.reason]))
            yield replace(self._told(found), notices=(notice,))
            return
        if written.draft.text:
            yield Reply(found, "answered", self._completed(written.draft, question), writer.name, written.support)
        else:
            yield _not_covered(found)

    def _told(self, found: Found) -> Reply:
        """The reply in fixed words or in those of the articles."""
        question = found.question
        fixed: Mapping[str, tuple[Outcome, Phrase]] = {
            "greeting": ("greeting", phrases.GREETING),
            "vague": ("clarify", phrases.CLARIFY),
            "refused": ("refused", phrases.REFUSED),
        }
        if question.kind in fixed:
            outcome, phrase = fixed[question.kind]
            return Reply(found, outcome, Draft(phrase[question.language]))
        least = PRESSING if question.kind == "acute" else 0.0
        picks = extract(question.text, self._selector.picks(question, found.passages)) if found.ground >= least else []
        draft = tell(picks, pages_at(self.index, (pick.chunk.path for pick in picks)), question.language)
        if question.kind == "acute":
            numbers = phrases.ACUTE[question.language]
            said = corrected(draft.text, draft.sources, question.language)
            more = f"\n\n{phrases.ACUTE_MORE[question.language]}\n\n{said}" if said else ""
            return Reply(found, "acute", Draft(numbers + more, draft.sources))
        if not draft.text:
            return _not_covered(found)
        framed = f"{phrases.FRAME[question.language]}\n\n{draft.text}".strip()
        return Reply(found, "answered", self._completed(Draft(framed, draft.sources), question, picks))

    def _completed(self, draft: Draft, question: Question, picks: Sequence[Pick] = ()) -> Draft:
        """The draft with the law's figures before it where the articles' are outdated, and with the law's own words below it."""
        text = corrected(draft.text, draft.sources, question.language, self._leads(question, picks))
        rests_on = picks or [Pick(unit, chunk, 0.0) for unit, chunk in draft.sources]
        passage = self._statutes.passage(question.search, rests_on) if self._statutes else None
        if passage is None:
            return Draft(text, draft.sources)
        law, units = law_quote(passage.chunk, len(draft.sources) + 1, question.language)
        return Draft(f"{text}\n\n{law}", (*draft.sources, *((unit, passage.chunk) for unit in units)))

    def _leads(self, question: Question, picks: Sequence[Pick]) -> Callable[[Unit, Claim], float]:
        """How much a figure of the law belongs before an answer, if above 0."""
        best = max((pick.score for pick in picks), default=0.0)
        scores = {pick.unit: pick.score for pick in picks}

        def fit(unit: Unit, claim: Claim) -> float:
            far = max(0.0, NEAR - self._selector.closeness(question, claim.rule.says))
            return BEHIND + NAMED * claim.rule.named(question.text) - FAR * far + scores.get(unit, best) - best

        return fit


Made = tuple[Answer, tuple[str, ...]]  # an answer, and the ids of the passages that it was made from


class Memory:
    """Answers as they were given, for whoever asks the same again: the least recently asked are forgotten first. Safe to use from
    several threads.

    What is kept is pickled, so that its size is known; `mebibytes` bounds the sum, and 0 keeps nothing.
    """

    def __init__(self, mebibytes: int) -> None:
        self._kept: LRUCache[bytes, bytes] = LRUCache(mebibytes * 2**20, len)
        self._turn = threading.Lock()

    def get(self, key: bytes) -> Made | None:
        """The answer kept under a key, if any."""
        with self._turn:
            kept = self._kept.get(key)
        made: Made | None = pickle.loads(kept) if kept else None
        return made

    def keep(self, key: bytes, made: Made) -> None:
        """Keep an answer, unless it is larger than all that may be kept."""
        kept = pickle.dumps(made)
        with self._turn, suppress(ValueError):
            self._kept[key] = kept


def same(ask: Ask, question: Question, index: str) -> bytes:
    """A key that two questions share when they must get the same answer: the same words to the same index, today, for a rate of a
    year that is over is marked so. Settings are not in it: they are the Assistant's, as its memory is."""
    asked = (
        question.text.casefold(),
        [(turn.role, turn.content) for turn in ask.history],
        ask.role,
        ask.page,
        index,
        date.today(),
    )
    return hashlib.sha256(repr(asked).encode()).digest()


def again(kept: Made, question: Question) -> Generator[Event, None, Made]:
    """The events of an answer that was given before, and the answer; it gets an id of its own, for it is rated by itself."""
    answer, passages = kept
    yield from (Event("token", {"text": piece}) for piece in re.findall(r"\S+\s*", answer.answer))
    yield from (Event("citation", each) for each in answer.citations)
    return replace(answer, id=uuid.uuid4().hex, question=question.text), passages


def private(question: Question) -> tuple[Notice, ...]:
    """What whoever asks is told of what was taken out of the question; nothing when nothing was."""
    what = ", ".join(phrases.PRIVATE[kind][question.language] for kind in question.private)
    return (Notice("privacy", phrases.PRIVACY[question.language].format(what=what)),) if what else ()


def pages_at(index: Index, paths: Iterable[str]) -> dict[str, Sequence[Chunk]]:
    """The articles at the paths, each with all its chunks; laws have none."""
    return {path: index.page(path) for path in dict.fromkeys(paths) if path in index.entries}


def _not_covered(found: Found) -> Reply:
    return Reply(found, "not_covered", Draft(phrases.NOT_COVERED[found.question.language]))


def writer(settings: Settings) -> "Writer | None":
    """The model that writes, when one is set. Raises SettingError."""
    from assistant.generate import Writer

    return Writer(settings) if settings.model else None
