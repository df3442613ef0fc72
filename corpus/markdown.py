"""Markdown body → Blocks: paragraph, list with its lead-in, table, quote, code; under the site's own heading ids.

Knows Markdown, Hugo's dialect of it and how a site publishes it; knows nothing of front matter or search. What the site shows is
kept as `raw`, since heading ids and text fragments must match it; what people read is the repaired `text`.
"""

import functools
import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from corpus.article import repair, repair_mapped

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

UnitKind = Literal["sentence", "item", "row", "code"]


@dataclass(frozen=True)
class Unit:
    """The smallest thing that can be quoted: a sentence, a list item, a table row, lines of code.

    `text` is repaired plain text on one line (no Markdown; a row's cells joined by " | "); `raw` the same words as the site
    publishes them, faults included. `lead` is the repaired text that introduces an item or row ("" if none): the paragraph
    before its list or table, for a nested item the item above it. `header` holds a row's repaired column names.
    """

    kind: UnitKind
    text: str
    raw: str
    lead: str = ""
    header: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """A link in a block: repaired link text, and the target as written."""

    text: str
    target: str


@dataclass(frozen=True)
class Block:
    """A paragraph, list (with its lead-in), table, quote or code block under its heading.

    `headings` is the repaired heading path, outermost first, without the article's title; `heading_id` the id of the innermost
    heading as the site's generator makes it ("" before the first). `span` is the half-open range of 1-based line numbers in
    the article's file.
    """

    kind: Literal["paragraph", "list", "table", "quote", "code"]
    units: tuple[Unit, ...]
    headings: tuple[str, ...]
    heading_id: str
    span: tuple[int, int]
    links: tuple[Link, ...] = ()


LONG_ITEM = 60  # words; a longer list item is quoted by the sentence

