"""An Answer → what people read and keep: the conversation and its sources as safe HTML, and files for the archive.

Knows how an answer looks, in the languages of web/chat.yaml; knows nothing of Gradio, HTTP or how an answer comes about. What
articles, models and readers wrote is data: it is escaped, or rendered from Markdown and then sanitised.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from html import escape
from itertools import groupby
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import unquote

import nh3
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markupsafe import Markup

from assistant import HmsError, NotReadyError, QuestionError
from assistant.cite import MARKER
from assistant.extract import Account, Excerpt, Line, accounts, cells, excerpts, unbroken
from assistant.question import MAX_QUESTION, read, topic
from assistant.types import Answer, Ask, Audience
from corpus import law
from corpus.markdown import plain

if TYPE_CHECKING:
    from assistant.chat import Assistant

WEB = Path(__file__).resolve().parent / "web"
LANGUAGES = ("nb", "nn", "en")
EVERYONE = "alle"  # the role of whoever names none
ROLES = (EVERYONE, *get_args(Audience))
REASONS = ("finner ikke sitatet", "mangler kilder", "utdatert", "feil", "annet")  # as they are kept, whatever the page's language
MISSING = "mangler i artiklene"
FILES = {"pdf": ("pdf", "application/pdf"), "markdown": ("md", "text/markdown;charset=utf-8")}
TAGS = set("a p ul ol li strong em code pre br blockquote h1 h2 h3 table thead tbody tr th td".split())


@dataclass(frozen=True)
class Exchange:
    """A question and what came of it. Without an `answer`, `said` is what stands there: so far, or why there is none.

    `origin` is where the page lies ("https://…", no slash at its end), `told` the text that a reader's rating was met with.
    """

    question: str
    said: str = ""
    answer: Answer | None = None
    excerpts: tuple[Excerpt, ...] = ()
    accounts: tuple[Account, ...] = ()
    words: tuple[str, ...] = ()
    origin: str = ""
    at: datetime | None = None
    told: str = ""


@functools.cache
def _page() -> Mapping[str, Any]:
    page: Mapping[str, Any] = yaml.safe_load((WEB / "chat.yaml").read_text("utf-8"))
    return page


@functools.cache
def texts(language: str) -> Mapping[str, str]:
    """The page's fixed texts in one of LANGUAGES."""
    return {key: each[language] for key, each in _page().items() if key != "examples"}


def examples(language: str, role: str) -> tuple[str, ...]:
    """Questions to begin with, for one of ROLES."""
    return tuple(_page()["examples"][role][language])


def roles(language: str) -> list[tuple[str, str]]:
    """What each of ROLES is called, and itself."""
    return [(texts(language)[each], each) for each in ROLES]


def reader_html(title: str, html: str, updated: str | None = None) -> str:
    """A page to read: `html` under a title, with the date of its last change."""
    dated = f'<p class="updated">Sist oppdatert {escape(day(updated))}</p>' if updated else ""
    return Template((WEB / "reader.html").read_text("utf-8")).substitute(title=escape(title), updated=dated, body=html)


def day(iso: str) -> str:
    """A date as Norwegians write it; what is no ISO date stays as it is."""
    try:
        return f"{date.fromisoformat(iso):%d.%m.%Y}"
    except ValueError:
        return iso


# What stands beside an answer


def exchange(assistant: "Assistant", ask: Ask, answer: Answer, origin: str = "") -> Exchange:
    """An answer with all that is shown beside it."""
    words = tuple(dict.fromkeys(topic(read(ask).search))) if answer.outcome == "not_covered" else ()
    quoted = tuple(excerpts(answer.citations, assistant.article_at))
    entries = tuple(accounts(answer.citations, assistant.account))
    return Exchange(ask.question, "", answer, quoted, entries, words, origin, datetime.now().astimezone())


# Markdown → HTML


@functools.cache
def _markdown() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "autolink", "html_inline", "html_block"])
    reader.inline.ruler.before("link", "marker", _marker)
    reader.core.ruler.push("ours", _only_ours)
    reader.add_render_rule("marker", lambda self, tokens, at, options, env: tokens[at].meta["html"])
    return reader


def _marker(state: StateInline, silent: bool) -> bool:
    """`[1]` with a citation of that number: a link to it. An escaped bracket is the article's own."""
    found = MARKER.match(state.src, state.pos)
    html = state.env["markers"].get(int(found[1])) if found and not state.linkLevel else None
    if not found or html is None:
        return False
    if not silent:
        state.push("marker", "", 0).meta = {"html": html}
    state.pos = found.end()
    return True


