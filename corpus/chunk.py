"""Blocks → Chunks: the passages that are searched, kept whole where the meaning needs it.

Knows sizes and structure; knows nothing of search. A chunk never crosses a heading. Blocks of one section are put together
until the chunk is full; a long list or table is divided between its items or rows, each of which carries its lead-in and
column names; a paragraph is divided only when it alone is too long, and then between sentences. A law is divided into its ledd;
Lovdata's public XML (data under NLOD 2.0) is put into Markdown first, so that it goes the way of every article. What is repealed,
notes on amendments and footnotes are left out.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from corpus.article import Article, ContentError, Rejected
from corpus.law import link
from corpus.markdown import Block, Unit

FULL = 110  # words; smaller passages rank better, larger ones hold more of the answer
LONG = 220  # words of one paragraph, which is otherwise never cut: a definition stays whole


@dataclass(frozen=True)
class Chunk:
    """A passage of one article. `id` holds the article's path, so that equal passages of two articles stay two.

    `path`, `title`, `headings`, `heading_id`, `updated` as in `Article` and `Block`; `span` is the half-open range of 1-based
    line numbers in the article's file that the units were read from. `kind` is the source's kind (article, law, regulation).
    """

    id: str
    path: str
    title: str
    headings: tuple[str, ...]
    heading_id: str
    units: tuple[Unit, ...]
    span: tuple[int, int]
    kind: str = "artikkel"
    updated: str | None = None


@dataclass(frozen=True)
class _Piece:
    """Units that belong together, and where they stand."""

    units: tuple[Unit, ...]
    span: tuple[int, int]
    words: int


def chunks(article: Article, blocks: Iterable[Block]) -> list[Chunk]:
    """The passages of an article, in order."""
    found: list[Chunk] = []
    for (headings, heading_id), section in groupby(blocks, key=lambda block: (block.headings, block.heading_id)):
        size = FULL if article.kind == "artikkel" else 0
        for pieces in _packed([piece for block in section for piece in _pieces(block)], size):
            found.append(
                Chunk(
                    id=f"{article.path}#{len(found)}",
                    path=article.path,
                    title=article.title,
                    headings=headings,
                    heading_id=heading_id,
                    units=tuple(unit for piece in pieces for unit in piece.units),
                    span=(pieces[0].span[0], max(piece.span[1] for piece in pieces)),
                    kind=article.kind,
                    updated=article.updated,
                )
            )
    return found


def _pieces(block: Block) -> Iterator[_Piece]:
    """A block as one piece, or as several when it is long and may be cut."""
    limit = LONG if block.kind == "paragraph" else FULL
    part: list[Unit] = []
    for unit in block.units:
        if part and _size([*part, unit]) > limit:
            yield _Piece(tuple(part), block.span, _size(part))
            part = []
        part.append(unit)
    if part:
        yield _Piece(tuple(part), block.span, _size(part))


def _packed(pieces: Sequence[_Piece], full: int) -> Iterator[list[_Piece]]:
    """Neighbouring pieces in groups of at most `full` words; a lead-in is never the last of its group."""
    group: list[_Piece] = []
    for position, piece in enumerate(pieces):
        following = pieces[position + 1] if position + 1 < len(pieces) else None
        size = piece.words + (following.words if following and _leads(piece, following) else 0)
        led = bool(group) and _leads(group[-1], piece)
        if group and not (led and not full) and sum(each.words for each in group) + min(size, full) > full:
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _leads(piece: _Piece, following: _Piece) -> bool:
    return bool(following.units[0].lead) and following.units[0].lead == piece.units[-1].text


def _size(units: Iterable[Unit]) -> int:
    return sum(len(unit.text.split()) for unit in units)


def body(chunk: Chunk) -> str:
    """The text of a chunk for reading: its units a line each, with lead-ins and column names where they begin."""
    lines: list[str] = []
    for unit in chunk.units:
        for before in (unit.lead, " | ".join(unit.header)):
            if before and before not in lines:
                lines.append(before)
        lines.append(unit.text)
    return "\n".join(lines)


def told(unit: Unit) -> str:
    """A unit with what it needs to be understood: its lead-in and column names."""
    return " ".join(part for part in (unit.lead, " ".join(unit.header), unit.text) if part)


def section(chunk: Chunk) -> str:
    """The innermost heading, or the article's title before the first one."""
    return chunk.headings[-1] if chunk.headings else chunk.title


