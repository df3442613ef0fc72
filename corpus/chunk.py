"""Blocks → Chunks: the passages that are searched, kept whole where the meaning needs it.

Knows sizes and structure; knows nothing of search. A chunk never crosses a heading. Blocks of one section are put together
until the chunk is full; a long list or table is divided between its items or rows, each of which carries its lead-in and
column names; a paragraph is divided only when it alone is too long, and then between sentences. A law is divided into its ledd.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from corpus.article import Article
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


def to_json(chunk: Chunk) -> str:
    """One line of JSON."""
    return json.dumps(chunk, default=vars, ensure_ascii=False)


def from_json(line: str | bytes) -> Chunk:
    """The chunk of a line written by `to_json`."""
    fields: dict[str, Any] = json.loads(line)
    units = tuple(Unit(**{**unit, "header": tuple(unit["header"])}) for unit in fields.pop("units"))
    headings, span = tuple(fields.pop("headings")), fields.pop("span")
    return Chunk(**fields, units=units, headings=headings, span=(span[0], span[1]))
