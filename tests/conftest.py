"""What the tests share: small content trees, a real index over the shipped articles, and an Assistant that is loaded from it;
a real browser, and `python app.py` for it to open."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from assistant.chat import Assistant
from assistant.settings import Settings
from assistant.store import Store
from assistant.types import Kept

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
BLOG = SHARED / "blog" / "content"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-sync")
PATIENCE = 300  # seconds until a server is ready: it may have a thousand articles to read first
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

Writer = Callable[..., Path]


@pytest.fixture
def content(tmp_path: Path) -> Writer:
    """Write files of a content tree: `content({"a/index.md": "text"})`; a text without front matter gets a title."""
    return writer(tmp_path)


def writer(place: Path) -> Writer:
    """The same, below a folder of one's own."""

    def write(files: dict[str, str], folder: str = "content") -> Path:
        root = place / folder
        for name, text in files.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(
                text if text.startswith(("---", "+++", "\ufeff")) else f"---\ntitle: {file.parent.name}\n---\n\n{text}\n", "utf-8"
            )
        return root

    return write


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings for the shipped articles with an index of their own, and room for all that the tests ask."""
    return Settings(content=(ROOT / "corpus" / "articles",), index=tmp_path_factory.mktemp("index"), rate=100_000, daily=100_000)


@pytest.fixture(scope="session")
def assistant(settings: Settings) -> Assistant:
    """The real Assistant over the shipped articles."""
    loaded = Assistant(settings)
    loaded.load()
    return loaded


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for one file of tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--{flag}" for flag in FLAGS])
        yield browser
        browser.close()


@contextlib.contextmanager
def app(port: int, ready: str = "/api/ready", **environment: str) -> Iterator[str]:
    """`python app.py` on a port, from when its address `ready` answers with success; gives its address."""
    command = [sys.executable, "app.py", "--port", str(port)]
    server = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        answering(f"http://127.0.0.1:{port}{ready}", lambda: server.poll() is None)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def answers(store: Store, since: datetime) -> list[Kept]:
    """What is kept of the answers since then, in the order in which they came."""
    return [kept for row in store.each(since, "id") if (kept := store.answer(row["id"]))]


def answering(url: str, alive: Callable[[], bool] = lambda: True) -> None:
    """Wait until the address answers with success."""
    begun = time.perf_counter()
    while alive() and time.perf_counter() - begun < PATIENCE:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.2)
    raise TimeoutError(url)


def tabbed(page: Any, condition: str) -> None:
    """Press Tab until the condition holds; a keyboard must get everywhere."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no way by keyboard to {condition}")