def full_text(chunk: Chunk) -> str:
    """What the embedder reads: title, headings and body."""
    return "\n".join((chunk.title, *chunk.headings, body(chunk)))


def searched_text(chunk: Chunk, questions: Sequence[str]) -> str:
    """What the embedder reads of a chunk: its own text, and the questions written to it."""
    return "\n".join((full_text(chunk), *questions))


def weighted_text(chunk: Chunk, questions: Sequence[str]) -> str:
    """What BM25 reads of a chunk. Title and headings count twice: they say what the passage is about."""
    return f"{searched_text(chunk, questions)} {chunk.title} {' '.join(chunk.headings)}"


def to_json(chunk: Chunk) -> str:
    """One line of JSON."""
    return json.dumps(chunk, default=vars, ensure_ascii=False)


def from_json(line: str | bytes) -> Chunk:
    """The chunk of a line written by `to_json`."""
    fields: dict[str, Any] = json.loads(line)
    units = tuple(Unit(**{**unit, "header": tuple(unit["header"])}) for unit in fields.pop("units"))
    headings, span = tuple(fields.pop("headings")), fields.pop("span")
    return Chunk(**fields, units=units, headings=headings, span=(span[0], span[1]))


LEFT_OUT = frozenset(("changesToParent", "footnotereference", "footnotes", "footnote", "footnoteLabel"))
LEDD = frozenset(("legalP", "numberedLegalP", "defaultP", "leddfortsettelse", "listArticle", "marginIdArticle"))
MARKUP = re.compile(r"([\\`*_\[\]<>|#])")
# Leave for an authority to make rules of its own: it tells a reader nothing.
DELEGATES = re.compile(
    r"(?:\(\d+\) )?(?:Departementet|Kongen|Direktoratet|Skattedirektoratet|Finansdepartementet|Arbeidstilsynet|Finanstilsynet)\b"
    r"[^.]{0,60}\b(?:gi|fastsette|bestemme)\b[^.]{0,60}\b(?:forskrift|regler|bestemmelser)[^.]*\."
)
REPEALED = re.compile(r"\W*\(?(?:opphevet|opphevd|oppheva)\b.{0,60}", re.IGNORECASE | re.DOTALL)


# Laws
def read_statutes(folders: Sequence[Path]) -> Iterator[Article | Rejected]:
    """Every law and regulation of the folders (`*.xml`), in order; raises ContentError for a folder without any."""
    for folder in folders:
        if not (folder.is_dir() and any(folder.rglob("*.xml"))):
            raise ContentError(f"Mappen {folder} har ingen lover (.xml); oppgi en mappe med Lovdatas åpne data (--law).")
    for file in (file for folder in folders for file in sorted(folder.rglob("*.xml"))):
        try:
            yield statute(file.read_bytes(), file.name)
        except (ElementTree.ParseError, OSError, ValueError) as error:
            yield Rejected(file.name, f"Filen kan ikke leses som en lov fra Lovdata ({error}); last den ned på nytt.")


def statute(data: bytes, name: str) -> Article:
    """One document as an article of kind "lov" or "forskrift". Raises ParseError for broken XML, ValueError for others."""
    root = ElementTree.fromstring(data)
    told = {each.get("class", ""): _text(each) for each in root.iter("dd")}
    key = told.get("legacyID", "")
    if not re.fullmatch(r"(?:LOV|FOR)-[\d-]+", key):
        raise ValueError("den mangler datokode")
    main = root.find(".//main")
    body = "\n\n".join(_section(main)) if main is not None else ""
    if not body:
        raise ValueError("den har ingen paragrafer")
    full = told.get("title", key)
    title = told.get("titleShort", "").partition(" – ")[0].strip() or full
    return Article(
        path=law_path(key),
        title=title[0].upper() + title[1:],
        description=full,
        body=body,
        first_line=1,
        file=name,
        language="nb",
        updated=_day(told.get("lastChangeInForce") or told.get("dateInForce")),
        hash=hashlib.sha256(data).hexdigest(),
        kind="lov" if key.startswith("LOV") else "forskrift",
    )


def law_path(law: str) -> str:
    """The path of a law in the index, from its id: "/lov/2005-06-17-62"."""
    return "/" + link(law).split("/", 3)[3]


def _day(value: str | None) -> str | None:
    try:
        return date.fromisoformat((value or "")[:10]).isoformat()
    except ValueError:
        return None


