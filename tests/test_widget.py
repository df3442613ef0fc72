"""The widget on somebody's site, in a browser and under a strict policy: the real server behind it, and one that misbehaves."""

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest

from assistant.chat import Assistant
from assistant.settings import Settings
from eval.bench import free_port
from tests.conftest import ROOT, app, needs_browser, tabbed

WIDGET = ROOT / "assistant" / "web" / "widget.js"
POLICY = (
    "default-src 'none'; script-src {0}; connect-src {0}; style-src 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'"
)
PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Blogg</title></head><body><main><h1>Verneombud</h1>
<p id="text">Verneombudet velges for to år om gangen, og skal ivareta arbeidstakernes interesser.</p></main>
<script src="{origin}/widget.js" data-colour="#ffd700" data-position="left" defer></script></body></html>"""


def serve(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def stop(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # a reply ends with its connection

    def reply(self, status: int, kind: str, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def blog(origin: str) -> ThreadingHTTPServer:
    """A site whose every page embeds the widget of `origin`; `?lang=` is the page's language. `/late` waits for a picture."""

    class Blog(Quiet):
        def do_GET(self) -> None:
            page = PAGE.format(lang=self.path.partition("lang=")[2] or "nb", origin=origin)
            policy = POLICY.format(origin)
            if self.path == "/late":
                page, policy = f"{page}<img src=late.png alt=''>", f"{policy}; img-src 'self'"
            self.reply(200, "text/html; charset=utf-8", {"content-security-policy": policy}, page.encode())

    return serve(Blog)


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    yield page
    context.close()


# Before the real server


@pytest.fixture(scope="module")
def real(assistant: Assistant, settings: Settings) -> Iterator[tuple[str, str]]:
    """The addresses of `python app.py` over the shipped articles, and of a site that may embed it."""
    port = free_port()
    site = blog(f"http://127.0.0.1:{port}")
    allowed = f"http://127.0.0.1:{site.server_port}"
    with app(port, HMS_INDEX=str(settings.index), HMS_ALLOWED_ORIGINS=allowed) as origin:
        yield origin, allowed
    stop(site)


INSIDE = "document.querySelector('hms-assistent')?.shadowRoot"
ON_BUTTON = f"{INSIDE}.activeElement?.matches('.open') ?? false"


@needs_browser
def test_by_keyboard_alone_a_reader_asks_reads_the_sources_and_asks_on(page: Any, real: tuple[str, str]) -> None:
    origin, site = real
    said: list[str] = []
    asked: list[Any] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request))
    page.goto(f"{site}/blogs/regnskap/verneombud/")
    tabbed(page, ON_BUTTON)
    assert [each.url for each in asked] == [f"{site}/blogs/regnskap/verneombud/", f"{origin}/widget.js"]
    page.keyboard.press("Enter")
    page.keyboard.type("Hvor lenge sitter verneombudet?")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Kilder").wait_for()
    assert "to år om gangen" in page.get_by_role("log").inner_text()
    marker = page.locator("article p .mark").first
    assert marker.get_attribute("aria-label").startswith("Kilde 1: Verneombud")
    assert marker.get_attribute("rel") == "noopener"
    source = page.locator(".source").first
    assert "for to år om gangen" in source.locator("blockquote").first.inner_text()
    assert re.search(r"Oppdatert \d+\. \w+ \d{4}", source.inner_text())
    assert "#hvor-lenge-sitter-verneombudet:~:text=" in source.locator("a.to").first.get_attribute("href")
    sent = [each.post_data_json for each in asked if each.url == f"{origin}/api/ask" and each.method == "POST"]
    assert sent == [{"question": "Hvor lenge sitter verneombudet?", "history": [], "page": "/blogs/regnskap/verneombud"}]
    tabbed(page, f"{INSIDE}.activeElement?.closest('.chips')?.querySelector('h3')?.textContent === 'Spør videre'")
    with page.expect_request(f"{origin}/api/ask") as followed:
        page.keyboard.press("Enter")
    assert [turn["role"] for turn in followed.value.post_data_json["history"]] == ["user", "assistant"]
    page.locator("article").nth(1).locator(".up").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    page.locator("hms-assistent .open:focus").wait_for()
    page.keyboard.press("Enter")
    assert page.locator("article").count() == 2
    page.get_by_role("button", name="Ny samtale").press("Enter")
    assert page.locator("article").count() == 0
    assert {each.url.split("/")[2] for each in asked} == {site.split("/")[2], origin.split("/")[2]}
    assert said == []