SHORTCODE = re.compile(r"\{\{[<%].*?[%>]\}\}", re.DOTALL)
TAG = re.compile(r"<!--.*?-->|<(script|style|svg)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
CUSTOM_ID = re.compile(r"\s*\{[^{}]*#([^\s{}]+)[^{}]*\}\s*$")
LEADS_IN = re.compile(r":$|\b(?:nedenfor|følgende|under viser|disse)\b", re.IGNORECASE)
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”»)]*\s+(?=[\"“«(]?[A-ZÆØÅÉ0-9])")
ABBREVIATION = re.compile(
    r"(?:^|[\s(«\"])(?:f\.eks|bl\.a|m\.m|o\.l|d\.v\.s|dvs|osv|mv|ca|nr|pkt|kap|jf|jfr|evt|inkl|ekskl|mill|mrd|kr|st|art|tlf|min|maks|kl|"
    r"eks|ev|pga|p\.g\.a|iht|ift|mht|vedr|vs|Inc|Ltd|Co|Dr|Prof|aml|asl|mval|rskl|bokfl|ftrl|sktl|(?-i:[A-ZÆØÅ]))\.$|^\d{1,2}\.$",
    re.IGNORECASE,
)
# Goldmark's typographer, which Hugo has on; quotation marks are left, since browsers compare them folded.
TYPOGRAPHY = (("---", "—"), ("--", "–"), ("...", "…"), ("<<", "«"), (">>", "»"))


def blocks(body: str, first_line: int = 1) -> list[Block]:
    """The blocks of a Markdown body in order; `first_line` is the line of the file on which it begins."""
    reader = _Reader(first_line)
    reader.read(_tree(body).children)
    return reader.found


def render(body: str, link: Callable[[str], str | None] = str) -> str:
    """Safe HTML of a body for the reader page: repaired text, the same heading ids as `blocks`, no raw HTML and no images.

    `link` gives the address for a link's target, or None when its text is to stand without a link.
    """
    tokens = _parser().parse(_without_shortcodes(body))
    seen: set[str] = set()
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            text, custom = _heading(_published(tokens[number + 1].children or [], alt=True))
            if key := custom or heading_id(text, seen):
                token.attrSet("id", key)
        if token.type == "inline":
            token.children = list(_safe(token.children or [], link))
        if token.type == "html_block":
            token.type, token.content = "text", TAG.sub("", token.content)
        if token.type in ("fence", "code_block"):
            token.content = repair(token.content)
    return str(_parser().renderer.render(tokens, _parser().options, {}))


def heading_id(text: str, seen: set[str]) -> str:
    """The id that Hugo gives a heading by its published text; `seen` holds the page's ids so far and gets this one.

    Goldmark's "github" kind: letters, digits and "_" stay, lower-cased; blanks and "-" become "-"; the rest goes; a second of the
    same gets "-1". An empty heading has no id.
    """
    if not text.strip():
        return ""
    kept = (
        character
        for character in text.strip()
        if character in "_- " or unicodedata.category(character)[0] == "L" or character.isdecimal()
    )
    base = "".join("-" if character == " " else character.lower() for character in kept) or "heading"
    key, number = base, 0
    while key in seen:
        number += 1
        key = f"{base}-{number}"
    seen.add(key)
    return key


def sentences(text: str) -> list[tuple[int, int]]:
    """The spans of the sentences of a text, without the blanks between them."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in SENTENCE_END.finditer(text):
        if not ABBREVIATION.search(text[max(start, match.start() - 12) : match.start()].rstrip('"”»)')):
            spans.append((start, match.end() - len(match[0]) + len(match[0].rstrip())))
            start = match.end()
    return [*spans, (start, len(text))] if text[start:].strip() else spans


@dataclass
class _Reader:
    """Walks a syntax tree and keeps the heading it is under."""

    first_line: int
    found: list[Block] = field(default_factory=list)
    path: list[tuple[int, str]] = field(default_factory=list)
    heading_id: str = ""
    seen: set[str] = field(default_factory=set)

    def read(self, nodes: Sequence["SyntaxTreeNode"], quoted: bool = False) -> None:
        """Blocks of these siblings."""
        lead = ""
        for node in nodes:
            if node.type == "heading":
                self._heading(node)
            elif node.type == "paragraph":
                units = list(_sentences(_inline(node)))
                self._add("quote" if quoted else "paragraph", units, node)
                lead = units[-1].text if units and LEADS_IN.search(units[-1].text) else ""
                continue
            elif node.type in ("bullet_list", "ordered_list"):
                self._add("list", list(_items(node, lead)), node)
            elif node.type == "table":
                self._add("table", list(_rows(node, lead)), node)
            elif node.type in ("fence", "code_block"):
                self._add("code", list(_code(node.content, lead)), node)
            elif node.type == "html_block":
                self._add("paragraph", list(_sentences(html.unescape(TAG.sub("", BREAK.sub(" ", node.content))))), node)
            else:
                self.read(node.children, quoted or node.type == "blockquote")
            lead = ""

    def _heading(self, node: "SyntaxTreeNode") -> None:
        text, custom = _heading(_published(_tokens(node), alt=True))
        level = int(node.tag[1])
        self.path = [(above, title) for above, title in self.path if above < level]
        self.path.append((level, " ".join(repair(_heading(_inline(node))[0]).split())))
        self.heading_id = custom or heading_id(text, self.seen) or self.heading_id

    def _add(
        self, kind: Literal["paragraph", "list", "table", "quote", "code"], units: list[Unit], node: "SyntaxTreeNode"
    ) -> None:
        if units:
            begin, end = node.map or (0, 0)
            span = (self.first_line + begin, self.first_line + end)
            headings = tuple(title for _, title in self.path)
            self.found.append(Block(kind, tuple(units), headings, self.heading_id, span, tuple(_links(node))))


def _heading(published: str) -> tuple[str, str]:
    """A heading's text and the id that its author gave it, "" for none."""
    match = CUSTOM_ID.search(published)
    return (published[: match.start()], match[1]) if match else (published, "")


def _items(node: "SyntaxTreeNode", lead: str) -> Iterator[Unit]:
    for item in node.children:
        own = " ".join(_inline(child) for child in item.children if child.type in ("paragraph", "heading"))
        own = re.sub(r"^\[[ xX]\]\s+", "", own)
        unit = _unit("item", own, lead)
        if len(unit.text.split()) > LONG_ITEM:
            yield from (_unit("item", sentence.raw, lead) for sentence in _sentences(own))
        elif unit.text:
            yield unit
        for child in item.children:
            if child.type in ("bullet_list", "ordered_list"):
                yield from _items(child, unit.text or lead)
            elif child.type == "table":
                yield from _rows(child, unit.text or lead)
            elif child.type in ("fence", "code_block"):
                yield from _code(child.content, unit.text or lead)
            elif child.type == "blockquote":
                yield from (
                    _unit("item", _inline(part), unit.text or lead) for part in child.children if part.type == "paragraph"
                )


def _rows(node: "SyntaxTreeNode", lead: str) -> Iterator[Unit]:
    rows = [[_inline(cell) for cell in row.children] for part in node.children for row in part.children]
    header = tuple(_clean(cell) for cell in rows[0])
    for row in rows[1:]:
        if any(cell.strip() for cell in row):
            cells = [_clean(cell).replace(" | ", " / ") for cell in row]
            raw = " | ".join(_folded(cell).replace(" | ", " / ") for cell in row)
            yield Unit("row", " | ".join(cells).strip().rstrip(" |"), raw.strip().rstrip(" |"), lead, header)


def _code(content: str, lead: str) -> Iterator[Unit]:
    """Code between blank lines as one unit: in articles it is a posting or a sum, of which half a one would mislead."""
    for part in re.split(r"\n\s*\n", content):
        lines = [line.strip() for line in part.splitlines() if line.strip()]  # inside them a browser keeps every blank
        whole = sum(len(line.split()) for line in lines) <= LONG_ITEM
        for own in [lines] if whole and lines else [[line] for line in lines]:
            yield Unit("code", _clean(" ".join(own)), "\n".join(own), lead)


def _sentences(raw: str) -> Iterator[Unit]:
    text, origin = repair_mapped(raw)
    for start, end in sentences(text):
        if (unit := _unit("sentence", raw[origin[start] : origin[end]])).text:
            yield unit


def _unit(kind: UnitKind, raw: str, lead: str = "") -> Unit:
    return Unit(kind, _clean(raw), _folded(raw), lead)


def _clean(raw: str) -> str:
    return " ".join(repair(raw).split())


def _folded(raw: str) -> str:
    """Blanks as a browser shows them: a run of typed ones is one, no-break spaces stay, and so does a line break of the page."""
    return "\n".join(re.sub(r"[ \t\r\f]+", " ", line).strip() for line in raw.strip().split("\n"))


def _links(node: "SyntaxTreeNode") -> Iterator[Link]:
    for part in node.walk():
        if part.type == "link":
            yield Link(_clean("".join(child.content for child in part.walk() if child.type == "text")), str(part.attrs["href"]))


def _inline(node: "SyntaxTreeNode") -> str:
    return _published(_tokens(node))


def _tokens(node: "SyntaxTreeNode") -> list[Any]:
    return [
        token for child in node.children if child.type == "inline" for token in ((child.token and child.token.children) or [])
    ]


def _published(tokens: Sequence[Any], alt: bool = False) -> str:
    """The plain text that a page shows for inline tokens; line breaks that it shows are line feeds. `alt`: with images' texts."""
    parts: list[str] = []
    for token in tokens:
        if token.type == "text":
            parts.append(_typography(token.content))
        elif token.type == "code_inline":
            parts.append(token.content)
        elif token.type == "softbreak":
            parts.append(" ")
        elif token.type == "hardbreak" or (token.type == "html_inline" and BREAK.fullmatch(token.content)):
            parts.append("\n")
        elif token.type == "image" and alt:
            parts.append(token.content)
    return "".join(parts)


def _typography(text: str) -> str:
    for typed, shown in TYPOGRAPHY:
        text = text.replace(typed, shown)
    return text


def _safe(tokens: Sequence[Any], link: Callable[[str], str | None]) -> Iterator[Any]:
    """Inline tokens with repaired text and links as `link` says; raw HTML but line breaks, and images, left out."""
    dropped = False
    for token in tokens:
        if token.type == "text":
            token.content = repair(_typography(token.content))
        elif token.type == "code_inline":
            token.content = repair(token.content)
        elif token.type == "html_inline":
            if not BREAK.fullmatch(token.content):
                continue
            token.type, token.tag, token.content = "hardbreak", "br", ""
        elif token.type == "link_open":
            target = link(str(token.attrs["href"]))
            if dropped := target is None:
                continue
            token.attrs = {"href": str(target), "rel": "noopener"}
        elif token.type == "image" or (token.type == "link_close" and dropped):
            continue
        yield token


def _without_shortcodes(body: str) -> str:
    """The body with Hugo's shortcodes gone and every line where it was; what stands between a pair of them stays."""
    return SHORTCODE.sub(lambda match: "\n" * match[0].count("\n"), body)


def _tree(body: str) -> "SyntaxTreeNode":
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(_parser().parse(_without_shortcodes(body)))


@functools.cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def plain(text: str) -> str:
    """A text as Markdown that shows it as it stands."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", text)
