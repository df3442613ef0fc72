"""An answer by a chat model: asked within limits, read as it streams, and held against its sources sentence by sentence.

Knows nothing of retrieval; `corpus.enrich` opens the model and reads it. A model's words are not trusted: markup becomes plain
text, unknown markers vanish, and what the cited passages do not say is left out. Whatever goes wrong is a `Fault` with a reason
from `phrases.FALLBACK`; the caller then answers without a model.
"""

import contextlib
import logging
import math
import queue
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from assistant import SettingError, phrases, prompts
from assistant.extract import Draft
from assistant.question import Question, language
from assistant.settings import Settings
from assistant.support import Checker, Support
from assistant.types import Checked, Turn
from corpus.chunk import Chunk
from corpus.enrich import Fault, ModelError, chat_model, told_by
from corpus.markdown import Unit, plain, sentences

log = logging.getLogger(__name__)
RETRIES, PAUSE = 2, 0.5  # seconds before the first retry; twice as long before the next
AT_ONCE = 32  # requests to the model at the same time; more wait, within their limit
REWRITING, REWRITTEN = 4.0, 300  # seconds for a question to be rewritten in; characters of it
LONGEST = 8_000  # characters of an answer; a longer one is none
A_TOKEN = 3  # characters of Norwegian that are about a token, for models that do not count
STAND = 2 / 3  # share of the sentences that must be borne by their sources
SAYS = 3  # words of a sentence that says something
REPEATED, FRESH = 3, 1 / 4  # times that a sentence may not stand in an answer; share of its words that must differ
MARKER, NUMBER = re.compile(r"\[(\d{1,3})\]"), re.compile(r"\d+")
# A text in parts of one kind each, so that it reads the same however it is cut; what stands in a marker, and in an address.
INSIDE = "0123456789,; \t\n\xa0"
PART = re.compile(rf"[\[【]+|[\]】]+|`+|[()]|[{INSIDE}]+|[^\[【\]】`(){INSIDE}][^\[【\]】`()]*")
ADDRESS, HELD = re.compile(r"[^\s\[【\]】`()]+"), 200  # characters of either at most
LURE = re.compile(r"(?<=\])\(|(?<=!)\[|(?<=:/)/")  # makes a link, an image or an address of what stands before it
ENDS, OPENS = frozenset("([/<>"), frozenset("[【]】`()/<>")  # signs that a lure or a tag needs; those of which anything is made
BULLET = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)])\s+")
# What goes from an answer: thoughts, headings, and what is left of tags, images and addresses once they are defused.
MARKUP = re.compile(
    r"(?s:‹think›.*?‹/think›)|(?m:^\s*#{1,6}\s.*$)|‹[/!]?[a-zA-Z-][^‹›]{0,300}›|(?<!\S)!(?=\w)|"
    r"\(?\b(?:(?:https?|ftp):/ ?/|www\.|(?:java|vb)script:)[^\s\[]{0,500}(?<![.,;:!?])"
)
AFTER_STOP = re.compile(r"([.!?…]+[»”\"*]*)((?:\s*\[\d{1,3}\])+)")  # a marker that stands after the sentence it is of
MARKED = re.compile(r"\s*(?:[(\"«“]\s*(?:\[\d{1,3}\][,;\s]*)+[)\"»”]|\[\d{1,3}\])")  # markers, and what encloses nothing else


@dataclass(frozen=True)
class Written:
    """A model's answer after the check: what stands of it, and the verdict on each sentence. No text: not covered."""

    draft: Draft
    support: tuple[Checked, ...] = ()


