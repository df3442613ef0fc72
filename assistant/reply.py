"""What was found → what is said: fixed words, the articles' own, or a language model's when there is one and it can be relied on.

Knows an open index and the parts that choose, write and check; knows nothing of links, which are made of a reply's sources.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from assistant import phrases
from assistant.cite import corrected, law_quote
from assistant.extract import Draft, Pick, extract, tell
from assistant.question import Question
from assistant.select import READ, Selector
from assistant.settings import Settings
from assistant.support import Checker
from assistant.types import Checked, Notice, Outcome, Passage, Turn
from corpus.chunk import Chunk
from corpus.dense import Embedder
from corpus.index import Index

if TYPE_CHECKING:
    from assistant.generate import Writer
    from assistant.retrieve import Statutes


@dataclass(frozen=True)
class Found:
    """A question and its passages, best first; `history` is what was said before."""

    question: Question
    passages: tuple[Passage, ...] = ()
    history: tuple[Turn, ...] = ()

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


class Replier:
    """Replies from an open index. Safe to use from several threads."""

    def __init__(self, index: Index, embedder: Embedder, statutes: "Statutes | None", writer: "Writer | None") -> None:
        self._index = index
        self._selector = Selector(embedder, index.lexical)
        self._checker = Checker(embedder, index.lexical)
        self._statutes = statutes
        self._writer = writer

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
        fixed: Mapping[str, tuple[Outcome, phrases.Phrase]] = {
            "greeting": ("greeting", phrases.GREETING),
            "vague": ("clarify", phrases.CLARIFY),
            "refused": ("refused", phrases.REFUSED),
        }
        if question.kind in fixed:
            outcome, phrase = fixed[question.kind]
            return Reply(found, outcome, Draft(phrase[question.language]))
        picks = extract(question.text, self._selector.picks(question, found.passages)) if found.ground >= 0 else []
        draft = tell(picks, pages_at(self._index, (pick.chunk.path for pick in picks)))
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
        text = corrected(draft.text, draft.sources, question.language)
        rests_on = picks or [Pick(unit, chunk, 0.0) for unit, chunk in draft.sources]
        passage = self._statutes.passage(question.search, rests_on) if self._statutes else None
        if passage is None:
            return Draft(text, draft.sources)
        law, units = law_quote(passage.chunk, len(draft.sources) + 1, question.language)
        return Draft(f"{text}\n\n{law}", (*draft.sources, *((unit, passage.chunk) for unit in units)))


def pages_at(index: Index, paths: Iterable[str]) -> dict[str, Sequence[Chunk]]:
    """The articles at the paths, each with all its chunks; laws have none."""
    return {path: index.page(path) for path in dict.fromkeys(paths) if path in index.entries}


def _not_covered(found: Found) -> Reply:
    return Reply(found, "not_covered", Draft(phrases.NOT_COVERED[found.question.language]))


def writer(settings: Settings) -> "Writer | None":
    """The model that writes, when one is set. Raises SettingError."""
    from assistant.generate import Writer

    return Writer(settings) if settings.model else None
