"""An answer without a language model: the sentences, list items and table rows that answer, in a short readable order.

Beside it, what an answer's quotes stand in: their neighbours, and the accounts that they name. Knows units and how they are told;
knows nothing of links, and leaves to `assistant.select` which units answer. Nothing is rewritten: what is said is the article's.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from assistant import phrases
from corpus.article import repair
from corpus.chunk import Chunk, section, told
from corpus.markdown import Unit, plain

if TYPE_CHECKING:
    from assistant.types import Citation

WORD_BUDGET = 73  # of an answer; longer ones are not read, shorter ones lack facts
HARD_LIMIT = 120
UNITS = 12  # that an answer holds at most
ARTICLES = 3  # that an answer quotes: from more, the reader gets scraps
KEEP = 6.0  # below the best unit's score a further unit is left out
SIBLING = 0.5  # what a further item of a list that was begun has ahead, when a list is asked for
WHOLE = 80  # words of a list that is told to its end once two of its items answer, with what introduces it
AROUND = 22  # words shown of a neighbour of what is quoted
MOST_ACCOUNTS = 4
NUMBERING = re.compile(r"^(?:(?:seksjon|del|kapittel|steg)\s+\d+\s*:\s*|[\d.]+\s+)", re.IGNORECASE)
YES_OR_NO = re.compile(r"(?:ja|nei)\b", re.IGNORECASE)
ASKS_LIST = re.compile(
    r"\b(?:hvilke|kva for|hvordan|korleis|steg\w*|trinn\w*|liste\w*|which|what are|how (?:do|to|should|can)|steps)\b",
    re.IGNORECASE,
)
SAYS_NOTHING = frozenset(("", *"spørsmål tema aspekt egenskap element komponent kriterium".split()))  # of a column, its name
LAW_COLUMN = re.compile(r"lov(?:henvisning|hjemmel|grunnlag)|hjemmel|paragraf", re.IGNORECASE)
OF_LAW = re.compile(r"\A[A-ZÆØÅ](?=[a-zæøå]+(?:lov|forskrift))")  # the capital of "Ferieloven § 5", which a sentence writes small
ACCOUNT_TITLE = re.compile(r"Konto (\d{4})\s*[-–—:]\s*(\S.*)")
ACCOUNT = re.compile(r"\bkonto(?:en)?\s+(\d{4})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Pick:
    """A unit of a chunk that may go into the answer. `score` is comparable within one question only; higher is better."""

    unit: Unit
    chunk: Chunk
    score: float


@dataclass(frozen=True)
class Draft:
    """Markdown whose marker `[n]` stands for the n-th source."""

    text: str
    sources: tuple[tuple[Unit, Chunk], ...] = ()


@dataclass(frozen=True)
class Line:
    """A piece of an article; `number` and `url` are its citation's, 0 and "" for what only stands around one."""

    kind: str
    text: str
    number: int = 0
    url: str = ""
    header: tuple[str, ...] = ()


@dataclass(frozen=True)
class Excerpt:
    """What is quoted of one section of an article, in its place there."""

    title: str
    section: str
    kind: str
    updated: str | None
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Account:
    """An account of the chart of accounts; `rows` is an example of an entry on it, column names first; () when there is none."""

    number: str
    name: str
    url: str
    lead: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


def extract(question: str, picks: Sequence[Pick]) -> list[Pick]:
    """The picks that answer a question, in reading order; `picks` come in that of their passages, the best first."""
    pages = list(dict.fromkeys(pick.chunk.path for pick in picks))
    return arrange(complete(choose(picks, bool(ASKS_LIST.search(question))), picks), pages)


def choose(picks: Sequence[Pick], wants_list: bool) -> list[Pick]:
    """The best units within the budgets, none of them a repetition. Items of a list that was begun come easier."""
    rest = sorted(picks, key=lambda pick: -pick.score)
    chosen: list[Pick] = []
    words = 0

    def eased(place: int) -> float:
        return rest[place].score + (SIBLING if wants_list and _sibling(rest[place], chosen) else 0.0)

    while rest and words < WORD_BUDGET and len(chosen) < UNITS:
        place = max(range(len(rest)), key=eased) if wants_list else 0
        ahead = eased(place)
        best = rest.pop(place)
        if chosen and ahead < chosen[0].score - KEEP:
            break
        size = len((best.unit.text if _sibling(best, chosen) else told(best.unit)).split())
        articles = {pick.chunk.path for pick in (*chosen, best)}
        fits = not chosen or (words + size <= HARD_LIMIT and len(articles) <= ARTICLES)
        if fits and not any(_repeats(best.unit.text, pick.unit.text) for pick in chosen):
            chosen.append(best)
            words += size
    return chosen


