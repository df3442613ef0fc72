"""A question file → a report: every question is really asked, every answer scored, every figure given with its interval.

Knows the assistant's two ways in (in this process, or over HTTP), the scores, and how a run is told: as a summary, beside another
run, and as one HTML page on which nothing comes from elsewhere. Knows nothing of how answers are made or what they are worth.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import httpx
import numpy as np

from assistant import HmsError, settings
from assistant.chat import Assistant
from assistant.cite import page_path
from assistant.extract import extract, tell
from assistant.question import read
from assistant.select import Selector
from assistant.types import Ask, Passage, Turn
from corpus import dense
from corpus.build import build
from corpus.index import current, read_manifest
from eval import EvalError, Record, metrics, read_objects, read_records
from eval.metrics import Judge, Row, Table, interval, percentile

History = list[dict[str, str]]
Progress = Callable[[int, int], None]

DEPTH = 50  # passages of a ranking that are looked at
LONGEST_TURN = 4_000  # characters; what a client may send back as history
MOST_TURNS = 20
PATIENCE = 5  # times a busy server is asked again

SITE = "https://www.example.no"  # for an index without a site of its own, when links are to be checked against a built one
HERE = Path(__file__).resolve().parent
SUMMED = "hit@1 hit@3 hit@5 hit@10 mrr@10 ndcg@10 facts cited facts_and_cited abstained as_expected clean quotes_verbatim".split()
SUMMED += ["links_valid", "failed"]
OVERVIEW = ("hit@1", "hit@5", "hit@10", "mrr@10", "ndcg@10", "facts_and_cited", "abstained", "as_expected")


class Target(Protocol):
    """Whoever answers. Replies are as the HTTP interface gives them; `base_url` is the site that links lead to."""

    base_url: str

    def ask(self, question: str, history: History) -> Row:
        """An Answer. Raises HmsError or OSError when there is none."""

    def search(self, question: str, history: History, limit: int) -> list[Row]:
        """The passages, best first. Raises as `ask`."""

    def confidence(self, question: str, history: History) -> float | None:
        """How sure it is that it can answer, 0 where it begins to; None when it does not tell."""


class InProcess:
    """The Assistant itself, over an index as it lies."""

    def __init__(self, index: Path | None = None, base_url: str | None = None) -> None:
        self._assistant = Assistant(
            settings.load(index=str(index) if index else None, content=_content(index), base_url=base_url, cache="0")
        )
        self._assistant.load()
        self.base_url = self._assistant.base_url
        self.content = [Path(folder) for folder in self._assistant.index.manifest.content]

    def ask(self, question: str, history: History) -> Row:
        """See Target."""
        answer: Row = json.loads(json.dumps(asdict(self._assistant.ask(_ask(question, history)))))
        return answer

    def search(self, question: str, history: History, limit: int) -> list[Row]:
        """See Target."""
        return self._assistant.search(_ask(question, history), limit)

    def confidence(self, question: str, history: History) -> float | None:
        """See Target."""
        return self._assistant.confidence(_ask(question, history))

    def ask_page(self, question: str, path: str) -> str:
        """The answer that is made when one page, and nothing else, is given."""
        index, asked = self._assistant.index, read(Ask(question))
        page = index.page(path)
        found = Selector(index.embedder, index.lexical).picks(asked, [Passage(chunk, 1.0) for chunk in page])
        return tell(extract(asked.text, found), {path: page}).text


class OverHttp:
    """A running server. Asked to wait (429, 503), it is asked again."""

    def __init__(self, url: str, base_url: str = "") -> None:
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=120)
        self.base_url = base_url

    def ask(self, question: str, history: History) -> Row:
        """See Target."""
        return self._post("/api/ask", {"question": question, "history": history})

    def search(self, question: str, history: History, limit: int) -> list[Row]:
        """See Target."""
        found: list[Row] = self._post("/api/search", {"question": question, "history": history, "limit": limit})["passages"]
        return found

    def confidence(self, question: str, history: History) -> float | None:
        """Not told over HTTP."""

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def _post(self, path: str, body: Row) -> Row:
        try:
            for _ in range(PATIENCE):
                reply = self._client.post(path, json=body)
                if reply.status_code not in (429, 503):
                    break
                time.sleep(min(float(reply.headers.get("Retry-After", 1)), 30))
            if reply.is_error:
                raise OSError(f"{reply.status_code} {reply.text[:300]}")
            answer: Row = reply.json()
            return answer
        except (httpx.HTTPError, ValueError) as error:
            raise OSError(f"{type(error).__name__}: {error}") from error


def _content(index: Path | None) -> str | None:
    """The content folders that an index was made from. Other ones would have the assistant build it anew."""
    version = current(index) if index else None
    if index and version is None:
        raise EvalError(f"Det er ingen søkeindeks i {index}; bygg den med «python -m corpus build --index {index}».")
    return ":".join(read_manifest(version).content) if version else None


def _ask(question: str, history: History) -> Ask:
    return Ask(question, tuple(Turn("user" if turn["role"] == "user" else "assistant", turn["content"]) for turn in history))


# Asking


def ask(record: Record, target: Target) -> Row:
    """Ask a record's turns and question; the answer, the ranking and the time it took, or the error."""
    history: History = []
    row: Row = {**asdict(record), "answer": None, "ranking": [], "ms": None, "confidence": None, "error": None}
    try:
        for turn in record.turns:
            said = target.ask(turn, history)["answer"]
            history += [{"role": "user", "content": turn}, {"role": "assistant", "content": said[:LONGEST_TURN]}]
            history = history[-MOST_TURNS:]
        begun = time.perf_counter()
        row["answer"] = target.ask(record.question, history)
        row["ms"] = 1000 * (time.perf_counter() - begun)
        found = target.search(record.question, history, DEPTH)
        row["confidence"] = target.confidence(record.question, history)
        row["ranking"] = [page_path(passage["url"], target.base_url) for passage in found]
    except (HmsError, OSError, KeyError, TypeError) as error:
        row["error"] = f"{type(error).__name__}: {error}"
    return {**row, "history": history}


