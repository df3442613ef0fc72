"""An answer by a chat model: asked within limits, read as it streams, and held against its sources sentence by sentence.

Knows LangChain's chat models and their faults, and nothing of retrieval. A model's words are not trusted: markup becomes plain
text, unknown markers vanish, and what the cited passages do not say is left out. Whatever goes wrong is a `Fault` with a reason
from `phrases.FALLBACK`; the caller then answers without a model.
"""

import contextlib
import logging
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
from corpus.markdown import Unit, plain, sentences

log = logging.getLogger(__name__)
RETRIES = 2
PAUSE = 0.5  # seconds before the first retry; twice as long before the next
AT_ONCE = 32  # requests to the model at the same time; more wait, within their limit
REWRITING = 4.0  # seconds for a question to be rewritten in
REWRITTEN = 300  # characters of a rewritten question
LONGEST = 8_000  # characters of an answer that are read; what comes after is not
A_TOKEN = 3  # characters of Norwegian that are about a token, for models that do not count
STAND = 2 / 3  # share of the sentences that must be borne by their sources
SAYS = 3  # words of a sentence that says something
REPEATED = 3  # times that a sentence may not stand in an answer
MARKER = re.compile(r"\[(\d{1,3})\]")
GROUP = re.compile(r"[\[【]{1,2}\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3}){0,9})\s*[\]】]{1,2}(?:\([^\s()]{0,200}\))?")
# What may still become a marker at the end of what has come: an opening bracket and only what stands within one.
OPEN = re.compile(r"(?:[\[【]{1,2}[\d\s,;]{0,60}[\]】]{0,2}|[\[【]{1,2}[\d\s,;]{1,60}[\]】]{1,2}\([^\s()]{0,200})\Z")
BULLET = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)])\s+")
# What is left of markup once it is defused: a link's text stays, its address and tags go.
LINK = re.compile(
    r"\[(?!\d{1,3}\])([^\[\]]{0,300})\] ?\([^()]{0,500}\)|\b(?:https?|ftp):/ ?/\s?\S{0,500}|\bwww\.\S{0,300}|‹[^‹›]{0,300}›"
)
AFTER_STOP = re.compile(r"([.!?…]+[»”\"*]*)((?:\s*\[\d{1,3}\])+)")  # a marker that stands after the sentence it is of


class Fault(Exception):
    """The model gave nothing that can be used; `reason` is a key of `phrases.FALLBACK`, `wait` the seconds it asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(phrases.FALLBACK[reason])
        self.reason, self.wait = reason, wait


@dataclass(frozen=True)
class Written:
    """A model's answer after the check: what stands of it, and the verdict on each sentence. No text: not covered."""

    draft: Draft
    support: tuple[Checked, ...] = ()


class Markers:
    """A model's text as it streams in, with its markers made one kind: `[2]`, for known passages only.

    Takes `[1]`, `[1, 2]`, `[[1]]`, `【1】` and a link on a marker, in pieces cut anywhere; what stands in code is no marker. What
    a page would read as HTML, image or link is defused. Time is linear in the text.
    """

    def __init__(self, known: int) -> None:
        self._known = known
        self._held = ""
        self._code = False

    def feed(self, piece: str) -> str:
        """What can be shown now; the rest is held until it is clear what it is."""
        text = self._held + piece
        open_ = OPEN.search(text, max(0, len(text) - 280))
        cut = open_.start() if open_ else len(text) - (len(text) - len(text.rstrip("`!")))
        self._held = text[cut:]
        return self._read(text[:cut])

    def close(self) -> str:
        """What was held at the end."""
        held, self._held = self._held, ""
        return self._read(held)

    def _read(self, text: str) -> str:
        parts = re.split(r"(`+)", text)
        told = []
        for part in parts:
            if part.startswith("`"):
                self._code = not self._code
            else:
                told.append(re.sub(r"[\[【\]】]", "", part) if self._code else GROUP.sub(self._known_only, part))
        return defused("".join(told))

    def _known_only(self, match: re.Match[str]) -> str:
        numbers = dict.fromkeys(int(number) for number in re.findall(r"\d+", match[1]))
        return "".join(f"[{number}]" for number in numbers if 1 <= number <= self._known)


