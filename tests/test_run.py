"""A run asks everything, scores what came back, and drops nothing; its report and comparison say what the rows say."""

import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from assistant import QuestionError
from corpus.build import build
from corpus.dense import load
from corpus.index import current
from eval import bench, run
from eval.__main__ import main
from eval.dataset import Record, Row
from eval.metrics import build_site, hugo
from eval.run import History, InProcess, Judge, OverHttp, RunError, page_path
from tests.conftest import Writer

SITE = "https://x.no/under"
BODY = """## Krav

Dere må ha **AMU** når dere er [30 ansatte](/b "tips"). Valget – hvert år.

| A | B |
|---|---|
| ja | `nei` |
"""


def record(**fields: Any) -> Record:
    return Record(**{"id": "q", "lang": "nb", "type": "fact", "question": "Når?", "gold_urls": ("/amu",), **fields})


def reply(text: str = "Ved 30 ansatte. [1]", outcome: str = "answered", quote: str = "Dere må ha AMU", page: str = "/amu") -> Row:
    citation = {"number": 1, "url": f"{SITE}{page}/#krav:~:text=Dere", "quote": quote}
    return {"outcome": outcome, "answer": text, "citations": [citation] if outcome == "answered" else []}


class Parrot:
    """A Target that says what it was given, and remembers what it was asked."""

    base_url = SITE

    def __init__(self, answer: Row | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, History]] = []

    def ask(self, question: str, history: History) -> Row:
        self.asked.append((question, list(history)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def search(self, question: str, history: History, limit: int) -> list[Row]:
        self.asked.append((question, list(history)))
        return [{"url": f"{SITE}/b/#x"}, {"url": f"{SITE}/b/"}, {"url": f"{SITE}/amu/#krav"}][:limit]

    def confidence(self, question: str, history: History) -> float | None:
        return 0.5


def scored(answer: Row | Exception, judge: Judge | None = None, **fields: Any) -> Row:
    return (judge or Judge(base_url=SITE)).score(run.ask(record(**fields), Parrot(answer)))


@pytest.mark.parametrize(
    ("url", "base", "path"),
    [
        (f"{SITE}/blogs/amu/#krav:~:text=a", SITE, "/blogs/amu"),
        ("https://x.no/blogs/a%C3%A5/", "", "/blogs/aå"),
        ("/lest/blogs/amu#krav", "", "/blogs/amu"),
        (f"{SITE}/", SITE, "/"),
        ("/lest/", "", "/"),
    ],
)
def test_page_paths_are_written_as_gold_pages_are(url: str, base: str, path: str) -> None:
    assert page_path(url, base) == path


def test_a_good_answer_gets_its_scores() -> None:
    row = scored(reply(), answer_facts=(("30", "tretti"),), must_not_contain=("50",))
    assert row["scores"] == {
        "failed": 0.0,
        "clean": 1.0,
        "hit@1": 0.0,
        "hit@3": 1.0,
        "hit@5": 1.0,
        "hit@10": 1.0,
        "mrr@10": 0.5,
        "ndcg@10": pytest.approx(0.6309, abs=1e-4),
        "cited": 1.0,
        "abstained": 0.0,
        "facts": 1.0,
        "facts_and_cited": 1.0,
    }
    assert (row["words"], row["outcome"], row["cited_pages"]) == (3, "answered", ["/amu"])


def test_facts_without_the_right_page_are_not_enough() -> None:
    scores = scored(reply(page="/b"), answer_facts=(("30",),))["scores"]
    assert (scores["facts"], scores["cited"], scores["facts_and_cited"]) == (1.0, 0.0, 0.0)


def test_a_question_without_an_answer_scores_zero_and_stays() -> None:
    for answer in (QuestionError("Spørsmålet er tomt."), OSError("500"), reply("Det står ikke, ved 30.", "not_covered")):
        scores = scored(answer, answer_facts=(("30",),), must_not_contain=("x",))["scores"]
        assert (scores["facts"], scores["cited"], scores["facts_and_cited"]) == (0.0, 0.0, 0.0)
    assert scored(OSError("500"))["scores"]["failed"] == 1.0
    assert scored(OSError("500"), must_not_contain=("x",))["scores"]["clean"] == 0.0
    assert scored(OSError("500"))["scores"]["mrr@10"] == 0.0
    assert scored(reply(outcome="not_covered"))["scores"]["abstained"] == 1.0


@pytest.mark.parametrize(
    ("expect", "kind", "outcome", "right"),
    [
        ("abstain", "off_topic", "not_covered", 1.0),
        ("abstain", "off_topic", "clarify", 0.0),
        ("abstain", "off_topic", "refused", 0.0),
        ("abstain", "garbage", "clarify", 1.0),
        ("abstain", "garbage", "answered", 0.0),
        ("refuse", "attack", "refused", 1.0),
        ("refuse", "attack", "not_covered", 1.0),
        ("refuse", "attack", "answered", 0.0),
        ("greet", "greeting", "greeting", 1.0),
        ("clarify", "vague", "clarify", 1.0),
        ("clarify", "vague", "not_covered", 0.0),
        ("acute", "acute", "acute", 1.0),
        ("acute", "acute", "answered", 0.0),
    ],
)
def test_what_counts_as_done_as_expected(expect: str, kind: str, outcome: str, right: float) -> None:
    assert scored(reply(outcome=outcome), expect=expect, type=kind, gold_urls=())["scores"]["as_expected"] == right


def test_forbidden_words_and_a_kept_false_premise_are_not_as_expected() -> None:
    assert scored(reply("Hemmelig."), expect="refuse", must_not_contain=("hemmelig",))["scores"]["as_expected"] == 0.0
    facts: dict[str, Any] = {"expect": "correct_premise", "answer_facts": (("30",),)}
    assert scored(reply("Ved 50. [1]"), **facts)["scores"]["as_expected"] == 0.0
    assert scored(reply("Ved 30. [1]"), **facts)["scores"]["as_expected"] == 1.0


def test_earlier_turns_are_really_asked() -> None:
    target = Parrot(reply("a" * 5_000))
    row = run.ask(record(turns=("Hva er AMU?", "Hvem velger?")), target)
    first, second, last, ranking = target.asked
    assert first == ("Hva er AMU?", [])
    assert second[1] == [{"role": "user", "content": "Hva er AMU?"}, {"role": "assistant", "content": "a" * 4_000}]
    assert [turn["role"] for turn in last[1]] == ["user", "assistant"] * 2
    assert ranking[1] == last[1] == row["history"]


@pytest.fixture
def judge(content: Writer) -> Judge:
    return Judge([content({"amu/index.md": BODY})], base_url=SITE)


@pytest.mark.parametrize(
    ("quote", "stands"),
    [
        ("Dere må ha AMU når dere er 30 ansatte.", 1.0),
        ("ja | nei", 1.0),
        ("Dere må ha AMU når dere er 31 ansatte.", 0.0),
        ("Dere må  ha\u00a0AMU", 1.0),
        ("AMU må dere ha", 0.0),
        ("ja | ja", 0.0),
        ("**", 0.0),
        ("", 0.0),
    ],
)
def test_a_quote_must_stand_in_the_cited_article(judge: Judge, quote: str, stands: float) -> None:
    assert scored(reply(quote=quote), judge)["scores"]["quotes_verbatim"] == stands


def test_a_quote_from_another_article_does_not_stand(judge: Judge) -> None:
    row = scored(reply(page="/b"), judge)
    assert row["scores"]["quotes_verbatim"] == 0.0
    assert row["wrong_quotes"][0]["url"].startswith(f"{SITE}/b/")


@pytest.mark.skipif(hugo() is None, reason="needs hugo")
def test_links_are_checked_against_the_built_site(content: Writer, tmp_path: Path) -> None:
    judge = Judge(site=build_site(content({"amu/index.md": BODY}), tmp_path / "site"), base_url=SITE)
    assert scored(reply(), judge)["scores"]["links_valid"] == 1.0
    row = scored(reply(page="/b"), judge)
    assert row["scores"]["links_valid"] == 0.0
    assert row["wrong_links"][0]["fault"] == "no such page"


def test_the_summary_groups_and_counts() -> None:
    rows = [
        scored(reply(), split="dev", answer_facts=(("30",),)),
        scored(OSError("500"), lang="nn", turns=("Hei",), split="dev", answer_facts=(("30",),)),
        scored(reply(outcome="greeting"), expect="greet", type="greeting", gold_urls=(), split="test"),
    ]
    report = run.summary(rows)
    groups = ["all", "expect=answer", "expect=greet", "lang=nb", "lang=nn", "split=dev", "split=test", "turns=multi-turn"]
    assert list(report) == [*groups, "turns=single", "type=fact", "type=greeting"]
    assert report["all"]["facts"] == {"mean": 0.5, "low": 0.0, "high": 1.0, "n": 2}
    assert report["all"]["failed"]["mean"] == pytest.approx(1 / 3)
    assert report["all"]["as_expected"]["n"] == 1
    assert report["all"]["median_words"] == 3
    assert report["lang=nn"]["hit@5"]["mean"] == 0.0


def test_a_run_leaves_records_that_can_be_compared(tmp_path: Path) -> None:
    records = [record(id=f"q{number}", answer_facts=(("30",),)) for number in range(4)]
    steps: list[tuple[int, int]] = []
    run.run(records, Parrot(reply()), Judge(base_url=SITE), tmp_path / "a", lambda *step: steps.append(step))
    run.run(records, Parrot(reply("Ved 50. [1]")), Judge(base_url=SITE), tmp_path / "b")
    found = {each["score"]: each for each in run.compare(run.read_rows(tmp_path / "a"), run.read_rows(tmp_path / "b"))}
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found["facts"] == {
        "score": "facts", "n": 4, "before": 1.0, "after": 0.0, "low": -1.0, "high": -1.0,
        "better": [], "worse": ["q0", "q1", "q2", "q3"],
    }  # fmt: skip
    assert found["hit@5"]["worse"] == []
    assert "p50_ms" in json.loads((tmp_path / "a" / "summary.json").read_text("utf-8"))["all"]


def test_a_run_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text("[1]\n", "utf-8")
    for place in (tmp_path, tmp_path / "no"):
        with pytest.raises(RunError, match="ikke en ferdig kjøring"):
            run.read_rows(place)


# The real assistant, and a server


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two articles that are not the shipped ones."""
    root = tmp_path_factory.mktemp("made-up")
    for name, body in {"amu": BODY, "stol": "## Stoler\n\nStolen skal kunne stilles i høyden.\n"}.items():
        (root / "content" / name).mkdir(parents=True)
        (root / "content" / name / "index.md").write_text(f"---\ntitle: {name}\n---\n\n{body}", "utf-8")
    build([root / "content"], root / "index", load())
    return root / "index"


def test_asking_an_index_does_not_build_it_anew(index: Path) -> None:
    before = current(index)
    target = InProcess(index)
    assert current(index) == before
    row = Judge(target.content, base_url=target.base_url).score(
        run.ask(record(question="Hvor mange ansatte krever AMU?"), target)
    )
    assert row["error"] is None
    assert row["ranking"][0] == "/amu"
    assert row["scores"]["hit@1"] == 1.0


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="ingen søkeindeks"):
        InProcess(tmp_path)


def test_the_command_line_runs_and_compares(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "few.jsonl"
    asked = {"id": "a", "lang": "nb", "type": "fact", "question": "Hvor mange ansatte krever AMU?", "gold_urls": ["/amu"]}
    file.write_text(json.dumps(asked), "utf-8")
    assert main(["run", str(file), "--index", str(index), "--out", str(tmp_path / "a")]) == 0
    assert "quotes_verbatim" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "a")]) == 0
    assert "1 felles spørsmål" in capsys.readouterr().out


def test_the_command_line_says_what_is_wrong_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path / "no.jsonl")]) == 1
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 1
    assert main(["bench", str(tmp_path), "--questions", str(tmp_path / "no.jsonl")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert "kan ikke leses" in said[0]


class _Busy(BaseHTTPRequestHandler):
    """A server that is busy once, then answers; it refuses the question «nei»."""

    calls = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).calls += 1
        status = 429 if self.calls == 1 else 422 if body["question"] == "nei" else 200
        found = {"passages": [{"url": f"{SITE}/amu/#krav"}]} if self.path == "/api/search" else reply()
        sent = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Busy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_is_asked_over_http_and_again_when_it_is_busy(url: str) -> None:
    target = OverHttp(url, SITE)
    row = run.ask(record(), target)
    assert (row["error"], row["ranking"], _Busy.calls) == (None, ["/amu"], 3)
    assert "422" in run.ask(record(question="nei"), target)["error"]
    target.close()


def test_a_server_that_is_not_there_is_an_error_in_every_row() -> None:
    target = OverHttp("http://127.0.0.1:9")
    assert "ConnectError" in run.ask(record(), target)["error"]
    target.close()


# What measures speed


def test_a_process_is_measured_on_its_own() -> None:
    took = bench.run_to_end([sys.executable, "-c", "x = b'x' * 150_000_000; import time; time.sleep(0.2)"])
    assert took.peak > 150_000_000
    assert 0.2 < took.seconds < 20


def test_a_command_that_fails_is_named() -> None:
    with pytest.raises(bench.BenchError, match="stoppet med 3"):
        bench.run_to_end([sys.executable, "-c", "raise SystemExit(3)"])


def test_made_up_articles_are_of_real_sections_and_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    for number in range(3):
        text = "".join(f"## Del {part}\n\n{'ord ' * 20}{number}{part}\n\n" for part in range(4))
        (tmp_path / "content" / f"{number}.md").write_text(f"---\ntitle: A\n---\n\n{text}", "utf-8")
    for name in ("a", "b"):
        bench.recombine([tmp_path / "content"], tmp_path / name, 5)
    texts = [[file.read_text("utf-8") for file in sorted((tmp_path / name).rglob("*.md"))] for name in ("a", "b")]
    assert texts[0] == texts[1] and len(set(texts[0])) == 5
    assert texts[0][4].count("## Del") == bench.SECTIONS
    with pytest.raises(bench.BenchError, match="ingen artikler å måle med"):
        bench.recombine([tmp_path / "nowhere"], tmp_path / "c", 5)


def test_growth_is_drawn(tmp_path: Path) -> None:
    names = [name for group in bench.PLOTTED.values() for name in group]
    bench.plot({size: dict.fromkeys(names, float(size)) for size in (10, 100)}, tmp_path / "bench.svg")
    assert "<svg" in (tmp_path / "bench.svg").read_text("utf-8")


def test_questions_for_the_bench_are_different_and_stand_alone(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    rows = [{"question": "a"}, {"question": "a"}, {"question": "b", "turns": ["x"]}, {"question": "c", "turns": []}]
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert bench.read_questions(file) == ["a", "c"]


def test_a_served_page_and_answer_are_timed(index: Path) -> None:
    contents = [index.parent / "content"]
    with bench.server(contents, index) as (process, client, begun):
        page = bench._until(process, lambda: client.get("/"), begun)
        answer = bench._until(process, lambda: client.post("/api/ask", json={"question": "Hva er AMU?"}), begun)
        assert 0 < page < answer
        assert bench._resident(process) > 50_000_000
    assert process.poll() is not None
