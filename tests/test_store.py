"""What is kept of answers: nothing is lost when many write, the database goes away or a process dies; what is deleted is gone."""

import contextlib
import json
import logging
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from starlette.testclient import TestClient

from assistant import NotReadyError, store
from assistant.chat import Assistant
from assistant.server import create_app
from assistant.settings import Settings
from assistant.store import Store
from assistant.types import Answer, Ask, Citation, Feedback, Notice, Page, Turn
from tests.cluster import Service, postgres, until
from tests.conftest import ROOT, answers

EVER = datetime(1970, 1, 1, tzinfo=UTC)
PASSAGE = "/blogs/amu#3"


def answer(number: object, **more: Any) -> Answer:
    """An answer with everything that can be kept."""
    own: dict[str, Any] = {
        "question": f"Når må vi ha AMU? {number}",
        "outcome": "answered",
        "answer": "Fra 30 ansatte. [1]",
        "language": "nb",
        "citations": (Citation(1, "https://example.no/blogs/amu/#krav:~:text=tretti", "AMU", "Krav", "Fra tretti ansatte"),),
        "notices": (Notice("outdated", "Artikkelen sier 50.", "https://lovdata.no/"),),
        "nearest": (Page("https://example.no/blogs/hms/", "HMS"),),
        "index": "20260101",
        "elapsed_ms": 31,
    }
    return Answer(str(number), **own | more)


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(index=folder / "index", **more)


def file(folder: Path) -> Path:
    return folder / "index-answers.sqlite"


def written(folder: Path) -> bytes:
    """All that stands in SQLite's files."""
    return b"".join(each.read_bytes() for each in folder.glob("index-answers.sqlite*"))


@pytest.fixture(scope="module", name="postgres")
def served() -> Iterator[Service]:
    """A PostgreSQL of these tests' own."""
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of an empty database: SQLite's, and PostgreSQL's where there is one."""
    if request.param == "sqlite":
        return settings(tmp_path)
    url = request.getfixturevalue("postgres").url
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS answers, feedback, alembic_version")
    return settings(tmp_path, database_url=url)


def test_an_answer_comes_back_as_it_was_kept(own: Settings) -> None:
    before = datetime.now(UTC)
    history = (Turn("user", "Hva er AMU?"), Turn("assistant", "Et utvalg."))
    with Store(own) as kept:
        kept.answered(answer(1), Ask("", history, "leder", "/blogs/amu"), [PASSAGE])
        kept.answered(answer(2), Ask(""), [])
        kept.rate(Feedback("1", "down", "utdatert", "Gammelt\ntall: «æøå»\ud800\0"))
        first, second = answers(kept, before)
        (rating,) = kept.ratings(before)
        assert answers(kept, datetime.now(UTC) + timedelta(hours=1)) == []
    assert (first.question, first.answer, first.outcome) == ("Når må vi ha AMU? 1", "Fra 30 ansatte. [1]", "answered")
    assert (first.citations, first.notices, first.nearest) == (answer(1).citations, answer(1).notices, answer(1).nearest)
    assert (first.history, first.role, first.page) == (("Hva er AMU?",), "leder", "/blogs/amu")
    assert (first.passages, first.index, first.model, first.elapsed_ms) == (("/blogs/amu#3",), "20260101", "extractive", 31)
    assert before <= first.time <= second.time <= datetime.now(UTC) and first.number < second.number
    assert (second.history, second.role, second.passages) == ((), None, ())
    assert (rating.answer_id, rating.rating, rating.reason, rating.comment) == ("1", "down", "utdatert", "Gammelt\ntall: «æøå»?")


def test_eight_threads_at_once_lose_nothing(own: Settings) -> None:
    def one(number: int) -> None:
        kept.answered(answer(number), Ask(""), [])
        kept.rate(Feedback(str(number), "up"))
        if number % 20 == 0:
            assert kept.answer(str(number))

    with Store(own) as kept, ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(800)))
    with Store(own) as again:
        assert sorted(int(each.id) for each in answers(again, EVER)) == list(range(800))
        assert sorted(int(each.answer_id) for each in again.ratings(EVER)) == list(range(800))


# The tables


def engine(own: Settings, folder: Path) -> sa.Engine:
    url = own.database_url.replace("postgresql:", "postgresql+psycopg:")
    return sa.create_engine(url or f"sqlite:///{file(folder)}", poolclass=sa.NullPool)


@pytest.mark.parametrize("revision", ["base", "1", "head"])
def test_tables_of_any_age_become_those_of_today_and_keep_their_rows(own: Settings, tmp_path: Path, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(store.MIGRATIONS))
    with engine(own, tmp_path).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if revision != "base":
            row = {"id": "old", "time": datetime.now(UTC).replace(tzinfo=None), "answer_id": "1", "rating": "up"}
            connection.execute(store.FEEDBACK.insert(), row)
    with Store(own) as kept:
        kept.rate(Feedback("2", "down"))
        assert [each.answer_id for each in kept.ratings(EVER)] == (["2"] if revision == "base" else ["1", "2"])
    with engine(own, tmp_path).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), store.TABLES) == []


WRITES = """
import sys
from pathlib import Path
from assistant.settings import Settings
from assistant.store import Store
from assistant.types import Answer, Ask
with Store(Settings(index=Path(sys.argv[1]), database_url=sys.argv[2])) as kept:
    for number in range(int(sys.argv[3]), int(sys.argv[4])):
        kept.answered(Answer(str(number), "Hva er AMU?", "answered", "Et utvalg. " * 50, "nb"), Ask(""), [])
        if kept.answer(str(number)):
            print(number, flush=True)
