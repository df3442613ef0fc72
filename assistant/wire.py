"""What is read from a request, and answers, errors, files and log lines as they are told: in our shape and in OpenAI's.

Knows JSON and the one shape of an error: one Norwegian sentence in `{"error": {"code", "message", "field"?}}`; stack traces,
paths and secrets never leave the process. Knows nothing of routes, nor of how an answer comes about.
"""

import base64
import csv
import functools
import gzip
import hashlib
import io
import json
import logging
import math
import re
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, get_args

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from assistant import HmsError, NotReadyError, QuestionError, phrases
from assistant.question import MAX_TURN, MAX_TURNS
from assistant.types import Answer, Ask, Audience, Citation, Event, Feedback, Turn

REQUEST: ContextVar[str] = ContextVar("request", default="")  # the id of the request that is being answered
WEB = Path(__file__).resolve().parent / "web"
SPOKEN = ("user", "assistant")  # roles whose messages are read
SOURCES = "**Kilder**"  # above them, in others' chats
MODEL = "hms-assistenten"  # as OpenAI's clients name it
KINDS = {429: "rate_limit_error", 500: "server_error", 503: "server_error"}  # of an error, as OpenAI has it
SAID = {"answer_id": (1, 100), "reason": (0, 200), "comment": (0, 1000)}  # of an answer: how many characters
RISKY = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # so begins a formula in a spreadsheet
UNEXPECTED = "Noe gikk galt hos oss; prøv igjen om litt."
TOLD = {  # HTTP status → code, sentence
    400: ("malformed", "Forespørselen til «{path}» kan ikke leses; se /openapi.json."),
    403: ("forbidden", "Adressen «{path}» er ikke åpen herfra; et nettsted slippes til med HMS_ALLOWED_ORIGINS."),
    404: ("not_found", "Det finnes ingenting på adressen «{path}»; API-et er beskrevet i /openapi.json."),
    405: ("method_not_allowed", "Adressen «{path}» tar ikke imot {method}; se /openapi.json."),
    408: ("too_slow", "Forespørselen kom ikke fram i tide; send den på nytt."),
    413: ("too_large", "Forespørselen til «{path}» er større enn {detail}; send et kortere spørsmål eller begynn en ny samtale."),
    422: ("invalid_value", "Forespørselen til «{path}» har et felt som mangler eller er feil; se /openapi.json."),
    431: ("too_large", "Adressen og hodefeltene er større enn {detail}; bruk en kortere adresse og færre informasjonskapsler."),
    429: ("too_many", "Det kom mange forespørsler herfra på kort tid; prøv igjen om {detail}."),
    503: ("busy", "Det er mange som spør akkurat nå; prøv igjen om {detail}."),
}