class Markers:
    """A model's text as it streams in, with its markers made one kind: `[2]`, for known passages only.

    Takes `[1]`, `[1, 2]`, `[[1]]`, `【1】` and a link on a marker, in pieces cut anywhere; what stands in code is no marker. All
    other brackets go, and so do backticks and addresses behind a bracket: nothing else can become a marker or a link. Signs of
    HTML and addresses are defused. Time is linear in the text.
    """

    def __init__(self, known: int) -> None:
        self._known = known
        self._held = ""  # "[" and what may be numbers, or "(" and what may be an address
        self._before, self._last = " ", ""  # a sign of the part before; what was shown last
        self._code = False

    def feed(self, piece: str) -> str:
        """What can be shown now; the rest is held until it is clear what it is."""
        if not self._held and OPENS.isdisjoint(piece):  # nearly all that is written
            self._before, self._last = piece[-1:] or self._before, (self._last + piece)[-2:]
            return piece
        told = []
        for part in PART.findall(piece) if len(piece) > 1 else piece:
            first, before, held = part[0], self._before, self._held
            self._before, self._held = first, ""
            if held and len(held) + len(part) <= HELD and (first in INSIDE if held[0] == "[" else ADDRESS.fullmatch(part)):
                self._held = held + part
                continue
            if held:
                told.append(self._settled(held, first))
            if first == "`":
                self._code ^= before != "`"
            elif first in "[【]】":
                self._held = "[" if first in "[【" and not self._code else ""
            elif first == "(" and before in "]】" and not self._code:
                self._held = "("
            elif held[:1] + first != "()":
                told.append(part)
        return self._shown("".join(told)) if told else ""

    def close(self) -> str:
        """What was held at the end."""
        return self._shown(self._settled(self._held, " "))

    def _settled(self, held: str, following: str) -> str:
        """What was held, now that it is known what follows: known markers, nothing, or the text that it is."""
        if held[:1] == "(":
            return "" if following == ")" else held
        numbers = NUMBER.findall(held) if following in "]】" else []
        if not numbers or max(map(len, numbers)) > 3:  # "[2019]" is a year
            return held[1:]
        return "".join(f"[{number}]" for number in dict.fromkeys(map(int, numbers)) if 1 <= number <= self._known)

    def _shown(self, text: str) -> str:
        if ENDS.isdisjoint(text):
            self._last = (self._last + text)[-2:]
            return text
        shown = LURE.sub(r" \g<0>", self._last + text.replace("<", "‹").replace(">", "›"))[len(self._last) :]
        self._last = (self._last + shown)[-2:]
        return shown


class Writer:
    """Writes answers by the configured model. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.model
        self._settings = settings
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._day, self._used = date.today(), 0
        self._model = _model(settings)

    def write(self, question: Question, chunks: Sequence[Chunk], history: Sequence[Turn]) -> Iterator[str]:
        """The answer to a question from numbered passages, as it comes; raises Fault. Leaving off stops the model."""
        system = prompts.ANSWER.format(language=prompts.LANGUAGE[question.language])
        text = f"{prompts.passages(chunks)}\n\n{prompts.asked(question.text, history)}"
        yield from self._said(system, text, self._settings.model_seconds)

    def rewrite(self, question: Question, history: Sequence[Turn]) -> str:
        """The question as one that stands alone, in bokmål; "" when the model does not give one in time."""
        told = ""
        with contextlib.suppress(Fault):
            told = " ".join("".join(self._said(prompts.REWRITE, prompts.asked(question.text, history), REWRITING)).split())
        return told.strip("«»\"' ") if len(told) <= REWRITTEN else ""

    def _said(self, system: str, text: str, seconds: float) -> Iterator[str]:
        """What the model says, within the time; asked again when it is busy or out of reach and has said nothing yet."""
        until = time.monotonic() + seconds
        if self._left() <= 0:
            raise Fault("budget")
        if not self._free.acquire(timeout=seconds):
            raise Fault("busy")
        try:
            for attempt in range(RETRIES + 1):
                begun = False
                try:
                    for piece in self._attempt(system, text, until):
                        begun = True
                        yield piece
                    return
                except Fault as fault:
                    pause = max(PAUSE * 2**attempt, fault.wait)
                    again = fault.reason in ("busy", "unreachable") and not begun and attempt < RETRIES
                    if not again or time.monotonic() + pause >= until:
                        raise
                    time.sleep(pause)
        finally:
            self._free.release()

    def _attempt(self, system: str, text: str, until: float) -> Iterator[str]:
        """One call. The model is read in a thread of its own, so that one that hangs cannot hold the answer."""
        pieces: queue.SimpleQueue[str | Fault | None] = queue.SimpleQueue()
        stop = threading.Event()
        threading.Thread(target=self._read, args=(system, text, pieces, stop), name="model", daemon=True).start()
        told = 0
        try:
            while piece := pieces.get(timeout=max(0.0, until - time.monotonic())):
                if isinstance(piece, Fault):
                    raise piece if not told or piece.reason == "filtered" else Fault("cut")
                if (told := told + len(piece)) > LONGEST:
                    raise Fault("cut")
                yield piece
        except queue.Empty:
            raise Fault("timeout") from None
        finally:
            stop.set()
            self._left(len(system) + len(text) + told)

    def _read(self, system: str, text: str, pieces: "queue.SimpleQueue[str | Fault | None]", stop: threading.Event) -> None:
        try:
            with contextlib.closing(told_by(self._model, system, text)) as told:
                for piece in told:
                    if stop.is_set():
                        return
                    if piece:
                        pieces.put(piece)
            pieces.put(None)
        except Fault as fault:
            log.warning("the model failed (%s): %s", fault.reason, type(fault.__cause__ or fault).__name__)
            pieces.put(fault)

    def _left(self, spent: int = 0) -> float:
        """What is left of the day's tokens, after so many characters more."""
        with self._lock:
            if self._day != date.today():
                self._day, self._used = date.today(), 0
            self._used += spent // A_TOKEN
            return (self._settings.model_daily_tokens or math.inf) - self._used


