"""Deep links and citations: a passage → the address that opens its page at the very words.

Pure: knows chunks and the text-fragment standard (wicg.github.io/scroll-to-text-fragment); knows nothing of the index or of HTTP.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from urllib.parse import quote, unquote, urlsplit

from assistant import phrases
from assistant.types import Citation, Law, Notice
from corpus import law, rules
from corpus.article import repair
from corpus.chunk import Chunk, section
from corpus.markdown import Unit, plain

READER = "/lest"  # the app's own reader pages, for articles that have no site of their own
EDGE = 6  # words at each end of a passage name it; a longer passage is not spelled out
SHORT = 12  # words; a passage this short is named whole
LAW_WORDS = 70  # of a law's passage that are quoted
FIGURE = re.compile(r"(?<![§\d.,-])(?<!§ )\d+(?![\d-])")  # none of a paragraph
CORRECTIONS = 2  # of figures that are told before an answer
PARAGRAPH = re.compile(rf"§\s*({law.NUMBER})")  # at the head of a law's passage
CONTEXT = 4  # words before and after a passage tell it from its doubles
# What makes no difference to a browser that looks for words: the kinds of spaces, quotation marks and soft hyphens.
SPACES = {code: " " for code in range(0x3001) if chr(code).isspace()}
FOLDED = {**SPACES, 0xAD: None, **dict.fromkeys(map(ord, "‘’‚‛"), "'"), **dict.fromkeys(map(ord, "“”„‟"), '"')}
Source = tuple[Unit, Chunk]
MARKER = re.compile(r"(?<!\\)\[(\d{1,3})\]")  # an escaped bracket is the article's own


def resolve(text: str, sources: int) -> tuple[str, list[int]]:
    """Keep the markers that name one of the `sources` (numbered from 1), number them by first use, drop the others.

    Returns the text and, for each new number in order, the old one.
    """
    before = ""
    while before != text:  # "[[9]1]" without its "[9]" is a marker that nobody wrote
        before, text = text, MARKER.sub(lambda match: match[0] if 1 <= int(match[1]) <= sources else "", text)
    used = list(dict.fromkeys(int(number) for number in MARKER.findall(text)))
    return MARKER.sub(lambda match: f"[{used.index(int(match[1])) + 1}]", text), used


def named_laws(sources: Iterable[Source]) -> tuple[Law, ...]:
    """The law references of what is cited that exist, each once, with their deep links."""
    found: dict[str, Law] = {}
    for unit, chunk in sources:
        for reference in _references(unit, chunk):
            if reference.url and reference.law:
                found.setdefault(reference.url, Law(_name(reference.law, reference.paragraph), reference.url))
    with_paragraph = {url.partition("/§")[0] for url in found if "/§" in url}  # a law as a whole is told by one of its paragraphs
    return tuple(each for url, each in found.items() if url not in with_paragraph)


def _references(unit: Unit, chunk: Chunk) -> list[law.Reference]:
    about, _ = statute_of(chunk)
    return law.references(unit.text, about or None, own=bool(about))


def _name(key: str, paragraph: str) -> str:
    return law.laws()[key].title + (f" § {paragraph}" if paragraph else "")


def statute_of(chunk: Chunk) -> tuple[str, str]:
    """The law and the paragraph that a passage is of ("LOV-2005-06-17-62", "7-1"); "" for an article's."""
    if chunk.kind == "artikkel":
        return "", ""
    paragraph = PARAGRAPH.match(chunk.headings[-1]) if chunk.headings else None
    kind, _, number = chunk.path.strip("/").partition("/")
    return f"{'LOV' if kind == 'lov' else 'FOR'}-{number}", re.sub(r"\s", "", paragraph[1]) if paragraph else ""


