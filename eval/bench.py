"""How fast and how large: building, starting, answering, measured on real processes as a user would start them.

Knows command lines, processes and HTTP; knows nothing of what is inside. Everything happens in a temporary folder and on a free
port; the project's own index is not touched. Figures hold for the machine they were measured on.
"""

import contextlib
import json
import os
import random
import re
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
from typing import TYPE_CHECKING

from eval.metrics import percentile

if TYPE_CHECKING:
    import httpx

ROOT = Path(__file__).resolve().parent.parent
ASKED = 100  # different questions, so that nothing is answered from a cache
STARTS = 3  # of which the median counts; the first also waits for the disk
PATIENCE = 300  # seconds for a server to answer
MEGABYTE = 1_000_000
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes

SECTION = re.compile(r"(?m)^(?=## )")
FRONT = re.compile(r"\A\ufeff?---\n.*?\n---\n", re.DOTALL)
MIN_WORDS, SECTIONS = 15, 8  # of a section; of a made-up article
SEED = 20_260_101
PLOTTED = {
    "seconds": ("build_s", "build_one_changed_s", "build_unchanged_s", "start_to_first_answer_s"),
    "milliseconds": ("ask_p50_ms", "ask_p95_ms", "ask_p99_ms"),
    "megabytes": ("build_peak_mb", "serving_rss_after_questions_mb", "index_mb"),
}

Progress = Callable[[str], None]


class BenchError(Exception):
    """A measurement that cannot be made. One Norwegian sentence."""


@dataclass(frozen=True)
class Finished:
    """What a process took: wall time in seconds, the most memory it held in bytes."""

    seconds: float
    peak: int


def bench(contents: Sequence[Path], questions: Path, progress: Progress = lambda _: None) -> dict[str, float]:
    """All figures by name; the unit is the end of the name. Raises BenchError."""
    asked = read_questions(questions)
    with tempfile.TemporaryDirectory(prefix="hms-bench-") as place:
        work = Path(place)
        copies = [Path(shutil.copytree(content, work / f"content{number}")) for number, content in enumerate(contents)]
        return _building(copies, work / "index", progress) | _serving(copies, work / "index", asked, progress)


def growth(
    contents: Sequence[Path], questions: Path, sizes: Sequence[int], progress: Progress = lambda _: None
) -> dict[int, dict[str, float]]:
    """The figures over contents of different sizes, by number of articles."""
    found = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="hms-articles-") as place:
            progress(f"{size} articles")
            recombine(contents, Path(place), size)
            found[size] = bench([Path(place)], questions, progress)
    return found


def recombine(contents: Sequence[Path], out: Path, size: int) -> None:
    """Write `size` articles to `out`: those of the content folders, then new ones made of sections of several of them.

    The same for the same contents. Raises BenchError when there is no article to begin with.
    """
    texts = [text for content in contents for file in sorted(content.rglob("*.md")) if (text := file.read_text("utf-8-sig"))]
    sections = [part for text in texts for part in SECTION.split(FRONT.sub("", text)) if len(part.split()) > MIN_WORDS]
    if not sections:
        raise BenchError(
            f"Det er ingen artikler å måle med i {', '.join(map(str, contents))}; oppgi en mappe med Markdown-filer."
        )
    chance = random.Random(SEED)
    for number in range(size):
        made = f"---\ntitle: Artikkel {number}\n---\n\n{''.join(chance.sample(sections, min(SECTIONS, len(sections))))}"
        file = out / "artikler" / f"{number}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(texts[number] if number < len(texts) else made, "utf-8")


