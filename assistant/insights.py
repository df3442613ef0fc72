"""What the owner of the articles learns from what people ask: a second page beside the chat, with files to take along.

First pure functions, from what is kept of answers to figures, gaps in the articles, and files. Then the page in Gradio, and the
door before all of it, which opens to HMS_INSIGHTS_PASSWORD and to whom a trusted proxy names. Knows nothing of how answers come
about; which questions ask for the same it asks the Assistant.
"""

import hmac
import logging
import math
import re
import threading
import time
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial, reduce
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from assistant import HmsError
from assistant.cite import page_path
from assistant.guards import GRADIO, SHUT, Meter, client, proxied
from assistant.question import heading
from assistant.render import MISSING, day, reader_html, rendered, texts
from assistant.settings import Settings
from assistant.types import Asked, Complaint, Gap, Insights, Kept, Notice, Page, Rated, Shown, Span
from assistant.ui import framed
from assistant.wire import WEB, as_csv, password

if TYPE_CHECKING:
    from assistant.chat import Assistant
    from assistant.store import Store

log = logging.getLogger(__name__)
PLACE = "/innsikt"
PERIODS = (7, 30, 90, 365)  # days, as far as answers are kept for so long
FIELDS = ("id", "question", "history", "language", "outcome", "notices", "nearest", "elapsed_ms")
OUTCOMES = {"answered": "Besvart", "not_covered": "Ikke dekket", "clarify": "Spurte tilbake", "acute": "Nødsituasjon",
            "refused": "Avvist", "greeting": "Hilsen"}  # fmt: skip
NEWEST = 2_000  # open questions that are compared, each with each other: twice as many take four times as long
OFTEN, MANY = 1_000, 50_000  # different questions that are compared for the most asked; that are counted at all
# Cosine from which on questions are on one gap, and are one question. Of what was put together over 60 topics .93 belonged so at
# .50, all at .60. What is often asked lies close: .50 would make it one question.
SAME_GAP, SAME = 0.5, 0.6
COMPLAINTS = 50  # badly rated answers that are looked up
FRESH = 30.0  # seconds for which what was found is shown again
FILE = re.compile(r"/fil/(\d{1,3})/(?:utkast-([0-9a-f]+)\.md|([a-z-]+)\.csv)")

HEADER = "<header><h1>Innsikt</h1><p>Hva folk spør om, og hva artiklene ikke svarer på.</p></header>"

Alike = Callable[[Sequence[str], float], list[list[int]]]
Row = Mapping[str, Any]


# From rows to figures


class _Sums:
    """What is remembered of the rows that have gone by: no more of them than is told."""

    def __init__(self, days: int) -> None:
        self.days, self.textless = days, 0
        self.outcomes: defaultdict[date, Counter[str]] = defaultdict(Counter)
        self.times: defaultdict[date, array[int]] = defaultdict(partial(array, "i"))
        self.open: deque[Gap] = deque(maxlen=NEWEST)
        self.asked, self.left = Counter[str](), Counter[str]()
        self.shown: dict[Notice, tuple[int, date]] = {}

    def add(self, row: Row) -> None:
        """Count one answer."""
        when = row["time"].replace(tzinfo=UTC).astimezone().date()
        start = when if self.days <= PERIODS[0] else when - timedelta(when.weekday())
        self.outcomes[start][row["outcome"]] += 1
        self.times[start].append(row["elapsed_ms"])
        for notice in (Notice(**each) for each in row["notices"]):
            self.shown[notice] = (self.shown.get(notice, (0, when))[0] + 1, when)
        text = " ".join(" → ".join((*row["history"][-1:], row["question"])).split())
        self.textless += not text
        if text and row["outcome"] in ("answered", "not_covered", "acute"):
            self.asked[text] += 1
        if text and row["outcome"] == "not_covered":
            self.left[text] += 1
            near = Page(**row["nearest"][0]) if row["nearest"] else None
            self.open.append(Gap(row["id"], text, row["language"], (text,), 1, 0, when, near))
        if len(self.asked) > MANY:  # of so many the rare ones are not told
            self.asked = Counter({text: count for text, count in self.asked.items() if count > 1})