def law_quote(chunk: Chunk, first: int, language: str) -> tuple[str, list[Unit]]:
    """The beginning of a law's passage for below an answer, whole sentences of LAW_WORDS at most, and the units that it cites;
    `first` is the number of the first."""
    key, paragraph = statute_of(chunk)
    name = _name(key, paragraph) if key in law.laws() else f"{chunk.title} {f'§ {paragraph}' if paragraph else ''}".strip()
    sizes = accumulate(len(unit.text.split()) for unit in chunk.units)
    units = [unit for place, (unit, words) in enumerate(zip(chunk.units, sizes, strict=True)) if not place or words <= LAW_WORDS]
    said = " ".join(f"{plain(unit.text)} [{number}]" for number, unit in enumerate(units, first))
    return f"{phrases.STATUTE[language].format(name=f'[{name}]({law.link(key, paragraph)})')} {said}", units


def corrected(
    text: str, sources: Sequence[Source], language: str, leads: Callable[[Unit, rules.Claim], float] = lambda *_: 1.0
) -> str:
    """An answer with the law's figures first and the articles' outdated ones marked; its markers number the `sources` from 1.

    The articles' words are left as they are. More than CORRECTIONS of them would bury the answer: told are those that `leads`
    puts highest, each thing once, and none that it puts at 0 or below; the notices name all.
    """
    told: dict[str, tuple[float, str]] = {}
    wrong: dict[int, dict[str, None]] = {}
    for number, claim in _claims(sources):
        if not claim.right:
            wrong.setdefault(number, {})[claim.quote] = None
            fit = leads(sources[number - 1][0], claim)
            if fit > told.get(claim.rule.lead, (0.0, ""))[0]:
                told[claim.rule.lead] = fit, f"{_correction(claim, language)} [{number}]"
    for number, quotes in wrong.items():
        before, marker, after = text.rpartition(f"[{number}]")
        text = f"{before}{marker} *({_outdated(sources[number - 1][0].text, list(quotes), language)})*{after}"
    first = sorted(told.values(), key=lambda each: -each[0])[:CORRECTIONS]
    return "\n\n".join([*(said for _, said in first), text])


def _outdated(text: str, quotes: Sequence[str], language: str) -> str:
    """The mark behind a text: of one with other figures too, what it is on."""
    if not FIGURE.search(functools.reduce(lambda rest, quote: rest.replace(quote, ""), quotes, text)):
        return str(phrases.OUTDATED[language])
    return str(phrases.OUTDATED_PART[language]).format(quotes=", ".join(f"«{_readable(quote)}»" for quote in quotes))


def _correction(claim: rules.Claim, language: str) -> str:
    rule = claim.rule
    basis = f"[{rule.basis}]({rule.url})" if rule.url else rule.basis
    since = phrases.SINCE[language].format(date=rule.since) if rule.since else ""
    says, phrase = rule.lead[0].upper() + rule.lead[1:], phrases.WHOLE if rule.leads else phrases.CORRECTION
    return str(phrase[language]).format(says=says, basis=basis + since, quote=_readable(claim.quote))


def _readable(quote: str) -> str:
    """A quote without the strokes between a row's cells."""
    return quote.replace(" | ", ": ")


def notices(sources: Sequence[Source]) -> tuple[Notice, ...]:
    """What a reader must know of what is cited: figures that are not the law's or of a year that is over, articles that disagree,
    references to what does not exist."""
    found: dict[str, Notice] = {}
    said: dict[str, dict[str, tuple[Chunk, rules.Claim]]] = {}
    for number, claim in _claims(sources):
        chunk = sources[number - 1][1]
        said.setdefault(claim.rule.id, {}).setdefault(chunk.path, (chunk, claim))
        if not claim.right or claim.past(date.today()):
            found.setdefault(claim.rule.id, Notice("outdated", rules.message(claim), claim.rule.url))
    for articles in said.values():
        disagree = sorted(articles.values(), key=lambda pair: pair[1].right)
        if len({claim.figure for _, claim in disagree}) > 1 and not disagree[0][1].right:
            (one, wrong), (other, claim) = disagree[0], next(pair for pair in disagree if pair[1].figure != disagree[0][1].figure)
            told = f"Artiklene er uenige: «{one.title}» sier «{wrong.quote}», og «{other.title}» sier «{claim.quote}»."
            found[f"{wrong.rule.id} {other.path}"] = Notice("contradiction", told, wrong.rule.url)
    for unit, chunk in sources:
        for reference in _references(unit, chunk) if chunk.kind == "artikkel" else ():
            if not reference.exists:
                told = f"Artikkelen viser til «{reference.text}», som ikke finnes i gjeldende lov; se etter i lovteksten."
                found.setdefault(reference.text, Notice("unknown_law", told))
            elif reference.law and law.laws()[reference.law].pending(date.today()):
                told = f"«{reference.text}» er ikke trådt i kraft; det skjer {law.laws()[reference.law].since}."
                found.setdefault(reference.law, Notice("unknown_law", told, reference.url))
    return tuple(found.values())