def complete(chosen: Sequence[Pick], picks: Sequence[Pick]) -> list[Pick]:
    """Lists that were begun told to their ends, when they are short: steps and enumerations mislead in part, and so does one side
    of an entry.

    What no longer fits beside them is left out, the least telling first. `chosen` is best first.
    """
    whole: list[Pick] = []
    for pick in chosen:
        begun = _half(pick.unit) or sum(_sibling(pick, [other]) for other in chosen) > 1
        items = [each for each in picks if _sibling(each, [pick])]
        if begun and not _sibling(pick, whole) and _words(items) <= WHOLE and _words(whole) + _words(items) <= HARD_LIMIT:
            whole += items
    kept: list[Pick] = []
    for pick in chosen:
        if not _sibling(pick, whole) and _words([*whole, *kept, pick]) <= HARD_LIMIT:
            kept.append(pick)
    return sorted([*whole, *kept], key=lambda pick: -pick.score) if whole else list(chosen)


def _words(picks: Sequence[Pick]) -> int:
    """The words of an answer of these; what introduces a list counts once."""
    texts = [*(pick.unit.text for pick in picks), *{pick.unit.lead for pick in picks}]
    return sum(len(text.split()) for text in texts)


def _half(unit: Unit) -> bool:
    """Whether a row names one side of an entry, and another the other."""
    sides = _sides(unit.header)
    return len(sides) == 2 and sum(bool(cells(unit.text, len(unit.header))[side]) for side in sides) == 1


def _sides(header: Sequence[str]) -> list[int]:
    """The columns of a table for debet and kredit."""
    return [place for place, name in enumerate(header) if name.lower().startswith(("debet", "kredit"))]


def _sibling(pick: Pick, chosen: Sequence[Pick]) -> bool:
    return any(
        other.unit.kind == pick.unit.kind != "sentence"
        and other.chunk.path == pick.chunk.path
        and other.unit.lead == pick.unit.lead
        and other.chunk.headings == pick.chunk.headings
        for other in chosen
    )


def _repeats(text: str, other: str) -> bool:
    mine, theirs = set(re.findall(r"\w+", text.lower())), set(re.findall(r"\w+", other.lower()))
    sizes = len(mine), len(theirs)
    return len(mine & theirs) > 0.8 * min(sizes) and max(sizes) - min(sizes) < 0.5 * max(sizes)


def arrange(picks: Sequence[Pick], pages: Sequence[str]) -> list[Pick]:
    """Reading order: article by article as `pages` has them, the section of the best unit first, within a section as it is
    written, lists unbroken. `picks` are best first."""
    sections = list(dict.fromkeys(pick.chunk.headings for pick in picks))
    places = {id(pick): (int(pick.chunk.id.rpartition("#")[2]), pick.chunk.units.index(pick.unit)) for pick in picks}

    def begins(pick: Pick) -> tuple[int, int]:
        return min([places[id(other)] for other in picks if _sibling(other, [pick])], default=places[id(pick)])

    return sorted(
        picks,
        key=lambda pick: (pages.index(pick.chunk.path), sections.index(pick.chunk.headings), begins(pick), places[id(pick)]),
    )