def learn(
    rows: Iterable[Row], said: Sequence[Rated], days: int, never: Sequence[Page], alike: Alike, kept: Callable[[str], Kept | None]
) -> Insights:
    """What rows of answers (FIELDS, and `time` in UTC, in order) and ratings tell of articles, of which no answer cites those in
    `never`. `alike` says which questions ask for the same, and `kept` has an answer by its id."""
    sums = _Sums(days)
    for row in rows:
        sums.add(row)
    times = reduce(lambda one, other: one + other, sums.times.values(), array("i"))
    shown = (Shown(notice, *often) for notice, often in sums.shown.items() if notice.kind not in ("fallback", "privacy"))
    return Insights(
        days=days,
        made=datetime.now().astimezone(),
        spans=tuple(_span(start, sums.outcomes[start], sums.times[start]) for start in sorted(sums.times)),
        whole=_span(min(sums.times, default=date.today()), sum(sums.outcomes.values(), Counter()), times),
        gaps=tuple(gaps(sums.open, Counter(each.answer_id for each in said if each.reason == MISSING), alike)),
        asked=tuple(most_asked(sums.asked, sums.left, alike)),
        complaints=tuple(complaints(said, kept)),
        rated=Counter(each.rating for each in said if each.reason != MISSING),
        never=tuple(never),
        shown=tuple(sorted(shown, key=lambda each: -each.count)),
        textless=sums.textless,
    )


def _span(start: date, outcomes: Mapping[str, int], times: Sequence[int]) -> Span:
    p50, p95 = np.percentile(times, (50, 95)) if len(times) else (0, 0)
    return Span(start, outcomes, round(p50), round(p95))


def gaps(questions: Iterable[Gap], reported: Mapping[str, int], alike: Alike) -> list[Gap]:
    """Open questions, each a Gap of its own, by what they ask for; those that most people miss first. `reported` is by answer."""
    same: dict[str, list[Gap]] = {}  # whatever their capitals and marks
    for each in questions:
        same.setdefault(" ".join(re.findall(r"\w+", each.heading.casefold())), []).append(each)
    once = [_together(each, reported) for each in same.values()]
    groups = [[once[number] for number in group] for group in alike([each.heading for each in once], SAME_GAP)]
    found = [_together(group, {}) for group in groups]
    return sorted(found, key=lambda gap: (-gap.count - gap.reported, -gap.last.toordinal()))


def _together(group: Sequence[Gap], reported: Mapping[str, int]) -> Gap:
    """One gap of several, under the heading that is most asked for, if there is one in Norwegian and that stands by itself."""
    order = sorted(group, key=lambda gap: (gap.language not in ("nb", "nn"), "→" in gap.heading, -gap.count, len(gap.heading)))
    near = Counter[Page]()
    for each in group:
        near.update({each.nearest: each.count} if each.nearest else {})
    return Gap(
        id=max(group, key=lambda gap: gap.last).id,
        heading=order[0].heading,
        language=order[0].language,
        questions=tuple(dict.fromkeys(text for each in order for text in each.questions[:1])),
        count=sum(each.count for each in group),
        reported=sum(each.reported + reported.get(each.id, 0) for each in group),
        last=max(each.last for each in group),
        nearest=next((page for page, _ in near.most_common(1)), None),
    )


def most_asked(asked: Counter[str], left: Mapping[str, int], alike: Alike) -> list[Asked]:
    """Questions by what they ask for, the most asked first; `left` has how often each stayed open."""
    often = [text for text, _ in asked.most_common(OFTEN)]
    groups = [[often[number] for number in group] for group in alike(often, SAME)]
    found = [Asked(each[0], sum(asked[text] for text in each), sum(left.get(text, 0) for text in each)) for each in groups]
    return sorted(found, key=lambda each: -each.count)


def complaints(said: Iterable[Rated], kept: Callable[[str], Kept | None]) -> Iterator[Complaint]:
    """The answers that were rated down, those first that most people were not helped by, of these the newest."""
    by_answer: dict[str, list[Rated]] = {}
    for each in said:
        if each.reason != MISSING:  # which says that the articles lack something, and nothing of the answer
            by_answer.setdefault(each.answer_id, []).append(each)
    worth = {key: sum(1 if one.rating == "up" else -1 for one in ratings) for key, ratings in by_answer.items()}
    bad = [key for key, ratings in by_answer.items() if any(one.rating == "down" for one in ratings)]
    for key in sorted(bad, key=lambda key: (worth[key], -by_answer[key][-1].number))[:COMPLAINTS]:
        yield Complaint(tuple(one for one in by_answer[key] if one.rating == "down"), kept(key))


# Files to take along


