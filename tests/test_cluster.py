"""More than one machine, as processes: two replicas behind nginx, one Chroma server, one PostgreSQL, limits in one Redis, and an
index that is published once.

Those over a small index are part of every run. The ones marked `cluster` take minutes: `make test-cluster`.
"""

import contextlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from corpus import dense
from corpus.build import build
from eval.bench import free_port
from tests.cluster import (
    INITDB,
    REDIS,
    Load,
    Service,
    chroma,
    needs_nginx,
    nginx,
    postgres,
    readers,
    redis,
    replica,
    running,
    until,
)
from tests.conftest import BLOG, ROOT, Writer, writer

pytestmark = needs_nginx
EMBEDDER = dense.load()
QUESTIONS = ("Når renses kaffemaskinen?", "Hvem vasker kaffemaskinen?", "Hvor settes syklene?", "Når låses porten?")
RATE = 120  # questions a minute that one reader may ask: more than those who make up the load


def edition(number: int) -> dict[str, str]:
    """Articles that each say which edition of the index they are from."""
    return {
        "kaffe/index.md": f"## Rens\n\nKaffemaskinen renses hver fredag i utgave {number}.\n\n"
        f"## Vask\n\nKaffemaskinen vaskes av vaktmesteren i utgave {number}.",
        "sykkel/index.md": f"Syklene settes i kjelleren i utgave {number}.",
        "port/index.md": f"Porten låses klokken 18 i utgave {number}.",
    }


@dataclass
class Site:
    """What runs, where it is asked, and how an index is published."""

    url: str
    vectors: Service
    database: Service | None
    counters: Service | None
    replicas: list[Service]
    content: Writer
    index: Path

    def publish(self, number: int) -> str:
        """Build an edition as `python -m corpus build` does; the new index's id."""
        return build([self.content(edition(number))], self.index, EMBEDDER, server=self.vectors.url).manifest.id

    def serves(self, index: str) -> bool:
        """Whether every replica has taken an index up."""
        ready = [httpx.get(f"{each.url}/api/ready", trust_env=False) for each in self.replicas]
        return all(reply.status_code == 200 and reply.json()["manifest"]["id"] == index for reply in ready)


@contextlib.contextmanager
def topology(place: Path, content: Writer, articles: Path, **more: str) -> Iterator[Site]:
    """Two replicas, Chroma and nginx, over an index of the articles; answers in PostgreSQL and counters in Redis where there are
    such. The replicas are told `more` settings."""
    vectors, index = chroma(place, free_port()), place / "index"
    counters = redis(place, free_port()) if REDIS else None
    with postgres() if INITDB else contextlib.nullcontext() as database, running(vectors, *filter(None, [counters])):
        build([articles], index, EMBEDDER, server=vectors.url)
        told = {"HMS_INDEX": str(index), "HMS_CHROMA_URL": vectors.url, "HMS_CONTENT": str(place / "none"), **more}
        told |= {"HMS_DATABASE_URL": database.url if database else "", "HMS_LIMITS_URL": counters.url if counters else ""}
        ports = [free_port(), free_port()]
        replicas = [replica(place, port, told) for port in ports]
        proxy = nginx(place, free_port(), ports)
        with running(*replicas, proxy):
            yield Site(proxy.url, vectors, database, counters, replicas, content, index)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site over the first edition; the last two tests of it take it apart."""
    place = tmp_path_factory.mktemp("site")
    content = writer(place)
    with topology(place, content, content(edition(1)), HMS_RATE=str(RATE)) as site:
        yield site


def ask(url: str, question: str = QUESTIONS[0], reader: str = "198.51.100.1") -> httpx.Response:
    """The reply to a reader's question."""
    with httpx.Client(base_url=url, headers={"X-Forwarded-For": reader}, timeout=30, trust_env=False, verify=False) as client:
        return client.post("/api/ask", json={"question": question})


