"""NorQuAD as a benchmark that nothing is trained on: passages found, and spans told.

Knows the folders of `../shared/norquad` (corpus.jsonl, queries.jsonl, qrels.jsonl). The passages become a content folder and are
indexed as articles are, by the same program.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from assistant.chat import Assistant
from assistant.extract import Extractor, tell
from assistant.question import read
from assistant.settings import Settings
from assistant.types import Ask, Passage
from corpus import dense
from corpus.build import build
from corpus.index import Index, open_index
from eval import metrics
from eval.baselines import own

SURE = 10.0  # a score past every threshold: there is nothing to abstain for

Row = dict[str, Any]


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
    extractor = Extractor(assistant.index.embedder, assistant.index.lexical)
    picks = extractor.extract(read(Ask(question)), [Passage(chunk, 1.0, SURE) for chunk in page])
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