# Reporting


def groups(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows by what they are reported under: all, split, language, type, expectation and conversation."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        talk = "multi-turn" if row["turns"] else "single"
        names = ["all", f"lang={row['lang']}", f"type={row['type']}", f"expect={row['expect']}", f"turns={talk}"]
        names += [f"{name}={row[name]}" for name in ("split", "persona") if row[name]]
        for name in names:
            found.setdefault(name, []).append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0] != "all", item[0])))


def summary(rows: Iterable[Row]) -> dict[str, Row]:
    """Every figure of a run by group: {"mean", "low", "high", "n"} for a score, n the questions that have it."""
    return {name: _figures(group) for name, group in groups(rows).items()}


def _figures(rows: Sequence[Row]) -> Row:
    figures: Row = {"questions": len(rows)}
    for name in SUMMED:
        values = [row["scores"][name] for row in rows if row["scores"].get(name) is not None]
        if values:
            low, high = interval(values)
            figures[name] = {"mean": sum(values) / len(values), "low": low, "high": high, "n": len(values)}
    if lengths := [row["words"] for row in rows if row["words"] is not None]:
        figures["median_words"] = percentile(lengths, 50)
    if times := [row["ms"] for row in rows if row["ms"] is not None]:
        figures |= {f"p{share}_ms": percentile(times, share) for share in (50, 95, 99)}
    return figures


def overview(rows: Iterable[Row]) -> Table:
    """The main figures by split, language, and single or multi-turn."""
    told = {name: own for name, own in summary(rows).items() if name.startswith(("split=", "lang=", "turns="))}
    return {name: {column: own[column]["mean"] for column in OVERVIEW if column in own} for name, own in told.items()}