@needs_browser
def test_what_the_articles_do_not_say_names_the_nearest(page: Any, real: tuple[str, str]) -> None:
    page.goto(f"{real[1]}/")
    ask(page, "Hvem vant fotballkampen i går?")
    page.get_by_role("heading", name="Disse artiklene ligger nærmest").wait_for()
    assert "Artiklene sier ikke noe om dette" in page.get_by_role("log").inner_text()
    assert page.locator(".links a").count() == 3


@needs_browser
def test_a_site_that_is_not_allowed_is_told_so_kindly(page: Any, real: tuple[str, str]) -> None:
    page.goto(real[1].replace("127.0.0.1", "localhost"))
    ask(page, "Hva er HMS?")
    page.get_by_role("alert").filter(has_text="Dette nettstedet har ikke lov til å spørre assistenten").wait_for()
    assert page.get_by_label("Spørsmålet ditt").input_value() == "Hva er HMS?"


@needs_browser
def test_the_demo_page_embeds_the_widget(page: Any, real: tuple[str, str]) -> None:
    said: list[str] = []
    hosts: set[str] = set()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(f"{real[0]}/widget")
    ask(page, "Hva er internkontroll?")
    page.locator(".source").first.wait_for()
    assert (said, hosts) == ([], {real[0].split("/")[2]})


def ask(page: Any, question: str) -> None:
    opener = page.locator("hms-assistent .open")
    if opener.get_attribute("aria-expanded") == "false":
        opener.click()
    page.get_by_role("textbox").fill(question)
    page.keyboard.press("Enter")


# Before a server that plays a script


def event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def answer(text: str, **more: Any) -> dict[str, Any]:
    return {"id": "a1", "question": "?", "outcome": "answered", "answer": text, "language": "nb", "citations": [], **more}


SOURCE = {"number": 1, "url": "/lest/a#b", "title": "AMU", "section": "Krav", "quote": "Ord.", "kind": "artikkel"}


class Stage:
    """A server whose replies the test writes, what was posted to it, and a site that embeds its widget."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.script: dict[str, Callable[[Quiet], None]] = {}
        stage = self

        class Handler(Quiet):
            def do_GET(self) -> None:
                self.reply(200, "text/javascript; charset=utf-8", {}, WIDGET.read_bytes())

            def do_OPTIONS(self) -> None:
                self.reply(204, "text/plain", {**stage.allowed, "access-control-allow-headers": "content-type"})

            def do_POST(self) -> None:
                stage.posted.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
                stage.script[self.path](self)

        self.server = serve(Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        self.blog = blog(self.origin)
        self.address = f"http://127.0.0.1:{self.blog.server_port}"
        self.allowed = {"access-control-allow-origin": self.address, "access-control-expose-headers": "retry-after"}
        self.answers(answer("Svar. [1]", citations=[SOURCE]))

    def plays(self, path: str, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Reply so to what is posted to `path` from now on."""
        self.script[path] = lambda handler: handler.reply(status, "text/event-stream", {**self.allowed, **(headers or {})}, body)

    def answers(self, told: dict[str, Any], piece: int = 1 << 20) -> None:
        """Reply to questions with a stream of a token and the answer, sent in pieces of so many bytes."""
        begun = b": hei\r\n\r\n" + event("status", {"stage": "Leter"}) + event("token", {"text": "Svææær "})
        stream = begun + event("answer", told)

        def reply(handler: Quiet) -> None:
            handler.reply(200, "text/event-stream", self.allowed)
            for start in range(0, len(stream), piece):
                handler.wfile.write(stream[start : start + piece])
                time.sleep(0.001 if piece < 100 else 0)

        self.script["/api/ask"] = reply


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stop(stage.server)
    stop(stage.blog)