def tables(found: Insights) -> dict[str, list[Sequence[object]]]:
    """What is told, as tables: name → rows, their heads first."""
    spans = [(_date(each.start), *(each.outcomes.get(one, 0) for one in OUTCOMES), each.p50, each.p95) for each in found.spans]
    missing = [(heading(gap.heading), gap.count, gap.reported, _date(gap.last), *_link(gap.nearest), "\n".join(gap.questions))
               for gap in found.gaps]  # fmt: skip
    shown = [(each.notice, each.count, _date(each.last)) for each in found.shown]
    return {
        "perioder": [("fra", *OUTCOMES.values(), "halvparten innen (ms)", "95 % innen (ms)"), *spans],
        "mangler": [("forslag til overskrift", "spurt", "meldt", "sist", "nærmeste artikkel", "adresse", "spørsmål"), *missing],
        "mest-spurt": [("spørsmål", "spurt", "uten svar"), *((each.question, each.count, each.open) for each in found.asked)],
        "vurdert-ned": list(_complained(found.complaints)),
        "aldri-sitert": [("artikkel", "adresse"), *map(_link, found.never)],
        "varsler": [
            ("slag", "varsel", "lenke", "vist", "sist"),
            *((texts("nb")[one.kind], one.message, one.url, *often) for one, *often in shown),
        ],
    }


def _complained(found: Iterable[Complaint]) -> Iterator[Sequence[object]]:
    yield "tid", "grunn", "kommentar", "spørsmål", "svar", "sitater", "adresser", "id"
    for each in found:
        cited = each.kept.citations if each.kept else ()
        answer = (each.kept.question, each.kept.answer) if each.kept else ("", "")
        quotes = ("\n".join(quote.quote for quote in cited), "\n".join(quote.url for quote in cited))
        for one in each.ratings:
            said = (f"{one.time.astimezone():%d.%m.%Y %H:%M}", one.reason, one.comment)
            yield *said, *answer, *quotes, one.answer_id


def draft(gap: Gap, today: date) -> str:
    """The beginning of an article that closes a gap, as Hugo reads it."""
    return rendered("draft.md", "nb", gap=gap, title=heading(gap.heading), today=today) + "\n"


def _date(when: date) -> str:
    return day(when.isoformat())


def _link(page: Page | None) -> tuple[str, str]:
    return (page.title, page.url) if page else ("", "")


# The page, and the door before it


class _Desk:
    """What there is to tell, found anew when it is no longer fresh."""

    def __init__(self, assistant: "Assistant", store: "Store") -> None:
        self.assistant, self.store = assistant, store
        kept = assistant.settings.retention_days
        self.periods = [*(each for each in PERIODS if each < kept), *([kept] if kept < PERIODS[-1] else PERIODS[-1:])]
        self._found: dict[int, tuple[float, Insights]] = {}
        self._turn = threading.Lock()

    def insights(self, days: int) -> Insights:
        """What is told of a period, one of `periods`. Raises NotReadyError."""
        with self._turn:
            if days not in self._found or time.monotonic() - self._found[days][0] > FRESH:
                since, assistant = datetime.now(UTC) - timedelta(days), self.assistant
                cited = {page_path(url, assistant.base_url) for url in self.store.cited(since)}
                never = [page for page in assistant.pages() if page_path(page.url, assistant.base_url) not in cited]
                rows, said = self.store.each(since, *FIELDS), self.store.ratings(since)
                found = learn(rows, said, days, never, assistant.alike, self.store.answer)
                self._found[days] = time.monotonic(), found
            return self._found[days][1]

    def html(self, days: object) -> str:
        """The same as a page shows it, or the sentence that says why it cannot be shown."""
        try:
            found = self.insights(int(str(days)) if days in self.periods else self.periods[-1])
        except HmsError as error:
            return f'<p class="failed" role="alert">{escape(str(error))}</p>'
        keeps = self.assistant.settings.store_questions
        return rendered("insights.html", "nb", found=found, outcomes=OUTCOMES, keeps=keeps, heading=heading)

    def file(self, path: str) -> Response | None:
        """A file of the page's, None for an address of none. Raises NotReadyError."""
        told = FILE.fullmatch(path)
        if not told or int(told[1]) not in self.periods:
            return None
        found = self.insights(int(told[1]))
        if told[3]:
            kind, data = "csv", next((as_csv(rows) for name, rows in tables(found).items() if name == told[3]), None)
        else:
            kind, data = "markdown", next((draft(gap, date.today()).encode() for gap in found.gaps if gap.id == told[2]), None)
        named = {"Content-Disposition": f'attachment; filename="{path.rpartition("/")[2]}"', "Cache-Control": "no-store"}
        return None if data is None else Response(data, media_type=f"text/{kind}", headers=named)