def run(records: Sequence[Record], target: Target, judge: Judge, out: Path, progress: Progress = lambda *_: None) -> Row:
    """Ask and score every record; `out` gets records.jsonl (a line each, as they come) and summary.json. Returns the summary."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    with (out / "records.jsonl").open("w", encoding="utf-8") as stream:
        for number, record in enumerate(records, 1):
            rows.append(judge.score(ask(record, target)))
            stream.write(json.dumps(rows[-1], ensure_ascii=False) + "\n")
            progress(number, len(records))
    report = summary(rows)
    (out / "summary.json").write_text(json.dumps(report, ensure_ascii=False, indent=1), "utf-8")
    return report


def run_over(content: Path, questions: Path, out: Path, progress: Progress = lambda *_: None) -> list[Row]:
    """The scored rows of a question file over a content folder, indexed in `out`; links are judged by its built site."""
    build([content], out / "index", dense.load(), SITE)
    judge = Judge([content], metrics.build_site(content, out / "site"), SITE)
    run(read_records(questions), InProcess(out / "index"), judge, out, progress)
    return [*read_rows(out).values()]


def read_rows(run: Path) -> dict[str, Row]:
    """The rows of a finished run by question id, from its folder or its records.jsonl. Raises EvalError."""
    file = run / "records.jsonl" if run.is_dir() else run
    try:
        return {row["id"]: row for row in read_objects(file) if isinstance(row["scores"], dict)}
    except (EvalError, KeyError, TypeError) as error:
        raise EvalError(f"{file} er ikke en ferdig kjøring ({error}); oppgi mappen som «python -m eval run» skrev.") from None


def compare(before: dict[str, Row], after: dict[str, Row]) -> Iterator[Row]:
    """For each score, over the questions that both runs have it for: the difference, its interval, and who gained and lost."""
    both = [(before[key]["scores"], after[key]["scores"], key) for key in before if key in after]
    for name in SUMMED:
        pairs = [(a[name], b[name], key) for a, b, key in both if a.get(name) is not None and b.get(name) is not None]
        if pairs:
            low, high = interval([b - a for a, b, _ in pairs])
            means = {"before": sum(a for a, _, _ in pairs) / len(pairs), "after": sum(b for _, b, _ in pairs) / len(pairs)}
            moved = {"better": [key for a, b, key in pairs if b > a], "worse": [key for a, b, key in pairs if b < a]}
            yield {"score": name, "n": len(pairs), **means, "low": low, "high": high, **moved}


def spans(target: InProcess, records: Iterable[Record]) -> Table:
    """Exact match and F1 of the answer, and the share that hold the span: asked of all passages, and of the right one alone.

    An answer is made of whole sentences, so an exact match is hardly to be had; `holds` tells whether the span is in it.
    """
    scores: dict[str, list[tuple[float, float, float]]] = {"retrieval": [], "gold passage": []}
    for record in records:
        reply = target.ask(record.question, [])
        found = reply["answer"] if reply["outcome"] == "answered" else ""
        for name, told in zip(scores, (found, target.ask_page(record.question, record.gold_urls[0])), strict=True):
            exact, f1 = metrics.span_scores(told, record.answer_facts[0][0])
            scores[name].append((exact, f1, float(metrics.facts(told, record.answer_facts))))
    columns = ("exact", "f1", "holds")
    return {name: dict(zip(columns, np.mean(own, axis=0).tolist(), strict=True)) for name, own in scores.items()}


# The page


def write(
    file: Path,
    title: str,
    sets: Mapping[str, Sequence[Row]],
    tables: Mapping[str, Table] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the page, report.html filled in: of rows by the name of their question set, and of tables of figures."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    rows = [row for own in sets.values() for row in own]
    parts: dict[str, Row] = {}
    for name, own in sets.items():
        told = summary(own)
        parts |= {name: told["all"]} | {f"{name}: {split}": figures for split, figures in _of_kind(told, "split").items()}
    answerable = summary(row for row in rows if row["gold_urls"])
    times, edges = np.histogram([row["ms"] for row in rows if row["ms"] is not None], 40)
    template = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined).get_template("report.html")
    page = template.render(
        title=title,
        notes=notes,
        whole=summary(rows)["all"],
        parts=parts,
        tables={name: (table, _best(table)) for name, table in (tables or {}).items()},
        groups={kind: _of_kind(answerable, kind) for kind in ("lang", "type", "persona")},
        abstention=_abstention(rows),
        times=(times.tolist(), edges.tolist()),
        rest=_of_kind(summary(row for row in rows if row["expect"] != "answer"), "type"),
        wrong=_wrong(rows),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page, "utf-8")


def _of_kind(told: Mapping[str, Row], kind: str) -> dict[str, Row]:
    """The groups of one kind in a summary, by the rest of their names, the largest first."""
    found = {name.removeprefix(f"{kind}="): figures for name, figures in told.items() if name.startswith(f"{kind}=")}
    return dict(sorted(found.items(), key=lambda item: -item[1]["questions"]))


def _best(table: Table) -> dict[str, float]:
    """The columns of a table, each with its highest value."""
    columns = dict.fromkeys(column for row in table.values() for column in row)
    return {column: max(row[column] for row in table.values() if column in row) for column in columns}


def _abstention(rows: Iterable[Row]) -> list[tuple[float, float, float]]:
    """For each bound on confidence: how many of the answered can be answered, and how many of those that can be are."""
    from sklearn.metrics import precision_recall_curve

    sure = [(bool(row["gold_urls"]), row["confidence"]) for row in rows if row.get("confidence") is not None]
    if len({answerable for answerable, _ in sure}) < 2:
        return []
    precision, recall, bounds = precision_recall_curve(*zip(*sure, strict=True))
    return [*zip(bounds.tolist(), precision.tolist(), recall.tolist(), strict=False)]  # the curve has an end without a bound


def _wrong(rows: Iterable[Row]) -> list[Row]:
    """The questions that went wrong, those of which nothing was right first."""
    decisive = ((row, row["scores"].get("facts_and_cited" if row["gold_urls"] else "as_expected", 1.0)) for row in rows)
    return sorted((row for row, score in decisive if not score), key=lambda row: (row["scores"].get("mrr@10", 0.0), row["id"]))