def tell(picks: Sequence[Pick], pages: Mapping[str, Sequence[Chunk]], language: str = "nb") -> Draft:
    """The picks as Markdown, a marker after each; of a list told in part, how much. `pages` holds all chunks of each article."""
    sources: list[tuple[Unit, Chunk]] = []
    lines: list[str] = []
    before: Pick | None = None
    for pick in picks:
        opens = not (before and _sibling(pick, [before]))
        if opens and pick.unit.lead:
            part = _part(pick, picks, pages[pick.chunk.path], language)
            lines += ["", _lead(pick, pages[pick.chunk.path], sources) + part, ""]
        elif opens and pick.chunk.headings and _bare(pick, before):
            part = _part(pick, picks, pages[pick.chunk.path], language)
            lines += ["", f"**{plain(headline(pick.chunk))}** [{len(sources) + 1}]{part}", ""]
        sources.append((pick.unit, pick.chunk))
        said = f"{_asked(pick, len(sources))}{wording(pick.unit)} [{len(sources)}]"
        if pick.unit.kind != "sentence":
            lines += [*([""] if before and before.unit.kind == "sentence" else []), f"- {said}"]
        elif before and before.unit.kind == "sentence" and before.chunk.headings == pick.chunk.headings:
            lines[-1] += f" {said}"
        else:
            lines += ["", said]
        before = pick
    return Draft(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(), tuple(sources))


def _bare(pick: Pick, before: Pick | None) -> bool:
    """Whether a list that nothing introduces would not tell what it is of, or would pass for a part of another section's."""
    follows = before is not None and before.unit.kind != "sentence" and section(before.chunk) != section(pick.chunk)
    return pick.unit.kind == "item" or (pick.unit.kind == "row" and follows)


def _part(pick: Pick, picks: Sequence[Pick], page: Sequence[Chunk], language: str) -> str:
    """How much is told of a list: nothing of one that is told to its end, or of which there is but one."""
    shown = sum(_sibling(other, [pick]) for other in picks)
    whole = sum(_sibling(Pick(unit, chunk, 0.0), [pick]) for chunk in page for unit in chunk.units)
    return f" *({phrases.EXCERPT[language].format(shown=shown, whole=whole)})*" if 1 < shown < whole else ""


def _asked(pick: Pick, number: int) -> str:
    """The question that a sentence answers with yes or no, when the article asks it: under another one it would mislead."""
    heading = pick.chunk.headings[-1] if pick.chunk.headings else ""
    return f"**{plain(heading)}** [{number}] " if YES_OR_NO.match(pick.unit.text) and heading.endswith("?") else ""


def _lead(pick: Pick, page: Sequence[Chunk], sources: list[tuple[Unit, Chunk]]) -> str:
    """The sentence that introduces a list or table, cited where it stands; without a marker of its own, the item's."""
    number = len(sources) + 1
    for chunk in page:
        for unit in chunk.units:
            if unit.text == pick.unit.lead and chunk.headings == pick.chunk.headings:
                sources.append((unit, chunk))
                return f"{unit.text} [{number}]"
    return f"{pick.unit.lead} [{number}]"


def wording(unit: Unit) -> str:
    """How a unit is said: a row with its column names, less those that say nothing, and its law in brackets; the rest as it
    stands. What Markdown would read as markup is escaped."""
    if unit.kind == "code":
        return plain("; ".join(repair(unit.raw).split("\n")).replace(":;", ":"))
    if unit.kind != "row" or not any(unit.header):
        return plain(unit.text)
    row = zip(unit.header, (cell.strip(" |") for cell in f" {unit.text}".split(" | ")), strict=False)
    (name, first), *rest = [(plain(name), plain(cell)) for name, cell in row if cell]
    said = "; ".join(f"{other}: {cell}" if other else cell for other, cell in rest if not LAW_COLUMN.fullmatch(other))
    laws = "".join(f" ({OF_LAW.sub(lambda name: name[0].lower(), cell)})" for other, cell in rest if LAW_COLUMN.fullmatch(other))
    return f"**{first if name.lower() in SAYS_NOTHING else f'{name}: {first}'}**{said and f' – {said}'}{laws}"


def headline(chunk: Chunk) -> str:
    """A passage's heading as a reader is told it, without its numbering."""
    return NUMBERING.sub("", section(chunk)).rstrip(":")


def excerpts(citations: Sequence["Citation"], article_at: Callable[[str], Sequence[Chunk]]) -> Iterator[Excerpt]:
    """What is quoted, by section, with what stands around it; `article_at` has the passages of the article at an address."""
    sections: dict[tuple[str, str, str, str | None], list[Citation]] = {}
    for each in citations:
        sections.setdefault((each.title, each.section, each.kind, each.updated), []).append(each)
    for (title, heading, kind, updated), quotes in sections.items():
        units = [unit for chunk in article_at(quotes[0].url) if section(chunk) == heading for unit in chunk.units]
        yield Excerpt(title, heading, kind, updated, tuple(_lines(units, quotes)))