class _Door:
    """Stands before every address of the page. Who may see it gets its files, and no more of Gradio than it needs."""

    def __init__(self, app: ASGIApp | None, desk: _Desk | None, settings: Settings, meter: Meter) -> None:
        self.app, self.desk, self.settings, self.meter = app, desk, settings, meter
        self.shut: dict[str, float] = {}  # who has guessed too often → until when, by the clock of `time.monotonic`

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may be seen."""
        path = scope["path"].removeprefix(PLACE)
        first, second = [*path.split("/"), ""][1:3]
        try:
            reply = await self._refusal(scope)
            if reply is None and self.desk:
                reply = await run_in_threadpool(self.desk.file, path)
        except HmsError as error:
            reply = _sentence(503, str(error), {"Retry-After": "5"})
        if reply is None and (first in SHUT or (first == "gradio_api" and second not in GRADIO)):
            reply = _sentence(404, "Det er ingenting på denne adressen.")
        through = reply or self.app
        assert through is not None  # without an app everybody is refused
        await through(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        """Why whoever asks may not see the page, None when they may."""
        settings, headers = self.settings, Headers(scope=scope)
        if self.desk is None:
            return _sentence(403, "Innsiktssiden er ikke slått på; sett HMS_INSIGHTS_PASSWORD eller HMS_INSIGHTS_HEADER.")
        if settings.insights_header and headers.get(settings.insights_header, "").strip() and proxied(scope, settings):
            return None
        if not settings.insights_password:
            return _sentence(403, "Innsiktssiden åpnes bare gjennom proxyen som logger inn eieren; bruk adressen dens.")
        whose, given = client(scope, self.meter.proxies), password(headers.get("authorization", ""))
        wait = math.ceil(self.shut.get(whose, 0.0) - time.monotonic())
        if given is not None and wait <= 0:
            if hmac.compare_digest(given, settings.insights_password.encode()):
                return None
            wait = await run_in_threadpool(self.meter.wait, "passwords", scope)
            still = {each: until for each, until in self.shut.items() if until > time.monotonic()}
            self.shut = still | ({whose: time.monotonic() + wait} if wait else {})
        if wait > 0:
            return _sentence(429, "Det er prøvd mange feil passord herfra; prøv igjen senere.", {"Retry-After": str(wait)})
        asks = {"WWW-Authenticate": 'Basic realm="Innsikt", charset="UTF-8"'}
        return _sentence(401, "Passordet mangler eller er feil; last siden på nytt og skriv det fra HMS_INSIGHTS_PASSWORD.", asks)


def _sentence(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    html = reader_html("Innsikt", f"<p>{escape(sentence)}</p>")
    return HTMLResponse(html, status, {"Cache-Control": "no-store", **(headers or {})})


def mount(app: Any, assistant: "Assistant", meter: Meter) -> None:
    """The page at PLACE, for nobody while no setting says who may see it."""
    settings = assistant.settings
    if settings.insights_header and not settings.trusted_proxies:
        log.warning("HMS_INSIGHTS_HEADER is set without HMS_TRUSTED_PROXIES, so it lets nobody in")
    app.add_route(PLACE, lambda _: RedirectResponse(f"{PLACE[1:]}/"), include_in_schema=False)
    if assistant.store is None or not (settings.insights_password or settings.insights_header):
        app.mount(PLACE, _Door(None, None, settings, meter))
        return
    desk = _Desk(assistant, assistant.store)
    framed(app, _build(desk), PLACE, ["insights.css"], (WEB / "insights.js").read_text("utf-8"))
    app.routes[-1].app.add_middleware(_Door, desk=desk, settings=settings, meter=meter)


def _build(desk: _Desk) -> Any:
    """The Gradio page."""
    import gradio as gr

    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    with gr.Blocks(title="Innsikt – HMS-assistenten", analytics_enabled=False, fill_width=True) as page:
        with gr.Row(elem_id="top"):
            gr.HTML(HEADER, elem_id="header")
            choices = [(f"{days} dager", days) for days in desk.periods]
            period = gr.Radio(choices, value=desk.periods[-1], label="Siste", container=False, elem_id="period")
        shown = gr.HTML('<p class="waiting" role="status">Regner ut …</p>', elem_id="insights")
        for event in (page.load, period.input):
            event(desk.html, inputs=period, outputs=shown, **quiet)
    return page.queue(api_open=False)
