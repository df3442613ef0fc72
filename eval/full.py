"""Everything at once: our questions over the shipped articles and over a real blog, baselines beside them, NorQuAD.

Knows where the question files lie and in which order things are measured; knows nothing of scores. Whatever is not on this
machine is left out, and the page says so.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from corpus import dense
from corpus.build import build
from eval import dataset, run
from eval.dataset import Row
from eval.report import Report
from eval.site import build_site

HERE = Path(__file__).resolve().parent
QUESTIONS = HERE / "questions"
ARTICLES = HERE.parent / "corpus" / "articles"
CACHE = HERE.parent / "out" / "cache"
SITE = "https://www.example.no"
COLUMNS = ("hit@1", "hit@5", "hit@10", "mrr@10", "ndcg@10", "facts_and_cited", "abstained", "as_expected")

Table = dict[str, Mapping[str, float]]


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
    site = build_site(content, out / "site")
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


def against_baselines(records: Sequence[dataset.Record], blog: Path, index: Path, tutorial: bool) -> dict[str, Table]:
    """Our search and each baseline over the same questions on the same machine, for each split."""
    from corpus.index import open_index
    from eval import baselines

    opened = open_index(index, dense.load())
    searches, took = baselines.own(opened), {}
    if tutorial:
        store = baselines.tutorial([blog], CACHE)
        searches["tutorial"] = store.search
        took["tutorial"] = {"build_s": store.build_s, "peak_mb": store.peak_mb}
    tables: dict[str, Table] = {}
    for split in ("tune", "kept"):
        mine = [record for record in records if record.split == split]
        found: Table = {name: baselines.judge(mine, search) | took.get(name, {}) for name, search in searches.items()}
        tables[f"Against what a user could have had, {split}"] = found
    opened.vectors.close()
    return tables


def benchmark(folder: Path, work: Path) -> dict[str, Table]:
    """NorQuAD: passages found, and spans told."""
    from eval import norquad

    found: Table = {**norquad.retrieval(folder / "news", work / "news")}
    spans: Table = {**norquad.answers(folder / "test", work / "test")}
    return {"NorQuAD, passages of news found": found, "NorQuAD test, spans told": spans}