def _lines(units: Sequence[Unit], quotes: Sequence["Citation"]) -> Iterator[Line]:
    """The quotes with their neighbours; the quotes alone when the section does not hold them as they stand."""
    found: dict[int, Citation] = {}
    for each in quotes:
        at = next((place for place, unit in enumerate(units) if unit.text == each.quote and place not in found), None)
        if at is not None:
            found[at] = each
    if len(found) < len(quotes):
        yield from (Line("sentence", each.quote, each.number, each.url) for each in quotes)
        return
    last, before = -1, ""
    for place, unit in enumerate(units):
        quoted = found.get(place)
        near = unit.kind in ("sentence", "item") and ({place - 1, place + 1} & found.keys())
        if not quoted and not near:
            continue
        if last >= 0 and place > last + 1:
            yield Line("row", "…", header=unit.header) if unit.kind == "row" else Line("gap", before := "…")
        last, told = place, unit.text if quoted else _cut(unit.text, ending=place - 1 not in found)
        if quoted:
            yield Line(unit.kind, told, quoted.number, quoted.url, unit.header)
        else:
            yield Line(unit.kind, told.removeprefix("… ") if before.endswith("…") and unit.kind == "sentence" else told)
        before = told


def _cut(text: str, ending: bool) -> str:
    """The end, or the beginning, of a long text."""
    words = text.split()
    if len(words) <= AROUND:
        return text
    return f"… {' '.join(words[-AROUND:])}" if ending else f"{' '.join(words[:AROUND])} …"


def accounts(citations: Sequence["Citation"], account: Callable[[str], tuple[str, Sequence[Chunk]]]) -> Iterator[Account]:
    """The accounts that are cited or named in what is; `account` has the address and the passages of the article on a number."""
    titles = (ACCOUNT_TITLE.fullmatch(each.title) for each in citations)
    named = [found[1] for found in titles if found] + ACCOUNT.findall(" ".join(each.quote for each in citations))
    for number in [*dict.fromkeys(named)][:MOST_ACCOUNTS]:
        url, chunks = account(number)
        title = ACCOUNT_TITLE.fullmatch(chunks[0].title) if chunks else None
        if title:
            yield Account(number, title[2], url, *_example(number, chunks))


def _example(number: str, chunks: Sequence[Chunk]) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """The first entry that an article gives as an example and that names the account: its lead and its table."""
    for chunk in chunks:
        tables = groupby((unit for unit in chunk.units if unit.kind == "row"), key=lambda unit: (unit.lead, unit.header))
        for (lead, header), units in tables:
            sides = _sides(header)
            rows = [cells(unit.text, len(header)) for unit in units]
            if len(sides) != 2 or not any(number in " ".join(row) for row in rows):
                continue
            if rows := _entry(number, rows, sides):
                return lead, (header, *rows)
    return "", ()


def _entry(number: str, rows: Sequence[tuple[str, ...]], sides: Sequence[int]) -> list[tuple[str, ...]]:
    """The rows that make one entry: all of them when their sums agree, or the one that says which accounts meet."""
    sums = [[int(digits) for row in rows if (digits := re.sub(r"\D", "", row[side]))] for side in sides]
    if all(re.fullmatch(r"[\d\s.,kr–-]*", row[side]) for row in rows for side in sides):
        return list(rows) if sum(sums[0]) == sum(sums[1]) > 0 else []
    meeting = (row for row in rows if all(row[side] for side in sides))
    return next(([row] for row in meeting if any(re.search(rf"\b{number}\b", row[side]) for side in sides)), [])


def cells(text: str, columns: int) -> tuple[str, ...]:
    """The cells of a row's text, as many as there are columns."""
    found = [cell.strip() for cell in text.split(" | ")]
    return tuple([*found, *[""] * columns][:columns])


def unbroken(text: str) -> str:
    """A text as it is shown: paragraphs of law and figures of thousands stay on one line."""
    return re.sub(r"(?<=§) (?=\d)|(?<=\d) (?=\d{3}\b)", "\u00a0", text)