def _claims(sources: Sequence[Source]) -> Iterator[tuple[int, rules.Claim]]:
    """The claims of the articles that are cited on the rules' figures, each with the number of its source."""
    for number, (unit, chunk) in enumerate(sources, 1):
        over = rules.above(chunk.title, chunk.headings, unit.lead, unit.header)
        for claim in rules.claims(unit.text, over) if chunk.kind == "artikkel" else ():
            yield number, claim


def page_url(base_url: str, path: str) -> str:
    """The address of an article's page, without a fragment; with no site of its own, the reader page."""
    return f"{base_url or READER}{quote(path)}{'/' if base_url and path != '/' else ''}"


def page_path(url: str, base_url: str) -> str:
    """The page path in an address of the site or of the reader page, as articles have it."""
    address = url[len(base_url) :] if base_url and url.startswith(base_url) else urlsplit(url).path
    path = unquote(address.partition("#")[0]).rstrip("/")
    return path.removeprefix(READER) or "/"


@dataclass(frozen=True)
class PageText:
    """An article's texts in the order a page shows them, one for each block; `owners` tells which unit of which chunk it is of.

    `shown` is as the page has them, `folded` as a browser compares them.
    """

    shown: tuple[str, ...]
    folded: tuple[str, ...]
    owners: tuple[tuple[str, Unit] | None, ...]
    base_url: str


def page_text(chunks: Sequence[Chunk], base_url: str) -> PageText:
    """The page of an article from all its chunks in order. A site publishes the raw words, our own reader page the repaired."""
    pairs = [(owner, text) for owner, texts in _texts(chunks, published=bool(base_url)) for text in texts]
    shown = tuple(text for _, text in pairs)
    return PageText(shown, tuple(map(_fold, shown)), tuple(owner for owner, _ in pairs), base_url)


def citation(number: int, unit: Unit, chunk: Chunk, page: PageText | None) -> Citation:
    """The citation of a unit of `chunk` on its article's page; a law has none, its publisher's page is linked."""
    key, paragraph = statute_of(chunk)
    return Citation(
        number=number,
        url=deep_link(unit, chunk, page) if page else law.link(key, paragraph),
        title=chunk.title,
        section=section(chunk),
        quote=unit.text,
        kind=chunk.kind,
        updated=chunk.updated,
    )


def deep_link(unit: Unit, chunk: Chunk, page: PageText) -> str:
    """Page + heading id + text fragment."""
    directive = fragment(unit, chunk, page)
    return f"{page_url(page.base_url, chunk.path)}#{quote(chunk.heading_id)}" + (f":~:text={directive}" if directive else "")


def fragment(unit: Unit, chunk: Chunk, page: PageText) -> str:
    """The text directive for a unit, "" if there is nothing to name.

    A browser takes the first place on the page that fits. When the unit's own words fit an earlier place, the words right before
    it are named too, then those right after it as well.
    """
    blocks = _blocks(unit, published=bool(page.base_url))
    if not blocks or (chunk.id, unit) not in page.owners:
        return ""
    at = page.owners.index((chunk.id, unit))
    start, end = _ends(blocks)
    before = _last_words(page.shown[at - 1], CONTEXT) if at else ""
    following = at + len(blocks)
    after = _first_words(page.shown[following], CONTEXT) if following < len(page.shown) else ""
    tries = [("", ""), (before, "")]
    if not end:  # with an end, a browser goes on from an earlier start to any later end that the suffix fits
        tries += [(before, after), ("", after)]
    fitting = next((each for each in tries if _first_match(page, each[0], start, end, each[1]) == at), None)
    if fitting is None:  # a section that stands twice, word for word: its heading's id must do
        return ""
    prefix, suffix = fitting
    return ",".join(
        part
        for part in (
            f"{_encode(prefix)}-" if prefix else "",
            _encode(start),
            _encode(end) if end else "",
            f"-{_encode(suffix)}" if suffix else "",
        )
        if part
    )


