"""A question file → a report: every question is really asked, every answer scored, every figure given with its interval.

Knows the assistant's two ways in (in this process, or over HTTP) and the scoring rules of README; knows nothing of how answers
are made. Quotes are looked up in the articles' own Markdown, not in what was indexed, so that the index cannot vouch for itself.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from assistant import HmsError, settings
from assistant.chat import Assistant
from assistant.cite import READER
from assistant.types import Ask, Turn
from corpus.article import Article, read_contents
from corpus.index import current, read_manifest
from eval import metrics
from eval.dataset import Record, Row

History = list[dict[str, str]]
Scores = dict[str, float | None]

DEPTH = 50  # passages of a ranking that are looked at
LONGEST_TURN = 4_000  # characters; what a client may send back as history
MOST_TURNS = 20
PATIENCE = 5  # times a busy server is asked again

# What counts as done as expected. Letters without meaning may be declined or asked back: both tell the reader the truth.
OUTCOMES: dict[str, frozenset[str]] = {
    "answer": frozenset({"answered"}),
    "correct_premise": frozenset({"answered"}),
    "abstain": frozenset({"not_covered"}),
    "refuse": frozenset({"refused", "not_covered"}),
    "greet": frozenset({"greeting"}),
    "clarify": frozenset({"clarify"}),
    "acute": frozenset({"acute"}),
}
OUTCOMES_BY_TYPE = {("garbage", "abstain"): frozenset({"not_covered", "clarify"})}
SUMMED = "hit@1 hit@3 hit@5 hit@10 mrr@10 ndcg@10 facts cited facts_and_cited abstained as_expected clean quotes_verbatim".split()
SUMMED += ["links_valid", "failed"]


class RunError(Exception):
    """A run that cannot begin. One Norwegian sentence."""


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
            settings.load(index=str(index) if index else None, content=_content(index), base_url=base_url)
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


class OverHttp:
    """A running server. Asked to wait (429, 503), it is asked again."""

    def __init__(self, url: str, base_url: str = "") -> None:
        import httpx

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
        import httpx

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
        raise RunError(f"Det er ingen søkeindeks i {index}; bygg den med «python -m corpus build --index {index}».")
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


def page_path(url: str, base_url: str) -> str:
    """The page path in an address of the site or of the reader page, as gold pages are written."""
    address = url[len(base_url) :] if base_url and url.startswith(base_url) else urlsplit(url).path
    path = unquote(address.partition("#")[0]).rstrip("/")
    return path.removeprefix(READER) or "/"


# Scoring


class Judge:
    """Scores rows. With the content folders it can tell whether quotes are verbatim, with a built site whether links open."""

    def __init__(self, content: Sequence[Path] = (), site: Path | None = None, base_url: str = "") -> None:
        found = read_contents(content) if content else iter(())
        self._articles = {each.path: each for each in found if isinstance(each, Article)}
        self._plain: dict[str, str] = {}
        self._site, self._base_url = site, base_url

    def score(self, row: Row) -> Row:
        """The row with its `scores` (None where a score says nothing of it) and the faults found."""
        answer = row["answer"] or {"outcome": "error", "answer": "", "citations": []}
        said = answer["outcome"] in ("answered", "acute")
        pages = [page_path(each["url"], self._base_url) for each in answer["citations"]]
        forbidden = metrics.contains_any(answer["answer"], row["must_not_contain"])
        wrong_quotes = [each for each in answer["citations"] if not self._stands(each)] if self._articles else []
        wrong_links = [
            {"url": each["url"], "fault": wrong} for each in answer["citations"] if (wrong := self._link_fault(each["url"]))
        ]
        facts = said and metrics.facts(answer["answer"], row["answer_facts"])
        accepted = OUTCOMES_BY_TYPE.get((row["type"], row["expect"]), OUTCOMES[row["expect"]])
        as_expected = answer["outcome"] in accepted and not forbidden and (row["expect"] != "correct_premise" or facts)
        scores: Scores = {"failed": float(row["error"] is not None)}
        if row["must_not_contain"]:
            scores["clean"] = float(row["answer"] is not None and not forbidden)
        if row["expect"] != "answer":
            scores["as_expected"] = float(as_expected)
        if row["gold_urls"]:
            scores |= metrics.ranking(row["ranking"], row["gold_urls"]) | {
                "cited": float(said and metrics.cited(pages, row["gold_urls"], row["must_cite"]))
            }
            scores["abstained"] = float(answer["outcome"] == "not_covered")
            if row["answer_facts"]:
                scores |= {"facts": float(facts), "facts_and_cited": float(facts and scores["cited"] == 1)}
        if pages and self._articles:
            scores["quotes_verbatim"] = 1 - len(wrong_quotes) / len(pages)
        if pages and self._site:
            scores["links_valid"] = 1 - len(wrong_links) / len(pages)
        faults = {"forbidden": forbidden, "wrong_quotes": wrong_quotes, "wrong_links": wrong_links}
        length = metrics.words(answer["answer"]) if answer["outcome"] == "answered" else None
        return {**row, "outcome": answer["outcome"], "cited_pages": pages, "words": length, "scores": scores, **faults}

    def _stands(self, citation: Row) -> bool:
        path = page_path(citation["url"], self._base_url)
        if path not in self._articles:
            return False
        if path not in self._plain:
            self._plain[path] = metrics.plain_text(self._articles[path].body)
        quote = metrics.compared(citation["quote"])
        return bool(quote) and quote in self._plain[path]

    def _link_fault(self, url: str) -> str | None:
        return metrics.fault(self._site, url, self._base_url) if self._site else None


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


def summary(rows: Sequence[Row]) -> Row:
    """Every figure of a run by group: {"mean", "low", "high", "n"} for a score, n the questions that have it."""
    return {name: _figures(group) for name, group in groups(rows).items()}


def _figures(rows: Sequence[Row]) -> Row:
    figures: Row = {"questions": len(rows)}
    for name in SUMMED:
        values = [row["scores"][name] for row in rows if row["scores"].get(name) is not None]
        if values:
            low, high = metrics.interval(values)
            figures[name] = {"mean": sum(values) / len(values), "low": low, "high": high, "n": len(values)}
    if lengths := [row["words"] for row in rows if row["words"] is not None]:
        figures["median_words"] = metrics.percentile(lengths, 50)
    if times := [row["ms"] for row in rows if row["ms"] is not None]:
        figures |= {f"p{share}_ms": metrics.percentile(times, share) for share in (50, 95)}
    return figures


def run(
    records: Sequence[Record], target: Target, judge: Judge, out: Path, progress: Callable[[int, int], None] = lambda *_: None
) -> Row:
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


def read_rows(run: Path) -> dict[str, Row]:
    """The rows of a finished run by question id, from its folder or its records.jsonl. Raises RunError."""
    file = run / "records.jsonl" if run.is_dir() else run
    try:
        rows: list[Row] = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        return {row["id"]: row for row in rows if isinstance(row["scores"], dict)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} er ikke en ferdig kjøring ({error}); oppgi mappen som «python -m eval run» skrev.") from None


def compare(before: dict[str, Row], after: dict[str, Row]) -> Iterator[Row]:
    """For each score, over the questions that both runs have it for: the difference, its interval, and who gained and lost."""
    both = [(before[key]["scores"], after[key]["scores"], key) for key in before if key in after]
    for name in SUMMED:
        pairs = [(a[name], b[name], key) for a, b, key in both if a.get(name) is not None and b.get(name) is not None]
        if pairs:
            low, high = metrics.interval([b - a for a, b, _ in pairs])
            means = {"before": sum(a for a, _, _ in pairs) / len(pairs), "after": sum(b for _, b, _ in pairs) / len(pairs)}
            moved = {"better": [key for a, b, key in pairs if b > a], "worse": [key for a, b, key in pairs if b < a]}
            yield {"score": name, "n": len(pairs), **means, "low": low, "high": high, **moved}