def _only_ours(state: StateCore) -> None:
    """Headings of one size, no links but ours, and references to the law as links."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close") and "headings" not in state.env:
            token.tag = "h3"
        token.children = [*_linked(token.children, state.env["allowed"])] if token.children else token.children


def _linked(tokens: Iterable[Token], allowed: Callable[[str], bool]) -> Iterator[Token]:
    inside, dropped = False, False
    for token in tokens:
        if token.type == "link_open":
            inside, dropped = True, not allowed(str(token.attrGet("href")))
        if token.type == "text" and not inside:
            yield from _laws(token.content)
        elif not (dropped and token.type in ("link_open", "link_close")):
            yield token
        inside = inside and token.type != "link_close"


def _laws(text: str) -> Iterator[Token]:
    """A text with its references to the law as links."""
    at = 0
    for each in law.references(text):
        if each.url and each.start >= at:
            yield Token("text", "", 0, content=unbroken(text[at : each.start]))
            yield Token("link_open", "a", 1, attrs={"href": each.url})
            yield Token("text", "", 0, content=unbroken(text[each.start : each.end]))
            yield Token("link_close", "a", -1)
            at = each.end
    yield Token("text", "", 0, content=unbroken(text[at:]))


def safe_html(text: str, answer: Answer, markers: Mapping[int, str], origin: str = "", **env: bool) -> str:
    """Markdown as HTML that holds text, its structure, and links to the answer's own pages and to Lovdata; nothing else.

    `markers` has the link that each `[n]` becomes; `headings=True` keeps the sizes of headings, which are all h3 otherwise.
    """
    ours = {each.url for each in answer.citations} | {each.url for each in answer.nearest}
    ours |= {each.url for each in answer.laws} | {each.url for each in answer.notices if each.url}
    ours |= {f"{origin}{url}" for url in ours if url.startswith("/")}
    ours |= {_markdown().normalizeLink(url) for url in ours}

    def allowed(url: str) -> bool:
        return url in ours or url.startswith(f"{law.SITE}/")

    html = _markdown().render(text, {"markers": markers, "allowed": allowed, **env})
    return nh3.clean(
        html,
        tags=TAGS,
        attributes={"a": {"href", "class", "data-number", "aria-label"}, "ol": {"start"}},
        attribute_filter=lambda tag, name, value: value if name != "href" or allowed(value) else None,
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener",
        url_schemes={"http", "https"},
    )


# What people read and keep


@functools.cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(WEB), autoescape=lambda name: not str(name).endswith(".md"), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"day": day, "plain": _plain, "blocks": _blocks, "whole": _whole, "readable": _readable, "unbroken": unbroken}
    made.globals |= {"reasons": REASONS, "answer_html": _answer_html, "cells": cells, "plain_text": plain_text}
    return made


def _plain(text: str) -> str:
    """A text as one line of Markdown that shows it as it stands."""
    return plain(" ".join(text.split()))


def _whole(url: str, each: Exchange) -> str:
    """An address that can be followed from outside the page."""
    return f"{each.origin}{url}" if url.startswith("/") else url


def _readable(url: str) -> str:
    """An address as it is read: of the place in the text, only the heading."""
    return unquote(url.partition(":~:")[0].rstrip("#"))


def _blocks(lines: Iterable[Line]) -> list[tuple[str, tuple[str, ...], list[Line]]]:
    """Lines as they are set: the sentences of a paragraph, the items of a list, the rows of a table together."""
    kinds = ((each, each.kind if each.kind in ("item", "row") else "sentence") for each in lines)
    return [
        (kind, header, [line for line, _ in group]) for (kind, header), group in groupby(kinds, lambda x: (x[1], x[0].header))
    ]


def _answer_html(each: Exchange, t: Mapping[str, str]) -> Markup:
    """The answer of an exchange, its markers as links to their sources."""
    assert each.answer is not None
    link = Markup('<a class="marker" data-number="{}" href="{}" aria-label="{} {}">{}</a>').format
    markers = {one.number: str(link(one.number, one.url, t["source"], one.number, one.number)) for one in each.answer.citations}
    return Markup(safe_html(each.answer.answer, each.answer, markers))


def rendered(template: str, language: str, **values: object) -> str:
    """A template of web/ with the texts of a language as `t`, and these values."""
    return _templates().get_template(template).render(t=texts(language), **values).strip()


def conversation_html(exchanges: Sequence[Exchange], language: str, latest: bool = False) -> str:
    """Questions and answers; `latest` for the one that can be rated, or for the welcome in its place."""
    return rendered("chat.html", language, exchanges=exchanges, latest=latest)


def header_html(language: str) -> str:
    """The page's name and what it is for."""
    return "<header><h1>{title}</h1><p>{tagline}</p></header>".format_map(texts(language))