def test_events_come_through_nginx_one_by_one(site: Site) -> None:
    body, headers = {"question": QUESTIONS[0]}, {"Accept": "text/event-stream"}
    with httpx.stream("POST", f"{site.url}/api/ask", json=body, headers=headers, timeout=30, trust_env=False) as reply:
        pieces = [piece for piece in reply.iter_raw() if piece]
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert len(pieces) > 1 and b"event: answer" not in pieces[0]
    last = b"".join(pieces).decode().strip().split("\n\n")[-1]
    assert json.loads(last.partition("data: ")[2])["outcome"] == "answered"


def mixed(load: Load, indexes: list[str]) -> list[str]:
    """Answers that do not come from one index alone: whose text is of another edition than the index that they name."""
    told = {index: {str(number)} for number, index in enumerate(indexes, 1)}
    answers = [each for each in load.asked if each.status == 200]
    return [each.text for each in answers if set(re.findall(r"utgave (\d)", each.text)) != told[each.index]]


def test_a_readers_questions_are_counted_whichever_replica_answers(site: Site) -> None:
    if not site.counters:
        pytest.skip("redis-server is not installed")
    own = [Counter(ask(each.url, reader="198.51.100.2").status_code for _ in range(RATE // 2 + 3)) for each in site.replicas]
    assert own == [{200: RATE // 2 + 3}, {200: RATE // 2 - 3, 429: 6}]
    assert [ask(site.url, reader=f"198.51.100.{last}").status_code for last in (2, 3)] == [429, 200]


def test_publishing_under_load_fails_no_question(site: Site) -> None:
    indexes = [httpx.get(f"{site.url}/api/ready", trust_env=False).json()["manifest"]["id"]]
    with readers(site.url, QUESTIONS, users=8, every=0.5) as load:
        for number in (2, 3):
            indexes.append(site.publish(number))
            until(lambda: site.serves(indexes[-1]), "taking up a published index")
        time.sleep(1)
    assert {each.index for each in load.asked} == set(indexes)
    assert (load.failed(), mixed(load, indexes)) == ([], [])


def test_postgresql_killed_under_load_fails_no_question_and_loses_no_answer(site: Site) -> None:
    if not site.database:
        pytest.skip("PostgreSQL is not installed")
    with readers(site.url, QUESTIONS, users=8, every=0.5) as load:
        time.sleep(0.5)
        site.database.kill()
        time.sleep(2)
        site.database.start()
    assert load.failed() == []
    made = {each.id for each in load.asked}
    assert len(made) == len(load.asked) > 20
    until(lambda: not made - rows(site.database, "SELECT id FROM answers"), "keeping what waited")
    for said in (each.said() for each in site.replicas):  # both have made answers, and met the fault
        assert said.count("rows wait for it") == said.count("the database is back; 0 rows were dropped") == 1


def rows(database: Service | None, query: str) -> set[str]:
    """The first column of what a database holds."""
    assert database
    with psycopg.connect(database.url) as connection:
        return {row[0] for row in connection.execute(query.encode())}


def test_a_replica_killed_under_load_costs_no_answer_and_takes_none_along(site: Site) -> None:
    old, kept = site.replicas[0], ask(site.replicas[0].url).json()["id"]
    until(lambda: httpx.get(f"{site.replicas[1].url}/api/answers/{kept}", trust_env=False).status_code == 200, "keeping it")
    with readers(site.url, QUESTIONS, users=8, every=0.5, retry=True) as load:
        time.sleep(1)
        old.kill()
        time.sleep(3)
    failed = [each for each in load.failed() if not each.retried]
    assert len(failed) <= 0.01 * len(load.asked)
    assert not [each for each in load.failed() if each.retried]

    rating = {"answer_id": kept, "rating": "down", "reason": "utdatert"}  # by the replica that did not make the answer
    assert httpx.post(f"{site.url}/api/feedback", json=rating, trust_env=False).status_code == 204
    told = httpx.get(f"{site.url}/api/answers/{kept}", trust_env=False).json()
    assert (told["answer"]["question"], [each["reason"] for each in told["feedback"]]) == (QUESTIONS[0], ["utdatert"])
    if site.database:
        assert kept in rows(site.database, "SELECT id FROM answers") & rows(site.database, "SELECT answer_id FROM feedback")


def test_without_chroma_readers_are_told_to_wait_until_it_is_back(site: Site) -> None:
    site.vectors.kill()
    replies = [ask(url, "Hvem åpner porten?") for url in (site.url, site.replicas[1].url)]
    assert [(reply.status_code, reply.headers["retry-after"]) for reply in replies] == [(503, "5")] * 2
    faults = [reply.json()["error"] for reply in replies]
    assert [fault["code"] for fault in faults] == ["not_ready"] * 2
    assert faults[1]["message"] == "Søket er ute av drift akkurat nå; prøv igjen om litt."
    site.vectors.start()
    with readers(site.url, QUESTIONS, users=4, every=0.5) as load:
        time.sleep(2)
    assert load.failed() == []
    said = site.replicas[1].said()
    assert said.count("svarer ikke som den skal") == said.count("answers again") == 1


@pytest.mark.cluster
@pytest.mark.skipif(not BLOG.is_dir(), reason="the real blog is not here")
def test_a_hundred_readers_are_answered_and_three_hundred_are_told_to_wait(content: Writer, tmp_path: Path) -> None:
    lasting = float(os.environ.get("LOAD_SECONDS", "300"))
    lines = (ROOT / "eval" / "questions" / "dev.jsonl").read_text("utf-8").splitlines()
    questions = [row["question"] for row in map(json.loads, lines) if not row.get("turns")]
    with topology(tmp_path, content, BLOG) as site:
        with readers(site.url, questions, users=2, every=0.2):  # what a process that has just begun pays once
            time.sleep(10)
        with readers(site.url, questions, users=100, every=5) as load:
            time.sleep(lasting)
        print(f"\n100 readers, {lasting:.0f} s: {load.told()}; memory {[round(each.memory) for each in site.replicas]} MB")
        with readers(site.url, questions, users=300, every=5) as more:
            time.sleep(min(lasting, 60))
        print(f"300 readers: {more.told()}; of those turned away, p95 {more.percentile(0.95, answered=False):.2f} s")
        with readers(site.url, questions, users=100, every=5) as after:
            time.sleep(20)
        recovered = [each for each in after.failed() if each.begun > after.asked[0].begun + 10]
        print(f"100 readers again: {after.told()}")
    assert {each.status for each in more.failed()} <= {429, 503} and all(int(each.wait) > 0 for each in more.failed())
    assert recovered == []
    assert load.failed() == []
    assert load.percentile(0.95) <= 0.5


@pytest.mark.cluster
def test_a_day_of_a_hundred_thousand_questions_grows_neither_memory_nor_open_files(tmp_path: Path) -> None:
    """By the defaults, over the shipped articles; one question in ten was never asked before."""
    total, port = int(os.environ.get("QUESTIONS", "100000")), free_port()
    lines = (ROOT / "eval" / "questions" / "shipped.jsonl").read_text("utf-8").splitlines()
    known = [row["question"] for row in map(json.loads, lines) if not row.get("turns")]
    app = replica(tmp_path, port, {"HMS_INDEX": str(tmp_path / "index"), "HMS_CACHE": "16"})
    statuses, seen = Counter[int](), []
    with running(app), httpx.Client(base_url=app.url, timeout=30, trust_env=False) as client:
        for number in range(total):
            fresh = "" if number % 10 else f" Det gjelder sak {number}."
            reply = client.post("/api/ask", json={"question": known[number % len(known)] + fresh})
            statuses[reply.status_code] += 1
            if number % (total // 20) == 0:
                seen.append((round(app.memory), app.files))
        seen.append((round(app.memory), app.files))
    print(f"\n{total} questions, {dict(statuses)}; memory in MB and open files, at each twentieth: {seen}")
    assert set(statuses) == {200}
    (memory, files), (least_memory, least_files) = seen[-1], seen[1]
    assert (
        memory - least_memory <= 100 and files <= least_files + 6
    )  # the store opens a connection, of three files, when it likes