def _model(settings: Settings) -> Any:
    """The chat model of the settings, or why there is none. Raises SettingError for a provider that is unknown or missing."""
    try:
        return chat_model(settings.model, settings.model_url, settings.model_tokens, settings.model_seconds)
    except ModelError as error:
        raise SettingError(str(error)) from None
    except Fault as fault:
        log.warning("the model cannot be used (%s)", type(fault.__cause__).__name__)
        return fault


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer with the passages that it cites; `begins` is what stands before it on its line ("- ")."""

    text: str
    cited: tuple[int, ...]
    begins: str
    line: int


def checked(text: str, question: Question, chunks: Sequence[Chunk], checker: Checker) -> Written:
    """What of a whole answer stands. Raises Fault when too little does, or when it is no answer."""
    if not text.strip():
        raise Fault("empty")
    if prompts.NO_ANSWER in text.replace("\\", "") or text.upper().strip(' .*"«»\n') == prompts.NO_ANSWER.replace("_", " "):
        return Written(Draft(""))
    told = sentences_of(text)
    if not any(each.cited for each in told):
        raise Fault("unmarked")
    whole, said = [each.text for each in told], text.split()
    if max(map(whole.count, whole)) >= REPEATED or len(set(said)) < FRESH * len(said):
        raise Fault("repeats")
    spoken = language(" ".join(whole))
    if spoken.replace("nn", "nb") != question.language.replace("nn", "nb"):
        raise Fault("language")
    judged = [(each, checker.check(each.text, spoken, chunks, each.cited) if each.cited else None) for each in told]
    standing = [(each, support) for each, support in judged if support and support.verdict != "ikke funnet"]
    if len(standing) < STAND * len(judged):
        raise Fault("unsupported")
    draft, numbers = _draft(standing, chunks, question.language)
    verdicts = (Checked(each.text, found.verdict if found else "ikke funnet", numbers.get(each, ())) for each, found in judged)
    return Written(draft, tuple(verdicts))


def sentences_of(text: str) -> list[Sentence]:
    """The sentences of a model's answer. One without a marker has that of the next on its line, else of the one before; one that
    leads to a list has its first item's."""
    found: list[Sentence] = []
    for number, line in enumerate(AFTER_STOP.sub(r"\2\1", MARKUP.sub("", text.replace("**", ""))).splitlines()):
        bullet = BULLET.match(line)
        whole = line[bullet.end() :] if bullet else line
        begins = "- " if bullet else ""
        for start, end in _joined(whole, sentences(whole)):
            cited = tuple(dict.fromkeys(int(each) for each in MARKER.findall(whole[start:end])))
            if own := " ".join(MARKED.sub("", whole[start:end]).split()):
                found.append(Sentence(own, cited, begins, number))
                begins = ""
    for place in reversed(range(len(found))):
        each = found[place]
        neighbours = (found[near] for near in (place + 1, place - 1) if 0 <= near < len(found))
        if not each.cited:
            near = next((one for one in neighbours if one.cited and (one.line == each.line or each.text.endswith(":"))), None)
            found[place] = Sentence(each.text, near.cited if near else (), each.begins, each.line)
    return found


def _joined(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The spans of sentences, each too short to say something ("Nei.", "Trinn: 1.") together with the one after it."""
    begun = -1
    for start, end in spans:
        begun = start if begun < 0 else begun
        if len(text[begun:end].split()) >= SAYS:
            yield begun, end
            begun = -1
    if begun >= 0:
        yield begun, end


def _draft(
    standing: Iterable[tuple[Sentence, Support]], chunks: Sequence[Chunk], spoken: str
) -> tuple[Draft, dict[Sentence, tuple[int, ...]]]:
    """The standing sentences as Markdown, each marker that of the unit that bears it; and the markers of each sentence."""
    sources: dict[tuple[Unit, Chunk], int] = {}
    numbers: dict[Sentence, tuple[int, ...]] = {}
    lines: dict[int, str] = {}
    for each, support in standing:
        own = ((support.units[number], chunks[number - 1]) for number in each.cited)
        numbers[each] = tuple(sources.setdefault(source, len(sources) + 1) for source in own)
        marks = "".join(f"[{number}]" for number in numbers[each])
        mark = f" *({phrases.PARTLY[spoken]})*" if support.verdict == "delvis" else ""
        said = f"{plain(each.text)} {marks}{mark}"
        lines[each.line] = f"{lines[each.line]} {said}" if each.line in lines else f"{each.begins}{said}"
    return Draft(re.sub(r"(?m)^(- .*\n)\n(?=- )", r"\1", "\n\n".join(lines.values())), tuple(sources)), numbers
