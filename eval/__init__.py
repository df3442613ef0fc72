"""What measures: question files in, figures out.

Here lies what is measured with: question files, the question bank, a benchmark of others, articles made up.

A question file becomes Records: one JSON object a line, checked before anything is measured. Then whether questions can be used,
to measure with or to train on: what they name is there, and nothing is asked twice. A file that passes can still be a bad one,
but what it asks for can be found.

Knows the format (the same that other programs write, see README), the question bank, the articles and NorQuAD's files; knows
nothing of answers or scores.
"""

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from corpus.article import Article, read_contents
from corpus.chunk import Chunk, body
from corpus.language import STOP, words
from corpus.train import Question, answering
from eval.metrics import Row, compared, fold, plain_text

Language = Literal["nb", "nn", "en", "dialect", "pl", "lt", "uk"]
Expect = Literal["answer", "abstain", "refuse", "correct_premise", "greet", "clarify", "acute"]
MustCite = Literal["any", "all"]

CHOICES = {"lang": get_args(Language), "expect": get_args(Expect), "must_cite": get_args(MustCite)}
LISTS = ("turns", "gold_urls", "must_not_contain")

ECHO = 0.8  # of a question's telling words in one heading: such a question tests nothing
ECHO_WORDS = 4  # shorter ones cannot avoid it
ALIKE = 0.8  # of the words of two questions shared: one of them is enough
LIKE_MEASURED = 0.6  # of the words shared with a question that is measured with: it would be learnt by heart
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)

FRONT, SECTION = re.compile(r"\A---\n.*?\n---\n", re.DOTALL), re.compile(r"(?m)^(?=## )")
MIN_WORDS, SECTIONS = 15, 8  # of a section; of a made-up article
SEED = 20_260_101


class EvalError(Exception):
    """A measurement that cannot be made. One Norwegian sentence: what is wrong, with which file or value, what to do."""


@dataclass(frozen=True)
class Record:
    """One question and what is asked of its answer.

    `turns` are earlier user turns. `gold_urls` are page paths without a trailing slash; with none, the question must not be
    answered. Each of `answer_facts` is a set of lower-case alternatives, one of which must stand in the answer. `split` is "tune"
    or "kept", `persona` who asks.
    """

    id: str
    lang: Language
    type: str
    question: str
    turns: tuple[str, ...] = ()
    gold_urls: tuple[str, ...] = ()
    must_cite: MustCite = "any"
    answer_facts: tuple[tuple[str, ...], ...] = ()
    expect: Expect = "answer"
    must_not_contain: tuple[str, ...] = ()
    split: str = ""
    persona: str = ""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one question; `line` counts questions from 1."""

    id: str
    line: int
    message: str


# Reading


def read_records(path: Path) -> list[Record]:
    """The questions of a file in order; empty lines are passed over. Raises EvalError with file, line and fault."""
    found: dict[str, int] = {}
    records = []
    for number, line in _lines(path):
        try:
            record = _record(line)
            if record.id in found:
                raise ValueError(f"id «{record.id}» er alt brukt i linje {found[record.id]}")
        except ValueError as error:
            raise EvalError(f"{path}, linje {number}: {error}.") from None
        found[record.id] = number
        records.append(record)
    return records


def read_objects(path: Path) -> list[Row]:
    """The JSON objects of a file's lines, whatever they hold. Raises EvalError with file, line and fault."""
    found = []
    for number, line in _lines(path):
        try:
            found.append(_object(line))
        except ValueError as error:
            raise EvalError(f"{path}, linje {number}: {error}.") from None
    return found


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines that are not empty, numbered from 1; there is at least one. Raises EvalError."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise EvalError(f"Spørsmålsfilen {path} kan ikke leses: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise EvalError(f"Spørsmålsfilen {path} er ikke UTF-8-tekst (byte {error.start}); lagre den som UTF-8.") from None
    if not (found := [(number, line) for number, line in enumerate(lines, 1) if line.strip()]):
        raise EvalError(f"Spørsmålsfilen {path} har ingen spørsmål; den skal ha ett JSON-objekt på hver linje.")
    return found


def _object(line: str) -> Row:
    try:
        given = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"ikke gyldig JSON (tegn {error.pos + 1}: {error.msg})") from None
    if not isinstance(given, dict):
        raise ValueError("linjen er ikke et JSON-objekt")
    return given