HOSTILE = """Se <img src=x onerror=alert(1)> <script>alert(2)</script> **[fet](javascript:alert(3))** [ut](https://evil.example/)
[lov](https://lovdata.no/lov/1) [falsk](https://lovdata.no.evil.example/) [data](data:text/html,x)
\\[1\\] \\<b> *skrå* 5 * 3 [1] [2] [9]

- en **to \\* tre**
- fire"""


@needs_browser
def test_a_hostile_answer_is_shown_as_text(page: Any, stage: Stage) -> None:
    evil = {**SOURCE, "number": 2, "url": "javascript:alert(4)", "title": "<b>x</b>", "quote": "<svg onload=alert(5)>"}
    told = answer(
        HOSTILE,
        citations=[SOURCE, evil],
        notices=[{"kind": "outdated", "message": "<i>Gammelt</i>", "url": "javascript:alert(6)"}],
        laws=[{"text": "<u>lov</u>", "url": "data:text/html,x"}],
        nearest=[{"title": "<u>nær</u>", "url": "//\\"}],
        followups=["<s>mer</s>"],
    )
    stage.answers(told, piece=7)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.goto(stage.address)
    ask(page, "<img src=x onerror=alert(0)>")
    page.locator("article .up").wait_for()
    log = page.get_by_role("log")
    shown = log.inner_text()
    for words in ("<img src=x onerror=alert(0)>", "<script>alert(2)</script>", "[1] <b> skrå 5 * 3 ", "<svg onload", "[9]"):
        assert words in shown
    assert log.locator("img, script, svg[onload], i, u, s, iframe").count() == 0
    assert log.locator("li strong").inner_text() == "to * tre"
    links = {each.get_attribute("href") for each in log.locator("a").all()}
    assert links == {"https://lovdata.no/lov/1", f"{stage.origin}/lest/a#b"}
    assert "Utdatert: <i>Gammelt</i>" in log.locator(".notice").inner_text()
    assert dialogs == []


