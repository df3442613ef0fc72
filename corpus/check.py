"""Content health: what the owner of the articles should mend, each finding with its file, line and words.

Knows articles, their links, law references and figures; knows nothing of questions. In doubt nothing is reported: a false alarm
costs more trust than a missed one.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from difflib import get_close_matches
from html import escape
from itertools import groupby
from pathlib import Path
from string import Template
from urllib.parse import unquote

from corpus import law, rules
from corpus.article import Article, Rejected, repair
from corpus.markdown import Block, Unit, blocks

PAGE = Path(__file__).resolve().parent / "check.html"
THIN = 120  # words of a whole article
ALIKE, SENTENCE = 0.6, 6  # share of the smaller article's sentences that stand in another; words that make one count
EXCERPT = 40  # characters on each side of a broken one
STARTS = 24  # characters by which a line is known
MARKUP = re.compile(r"[*_`|\[\]\s]|\(/[^)]*\)")  # what Markdown puts between the words
IMAGE = re.compile(r"!\[\s*\]\(([^)\s]+)|<img\b(?![^>]*\balt=[\"'][^\"']+)[^>]*?\bsrc=[\"']([^\"']+)[^>]*>", re.IGNORECASE)
UNSEEN = re.compile(r"[\s\u00ad\u200b-\u200f\u2060\ufeff\u2011-]")  # told apart by no reader
# Kind → what it is called on the page, in the order in which it should be mended.
KINDS: Mapping[str, str] = {
    "outdated": "Tall som går mot loven",
    "contradiction": "Artikler som er uenige om et tall",
    "past_year": "Tall for et år som er over",
    "unknown_law": "Lover og paragrafer som ikke finnes",
    "dead_link": "Lenker til sider som ikke finnes",
    "broken_text": "Ødelagte tegn",
    "duplicate": "Artikler som nesten er like",
    "thin": "Artikler med lite eller ingen tekst",
    "front_matter": "Mangler i front matter",
    "image": "Bilder uten alternativ tekst",
}


@dataclass(frozen=True)
class Finding:
    """Something to mend. `line` is 1-based in `file`; `quote` the words at fault; `message` one Norwegian sentence; `proposal`
    the text to put in their place, or "" when only the owner knows it."""

    kind: str
    file: str
    line: int
    quote: str
    message: str
    proposal: str = ""


def check(found: Iterable[Article | Rejected], today: date | None = None) -> list[Finding]:
    """The findings of all that was read of a content folder, in the order of files and lines."""
    everything = list(found)
    articles = {each.path: each for each in everything if isinstance(each, Article)}
    read = {path: list(blocks(article.body, article.first_line)) for path, article in articles.items()}
    near = _Near(articles)
    findings = [Finding("thin", each.file, 1, "", each.reason) for each in everything if isinstance(each, Rejected)]
    for path, article in articles.items():
        findings += _images(article)
        if not _lists(article) and sum(len(unit.text.split()) for block in read[path] for unit in block.units) < THIN:
            findings.append(
                Finding("thin", article.file, article.first_line, article.title, f"Mindre enn {THIN} ord; utvid den.")
            )
        for block in read[path]:
            findings += _dead_links(article, block, near)
            findings += _unknown_laws(article, block)
            findings += _broken(article, block)
    findings += _front_matter(articles.values())
    findings += _figures(articles, read, today or date.today())
    findings += _duplicates(articles, read)
    return sorted(findings, key=lambda finding: (finding.file, finding.line, list(KINDS).index(finding.kind)))


def _lists(article: Article) -> bool:
    """Whether a page is only there to list others."""
    return article.file.endswith("_index.md")


def _front_matter(articles: Collection[Article]) -> Iterator[Finding]:
    """Fields that are missing; one that hardly any article has is told of once."""
    for name, field in (("description", "description"), ("date", "updated")):
        without = [article for article in articles if not getattr(article, field) and not _lists(article)]
        if len(without) > max(len(articles) / 2, 3):
            told = f"Feltet «{name}» mangler i {len(without)} av {len(articles)} artikler; fyll det ut i malen for nye artikler."
            yield Finding("front_matter", without[0].file, 1, name, told)
        else:
            for article in without:
                yield Finding("front_matter", article.file, 1, name, f"Feltet «{name}» mangler; fyll det ut.")


def _images(article: Article) -> Iterator[Finding]:
    for match in IMAGE.finditer(article.body):
        line = article.first_line + article.body.count("\n", 0, match.start())
        told = "Bildet har ingen alternativ tekst for dem som ikke ser det; skriv hva det viser."
        yield Finding("image", article.file, line, match[1] or match[2], told)


class _Near:
    """The pages that there are, and the one that a wrong address may have meant."""

    def __init__(self, articles: Mapping[str, Article]) -> None:
        self.paths = frozenset(articles)
        self._names = {_name(path): path for path in articles}
        self._known: dict[str, str] = {}

    def meant(self, path: str) -> str:
        """The existing page whose name is most like that of a missing one; "" when none is."""
        if path not in self._known:
            like = get_close_matches(_name(path), self._names, 1, 0.85)
            self._known[path] = self._names[like[0]] if like else ""
        return self._known[path]


def _name(path: str) -> str:
    """What tells a page from others: not that it begins with "hva-er-", nor how å is written."""
    return path.rpartition("/")[2].removeprefix("hva-er-").replace("aa", "a")


def _dead_links(article: Article, block: Block, near: _Near) -> Iterator[Finding]:
    for link in block.links:
        path = unquote(link.target.partition("#")[0]).rstrip("/")
        if path.startswith("/") and path not in near.paths:
            told = f"Lenken går til {link.target}, men der er det ingen side; rett den eller fjern den."
            line = _line(article, block, link.text)
            meant = near.meant(path)
            yield Finding("dead_link", article.file, line, link.text, told, meant if meant != article.path else "")


def _line(article: Article, block: Block, words: str) -> int:
    """The line of a block in which words begin, as far as Markdown lets them be found; else the block's first."""
    first, end = block.span
    lines = article.body.split("\n")[first - article.first_line : end - article.first_line]
    start = MARKUP.sub("", words)[:STARTS]
    return next((first + place for place, line in enumerate(lines) if start and start in MARKUP.sub("", repair(line))), first)


