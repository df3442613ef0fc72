"""The pictures of this folder, taken of the real pages over the shipped articles.

usage: python -m docs.screenshots [--out FOLDER]

Starts `python app.py` on a free port with an index of its own, and the blog of tests/ beside it, asks in Chromium, and writes
chat.png, chat-narrow.png, chat-dark.png, chat-account.png, chat-missing.png, widget.png, widget-narrow.png and insights.png.
Knows the pages by what a reader sees; knows nothing of what is behind them.
"""

import argparse
import contextlib
import io
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from eval.bench import ROOT, free_port, server
from tests.blog import built, served

PATIENCE = 120  # seconds until the index is built and the server is ready
SETTLED = 800  # milliseconds in which the answer is scrolled into place and the fonts are drawn
WIDE, NARROW = (1280, 900), (390, 844)  # a laptop and a telephone
COLOURS = 256  # of a picture: these pages are flat, and a quarter of the size
ARTICLES = ROOT / "corpus" / "articles"
PASSWORD = "bare til bildene"  # of the page of insights, while they are taken
# What was asked before the owner looks, and how often. Of the answers to those with a reason one reader said so.
ASKED = (
    ("Hvor lenge sitter verneombudet?", 7, "finner ikke sitatet"),
    ("Hvor mange må vi være før vi trenger verneombud?", 5, ""),
    ("Hvilken konto fører jeg arbeidsklær på?", 4, ""),
    ("Må vi ha bedriftshelsetjeneste?", 3, "utdatert"),
    ("Kan ansatte lade elbil gratis på jobben?", 3, ""),
    ("Er gratis elbillading skattepliktig?", 2, "mangler i artiklene"),
    ("Hvordan lader vi elbiler på arbeidsplassen?", 1, ""),
    ("Hvordan søker vi om skattefradrag for forskning?", 2, ""),
    ("Hvem vant fotballkampen i går?", 1, ""),
)
FLAGS = ("--no-sandbox", "--disable-gpu", "--hide-scrollbars")


@dataclass(frozen=True)
class Picture:
    """One file: which page, how large in CSS pixels, and in which colours."""

    name: str
    page: str
    size: tuple[int, int]
    scheme: Literal["light", "dark"] = "light"
    question: str = "Hvor mange må vi være før vi trenger verneombud?"


PICTURES = (
    Picture("chat.png", "chat", WIDE),
    Picture("chat-narrow.png", "chat", NARROW),
    Picture("chat-dark.png", "chat", WIDE, "dark"),
    Picture("chat-account.png", "chat", WIDE, question="Hvilken konto fører jeg arbeidsklær på?"),
    Picture("chat-missing.png", "chat", WIDE, question="Hvem vant fotballkampen i går?"),
    Picture("widget.png", "widget", WIDE),
    Picture("widget-narrow.png", "widget", NARROW),
    Picture("insights.png", "insights", WIDE),
)


def _wait_until_ready(client: Any, begun: float) -> None:
    """Until the server can answer; raises TimeoutError when it cannot in time."""
    import httpx

    while time.perf_counter() - begun < PATIENCE:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/api/ready").status_code == 200:
                return
        time.sleep(0.2)
    raise TimeoutError(f"«python app.py» ble ikke klar på {PATIENCE} sekunder; start den for hånd og se hva den sier.")


def _taken(chromium: str, chat: str, blog: str, out: Path) -> Iterator[Path]:
    """Take every picture; gives each file as it is written."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for picture in PICTURES:
            width, height = picture.size
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=picture.scheme,
                locale="nb-NO",
                reduced_motion="reduce",
                http_credentials={"username": "eier", "password": PASSWORD, "origin": chat},
            )
            page = context.new_page()
            page.set_default_timeout(30_000)
            if picture.page == "chat":
                _ask_the_chat(page, chat, picture.question)
            elif picture.page == "widget":
                _ask_the_widget(page, blog)
            else:
                page.goto(f"{chat}/innsikt/")
                page.locator("#insights .tiles").wait_for()
            page.mouse.move(0, 0)  # nothing is drawn as if it were pointed at
            page.wait_for_timeout(SETTLED)
            _keep(page.screenshot(animations="disabled"), out / picture.name)
            context.close()
            yield out / picture.name
        browser.close()


def _ask_much(client: Any) -> None:
    """Questions and ratings for the owner to look at."""
    for question, often, reason in ASKED:
        answers = [client.post("/api/ask", json={"question": question}).raise_for_status().json() for _ in range(often)]
        said = {"answer_id": answers[0]["id"], "rating": "down" if reason else "up", "reason": reason}
        client.post("/api/feedback", json=said).raise_for_status()


def _keep(picture: bytes, file: Path) -> None:
    from PIL import Image

    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def _ask_the_chat(page: Any, address: str, question: str) -> None:
    page.goto(address)
    page.locator("html[data-spoken]").wait_for()  # the last of a start
    page.locator("#question textarea").fill(question)
    page.locator("#send").click()
    page.locator("#now .turn[data-done]").wait_for()  # the last that an answer changes


def _ask_the_widget(page: Any, address: str) -> None:
    page.goto(f"{address}/blogs/regnskap/verneombud/")
    page.locator("hms-assistent .open").click()
    page.get_by_role("textbox").fill("Hvor lenge sitter verneombudet?")
    page.get_by_role("textbox").press("Enter")
    page.get_by_role("button", name="Ja, nyttig").wait_for()


@contextlib.contextmanager
def _pages(work: Path) -> Iterator[tuple[str, str]]:
    """The addresses of the chat and of a blog that embeds it, both over the shipped articles."""
    port = free_port()
    blog = f"http://127.0.0.1:{port}"
    told = {"HMS_BASE_URL": blog, "HMS_ALLOWED_ORIGINS": blog, "HMS_INSIGHTS_PASSWORD": PASSWORD}
    with server([ARTICLES], work / "index", told) as (_, client, begun):
        chat = str(client.base_url).rstrip("/")
        _wait_until_ready(client, begun)
        _ask_much(client)
        with served(built(ARTICLES, work / "blog", blog, chat), port, chat):
            yield chat, blog


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder for the pictures (default: docs)")
    out = parser.parse_args().out
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        parser.exit(2, "Bildene tas i Chromium, som ikke finnes her; installer den (på Debian: apt install chromium).\n")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, _pages(Path(folder)) as (chat, blog):
        for file in _taken(chromium, chat, blog, out):
            print(file)


if __name__ == "__main__":
    main()
