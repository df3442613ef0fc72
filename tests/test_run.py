"""A run asks everything, scores what came back, and drops nothing; its report and comparison say what the rows say."""

import json
import re
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
from eval import EvalError, Record, run
from eval.metrics import Judge, Row, build_site, hugo
from eval.run import History, InProcess, OverHttp, overview, write
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


def test_figures_are_told_by_split_language_and_turns() -> None:
    rows = [
        {
            "lang": "nb", "type": "figure", "expect": "answer", "turns": [], "split": "kept", "persona": "",
            "words": 3, "ms": 1.0,
            "scores": {"hit@1": hit},
        }
        for hit in (1.0, 0.0)
    ]  # fmt: skip
    assert overview(rows) == {name: {"hit@1": 0.5} for name in ("lang=nb", "split=kept", "turns=single")}


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
        with pytest.raises(EvalError, match="ikke en ferdig kjøring"):
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


def test_spans_are_looked_for_in_the_answers_and_in_the_right_page_alone(index: Path) -> None:
    asked = record(question="Hvor mange ansatte krever AMU?", answer_facts=(("30 ansatte",),))
    figures = run.spans(InProcess(index), [asked, record(question="Hva heter kongen?", answer_facts=(("Harald",),))])
    assert figures["retrieval"]["holds"] == figures["gold passage"]["holds"] == 0.5
    assert 0 < figures["gold passage"]["f1"] < 0.5
    assert figures["gold passage"]["exact"] == 0.0


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="ingen søkeindeks"):
        InProcess(tmp_path)


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


# The page


def row(number: int, **fields: Any) -> dict[str, Any]:
    scores = {"hit@1": float(number % 2), "hit@5": 1.0, "mrr@10": 0.5, "facts_and_cited": float(number % 2), "abstained": 0.0}
    asked: dict[str, Any] = {
        "id": f"q{number}",
        "lang": "nb" if number < 6 else "en",
        "type": "figure",
        "persona": "ansatt",
        "split": "kept",
    }
    asked |= {"turns": [], "question": f"Hvor mange <{number}>?", "expect": "answer"}
    asked |= {"gold_urls": ["/a"], "answer_facts": [["30"]]}
    told = {"answer": {"answer": "<script>alert(1)</script>"}, "outcome": "answered", "words": 80, "error": None}
    told |= {"ranking": ["/b", "/a"], "ms": 12.0, "confidence": 0.1 * number}
    return asked | told | {"scores": scores} | fields


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    rest = {"gold_urls": [], "expect": "abstain", "type": "out_of_domain", "scores": {"as_expected": 0.0}}
    return [*(row(number) for number in range(10)), row(10, **rest), row(11, **rest, confidence=-0.2)]


def test_the_page_shows_the_figures_and_holds_everything_itself(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    table = {"Against": {"ours": {"hit@1": 0.5, "build_s": 30.0}, "bm25": {"hit@1": 0.25}}}
    write(tmp_path / "out" / "report.html", "Title", {"blog": rows}, table, ["A note & more"])
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "50 %" in page and "A note &amp; more" in page and "<b>0.500</b>" in page
    assert page.count("<svg") == 3  # by language, abstention, latency; of one type and one persona there is nothing to compare
    assert not re.search(r"(?:src|href)=[\"']?https?:", page)


def test_what_readers_and_articles_say_is_escaped(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    write(tmp_path / "report.html", "T", {"blog": rows})
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<script>" not in page and "Hvor mange &lt;0&gt;?" in page


def test_the_worst_questions_come_with_what_was_found(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    write(tmp_path / "report.html", "T", {"blog": rows})
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Where it goes wrong (7, the worst 7)" in page  # five without the facts, two that should not have been answered
    assert "<li class=gold>/a</li>" in page


def test_without_times_or_confidence_the_page_leaves_those_figures_out(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    write(tmp_path / "report.html", "T", {"url": [each | {"ms": None, "confidence": None} for each in rows]})
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<svg") == 1 and "Abstention" not in page and "Latency" not in page