@needs_browser
@pytest.mark.parametrize(
    ("status", "headers", "body", "told"),
    [
        (429, {"retry-after": "150"}, b"", "Det kom mange spørsmål på kort tid; prøv igjen om 3 minutter."),
        (503, {}, b"", "Assistenten er ikke klar ennå; prøv igjen om litt."),
        (403, {}, b"", "Dette nettstedet har ikke lov til å spørre assistenten"),
        (413, {}, '{"error": {"code": "x", "message": "Spørsmålet er for stort."}}'.encode(), "Spørsmålet er for stort."),
        (500, {}, b"Traceback", "Noe gikk galt hos assistenten"),
        (200, {}, event("token", {"text": "Halvt"}), "Svaret ble brutt av før det var ferdig"),
        (200, {}, event("error", {"error": {"message": "Modellen falt ut."}}), "Modellen falt ut."),
        (200, {}, b"event: answer\ndata: {tull\n\n", "Svaret ble brutt av før det var ferdig"),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_the_question_is_kept(
    page: Any, stage: Stage, status: int, headers: dict[str, str], body: bytes, told: str
) -> None:
    well = stage.script["/api/ask"]
    stage.plays("/api/ask", status, body, headers)
    page.goto(stage.address)
    ask(page, "Hva er AMU?")
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text().startswith(told)
    assert "Halvt" not in page.get_by_role("log").inner_text()
    assert page.get_by_label("Spørsmålet ditt").input_value() == "Hva er AMU?"
    stage.script["/api/ask"] = well
    page.get_by_role("button", name="Prøv igjen").click()
    page.locator(".source").wait_for()
    assert alert.count() == 0
    assert page.get_by_label("Spørsmålet ditt").input_value() == ""
    assert [each["history"] for _, each in stage.posted] == [[], []]


@needs_browser
def test_a_server_that_is_down_and_a_reader_who_is_offline_are_told_apart(page: Any, stage: Stage) -> None:
    page.goto(stage.address)
    page.context.set_offline(True)
    ask(page, "Hva er AMU?")
    page.get_by_text("Du er uten nett").wait_for()
    page.context.set_offline(False)
    stop(stage.server)
    page.get_by_role("textbox").press("Enter")
    page.get_by_text("Får ikke kontakt med assistenten").wait_for()
    assert page.get_by_role("textbox").input_value() == "Hva er AMU?"


@needs_browser
def test_a_slow_server_is_told_of_and_can_be_left(page: Any, stage: Stage) -> None:
    done = Event()

    def wait(handler: Quiet) -> None:
        handler.reply(200, "text/event-stream", stage.allowed)
        done.wait(60)

    stage.script["/api/ask"] = wait
    page.clock.install()
    page.goto(stage.address)
    ask(page, "Hva er AMU?")
    page.get_by_text("Leter i artiklene").wait_for()
    page.clock.fast_forward(8_100)
    page.get_by_text("jeg arbeider fortsatt med svaret").wait_for()
    page.get_by_role("button", name="Avbryt").click()
    assert "Spørsmålet ble avbrutt." in page.get_by_role("alert").inner_text()
    assert page.get_by_role("textbox").input_value() == "Hva er AMU?"
    page.get_by_role("textbox").press("Enter")
    page.clock.fast_forward(121_000)
    page.get_by_text("Svaret kom ikke i tide").wait_for()
    done.set()


@needs_browser
@pytest.mark.parametrize("loads", [True, False], ids=["loaded", "a picture that never comes"])
def test_it_begins_when_the_page_is_loaded_or_has_had_its_time(page: Any, stage: Stage, loads: bool) -> None:
    held: list[Any] = []
    page.route("**/late.png", lambda route: held.append(route))
    page.clock.install(time=0)
    page.clock.pause_at(1_000)
    page.goto(f"{stage.address}/late", wait_until="domcontentloaded")
    page.clock.run_for(2_000)
    assert page.evaluate("[document.readyState, document.querySelectorAll('hms-assistent').length]") == ["interactive", 0]
    if loads:
        held[0].abort()
        page.wait_for_load_state("load")
    page.clock.run_for(500 if loads else 1_500)
    page.locator("hms-assistent .open").wait_for()
    assert page.evaluate("document.readyState") == ("complete" if loads else "interactive")


@needs_browser
def test_feedback_is_sent_with_its_reason_and_a_failure_is_told_kindly(page: Any, stage: Stage) -> None:
    stage.plays("/api/feedback", 404)
    page.goto(stage.address)
    ask(page, "Hva er AMU?")
    page.get_by_role("button", name="Ja, nyttig").click()
    page.get_by_text("Takk, men tilbakemeldingen kom ikke fram").wait_for()
    stage.plays("/api/feedback", 204)
    page.get_by_role("button", name="Nei, ikke nyttig").click()
    page.get_by_role("button", name="Finner ikke sitatet").press("Enter")
    page.get_by_text("Takk for tilbakemeldingen.").wait_for()
    assert stage.posted[1:] == [
        ("/api/feedback", {"answer_id": "a1", "rating": "up"}),
        ("/api/feedback", {"answer_id": "a1", "rating": "down", "reason": "finner ikke sitatet"}),
    ]


@needs_browser
def test_what_is_marked_on_the_page_can_be_asked_about(page: Any, stage: Stage) -> None:
    page.goto(stage.address)
    button = page.get_by_role("button", name="Spør om den merkede teksten")
    assert button.count() == 0
    page.locator("#text").click(click_count=3)
    button.click()
    page.get_by_role("dialog").wait_for()
    assert button.count() == 0
    value = page.get_by_role("textbox").input_value()
    assert value == "Om «Verneombudet velges for to år om gangen, og skal ivareta arbeidstakernes interesser.»: "


@needs_browser
def test_a_question_past_the_limit_is_not_sent_nor_cut(page: Any, stage: Stage) -> None:
    page.goto(stage.address)
    ask(page, "å" * 2001)
    assert "Spørsmålet er på 2001 tegn" in page.get_by_role("alert").inner_text()
    assert len(page.get_by_role("textbox").input_value()) == 2001
    page.get_by_role("textbox").fill("Linje en")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("linje to")
    assert stage.posted == []
    page.keyboard.press("Enter")
    page.locator(".source").wait_for()
    assert stage.posted[0][1]["question"] == "Linje en\nlinje to"
    assert page.get_by_role("alert").count() == 0


@needs_browser
def test_a_long_talk_stays_within_what_the_server_takes(page: Any, stage: Stage) -> None:
    stage.answers(answer("щ" * 5000))
    page.goto(stage.address)
    for number in range(13):
        ask(page, f"Spørsmål {number}")
        page.locator("article .up").nth(number).wait_for()
    sent = [each for _, each in stage.posted]
    assert all(len(turn["content"]) <= 4000 for each in sent for turn in each["history"])
    assert max(len(json.dumps(each, ensure_ascii=False).encode()) for each in sent) <= 64 * 1024
    assert len(sent[3]["history"]) == 6
    assert all(each["history"][0]["role"] == "user" for each in sent[1:])


@needs_browser
@pytest.mark.parametrize(("lang", "said"), [("nb", "Lukk"), ("nn-NO", "Ny samtale"), ("en", "New conversation"), ("de", "Lukk")])
def test_the_panel_speaks_the_language_of_the_page(page: Any, stage: Stage, lang: str, said: str) -> None:
    page.goto(f"{stage.address}/?lang={lang}")
    page.locator("hms-assistent .open").click()
    page.get_by_role("button", name=said).wait_for()
    full = {"nn-NO": "Opne i fullt vindauge", "en": "Open in full window"}.get(lang, "Åpne i fullt vindu")
    assert page.get_by_role("link", name=full).get_attribute("href") == f"{stage.origin}/"


@needs_browser
@pytest.mark.parametrize(("width", "height"), [(360, 740), (320, 256), (1280, 800)])
def test_the_panel_fits_the_screen_and_keeps_the_keyboard(page: Any, stage: Stage, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.goto(stage.address)
    ask(page, "Hva er AMU?")
    page.locator(".source").wait_for()
    box = page.get_by_role("dialog").bounding_box()
    assert box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= height
    assert (box["width"] == width) == (width < 480)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = f"[...{INSIDE}.querySelectorAll('dialog button, dialog a')].map(e => e.getBoundingClientRect()).filter(r => r.width)"
    assert page.evaluate(f"Math.min(...{small}.flatMap(r => [r.width, r.height]))") >= 24
    for key in ("Tab", "Shift+Tab"):
        for _ in range(15):
            page.keyboard.press(key)
            assert page.evaluate(f"{INSIDE}.querySelector('dialog').contains({INSIDE}.activeElement)")
    page.keyboard.press("Escape")
    page.locator("hms-assistent .open:focus").wait_for()
    page.keyboard.press("Enter")
    if width > 480:  # beside it, there is room to press
        page.mouse.click(1000, 40)
        page.locator("hms-assistent .open:focus").wait_for()
        assert page.get_by_role("dialog").count() == 0


@needs_browser
def test_the_page_is_left_as_it_was(page: Any, stage: Stage) -> None:
    page.goto(stage.address)
    ask(page, "Hva er AMU?")
    page.locator(".source").wait_for()
    shifts = """() => new Promise(done => {
        const unasked = list => done(list.getEntries().filter(each => !each.hadRecentInput).length);
        new PerformanceObserver(unasked).observe({type: 'layout-shift', buffered: true});
        setTimeout(() => done(0), 300);
    })"""
    assert page.evaluate(shifts) == 0
    assert page.context.cookies() == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    fill = page.locator("hms-assistent .open").evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
    assert fill == ["rgb(255, 215, 0)", "rgb(0, 0, 0)"]  # black reads better on gold
    page.emulate_media(media="print")
    assert not page.locator("hms-assistent .open").is_visible()


def test_the_script_is_small_and_reads_nothing_as_html() -> None:
    script = WIDGET.read_bytes()
    assert len(gzip.compress(script, mtime=0)) <= 12 * 1024
    assert not re.search(rb"innerHTML|outerHTML|insertAdjacentHTML|\beval\b|new Function|cookie\b|localStorage|\.style\b", script)
