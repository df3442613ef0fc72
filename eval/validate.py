"""Whether questions can be used, to measure with or to train on: what they name is there, and nothing is asked twice.

Knows the question files, the question bank and the articles; knows nothing of answers. A file that passes can still be a bad one,
but what it asks for can be found.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.article import Article, read_contents
from corpus.chunk import Chunk, body
from corpus.language import STOP, words
from corpus.train import Question, answering
from eval.dataset import Record
from eval.metrics import fold
from eval.run import compared, plain_text

ECHO = 0.8  # of a question's telling words in one heading: such a question tests nothing
ECHO_WORDS = 4  # shorter ones cannot avoid it
ALIKE = 0.8  # of the words of two questions shared: one of them is enough
LIKE_MEASURED = 0.6  # of the words shared with a question that is measured with: it would be learnt by heart
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


@dataclass(frozen=True)
class Fault:
    """What is wrong with one question; `line` counts questions from 1."""

    id: str
    line: int
    message: str


def read_articles(contents: Sequence[Path]) -> dict[str, Article]:
    """The articles of content folders by path. Raises ContentError."""
    return {each.path: each for each in read_contents(contents) if isinstance(each, Article)}


def faults(records: Sequence[Record], articles: Mapping[str, Article]) -> Iterator[Fault]:
    """Every fault of every question, in order."""
    seen: list[tuple[frozenset[str], str]] = []
    for line, record in enumerate(records, 1):
        told = (*_pages(record, articles), *_facts(record, articles), *_echoes(record, articles), *_doubles(record, seen))
        for message in told:
            yield Fault(record.id, line, message)


def _pages(record: Record, articles: Mapping[str, Article]) -> Iterator[str]:
    yield from (f"siden {path} finnes ikke" for path in record.gold_urls if path not in articles)
    if record.gold_urls and record.expect not in ("answer", "correct_premise"):
        yield f"har sider, men skal ikke besvares («expect» er «{record.expect}»)"
    if record.gold_urls and not record.answer_facts:
        yield "mangler «answer_facts»"


def _facts(record: Record, articles: Mapping[str, Article]) -> Iterator[str]:
    """Each page must hold every fact; with "all", the pages together."""
    texts = {path: fold(plain_text(articles[path].body)) for path in record.gold_urls if path in articles}
    asked = fold(compared(" ".join((*record.turns, record.question))))
    places = {"sidene til sammen": " \n ".join(texts.values())} if record.must_cite == "all" else texts
    for alternatives in record.answer_facts:
        wanted = [fold(compared(each)) for each in alternatives]
        yield from (f"{list(alternatives)} står ikke på {place}" for place, text in places.items() if not _any(wanted, text))
        if record.expect == "answer" and _any(wanted, asked):
            yield f"{list(alternatives)} står alt i spørsmålet"


def _any(wanted: Sequence[str], text: str) -> bool:
    return any(each in text for each in wanted)


def _echoes(record: Record, articles: Mapping[str, Article]) -> Iterator[str]:
    told = telling(record.question)
    if len(told) < ECHO_WORDS:
        return
    for path in record.gold_urls:
        headings = HEADING.findall(articles[path].body) if path in articles else []
        if echo := next((each for each in headings if len(told & telling(each)) >= ECHO * len(told)), None):
            yield f"gjentar overskriften «{echo}» på {path}"
            return


def _doubles(record: Record, seen: list[tuple[frozenset[str], str]]) -> Iterator[str]:
    """Notes the question among `seen`; one that shares most of its words with an earlier one is a double of it."""
    mine = frozenset(words(" ".join((*record.turns, record.question))))
    double = next((key for theirs, key in seen if alike(mine, theirs) >= ALIKE), None)
    seen.append((mine, record.id))
    if double:
        yield f"ligner for mye på {double}"


def telling(text: str) -> frozenset[str]:
    """The words of a text that are no function words."""
    return frozenset(word for word in words(text) if word not in STOP)


# The question bank


def bank_faults(questions: Sequence[Question], apart: Sequence[Record]) -> Iterator[tuple[int, str]]:
    """(line, fault) of each question of the bank that is asked before it or in one of the records kept `apart`."""
    measured: dict[str, list[frozenset[str]]] = {}
    for record in apart:
        asked = told(" ".join((*record.turns, record.question)))
        for word in asked:
            measured.setdefault(word, []).append(asked)
    before: dict[str, list[tuple[frozenset[str], int]]] = {}
    for question in questions:
        mine = told(question.asked)
        near = {each for word in mine for each in measured.get(word, ())}
        if any(alike(mine, theirs) >= LIKE_MEASURED for theirs in near):
            yield question.line, f"ligner for mye på et spørsmål som måles: {question.question}"
        own = before.setdefault(question.path, [])
        if double := next((line for theirs, line in own if alike(mine, theirs) >= ALIKE), None):
            yield question.line, f"ligner for mye på linje {double}: {question.question}"
        own.append((mine, question.line))


def told(text: str) -> frozenset[str]:
    """The words of a text; of one that has no others, its function words too."""
    return telling(text) or frozenset(words(text))


def alike(mine: frozenset[str], theirs: frozenset[str]) -> float:
    """The share of the words of two texts that both have (Jaccard)."""
    return len(mine & theirs) / max(len(mine | theirs), 1)


def overlap(question: Question, passages: Mapping[str, Sequence[Chunk]]) -> float:
    """The share of a question's words that stand in the passages that answer it. Near 1 it teaches nothing but words."""
    asked = told(question.question)
    text = " ".join(f"{' '.join(chunk.headings)} {body(chunk)}" for chunk in answering(passages[question.path], question.heading))
    return len(asked & frozenset(words(text))) / max(len(asked), 1)