class Fault(Exception):
    """A request that cannot be served: status, code, sentence, and the field at fault."""

    def __init__(self, status: int, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.field = status, code, field

    @property
    def body(self) -> dict[str, dict[str, str]]:
        """The one shape of an error."""
        return {"error": {"code": self.code, "message": str(self)} | ({"field": self.field} if self.field else {})}

    def told(self, path: str) -> Mapping[str, Mapping[str, str | None]]:
        """The shape that whoever asks there expects: below /v1 it is OpenAI's."""
        if not path.startswith("/v1/"):
            return self.body
        kind = KINDS.get(self.status, "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.field or None, "code": self.code}}


def short(value: object) -> str:
    """A value as it is repeated to whoever sent it."""
    text = str(value).encode(errors="replace").decode()  # half a sign could not be sent back
    return text if len(text) <= 60 else text[:60] + "…"


def fault(error: Exception) -> Fault:
    """Any error as the asker is told of it."""
    match error:
        case Fault():
            return error
        case QuestionError():
            return Fault(422, "invalid_value", str(error), error.field)
        case NotReadyError():
            return Fault(503, "not_ready", str(error))
        case _:
            return Fault(500, "internal", str(error) if isinstance(error, HmsError) else UNEXPECTED)


def refused(scope: Scope, status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """The reply to a request that is turned away with a status of HTTP's own."""
    code, sentence = TOLD.get(status, ("refused", "Serveren kan ikke svare på «{path}» nå; prøv igjen om litt."))
    told = {"path": short(scope["path"]), "method": scope["method"], "detail": detail}
    return JSONResponse(Fault(status, code, sentence.format(**told)).told(scope["path"]), status, headers=headers)


def duration(seconds: int) -> str:
    """How long to wait, as people say it."""
    for size, one, several in ((3600, "time", "timer"), (60, "minutt", "minutter")):
        if seconds > size:
            return f"{math.ceil(seconds / size)} {several}"
        if seconds == size:
            return f"1 {one}"
    return f"{seconds} sekund{'er' * (seconds > 1)}"


def kib(size: int) -> str:
    """How large something may be."""
    return f"{size // 1024} KiB"


def file(request: Request, name: str, kind: str) -> Response:
    """A file of web/, or that it is what the browser has already. Raises HTTPException when there is none of this name."""
    if (packed := _packed().get(name)) is None:
        raise HTTPException(404)
    plain, small, tag = packed
    headers = {"Cache-Control": "max-age=3600", "ETag": tag, "Vary": "Accept-Encoding"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    zipped = "gzip" in request.headers.get("accept-encoding", "")
    headers |= {"Content-Encoding": "gzip"} if zipped else {}
    return Response(small if zipped else plain, media_type=kind, headers=headers)


@functools.cache
def _packed() -> dict[str, tuple[bytes, bytes, str]]:
    """The files of web/, read once: the bytes, the same compressed, and a tag of them."""
    read = {each.name: each.read_bytes() for each in WEB.iterdir() if each.is_file()}
    tags = {name: f'W/"{hashlib.sha256(data).hexdigest()[:16]}"' for name, data in read.items()}
    return {name: (data, gzip.compress(data, mtime=0), tags[name]) for name, data in read.items()}


async def json_fields(request: Request) -> dict[str, Any]:
    """The JSON object of a request's body."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        given = request.headers.get("content-type") or "ikke oppgitt"
        raise Fault(415, "unsupported_media_type", f"Innholdstypen er «{short(given)}»; send application/json.")
    try:
        fields = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        where = f"; feilen står ved tegn {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else " i UTF-8"
        raise Fault(400, "malformed", f"Forespørselen er ikke gyldig JSON{where}.") from None
    if not isinstance(fields, dict):
        raise Fault(400, "malformed", "Forespørselen må være et JSON-objekt; feltene står i /openapi.json.")
    return fields


def asked(given: dict[str, Any]) -> Ask:
    """What is asked, by the fields of a request. Raises Fault, as all here that reads."""
    role, page = given.get("role"), given.get("page")
    if role is not None and role not in get_args(Audience):
        raise Fault(422, "invalid_value", f"«role» er {short(role)}, men må være en av {', '.join(get_args(Audience))}.", "role")
    if page is not None and not isinstance(page, str):
        raise Fault(422, "invalid_value", f"«page» er {short(page)}, men må være stien til en side.", "page")
    history = () if given.get("history") is None else _history(given["history"])
    return Ask(_text(given, "question"), history, role, page and ("/" + page.strip("/")))


def _history(value: object) -> tuple[Turn, ...]:
    wrong = "«history» må være en liste av {«role»: «user» eller «assistant», «content»: tekst}."
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise Fault(422, "invalid_value", wrong, "history")
    if any(turn.get("role") not in ("user", "assistant") or not isinstance(turn.get("content"), str) for turn in value):
        raise Fault(422, "invalid_value", wrong, "history")
    return tuple(Turn(turn["role"], turn["content"]) for turn in value)


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise Fault(422, "invalid_value", f"Feltet «{name}» mangler eller er ikke tekst; skriv spørsmålet der.", name)
    return value


def limited(given: dict[str, Any], most: int) -> int:
    """How many are asked for: `limit`, 10 when nothing is said."""
    limit = given.get("limit", 10)
    limit = int(limit) if isinstance(limit, float) and limit.is_integer() else limit  # as JSON has whole numbers
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= most:
        raise Fault(422, "invalid_value", f"«limit» er {short(limit)}, men må være et heltall fra 1 til {most}.", "limit")
    return limit


def rating(given: dict[str, Any]) -> Feedback:
    """What a reader says of an answer."""
    if given.get("rating") not in ("up", "down"):
        raise Fault(422, "invalid_value", f"«rating» er {short(given.get('rating'))}, men må være up eller down.", "rating")
    for name, (least, most) in SAID.items():
        value = given.get(name)
        if not (isinstance(value, str) and least <= len(value) <= most) and not (value is None and not least):
            raise Fault(422, "invalid_value", f"«{name}» må være tekst på {least} til {most} tegn.", name)
    return Feedback(given["answer_id"], given["rating"], given.get("reason"), given.get("comment"))


def conversation(given: dict[str, Any]) -> Ask:
    """The latest question of OpenAI's `messages`, and what was said before as far as it is read."""
    for name, fine in (("n", (None, 1)), ("tools", (None, [])), ("functions", (None, [])), ("stream", (None, True, False))):
        if given.get(name) not in fine:
            raise Fault(422, "invalid_value", f"«{name}» er {short(given[name])}, som ikke støttes her; utelat feltet.", name)
    try:
        turns = [Turn(each["role"], _said(each["content"])) for each in given["messages"] if each["role"] in SPOKEN]
    except (KeyError, TypeError, AttributeError):
        turns = []
    if not turns or turns[-1].role != "user":
        wrong = "«messages» må være en liste av {«role», «content»: tekst} som slutter med et spørsmål fra «user»."
        raise Fault(422, "invalid_value", wrong, "messages")
    before = (Turn(each.role, each.content.partition(SOURCES)[0][:MAX_TURN]) for each in turns[-MAX_TURNS - 1 : -1])
    return Ask(turns[-1].content, tuple(before))


def _said(content: str | list[dict[str, str]]) -> str:
    return content if isinstance(content, str) else " ".join(part["text"] for part in content)


def markdown(answer: Answer, host: str = "") -> str:
    """The answer for others' chats: its words, what to know before relying on them, and its sources or the nearest articles as
    links; `host` is put before addresses of our own.
    """
    parts = [answer.answer, *(f"> {each.message}" for each in answer.notices)]
    if answer.citations:
        parts += [SOURCES, "\n".join(_source(each, host) for each in answer.citations)]
    if answer.nearest:
        nearest = (f"- [{_plain(page.title)}]({_full(page.url, host)})" for page in answer.nearest)
        parts += [phrases.NEAREST[answer.language], "\n".join(nearest)]
    return "\n\n".join(parts)


def _source(citation: Citation, host: str) -> str:
    name = citation.title + (f" – {citation.section}" if citation.section != citation.title else "")
    return f"{citation.number}. [{_plain(name)}]({_full(citation.url, host)}): «{_plain(citation.quote)}»"


def _plain(text: str) -> str:
    """Text that is to be no link and no HTML in Markdown."""
    return re.sub(r"([][<\\])", r"\\\1", text)


def _full(url: str, host: str) -> str:
    return f"{host}{url}" if url.startswith("/") else url


def completion(answer: Answer, host: str) -> dict[str, object]:
    """The answer as OpenAI's clients read it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": markdown(answer, host)}, "finish_reason": "stop"}
    usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 0)
    return {**_about(answer, "chat.completion"), "choices": [choice], "usage": usage}


def chunks(event: Event, host: str) -> str:
    """The same as a stream: line by line once the answer is checked, for nothing can be taken back there, and until then comments
    that tell it is coming.
    """
    if event.name == "error":
        return f"data: {json.dumps(event.data, ensure_ascii=False)}\n\n"
    if not isinstance(event.data, Answer):
        return ":\n\n"
    lines = markdown(event.data, host).splitlines(keepends=True)
    choices: list[dict[str, object]] = [
        {"delta": {"role": "assistant", "content": line}, "finish_reason": None} for line in lines
    ]
    choices.append({"delta": {}, "finish_reason": "stop"})
    about = _about(event.data, "chat.completion.chunk")
    parts = (json.dumps({**about, "choices": [{"index": 0, **each}]}, ensure_ascii=False) for each in choices)
    return "".join(f"data: {part}\n\n" for part in (*parts, "[DONE]"))


def _about(answer: Answer, kind: str) -> dict[str, object]:
    return {"id": f"chatcmpl-{answer.id}", "object": kind, "created": int(time.time()), "model": MODEL}


def password(authorization: str) -> bytes | None:
    """The password of an Authorization header as browsers send it, whatever the name that it is for; None when there is none."""
    kind, _, told = authorization.partition(" ")
    try:
        return base64.b64decode(told, validate=True).partition(b":")[2] if kind.lower() == "basic" else None
    except ValueError:
        return b""


def preferred(accepted: str) -> str:
    """The page's language for an Accept-Language header: bokmål, nynorsk, else English; bokmål when nothing is said."""
    for each in accepted.lower().split(","):
        match each.split(";")[0].strip().split("-")[0]:
            case "nn":
                return "nn"
            case "nb" | "no" | "da" | "sv":
                return "nb"
            case "" | "*":
                continue
            case _:
                return "en"
    return "nb"


def as_csv(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as spreadsheets in Norway read them; what somebody wrote is never a formula there."""
    text = io.StringIO()
    csv.writer(text, delimiter=";").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.lstrip(" \n\u00a0").startswith(RISKY) else value


def log_lines() -> None:
    """Log in lines of JSON from now on, one for each request too."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    logging.basicConfig(handlers=[handler])
    logging.getLogger("assistant").setLevel(logging.INFO)


class _Lines(logging.Formatter):
    """A record as a line of JSON. Of an error it has the kind and the place, for its words may be a reader's."""

    def format(self, record: logging.LogRecord) -> str:
        """See Formatter."""
        kind, _, trace = record.exc_info or (None, None, None)
        error = {"error": kind.__name__, "where": "".join(traceback.format_tb(trace))} if kind else {}
        line = {"time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"), "level": record.levelname.lower()}
        line |= {"message": record.getMessage(), "request": REQUEST.get(), **error}
        return json.dumps(line | getattr(record, "told", {}), ensure_ascii=False)