def _record(line: str) -> Record:
    """The record of one line. Raises ValueError that says what is wrong with it."""
    given, values = _object(line), dict[str, Any]()
    for each in fields(Record):
        if each.name in given:
            values[each.name] = _value(each.name, given[each.name])
        elif each.default is MISSING:
            raise ValueError(f"feltet «{each.name}» mangler")
    if not values.get("gold_urls") and values.get("expect", "answer") == "answer":
        values["expect"] = "abstain"  # the format's own rule: without gold pages it must not be answered
    return Record(**values)


def _value(name: str, value: Any) -> Any:
    """A field's value as Record holds it. Raises ValueError."""
    if name == "answer_facts":
        return _alternatives(value)
    if name in LISTS:
        if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
            raise ValueError(f"«{name}» er {_shown(value)}, men må være en liste av tekster")
        if name == "gold_urls" and (bad := next((each for each in value if not _is_path(each)), None)):
            raise ValueError(f"«gold_urls» har {_shown(bad)}, men må ha sidestier som «/blogs/amu», uten skråstrek til slutt")
        return tuple(value)
    if not isinstance(value, str) or (not value.strip() and name not in ("split", "persona")):
        raise ValueError(f"«{name}» er {_shown(value)}, men må være en tekst")
    if name in CHOICES and value not in CHOICES[name]:
        raise ValueError(f"«{name}» er {_shown(value)}, men må være en av {', '.join(CHOICES[name])}")
    return value


def _alternatives(value: Any) -> tuple[tuple[str, ...], ...]:
    whole = isinstance(value, list) and all(
        isinstance(each, list) and each and all(isinstance(alternative, str) and alternative.strip() for alternative in each)
        for each in value
    )
    if not whole:
        raise ValueError(f"«answer_facts» er {_shown(value)}, men må være en liste av ikke-tomme lister av tekster")
    return tuple(map(tuple, value))


def _is_path(value: str) -> bool:
    return value == "/" or (value.startswith("/") and not value.endswith("/") and not {"#", "?"} & set(value))


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"


# Checking


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


# A benchmark, and articles made up


def norquad(folder: Path, content: Path) -> list[Record]:
    """NorQuAD's passages written to `content` as articles, and its questions with their spans as facts.

    A folder holds corpus.jsonl, queries.jsonl and qrels.jsonl; a question that no passage is right for is left out.
    """
    content.mkdir(parents=True, exist_ok=True)
    for row in read_objects(folder / "corpus.jsonl"):
        title = json.dumps(row["title"], ensure_ascii=False)
        text = "\n\n".join(row["text"].removeprefix(row["title"]).strip().split("\n"))
        (content / f"{row['_id']}.md").write_text(f"---\ntitle: {title}\n---\n\n{text}\n", "utf-8")
    right: dict[str, tuple[str, ...]] = {}
    for row in read_objects(folder / "qrels.jsonl"):
        right[row["qid"]] = (*right.get(row["qid"], ()), f"/{row['docid']}")
    queries = [row for row in read_objects(folder / "queries.jsonl") if row["_id"] in right]
    return [
        Record(row["_id"], "nb", "span", row["text"], gold_urls=right[row["_id"]], answer_facts=((row["answer"],),))
        for row in queries
    ]


def recombine(contents: Sequence[Path], out: Path, size: int) -> None:
    """Write `size` articles to `out`: those of the content folders, then new ones made of sections of several of them.

    The same for the same contents. Raises EvalError when there is no article to begin with.
    """
    texts = [text for content in contents for file in sorted(content.rglob("*.md")) if (text := file.read_text("utf-8-sig"))]
    sections = [part for text in texts for part in SECTION.split(FRONT.sub("", text)) if len(part.split()) > MIN_WORDS]
    if not sections:
        raise EvalError(f"Det er ingen artikler å måle med i {', '.join(map(str, contents))}; oppgi en mappe med Markdown-filer.")
    chance = random.Random(SEED)
    (out / "artikler").mkdir(parents=True)
    for number in range(size):
        made = f"---\ntitle: Artikkel {number}\n---\n\n{''.join(chance.sample(sections, min(SECTIONS, len(sections))))}"
        (out / "artikler" / f"{number}.md").write_text(texts[number] if number < len(texts) else made, "utf-8")
