"""Question files → Records: one JSON object a line, checked before anything is measured.

Knows the format (the same that other programs write, see README); knows nothing of answers or scores.
"""

import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

Row = dict[str, Any]  # a record as it was asked, answered and scored
Language = Literal["nb", "nn", "en", "dialect"]
Expect = Literal["answer", "abstain", "refuse", "correct_premise", "greet", "clarify", "acute"]
MustCite = Literal["any", "all"]

CHOICES = {"lang": get_args(Language), "expect": get_args(Expect), "must_cite": get_args(MustCite)}
LISTS = ("turns", "gold_urls", "must_not_contain")


class DatasetError(Exception):
    """A question file that cannot be used. One Norwegian sentence with file, line and fault."""


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


def read(path: Path) -> list[Record]:
    """The questions of a file in order; empty lines are passed over. Raises DatasetError."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise DatasetError(f"Spørsmålsfilen {path} kan ikke leses: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"Spørsmålsfilen {path} er ikke UTF-8-tekst (byte {error.start}); lagre den som UTF-8.") from None
    found: dict[str, int] = {}
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = _record(line)
            if record.id in found:
                raise ValueError(f"id «{record.id}» er alt brukt i linje {found[record.id]}")
        except ValueError as error:
            raise DatasetError(f"{path}, linje {number}: {error}.") from None
        found[record.id] = number
        records.append(record)
    if not records:
        raise DatasetError(f"Spørsmålsfilen {path} har ingen spørsmål; den skal ha ett JSON-objekt på hver linje.")
    return records


def _record(line: str) -> Record:
    """The record of one line. Raises ValueError that says what is wrong with it."""
    try:
        given = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"ikke gyldig JSON (tegn {error.pos + 1}: {error.msg})") from None
    if not isinstance(given, dict):
        raise ValueError("linjen er ikke et JSON-objekt")
    values: dict[str, Any] = {}
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
        return _facts(value)
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


def _facts(value: Any) -> tuple[tuple[str, ...], ...]:
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