def _ends(blocks: Sequence[str]) -> tuple[str, str]:
    """The first and the last words of a passage; the end is "" when the start says it all."""
    if len(blocks) == 1 and len(blocks[0].split()) <= SHORT:
        return blocks[0], ""
    return _first_words(blocks[0], EDGE), _last_words(blocks[-1], EDGE)


def _first_words(text: str, count: int) -> str:
    match = re.match(rf"(?:\S+\s+){{0,{count - 1}}}\S+", text)
    return match[0] if match else ""


def _last_words(text: str, count: int) -> str:
    match = re.search(rf"(?:\S+\s+){{0,{count - 1}}}\S+$", text)
    return match[0] if match else ""


def _first_match(page: PageText, prefix: str, start: str, end: str, suffix: str) -> int | None:
    """The block in which a browser finds the start of a text directive."""
    prefix, start, end, suffix = map(_fold, (prefix, start, end, suffix))
    for number, text in enumerate(page.folded):
        place = _find(start, text)
        if place is None or not (text[:place].strip() or _at(page, number - 1)).endswith(prefix):
            continue
        rest = [text[place + len(start) :], *page.folded[number + 1 :]]
        if end and all(_find(end, each) is None for each in rest):
            continue
        if (rest[0].strip() or _at(page, number + 1)).startswith(suffix):
            return number
    return None


def _at(page: PageText, number: int) -> str:
    return page.folded[number] if 0 <= number < len(page.folded) else ""


def _find(words: str, text: str) -> int | None:
    """Where whole words first stand in a text; both folded."""
    place = text.find(words)
    while place >= 0:
        if not (_is_word(text[place - 1 : place]) or _is_word(text[place + len(words) :][:1])):
            return place
        place = text.find(words, place + 1)
    return None


def _is_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def _blocks(unit: Unit, published: bool) -> list[str]:
    """The texts of a unit as a page shows them, one for each block or line: a row's cells stand apart, and so do broken lines."""
    text = unit.raw if published else repair(unit.raw)
    if not published and unit.kind != "code":  # no-break spaces have become typed ones, of which a browser shows one
        text = re.sub(" +", " ", text)
    cells = text.split(" | ") if unit.kind == "row" else [text]
    return [stripped for cell in cells for line in cell.split("\n") if (stripped := line.strip(" |\xa0"))]


def _texts(chunks: Sequence[Chunk], published: bool) -> Iterator[tuple[tuple[str, Unit] | None, list[str]]]:
    """The texts of a page in order, each with the unit that it belongs to: title, headings and column names belong to none."""
    yield None, [chunks[0].title] if chunks else []
    heading: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    for chunk in chunks:
        if (*chunk.headings, chunk.heading_id) != heading:
            heading, header = (*chunk.headings, chunk.heading_id), ()
            yield None, list(chunk.headings[-1:])
        for unit in chunk.units:
            if unit.header != header:
                header = unit.header
                yield None, [cell for cell in header if cell]
            yield (chunk.id, unit), _blocks(unit, published)


def _fold(text: str) -> str:
    """Text as a browser compares it: case, quotation marks, soft hyphens and the kind of a space make no difference."""
    return text.translate(FOLDED).casefold().strip()


def _encode(text: str) -> str:
    """Percent-encoded for a text directive, in which - & and , have a meaning."""
    return quote(text, safe="").replace("-", "%2D")