def sources_html(exchanges: Sequence[Exchange], language: str) -> str:
    """The sources of every answer; those of the last one are shown."""
    return rendered("sources.html", language, exchanges=[each for each in exchanges if each.answer])


def plain_text(each: Exchange, t: Mapping[str, str]) -> str:
    """An answer with its sources, to paste anywhere; `t` as of `texts`."""
    assert each.answer is not None
    said = re.sub(r"\[([^\[\]]+)\]\([^()\s]+\)", r"\1", re.sub(r"\*\*|(?<!\\)\*(?=\()|(?<=\))\*", "", each.answer.answer))
    said = re.sub(r"\\([\\`*_\[\]<>])", r"\1", said)
    lines = [each.question, "", said]
    lines += [f"\n! {t[one.kind]}: {one.message}" for one in each.answer.notices]
    lines += ["", t["sources"]]
    for one in each.answer.citations:
        dated = f" ({t['updated'].lower()} {day(one.updated)})" if one.updated else ""
        lines += [f"[{one.number}] {one.title} – {one.section}{dated}", f"    «{one.quote}»", f"    {_whole(one.url, each)}"]
    return "\n".join(lines)


def markdown_file(each: Exchange, language: str) -> str:
    """An answer for the archive, as Markdown."""
    return re.sub(r"\n{3,}", "\n\n", rendered("answer.md", language, each=each, answer=each.answer)) + "\n"


def file(each: Exchange, kind: str, language: str) -> tuple[str, str, bytes]:
    """A file of one of FILES to keep an answer in: its name, its type, its bytes."""
    ending, mime = FILES[kind]
    name = "-".join(re.findall(r"[^\W_]+", each.question.lower())[:8])[:60] or "svar"
    return f"{name}.{ending}", mime, pdf_file(each, language) if kind == "pdf" else markdown_file(each, language).encode()


def pdf_file(each: Exchange, language: str) -> bytes:
    """An answer for the archive, as a PDF of A4 pages."""
    from fpdf import FPDF
    from fpdf.fonts import FontFace, TextStyle

    assert each.answer is not None
    t = texts(language)

    class Paper(FPDF):
        def footer(self) -> None:
            self.set_y(-14)
            self.set_font("Noto", size=8)
            self.set_text_color(90)
            self.cell(0, 5, f"{t['page']} {self.page_no()} {t['of']} {{nb}}", align="C")

    paper = Paper(format="A4")
    for style, file in (("", "Regular"), ("I", "Regular"), ("B", "Bold"), ("BI", "Bold")):
        paper.add_font("Noto", style, WEB / "fonts" / f"NotoSans-{file}.ttf")
    paper.set_title(each.question)
    paper.set_lang(language)
    paper.set_margins(22, 20)
    paper.set_auto_page_break(True, 22)
    paper.set_font("Noto", size=10.5)
    paper.add_page()
    styles = {
        "h1": TextStyle(font_size_pt=17, font_style="B", color=(11, 75, 71), t_margin=0, b_margin=0.4),
        "h2": TextStyle(font_size_pt=12.5, font_style="B", color=(11, 75, 71), t_margin=4, b_margin=0.3),
        "a": FontFace(color=(11, 110, 105)),
    }
    how: dict[str, Any] = {"tag_styles": styles, "font_family": "Noto", "li_prefix_color": (11, 110, 105)}
    html = safe_html(markdown_file(each, language), each.answer, {}, each.origin, headings=True)
    html = re.sub("<(p|ul|ol)>", r'<\1 line-height="1.35">', html).replace(">\n<", "><")
    said, *sources = re.split("(?=<h2>)|(?<!</h2>)(?=<p[^>]*><strong>)", html)
    paper.write_html(said, **how)
    for source in sources:
        with paper.offset_rendering() as tried:
            tried.write_html(source, **how)
        if tried.page_break_triggered:  # a source stays on one page with its heading
            paper.add_page()
        paper.write_html(source, **how)
    return bytes(paper.output())


def too_many(seconds: int, language: str) -> str:
    """That one must wait for so long, "" when one need not."""
    t = texts(language)
    size, unit = (1, "seconds") if seconds < 100 else (60, "minutes") if seconds < 6_000 else (3_600, "hours")
    return t["too_many"].format(wait=t[f"wait_{unit}"].format(max(2, -(-seconds // size)))) if seconds else ""


def sentence(error: HmsError, question: str, language: str) -> str:
    """What went wrong, in the page's language; errors themselves are worded in bokmål."""
    t = texts(language)
    match error:
        case _ if language == "nb":
            return str(error)
        case QuestionError(field="question"):
            return t["too_long"].format(length=len(question), most=MAX_QUESTION) if len(question) > MAX_QUESTION else t["empty"]
        case NotReadyError():
            return t["unready"]
        case _:
            return t["unexpected"]