def _unknown_laws(article: Article, block: Block) -> Iterator[Finding]:
    for unit, reference in references(block):
        if not reference.exists:
            title = law.laws()[reference.law].title if reference.law else ""
            told = (
                f"{title} har ingen § {reference.paragraph}; rett henvisningen."
                if reference.law
                else f"Det er ingen gjeldende lov eller forskrift med nummeret {reference.text}; rett henvisningen."
            )
            yield Finding("unknown_law", article.file, _line(article, block, unit.text), reference.text, told)


def references(block: Block) -> Iterator[tuple[Unit, law.Reference]]:
    """The law references of a block, each with the unit that it stands in. A bare "§ 7-1" is of the law named last before it."""
    about: str | None = None
    for unit in block.units:
        for reference in law.references(unit.text, about):
            about = reference.law or about
            yield unit, reference


def _broken(article: Article, block: Block) -> Iterator[Finding]:
    for unit in block.units:
        mended = repair(unit.raw)
        if UNSEEN.sub("", mended) != UNSEEN.sub("", unit.raw):
            at = next((n for n, (a, b) in enumerate(zip(unit.raw, mended, strict=False)) if a != b), len(mended))
            part = slice(max(at - EXCERPT, 0), at + EXCERPT)
            told = "Teksten har tegn som er blitt ødelagt på veien; lagre den på nytt som UTF-8."
            yield Finding("broken_text", article.file, _line(article, block, unit.text), unit.raw[part], told, mended[part])
            return  # one of a block is enough to find the others by