def _section(section: Element) -> Iterator[str]:
    """The blocks of a part of the document: its heading, its paragraphs and its parts."""
    parts = [part for child in section for part in _part(child)]
    heading = next((child for child in section if child.tag in ("h2", "h3", "h4", "h5")), None)
    if parts and heading is not None:
        yield f"## {_escaped(heading)}"
    yield from parts


def _part(child: Element) -> Iterator[str]:
    if child.tag == "section":
        yield from _section(child)
    elif _is(child, "legalArticle"):
        yield from _paragraph(child)
    elif _is(child, "legalP", "numberedLegalP"):  # of a regulation without paragraphs
        yield from _ledd(child)


def _paragraph(paragraph: Element) -> list[str]:
    """A paragraph's heading and its ledd; nothing of one that is repealed."""
    number = next((each for each in paragraph.iter("span") if _is(each, "legalArticleValue")), None)
    title = next((each for each in paragraph.iter("span") if _is(each, "legalArticleTitle")), None)
    ledd = (part for child in paragraph if not child.tag.startswith("h") for part in _ledd(child))
    parts = [part for part in ledd if not DELEGATES.fullmatch(part)]
    if number is None or not parts or REPEALED.fullmatch(" ".join(parts)):
        return []
    heading = _escaped(number) + (f". {_escaped(title)}" if title is not None else "")
    return [f"### {heading}", *parts]


def _ledd(element: Element, before: str = "") -> Iterator[str]:
    """One ledd as Markdown: its text, with its lists and tables after it; `before` is what stands in front of it."""
    if _is(element, *LEFT_OUT):
        return
    words = [before, " ", _escape(element.text)]

    def said() -> Iterator[str]:
        text = " ".join("".join(words).split())
        if re.search(r"[^\W\d_]", text):  # a number alone is of the text that follows
            words.clear()
            yield text

    for child in element:
        if child.tag in ("ol", "ul"):
            yield from said()
            yield "\n".join(_items(child, ""))
        elif child.tag == "table":
            yield from said()
            yield "\n".join(_table(child))
        elif _is(child, *LEDD):
            yield from said()
            yield from _ledd(child, "".join(words))
            words.clear()
        elif not _is(child, *LEFT_OUT):
            words += _words(child)
        words.append(_escape(child.tail))
    yield from said()


def _items(items: Element, indent: str) -> Iterator[str]:
    """A list, each item with its letter or number, which other paragraphs refer to."""
    for item in items:
        words = f"{_escape(item.get('data-name'))} {''.join(_words(item, ('ol', 'ul')))}"
        yield f"{indent}- {' '.join(words.split())}"
        for inner in (each for each in item.iter() if each.tag in ("ol", "ul")):
            if _nearest(item, inner):
                yield from _items(inner, indent + "  ")


def _nearest(item: Element, inner: Element) -> bool:
    """Whether a list is the item's own, not one of a list within it."""
    lists = [each for each in item.iter() if each.tag in ("ol", "ul")]
    return not any(inner is not other and inner in other.iter() for other in lists)


def _table(table: Element) -> Iterator[str]:
    """A table with its column names; one without them, which only sets letters beside their texts, as a list."""
    rows = [[" ".join(_escaped(cell).split()) for cell in row if cell.tag in ("td", "th")] for row in table.iter("tr")]
    named = table.find("thead") is not None or any(cell.tag == "th" for row in table.iter("tr") for cell in row)
    if not named:
        yield from (f"- {' '.join(cell for cell in row if cell)}" for row in rows if any(row))
        return
    width = max(map(len, rows))
    rows = [[*row, *[""] * (width - len(row))] for row in rows]
    yield from (f"| {' | '.join(row)} |" for row in (rows[0], ["---"] * width, *rows[1:]))


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _escaped(element: Element) -> str:
    """The words of an element as Markdown."""
    return " ".join("".join(_words(element)).split())


def _words(element: Element, without: tuple[str, ...] = ()) -> Iterator[str]:
    """The words of an element, without what is left out and without the elements of some tags."""
    yield _escape(element.text)
    for child in element:
        if child.tag not in without and not _is(child, *LEFT_OUT):
            yield from _words(child, without)
        yield _escape(child.tail)


def _escape(text: str | None) -> str:
    return MARKUP.sub(r"\\\1", (text or "").replace("\n", " "))


def _is(element: Element, *classes: str) -> bool:
    return element.get("class", "").split(" ")[0] in classes
