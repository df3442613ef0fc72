"""Lovdata's public XML → Articles: the text of laws and regulations as passages to be shown beside the articles.

Knows the publisher's format (lovdata.no, data under NLOD 2.0) and puts it into Markdown, so that a law goes the way of every
article; knows nothing of search. What is repealed, notes on amendments and footnotes are left out.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from corpus.article import Article, ContentError, Rejected
from corpus.law import link

LEFT_OUT = frozenset(("changesToParent", "footnotereference", "footnotes", "footnote", "footnoteLabel"))
LEDD = frozenset(("legalP", "numberedLegalP", "defaultP", "leddfortsettelse", "listArticle", "marginIdArticle"))
MARKUP = re.compile(r"([\\`*_\[\]<>|#])")
# Leave for an authority to make rules of its own: it tells a reader nothing.
DELEGATES = re.compile(
    r"(?:\(\d+\) )?(?:Departementet|Kongen|Direktoratet|Skattedirektoratet|Finansdepartementet|Arbeidstilsynet|Finanstilsynet)\b"
    r"[^.]{0,60}\b(?:gi|fastsette|bestemme)\b[^.]{0,60}\b(?:forskrift|regler|bestemmelser)[^.]*\."
)
REPEALED = re.compile(r"\W*\(?(?:opphevet|opphevd|oppheva)\b.{0,60}", re.IGNORECASE | re.DOTALL)


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
        path=path(key),
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


def path(law: str) -> str:
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