def defused(text: str) -> str:
    """A text in which nothing is HTML, an image or a link, however it is cut."""
    return text.replace("<", "‹").replace(">", "›").replace("![", "[").replace("](", "] (").replace("://", ":/ /")


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
        try:
            parts = self._said(prompts.REWRITE, prompts.asked(question.text, history), REWRITING)
            told = " ".join("".join(parts).split()).strip("«»\"' ")
        except Fault as fault:
            log.info("a question was not rewritten: %s", fault)
            return ""
        return told if 0 < len(told) <= REWRITTEN else ""

    def _said(self, system: str, text: str, seconds: float) -> Iterator[str]:
        """What the model says, within the time; asked again when it is busy or out of reach and has said nothing yet."""
        self._spend(len(system) + len(text))
        until = time.monotonic() + seconds
        if not self._free.acquire(timeout=seconds):
            raise Fault("busy")
        try:
            for attempt in range(RETRIES + 1):
                said = False
                try:
                    for piece in self._attempt(system, text, until):
                        said = True
                        yield piece
                    return
                except Fault as fault:
                    pause = max(PAUSE * 2**attempt, fault.wait)
                    again = fault.reason in ("busy", "unreachable") and not said and attempt < RETRIES
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
            while told < LONGEST:
                piece = pieces.get(timeout=max(0.0, until - time.monotonic()))
                if piece is None:
                    return
                if isinstance(piece, Fault):
                    raise piece if not told or piece.reason == "filtered" else Fault("cut") from piece
                told += len(piece)
                yield piece
        except queue.Empty:
            raise Fault("timeout") from None
        finally:
            stop.set()
            self._spend(told)

    def _read(self, system: str, text: str, pieces: "queue.SimpleQueue[str | Fault | None]", stop: threading.Event) -> None:
        try:
            stream = self._model.stream([("system", system), ("human", text)])
            with contextlib.closing(stream):
                for chunk in stream:
                    if stop.is_set():
                        return
                    if chunk.response_metadata.get("finish_reason") == "content_filter":
                        raise Fault("filtered")
                    if piece := chunk.text:
                        pieces.put(str(piece))
            pieces.put(None)
        except Exception as error:  # every provider has errors of its own
            fault = error if isinstance(error, Fault) else _fault(error)
            log.warning("the model failed (%s): %s", fault.reason, type(error).__name__)
            pieces.put(fault)

    def _spend(self, characters: int) -> None:
        """Count about so many characters against the day's tokens; raises Fault when there are none left."""
        with self._lock:
            if self._day != date.today():
                self._day, self._used = date.today(), 0
            limit = self._settings.model_daily_tokens
            if limit and self._used >= limit:
                raise Fault("budget")
            self._used += characters // A_TOKEN


def _model(settings: Settings) -> Any:
    """The chat model of the settings. Raises SettingError for a provider that is unknown or not installed."""
    from langchain.chat_models import init_chat_model

    provider = settings.model.partition(":")[0]
    limits: dict[str, Any] = {"max_tokens": settings.model_tokens, "timeout": settings.model_seconds, "max_retries": 0}
    if provider == "ollama":
        limits = {"num_predict": settings.model_tokens, "client_kwargs": {"timeout": settings.model_seconds}}
    if provider == "huggingface":
        limits = {"max_tokens": settings.model_tokens}
    if settings.model_url:
        limits["base_url"] = settings.model_url
    try:
        return init_chat_model(settings.model, temperature=0.0, **limits)
    except ImportError as error:
        package = next(iter(re.findall(r"langchain[-_][\w-]+", str(error))), f"langchain-{provider}").replace("_", "-")
        told = f"HMS_MODEL er «{settings.model}», men pakken {package} mangler; kjør `.venv/bin/pip install {package}`."
        raise SettingError(told) from error
    except ValueError as error:
        told = f"HMS_MODEL er «{settings.model}», men må være leverandør:modell, for eksempel ollama:qwen3 eller openai:gpt-5."
        raise SettingError(told) from error
    except Exception as error:  # most providers refuse to start without a key, each with an error of its own
        log.warning("the model cannot be used (%s)", type(error).__name__)
        return _Unusable()


