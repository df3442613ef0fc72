"""The words that the parts say to each other, as frozen data without behaviour.

`Turn` and a question go in, `Passage`s are found, and an `Answer` with its `Citation`s comes out. The JSON names of `Answer` are
public interface (see README, "The answer"); renaming a field here changes the contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from corpus.chunk import Chunk

Role = Literal["user", "assistant"]
Outcome = Literal["answered", "not_covered", "clarify", "greeting", "refused", "acute"]
Audience = Literal["ansatt", "verneombud", "leder", "regnskap"]
Phrase = Mapping[str, str]  # language → sentence
Verdict = Literal["støttet", "delvis", "ikke funnet"]


@dataclass(frozen=True)
class Turn:
    """One earlier message of the conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Ask:
    """Everything a door hands over: the question, what was said before, who asks, and on which page."""

    question: str
    history: tuple[Turn, ...] = ()
    role: Audience | None = None
    page: str | None = None


@dataclass(frozen=True)
class Passage:
    """A chunk that may hold the answer.

    `score` is its share among the candidates, comparable within one question only; `ground` how sure it is that the articles
    answer the question at all, the same for all its passages: log-odds above the bound, below 0 there is no ground.
    """

    chunk: Chunk
    score: float
    ground: float = 0.0


@dataclass(frozen=True)
class Citation:
    """Where a marker `[number]` points: `quote` stands verbatim (after text repair) in the article at `url`."""

    number: int
    url: str
    title: str
    section: str
    quote: str
    kind: str = "artikkel"
    updated: str | None = None


@dataclass(frozen=True)
class Law:
    """A law reference in an answer and its deep link."""

    text: str
    url: str


@dataclass(frozen=True)
class Notice:
    """Something the reader must know before relying on the answer."""

    kind: Literal["outdated", "contradiction", "unknown_law", "fallback", "privacy"]
    message: str
    url: str = ""


@dataclass(frozen=True)
class Checked:
    """A sentence of a language model, what it cites, and whether that bears it; what is not found stands in no answer."""

    sentence: str
    verdict: Verdict
    citations: tuple[int, ...]


@dataclass(frozen=True)
class Page:
    """An article as a link: for `nearest` and for lists of sources."""

    url: str
    title: str


@dataclass(frozen=True)
class Answer:
    """The reply to one question. `answer` is Markdown with `[1]` markers; `elapsed_ms` is wall time in milliseconds."""

    id: str
    question: str
    outcome: Outcome
    answer: str
    language: str
    citations: tuple[Citation, ...] = ()
    laws: tuple[Law, ...] = ()
    notices: tuple[Notice, ...] = ()
    nearest: tuple[Page, ...] = ()
    followups: tuple[str, ...] = ()
    model: str = "extractive"
    index: str = ""
    elapsed_ms: int = 0
    support: tuple[Checked, ...] = ()


@dataclass(frozen=True)
class Feedback:
    """What a reader says of an answer. `reason` is one of the doors' own, or in the reader's words."""

    answer_id: str
    rating: Literal["up", "down"]
    reason: str | None = None
    comment: str | None = None


@dataclass(frozen=True)
class Kept:
    """An answer as it is kept: redacted, `time` in UTC, `history` the earlier questions, `passages` the ids of what it was made
    from, best first. With HMS_STORE_QUESTIONS=off all that tells what was asked is empty."""

    number: int
    id: str
    time: datetime
    question: str
    history: tuple[str, ...]
    language: str
    role: str | None
    page: str | None
    outcome: str
    answer: str
    citations: tuple[Citation, ...]
    notices: tuple[Notice, ...]
    nearest: tuple[Page, ...]
    passages: tuple[str, ...]
    model: str
    index: str
    elapsed_ms: int


@dataclass(frozen=True)
class Rated:
    """What a reader said of an answer, redacted; `time` in UTC. The answer may be gone, or be none of ours."""

    number: int
    id: str
    time: datetime
    answer_id: str
    rating: str
    reason: str | None
    comment: str | None


@dataclass(frozen=True)
class Span:
    """Answers of a week, or a day, by outcome, and the milliseconds within which half of them came, and 95 in 100."""

    start: date
    outcomes: Mapping[str, int]
    p50: int
    p95: int


@dataclass(frozen=True)
class Gap:
    """Questions that ask for the same, which the articles leave open: how often they were asked, how often readers reported it.

    `heading` is proposed for what would answer them, `language` its language; `id` is that of the newest answer to one of them.
    """

    id: str
    heading: str
    language: str
    questions: tuple[str, ...]
    count: int
    reported: int
    last: date
    nearest: Page | None


@dataclass(frozen=True)
class Asked:
    """A question that is asked in whatever words: how often, and how often it stayed open."""

    question: str
    count: int
    open: int


@dataclass(frozen=True)
class Complaint:
    """What readers said of an answer that did not help them, and the answer when it is still kept."""

    ratings: tuple[Rated, ...]
    kept: Kept | None


@dataclass(frozen=True)
class Shown:
    """A notice, and how often readers were shown it."""

    notice: Notice
    count: int
    last: date


@dataclass(frozen=True)
class Insights:
    """What is told to the owner of the articles about a period of `days`; `textless` answers have no question that is kept."""

    days: int
    made: datetime
    spans: tuple[Span, ...]
    whole: Span
    gaps: tuple[Gap, ...]
    asked: tuple[Asked, ...]
    complaints: tuple[Complaint, ...]
    rated: Mapping[str, int]
    never: tuple[Page, ...]
    shown: tuple[Shown, ...]
    textless: int


@dataclass(frozen=True)
class Event:
    """One step of a streamed answer, named as the server-sent event that carries it."""

    name: Literal["status", "token", "citation", "answer", "error"]
    data: Mapping[str, object] | Citation | Answer