def against_tutorial(
    contents: Sequence[Path], questions: Path, ours: Mapping[str, float], cache: Path
) -> dict[str, dict[str, float]]:
    """What a LangChain tutorial builds over the same articles, and how many times ours it takes."""
    from eval.full import open_tutorial

    store = open_tutorial(contents, cache)
    times = []
    for question in read_questions(questions):
        begun = time.perf_counter()
        store.search([question])
        times.append(1000 * (time.perf_counter() - begun))
    theirs = {"build_s": store.build_s, "build_peak_mb": store.peak_mb}
    theirs |= {f"ask_p{share}_ms": percentile(times, share) for share in (50, 95, 99)}
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
    """Different questions from a file of JSON lines with `question`; those with earlier turns are left out. Raises BenchError."""
    try:
        rows = [json.loads(line) for line in file.read_text("utf-8-sig").splitlines() if line.strip()]
        found = list(dict.fromkeys(row["question"] for row in rows if not row.get("turns")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(f"Spørsmålsfilen {file} kan ikke leses ({error}); oppgi en med --questions.") from None
    if not found:
        raise BenchError(f"Spørsmålsfilen {file} har ingen spørsmål; oppgi en annen med --questions.")
    return found[:ASKED]


def _building(contents: Sequence[Path], index: Path, progress: Progress) -> dict[str, float]:
    command = [sys.executable, "-m", "corpus", "build", *map(str, contents), "--index", str(index)]
    progress("full build")
    full = run_to_end(command)
    progress("build with nothing changed")
    idle = run_to_end(command)
    size = _size(index / "versions" / (index / "CURRENT").read_text("utf-8").strip())
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
    """Run a command and measure it. Raises BenchError when it fails.

    A child's peak memory counts from its parent's, so the one who measures must stay small: this module imports little.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise BenchError(f"«{' '.join(command[1:4])}» stoppet med {process.returncode}: {said.read()[-500:].strip()}")
    return Finished(seconds, usage.ru_maxrss * RSS_UNIT)


def _serving(contents: Sequence[Path], index: Path, questions: Sequence[str], progress: Progress) -> dict[str, float]:
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
        "ask_p50_ms": percentile(times, 50),
        "ask_p95_ms": percentile(times, 95),
        "ask_p99_ms": percentile(times, 99),
        "serving_rss_mb": idle / MEGABYTE,
        "serving_rss_after_questions_mb": loaded / MEGABYTE,
        "questions": len(questions),
    }


@contextlib.contextmanager
def server(contents: Sequence[Path], index: Path) -> Iterator[tuple["subprocess.Popen[bytes]", "httpx.Client", float]]:
    """`python app.py` on a free port, a client for it, and when it was started; stopped at the end."""
    import httpx

    port = _free_port()
    told = {"HMS_CONTENT": ":".join(map(str, contents)), "HMS_INDEX": str(index), "HMS_HOST": "127.0.0.1", "HMS_PORT": str(port)}
    told |= {"HMS_RATE": "1000000", "HMS_DAILY": "1000000"}  # one client asks all there is
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=_environment() | told,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
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
    """Seconds from `begun` until a call is answered with 200. Raises BenchError when the server ends or takes too long."""
    import httpx

    while time.perf_counter() - begun < PATIENCE:
        with contextlib.suppress(httpx.TransportError):
            if call().status_code == 200:
                return time.perf_counter() - begun
        if process.poll() is not None:
            raise BenchError(
                f"«python app.py» stoppet med {process.returncode} før den svarte; start den for hånd og se hva den sier."
            )
        time.sleep(0.02)
    raise BenchError(f"«python app.py» svarte ikke på {PATIENCE} sekunder; start den for hånd og se hva den sier.")


def _asked(client: "httpx.Client", question: str) -> float:
    """Milliseconds from sending a question to having its whole answer."""
    begun = time.perf_counter()
    reply = client.post("/api/ask", json={"question": question})
    if reply.status_code != 200:
        raise BenchError(f"«{question}» fikk {reply.status_code}: {reply.text[:200]}")
    return 1000 * (time.perf_counter() - begun)


def _resident(process: "subprocess.Popen[bytes]") -> int:
    try:
        import psutil
    except ImportError:
        raise BenchError("Målingen trenger psutil; installer den med «pip install -r requirements-dev.lock».") from None
    return int(psutil.Process(process.pid).memory_info().rss)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _environment() -> dict[str, str]:
    """The user's environment without this program's own settings, which would measure something else."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HMS_")} | {"HMS_BASE_URL": ""}