def _figures(articles: Mapping[str, Article], read: Mapping[str, Sequence[Block]], today: date) -> Iterator[Finding]:
    """Figures that are not the law's, of a year that is over, or that other articles tell otherwise."""
    said: dict[str, dict[bool, dict[str, tuple[int, rules.Claim]]]] = defaultdict(lambda: {True: {}, False: {}})
    for path, article in articles.items():
        for block in read[path]:
            for unit in block.units:
                for claim in rules.claims(unit.text, rules.above(article.title, block.headings, unit.lead, unit.header)):
                    line = _line(article, block, unit.text)
                    said[claim.rule.id][claim.right].setdefault(path, (line, claim))
                    if not claim.right or claim.past(today):
                        kind = "past_year" if claim.right else "outdated"
                        yield Finding(kind, article.file, line, claim.quote, rules.message(claim), _rule(claim))
    for told in said.values():
        for path, (line, claim) in told[False].items():
            others = [(articles[other].title, right) for other, (_, right) in told[True].items() if other != path]
            if others and len(claim.rule.right) == 1:  # of several right figures each may be of a case of its own
                more = f" og {len(others) - 1} til" if len(others) > 1 else ""
                message = f"Her står «{claim.quote}», men «{others[0][0]}»{more} sier «{others[0][1].quote}»."
                yield Finding("contradiction", articles[path].file, line, claim.quote, message, _rule(claim))


def _rule(claim: rules.Claim) -> str:
    """What the rule says, as a sentence."""
    return f"{claim.rule.says[0].upper()}{claim.rule.says[1:]} ({claim.rule.basis})."


def _duplicates(articles: Mapping[str, Article], read: Mapping[str, Sequence[Block]]) -> Iterator[Finding]:
    """Articles most of whose sentences stand in another one, which is named once for the pair."""
    sentences = {
        path: {" ".join(unit.text.lower().split()) for block in own for unit in block.units if len(unit.text.split()) >= SENTENCE}
        for path, own in read.items()
    }
    homes: dict[str, list[str]] = defaultdict(list)
    for path, own in sentences.items():
        for sentence in own:
            homes[sentence].append(path)
    shared = Counter((one, other) for paths in homes.values() for one in paths for other in paths if one < other)
    for (one, other), count in shared.items():
        share = count / min(len(sentences[one]), len(sentences[other]))
        if share >= ALIKE:
            told = f"{share:.0%} av setningene står også i {other}; slå artiklene sammen eller skriv en av dem om."
            yield Finding("duplicate", articles[one].file, articles[one].first_line, articles[one].title, told.replace("%", " %"))


def as_json(findings: Sequence[Finding]) -> str:
    """The findings for other programs: a list of objects."""
    return json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=1)


def page(findings: Sequence[Finding], name: str, articles: int) -> str:
    """The findings as an HTML page for the owner of the articles `name`; nothing on it comes from elsewhere."""
    counts = Counter(finding.kind for finding in findings)
    cards = "".join(
        f'<li><a href="#{kind}"><b>{counts[kind]}</b> {escape(told)}</a></li>' for kind, told in KINDS.items() if counts[kind]
    )
    body = "".join(_kind(kind, [finding for finding in findings if finding.kind == kind]) for kind in KINDS if counts[kind])
    worst = len({finding.file for finding in findings if finding.kind == "outdated"})
    return Template(PAGE.read_text("utf-8")).substitute(
        name=escape(name), articles=articles, findings=len(findings), worst=worst, cards=cards, body=body
    )


def _kind(kind: str, findings: Sequence[Finding]) -> str:
    files = "".join(_file(file, list(own)) for file, own in groupby(findings, key=lambda finding: finding.file))
    return f'<section id="{kind}"><h2>{escape(KINDS[kind])} <span>{len(findings)}</span></h2>{files}</section>'


def _file(file: str, findings: Sequence[Finding]) -> str:
    """The findings of a file; a figure against the law has what is right in its message already."""
    rows = "".join(
        f"<li><span>linje {finding.line}</span> <q>{escape(finding.quote)}</q> {escape(finding.message)}"
        + (
            f"<br><b>Forslag:</b> <ins>{escape(finding.proposal)}</ins>"
            if finding.proposal and finding.kind != "outdated"
            else ""
        )
        + "</li>"
        for finding in findings
    )
    return f"<details><summary>{escape(file)} <span>{len(findings)}</span></summary><ul>{rows}</ul></details>"