class _Unusable:
    """Stands for a model that cannot be asked, for want of a key."""

    def stream(self, _: object) -> Iterator[Any]:
        """Never gives anything."""
        raise Fault("key")
        yield


def _fault(error: Exception) -> Fault:
    """Any provider's error by its status or by its name."""
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    name = " ".join(cause.__name__ for cause in type(error).__mro__)
    if status in (401, 403):
        return Fault("key")
    if status == 404:
        return Fault("model")
    if status == 429:
        wait = str(getattr(getattr(error, "response", None), "headers", {}).get("retry-after", ""))
        return Fault("busy", float(wait) if wait.isdigit() else 0.0)
    if "Timeout" in name:
        return Fault("timeout")
    if (status and status >= 500) or "Connect" in name:
        return Fault("unreachable")
    if "filter" in str(error).lower():
        return Fault("filtered")
    return Fault("cut" if "Protocol" in name or "Read" in name else "fault")


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
    if prompts.NO_ANSWER in text.upper().replace(" ", "_"):
        return Written(Draft(""))
    told = sentences_of(text)
    if not any(each.cited for each in told):
        raise Fault("unmarked")
    if max(map([each.text for each in told].count, (each.text for each in told))) >= REPEATED:
        raise Fault("repeats")
    if _norwegian(spoken := language(" ".join(each.text for each in told))) != _norwegian(question.language):
        raise Fault("language")
    judged = [(each, checker.check(each.text, spoken, chunks, each.cited) if each.cited else None) for each in told]
    standing = [(each, support) for each, support in judged if support and support.verdict != "ikke funnet"]
    if len(standing) < STAND * len(judged):
        raise Fault("unsupported")
    draft, numbers = _draft(standing, chunks, question.language)
    verdicts = (support.verdict if support else "ikke funnet" for _, support in judged)
    return Written(
        draft,
        tuple(Checked(each.text, verdict, numbers.get(each, ())) for (each, _), verdict in zip(judged, verdicts, strict=True)),
    )


def _norwegian(spoken: str) -> str:
    return "nb" if spoken == "nn" else spoken


def sentences_of(text: str) -> list[Sentence]:
    """The sentences of a model's answer. One without a marker has that of the next on its line, else of the one before; one that
    leads to a list has its first item's."""
    found: list[Sentence] = []
    for number, line in enumerate(
        AFTER_STOP.sub(r"\2\1", LINK.sub(lambda match: match[1] or "", text.replace("**", ""))).splitlines()
    ):
        bullet = BULLET.match(line)
        whole = line[bullet.end() :] if bullet else re.sub(r"^\s*#+\s*", "", line)
        begins = "- " if bullet else ""
        for start, end in _joined(whole, sentences(whole)):
            cited = tuple(dict.fromkeys(int(each) for each in MARKER.findall(whole[start:end])))
            if own := " ".join(re.sub(r"\s*\[\d{1,3}\]", "", whole[start:end]).split()):
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
    begun: int | None = None
    end = 0
    for start, end in spans:
        begun = start if begun is None else begun
        if len(text[begun:end].split()) >= SAYS:
            yield begun, end
            begun = None
    if begun is not None:
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
    text = ""
    for line in lines.values():
        close = line.startswith("- ") and text.rpartition("\n")[2].startswith("- ")
        text += ("\n" if close else "\n\n" if text else "") + line
    return Draft(text, tuple(sources)), numbers