"""


def writing(own: Settings, first: int, last: int) -> "subprocess.Popen[str]":
    """A process that keeps answers, and tells the number of each that it has read back."""
    arguments = [str(own.index), own.database_url, str(first), str(last)]
    return subprocess.Popen([sys.executable, "-c", WRITES, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_replicas_that_start_at_once_make_the_tables_once(own: Settings) -> None:
    replicas = [writing(own, 10 * number, 10 * number + 10) for number in range(4)]
    assert sum(len(replica.communicate(timeout=60)[0].split()) for replica in replicas) == 40
    with Store(own) as kept:
        assert sorted(int(each.id) for each in answers(kept, EVER)) == list(range(40))


# Faults


def test_what_was_kept_outlives_a_process_that_is_killed_while_it_writes(tmp_path: Path) -> None:
    own, told = settings(tmp_path), []
    for round_ in range(3):
        process = writing(own, 1000 * round_, 1000 * round_ + 1000)
        assert process.stdout
        told += [process.stdout.readline() for _ in range(7 + 5 * round_)]
        process.kill()
        told += [line for line in process.communicate(timeout=60)[0].splitlines() if line]
    with Store(own) as kept:
        assert {line.strip() for line in told} <= {each.id for each in answers(kept, EVER)}
    with contextlib.closing(sqlite3.connect(file(tmp_path))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def sentences(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "assistant.store" and record.levelno >= logging.WARNING]


def test_nothing_is_lost_while_postgresql_is_down_and_comes_back(
    postgres: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own, slowest = settings(tmp_path, database_url=postgres.url), 0.0
    with Store(own) as kept:
        kept.purge(datetime.now(UTC) + timedelta(days=1))
        for number in range(400):
            begun = time.perf_counter()
            kept.answered(answer(number), Ask(""), [])
            kept.rate(Feedback(str(number), "up"))
            slowest = max(slowest, time.perf_counter() - begun)
            time.sleep(0.005)
            if number == 100:
                threading.Thread(target=postgres.kill).start()
            if number == 250:
                with pytest.raises(NotReadyError, match="kan ikke nås akkurat nå; prøv igjen om litt"):
                    answers(kept, EVER)
            if number == 300:
                threading.Thread(target=postgres.start).start()
        until(lambda: any("the database is back; 0 rows" in each for each in sentences(caplog)), "coming back")
        assert sorted(int(each.id) for each in answers(kept, EVER)) == list(range(400))
        assert sorted(int(each.answer_id) for each in kept.ratings(EVER)) == list(range(400))
    assert slowest < 0.5  # seconds: nobody waited for a connection
    assert len([each for each in sentences(caplog) if "rows wait for it" in each]) == 1
    assert "Når må vi" not in caplog.text


def test_when_it_stays_away_for_long_the_oldest_rows_go_and_are_counted(
    postgres: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Store(settings(tmp_path, database_url=postgres.url)) as kept:
        kept.purge(datetime.now(UTC) + timedelta(days=1))
        postgres.kill()
        for number in range(store.WAITING + 20):
            kept.rate(Feedback(str(number), "up"))
        postgres.start()
        until(lambda: any("the database is back; 20 rows were dropped" in each for each in sentences(caplog)), "coming back")
        assert [int(each.answer_id) for each in kept.ratings(EVER)] == list(range(20, store.WAITING + 20))


def test_a_full_disk_is_one_sentence_and_nothing_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store(settings(tmp_path)) as kept:
        kept.answered(answer(0), Ask(""), [])
        assert kept.answer("0")
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(written(tmp_path)), unlimited[1]))  # files of this process grow no more
        try:
            for number in range(1, 300):
                kept.answered(answer(number, answer="lang " * 500), Ask(""), [])
            until(lambda: sentences(caplog), "being told")
            time.sleep(1.5)  # it is tried again
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        until(lambda: len(sentences(caplog)) > 1, "coming back")
        assert sorted(int(each.id) for each in answers(kept, EVER)) == list(range(300))
    failed, back = sentences(caplog)
    assert failed.startswith("the database cannot be written, so rows wait for it: OperationalError: ")
    assert back == "the database is back; 0 rows were dropped meanwhile"


def test_the_file_deleted_while_it_is_in_use_is_made_anew(tmp_path: Path) -> None:
    with Store(settings(tmp_path)) as kept:
        kept.answered(answer(1), Ask(""), [])
        assert kept.answer("1")
        for each in tmp_path.glob("index-answers.sqlite*"):
            each.unlink()
        kept.answered(answer(2), Ask(""), [])
        assert [each.id for each in answers(kept, EVER)] == ["2"]
    assert file(tmp_path).stat().st_mode & 0o077 == 0


def test_a_database_that_is_never_there_costs_an_answer_nothing(assistant: Assistant, caplog: pytest.LogCaptureFixture) -> None:
    own = Settings(
        content=assistant.settings.content, index=assistant.settings.index, database_url="postgresql://x@127.0.0.1:1/x"
    )
    with Store(own) as kept:
        asked = Assistant(own, kept)
        asked.load()
        client = TestClient(create_app(asked))
        assert client.post("/api/ask", json={"question": "Hva er AMU?"}).json()["outcome"] == "answered"
        reply = client.get("/api/answers/1")
        assert (reply.status_code, reply.json()["error"]["message"]) == (503, store.AWAY)
        assert b"\nhms_waiting 1.0\n" in asked.figures()
    assert sentences(caplog)[-1] == "the store was closed while the database was away: 1 rows are lost"


def test_a_missing_driver_is_a_sentence() -> None:
    script = (
        "import sys; sys.modules['psycopg'] = None; from assistant.settings import Settings; from assistant.store import Store; "
    )
    script += "Store(Settings(database_url='postgresql://ola:hemmelig@db/hms'))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "SettingError: HMS_DATABASE_URL er «postgresql+psycopg://ola:***@db/hms», men pakken psycopg mangler" in done.stderr


# Privacy and time


def test_what_is_deleted_stands_in_no_file(tmp_path: Path) -> None:
    with Store(settings(tmp_path)) as kept:
        for number, word in enumerate(("Kvantesprang", "Flodhest")):
            asked = Ask("", (Turn("user", f"Før: {word}"),))
            kept.answered(answer(number, question=f"Hva er {word}?", answer=f"{word} " * 2_000), asked, [])
            kept.rate(Feedback(str(number), "down", comment=f"{word} er feil"))
        assert kept.export("0") and b"Kvantesprang" in written(tmp_path)
        assert kept.forget("0") and not kept.forget("0")
        assert kept.export("0") is None
        assert b"Kvantesprang" not in written(tmp_path) and b"Flodhest" in written(tmp_path)
        assert kept.purge(datetime.now(UTC) + timedelta(minutes=1)) == 2
        assert b"Flodhest" not in written(tmp_path)
    assert b"Flodhest" not in written(tmp_path)


def ago(**back: float) -> Callable[[], float]:
    """A clock that is slow by so much."""
    return lambda: time.time() - timedelta(**back).total_seconds()


def test_what_is_too_old_is_gone_after_a_restart_and_what_was_said_of_it_too(own: Settings) -> None:
    with Store(own, ago(days=91)) as kept:
        kept.answered(answer("old", question="Flodhest"), Ask(""), [])
    with Store(own, ago(days=89)) as kept:
        kept.rate(Feedback("old", "up"))
        kept.rate(Feedback("young", "up"))
        kept.answered(answer("young"), Ask(""), [])
        assert len(answers(kept, EVER)) == 2
    with Store(own) as kept:
        until(lambda: len(answers(kept, EVER)) == 1, "deleting")
        assert answers(kept, EVER)[0].id == kept.ratings(EVER)[0].answer_id == "young"
        assert len(kept.ratings(EVER)) == 1


def test_a_clock_that_jumps_moves_nothing_until_it_has_stood_for_a_day(own: Settings) -> None:
    jump = [0.0]
    with Store(own, lambda: time.time() + jump[0]) as kept:
        for number, years in enumerate((0, 10, -10, 0)):
            jump[0] = years * 365 * 86_400
            kept.answered(answer(number), Ask(""), [])
            kept.tidy()
        rows = answers(kept, EVER)
        assert [each.id for each in rows] == ["0", "1", "2", "3"]
        assert rows == sorted(rows, key=lambda each: each.time) and rows[-1].time - rows[0].time < timedelta(minutes=1)
        jump[0] = 365 * 86_400
        kept.tidy()
        assert len(answers(kept, EVER)) == 4
        kept.tidy()  # a day later
        assert answers(kept, EVER) == []


def test_what_a_wrong_clock_wrote_into_the_future_does_not_stay_longer(own: Settings) -> None:
    with Store(own, ago(days=-3650)) as kept:
        kept.answered(answer(1), Ask(""), [])
    with Store(own) as kept:
        until(lambda: [each.time <= datetime.now(UTC) for each in answers(kept, EVER)] == [True], "correcting")


def test_off_keeps_counts_and_nothing_of_what_was_asked(tmp_path: Path) -> None:
    with Store(settings(tmp_path, store_questions=False)) as kept:
        asked = Ask("", (Turn("user", "Hva med fisk?"),), "leder", "/blogs/fisk")
        kept.answered(answer(1, question="Hva er fisk?", answer="fisk er tretti"), asked, [PASSAGE])
        kept.rate(Feedback("1", "down", "fisk", "mer fisk"))
        (row,), (rating,) = answers(kept, EVER), kept.ratings(EVER)
        assert b"fisk" not in written(tmp_path) and b"tretti" not in written(tmp_path)
    assert (row.outcome, row.language, row.role, row.elapsed_ms, row.index) == ("answered", "nb", "leder", 31, "20260101")
    assert [(each.url, each.title, each.quote) for each in row.citations] == [("https://example.no/blogs/amu/", "AMU", "")]
    assert [(each.kind, each.message) for each in row.notices] == [("outdated", "")]
    assert (rating.rating, rating.reason, rating.comment) == ("down", None, None)


def test_neither_an_address_nor_what_is_somebodys_own_is_kept(assistant: Assistant, tmp_path: Path) -> None:
    own = Settings(content=assistant.settings.content, index=tmp_path / "index")
    shutil.copytree(assistant.settings.index, own.index)
    with Store(own) as kept:
        asked = Assistant(own, kept)
        asked.load()
        client = TestClient(create_app(asked), client=("203.0.113.77", 5_000))
        turns = [{"role": "user", "content": "Jeg heter Kari Nordmann, 15108695088"}, {"role": "assistant", "content": "Hei!"}]
        body = {"question": "Ring 91 23 45 67. Hva er AMU?", "history": turns, "page": "/x?e=kari@firma.no"}
        key = client.post("/api/ask", json=body, headers={"X-Forwarded-For": "203.0.113.78"}).json()["id"]
        client.post("/api/feedback", json={"answer_id": key, "rating": "up", "reason": "91234567", "comment": "kari@firma.no"})
        row = kept.answer(key)
        assert row and row.question == "Ring [telefon]. Hva er AMU?" and row.history == ("Jeg heter [navn], [fødselsnummer]",)
        assert row.page == "/x?e=[e-post]" and kept.ratings(EVER)[0].comment == "[e-post]"
        stands = written(tmp_path)
    for own_words in (b"203.0.113", b"Nordmann", b"15108695088", b"91 23", b"91234567", b"kari@", b"testclient"):
        assert own_words not in stands


def test_an_export_is_all_of_it_as_json(own: Settings) -> None:
    with Store(own) as kept:
        kept.answered(answer(1), Ask(""), [PASSAGE])
        kept.rate(Feedback("1", "up", comment="Fint"))
        told = kept.export("1")
        assert told and json.loads(json.dumps(told)) == told
        assert kept.export("2") is None
    whole: Any = told
    assert list(whole["answer"]) == list(store.ANSWERS.columns.keys())
    assert [each["comment"] for each in whole["feedback"]] == ["Fint"]
