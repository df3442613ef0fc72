"""Content health: what the owner of the articles should mend, each finding with its file, line and words.

Knows articles, their links and law references; knows nothing of questions. In doubt nothing is reported: a false alarm costs more
trust than a missed one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from corpus import law, rules
from corpus.article import Article
from corpus.markdown import Block, Unit, blocks


@dataclass(frozen=True)
class Finding:
    """Something to mend. `line` is 1-based in `file`; `quote` the words at fault; `message` one Norwegian sentence."""

    kind: Literal["dead_link", "unknown_law", "outdated"]
    file: str
    line: int
    quote: str
    message: str


def check(articles: Mapping[str, Article]) -> Iterator[Finding]:
    """The findings of all articles (by path), in order."""
    for article in articles.values():
        for block in blocks(article.body, article.first_line):
            yield from _dead_links(article, block, articles)
            yield from _unknown_laws(article, block)
            yield from _outdated(article, block)


def _dead_links(article: Article, block: Block, articles: Mapping[str, Article]) -> Iterator[Finding]:
    for link in block.links:
        path = link.target.partition("#")[0].rstrip("/")
        if path.startswith("/") and path not in articles:
            told = f"Lenken går til {link.target}, men der er det ingen side; rett den eller fjern den."
            yield Finding("dead_link", article.file, block.span[0], link.text, told)


def _unknown_laws(article: Article, block: Block) -> Iterator[Finding]:
    for _, reference in references(block):
        if not reference.exists:
            title = law.laws()[reference.law].title if reference.law else ""
            told = (
                f"{title} har ingen § {reference.paragraph}; rett henvisningen."
                if reference.law
                else f"Det er ingen gjeldende lov eller forskrift med nummeret {reference.text}; rett henvisningen."
            )
            yield Finding("unknown_law", article.file, block.span[0], reference.text, told)


def _outdated(article: Article, block: Block) -> Iterator[Finding]:
    for unit in block.units:
        for claim in rules.claims(unit.text, rules.above(article.title, block.headings, unit.lead, unit.header)):
            if not claim.right:
                yield Finding("outdated", article.file, block.span[0], claim.quote, rules.message(claim))


def references(block: Block) -> Iterator[tuple[Unit, law.Reference]]:
    """The law references of a block, each with the unit that it stands in. A bare "§ 7-1" is of the law named last before it."""
    about: str | None = None
    for unit in block.units:
        for reference in law.references(unit.text, about):
            about = reference.law or about
            yield unit, reference
