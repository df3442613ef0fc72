"""What is kept of answers, and of what readers say of them: in SQLite beside the index, or in PostgreSQL.

Knows tables; knows nothing of how an answer comes about. No answer waits for the database: what is to be kept goes into a bounded
queue in memory, and one thread writes it. While the database is away rows wait; when it is back they are written, each once.
Everything is redacted on its way in and deleted when its time is over. Gaps have no table: they are the `not_covered` answers.
"""

import contextlib
import json
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from assistant import NotReadyError, SettingError
from assistant.privacy import counted, redact
from assistant.settings import ROOT, Settings
from assistant.types import Answer, Ask, Citation, Feedback, Kept, Notice, Page, Rated

log = logging.getLogger(__name__)
MIGRATIONS = ROOT / "deploy" / "migrations"
WAITING = 10_000  # rows while the database is away, some kilobytes each; more, and the oldest go
BATCH, PART = 500, 5_000  # rows in one transaction: written, and read where there may be many
PAUSE, LONGEST = 1.0, 30.0  # seconds until the database is tried again, twice as long each time
DAY = 86_400.0
MIGRATING = threading.Lock()  # Alembic keeps what it works on in its module
AWAY = "Databasen med svarene kan ikke nås akkurat nå; prøv igjen om litt."
Row = dict[str, Any]


def _table(name: str, kind: type, *found_by: str) -> sa.Table:
    """A column for each field of a row. `number` orders rows, whatever the clock did; times are UTC, without a zone."""
    plain: dict[object, Any] = {int: sa.Integer, str: sa.Text, str | None: sa.Text, datetime: sa.DateTime}
    number = sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
    others = [
        sa.Column(each.name, plain.get(each.type, sa.JSON), nullable=each.type == str | None, index=each.name in found_by)
        for each in fields(kind)[1:]
    ]
    return sa.Table(name, TABLES, number, *others, sa.UniqueConstraint("id"), sqlite_autoincrement=True)


TABLES = sa.MetaData()
ANSWERS = _table("answers", Kept, "time")
FEEDBACK = _table("feedback", Rated, "time", "answer_id")  # no foreign key: two replicas write them in either order


class Store:
    """Keeps answers and ratings. Safe to use from several threads; writes by itself only within `with`.

    The time is the machine's at the start and counted from there, so that a clock which is wrong for a while moves nothing; one
    that stays elsewhere for a day is believed. `wall` is that clock, in seconds since 1970. `waiting`: what is not written yet.
    """

    def __init__(self, settings: Settings, wall: Callable[[], float] = time.time) -> None:
        """Raises SettingError when the database's driver is missing; nothing is opened yet."""
        self._keeps_text = settings.store_questions
        self._days = timedelta(days=settings.retention_days)
        beside = settings.index.absolute()
        self._file = None if settings.database_url else beside.with_name(f"{beside.name}-answers.sqlite")
        self._engine = _engine(settings.database_url or sa.URL.create("sqlite", database=str(self._file)))
        self._wall, self._drift, self._begun = wall, 0.0, wall() - time.monotonic()
        self.waiting, self._lost = deque[tuple[sa.Table, Row]](maxlen=WAITING), 0
        self._changed, self._writing = threading.Condition(), threading.Lock()
        self._opened = self._closing = self._away = False
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    def __enter__(self) -> Self:
        """Begin to write, and to delete what is too old, in a thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what waits and close; what cannot be written by now is lost, and counted in the log."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        if lost := self._lost + len(self.waiting):
            log.error("the store was closed while the database was away: %d rows are lost", lost)
        self._engine.dispose()

    # Keeping

    def answered(self, answer: Answer, ask: Ask, passages: Sequence[str]) -> None:
        """Keep an answer, and what it was made from; returns at once."""
        row = {name: value for name, value in asdict(answer).items() if name in ANSWERS.c}
        row |= {"question": redact(answer.question).text, "role": ask.role, "page": ask.page and redact(ask.page).text}
        row["history"] = [redact(turn.content).text for turn in ask.history if turn.role == "user"]
        row["passages"] = list(passages)
        self._keep(ANSWERS, row if self._keeps_text else counted(row))

    def rate(self, feedback: Feedback) -> None:
        """Keep what a reader says of an answer; returns at once."""
        texts = (("reason", feedback.reason), ("comment", feedback.comment))
        said = {name: redact(text).text if text and self._keeps_text else None for name, text in texts}
        self._keep(FEEDBACK, asdict(feedback) | said | {"id": uuid.uuid4().hex})

    def _keep(self, table: sa.Table, row: Row) -> None:
        plain = {name: _plain(value) if isinstance(value, str) else value for name, value in row.items()}
        with self._changed:
            self._lost += len(self.waiting) == WAITING
            self.waiting.append((table, plain | {"time": self._now()}))
            self._changed.notify()

    # Reading

    def each(self, since: datetime, *names: str) -> Iterator[Mapping[Any, Any]]:
        """The time and these fields of each answer since then, in order, a part in memory at a time. Raises NotReadyError."""
        columns, since = [ANSWERS.c[name] for name in ("number", "time", *names)], _naive(since)
        wanted = sa.select(*columns).order_by(ANSWERS.c.number).limit(PART)
        with self._at_hand() as connection:  # begun at a number, for by time the database would sort them all for each part
            first = connection.scalar(sa.select(sa.func.min(ANSWERS.c.number)).where(ANSWERS.c.time >= since))
        last, full = (first or 0) - 1, first is not None
        while full:
            with self._at_hand() as connection:
                part = connection.execute(wanted.where(ANSWERS.c.number > last)).mappings().all()
            yield from (row for row in part if row["time"] >= since)
            full, last = len(part) == PART, part[-1]["number"] if part else last

    def cited(self, since: datetime) -> set[str]:
        """The addresses that answers since then cite. Raises NotReadyError."""
        texts = sa.select(sa.cast(ANSWERS.c.citations, sa.Text)).where(ANSWERS.c.time >= _naive(since)).distinct()
        with self._at_hand() as connection:  # read as text, for most of them are those of an answer that was given before
            found = connection.scalars(texts, execution_options={"yield_per": PART})
            return {each["url"] for text in found for each in orjson.loads(text)}

    def ratings(self, since: datetime) -> list[Rated]:
        """What readers said since then, in order. Raises NotReadyError."""
        return [Rated(**row) for row in self._read(FEEDBACK, FEEDBACK.c.time >= _naive(since))]

    def answer(self, answer_id: str) -> Kept | None:
        """One answer; None when it is not kept, or no more. Raises NotReadyError."""
        return next((Kept(**row) for row in self._read(ANSWERS, ANSWERS.c.id == _plain(answer_id))), None)

    def export(self, answer_id: str) -> dict[str, object] | None:
        """All that is kept of an answer, as JSON has it; None when there is nothing. Raises NotReadyError."""
        kept, said = self.answer(answer_id), self._read(FEEDBACK, FEEDBACK.c.answer_id == _plain(answer_id))
        told: dict[str, object] = orjson.loads(orjson.dumps({"answer": kept, "feedback": [Rated(**row) for row in said]}))
        return told if kept or said else None

    def _read(self, table: sa.Table, condition: sa.ColumnElement[bool]) -> list[Row]:
        wanted = sa.select(table).where(condition).order_by(table.c.number)
        with self._at_hand() as connection:
            return [_row(row) for row in connection.execute(wanted).mappings()]

    @contextlib.contextmanager
    def _at_hand(self) -> Iterator[sa.Connection]:
        """A transaction in which all that was kept so far can be read. Raises NotReadyError."""
        if not self._drained():
            raise NotReadyError(AWAY)
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            log.warning("the database cannot be read: %s", _why(error))
            self._opened = False
            raise NotReadyError(AWAY) from None

    # Deleting

    def forget(self, answer_id: str) -> bool:
        """Delete an answer and what was said of it, in the files too; whether there was any. Raises NotReadyError."""
        wanted = [sa.delete(key.table).where(key == _plain(answer_id)) for key in (FEEDBACK.c.answer_id, ANSWERS.c.id)]
        with self._at_hand() as connection:
            gone = sum(connection.execute(each).rowcount for each in wanted)
        self._erase()
        return gone > 0

    def purge(self, before: datetime) -> int:
        """Delete answers older than that, what was said of them, and older ratings; how many. Raises NotReadyError.

        What a wrong clock wrote into the future counts as written now, so that it does not stay for longer than the rest.
        """
        old, now, gone = _naive(before), self._now(), 0
        theirs = FEEDBACK.c.answer_id.in_(sa.select(ANSWERS.c.id).where(ANSWERS.c.time < old))
        with self._at_hand() as connection:
            for table, also in ((FEEDBACK, theirs), (ANSWERS, sa.false())):
                gone += connection.execute(sa.delete(table).where(sa.or_(table.c.time < old, also))).rowcount
                connection.execute(sa.update(table).where(table.c.time > now + timedelta(hours=1)).values(time=now))
        self._erase()
        return gone

    def tidy(self) -> None:
        """Look at the clock, and delete what is too old; done by itself at the start and every day."""
        drift = self._wall() - time.monotonic() - self._begun
        if min(abs(drift), abs(drift - self._drift)) < DAY / 24:  # in step, or where it was yesterday
            self._begun, drift = self._begun + drift, 0.0
        self._drift = drift
        with contextlib.suppress(NotReadyError):
            if gone := self.purge(self._now().replace(tzinfo=UTC) - self._days):
                log.info("%d rows were older than %d days and are deleted", gone, self._days.days)

    def _erase(self) -> None:
        """Let go of what was deleted: SQLite has overwritten it, and the log of changes that still holds it is emptied."""
        try:
            if self._file:
                with contextlib.closing(self._engine.raw_connection()) as raw:
                    raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
                return
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM answers, feedback")
        except Exception as error:  # a driver's own
            log.warning("what was deleted may stand in the database's files until tomorrow: %s", _why(error))

    # The thread that writes

    def _run(self) -> None:
        pause, due = 0.0, time.monotonic()
        while True:
            with self._changed:
                wait = pause if self._away else max(0.0, due - time.monotonic())
                self._changed.wait_for(lambda: self._closing or (self.waiting and not self._away), wait)
            if self._drained() and time.monotonic() >= due and not self._closing:
                self.tidy()
                due = time.monotonic() + DAY
            if self._closing and (self._away or not self.waiting):
                return
            pause = min(LONGEST, 2 * pause or PAUSE) if self._away else 0.0

    def _drained(self) -> bool:
        """Write what waits; whether the database took it."""
        with self._writing:
            while True:
                with self._changed:
                    rows = [self.waiting.popleft() for _ in range(min(BATCH, len(self.waiting)))]
                try:
                    self._open()
                    self._write(rows)
                except Exception as error:  # every driver has errors of its own
                    self._put_back(rows, error)
                    return False
                if self._away:
                    log.warning("the database is back; %d rows were dropped meanwhile", self._lost)
                    self._away, self._lost = False, 0
                if not rows:
                    return True

    def _put_back(self, rows: Sequence[tuple[sa.Table, Row]], error: Exception) -> None:
        if not self._away:
            log.error("the database cannot be written, so rows wait for it: %s", _why(error))
        self._away, self._opened = True, False
        with self._changed:
            back = rows[max(0, len(rows) + len(self.waiting) - WAITING) :]  # the newest of them, as far as there is room
            self.waiting.extendleft(reversed(back))
            self._lost += len(rows) - len(back)

    def _write(self, rows: Sequence[tuple[sa.Table, Row]]) -> None:
        """Write rows, those that are there already left alone: a connection can break after the database has taken them."""
        insert: Any = sqlite.insert if self._file else postgresql.insert
        try:
            for table in (ANSWERS, FEEDBACK):
                if own := [row for whose, row in rows if whose is table]:
                    with self._engine.begin() as connection:
                        connection.execute(insert(table).on_conflict_do_nothing(), own)
        except StatementError as error:
            if isinstance(error, DBAPIError) and not isinstance(error, DataError | IntegrityError):
                raise
            if len(rows) == 1:
                return log.error("a row cannot be kept, and is dropped: %s", type(error.orig).__name__)
            for row in rows:
                self._write([row])

    def _open(self) -> None:
        """Make the tables, or bring them up to date, the first time and after every trouble."""
        if self._file and not self._file.exists():
            self._engine.dispose()  # else the file that is gone would be written on
            self._opened = False
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch(0o600)
        if not self._opened:
            _migrate(self._engine)
            self._opened = True

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._begun + time.monotonic(), UTC).replace(tzinfo=None)


def _engine(address: str | sa.URL) -> sa.Engine:
    """An engine that never tells what it writes. Raises SettingError when the driver is missing."""
    url, own = sa.make_url(address), {"timeout": 10}  # seconds for another process to let go
    as_json: Row = {"json_serializer": _json, "json_deserializer": orjson.loads}
    if url.get_backend_name() != "sqlite":
        url = url.set(drivername="postgresql+psycopg")
        own = {"connect_timeout": 5, "keepalives_idle": 10, "tcp_user_timeout": 10_000}  # the last in milliseconds
    try:
        engine = sa.create_engine(url, connect_args=own, hide_parameters=True, pool_pre_ping=True, **as_json)
    except ImportError:
        wanted = "men pakken psycopg mangler; kjør `.venv/bin/pip install 'psycopg[binary]'`."
        raise SettingError(f"HMS_DATABASE_URL er «{url.render_as_string()}», {wanted}") from None
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _prepare(connection: Any, _: object) -> None:
    """SQLite as it is wanted: a log that readers do not wait for, and what is deleted overwritten."""
    connection.isolation_level = None  # transactions are begun above; the driver's own leave changes of tables out
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _migrate(engine: sa.Engine) -> None:
    """The tables as this version wants them; several that start together do it one after the other."""
    from alembic import command
    from alembic.config import Config

    with MIGRATING, engine.begin() as connection:  # SQLite's transaction is the lock
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4738387)")  # a number that only we use
        command.upgrade(config, "head")


def _plain(text: str) -> str:
    """A text that every database takes."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _json(value: object) -> str:
    return _plain(json.dumps(value, ensure_ascii=False))


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _row(row: sa.RowMapping) -> Row:
    """The fields of a Kept or a Rated."""
    made: dict[str, Any] = {"citations": Citation, "notices": Notice, "nearest": Page}
    lists = {name: value for name, value in row.items() if isinstance(value, list)}
    whole = {name: tuple(made[name](**each) if name in made else each for each in value) for name, value in lists.items()}
    return {**row, **whole, "time": row["time"].replace(tzinfo=UTC)}


def _why(error: Exception) -> str:
    """An error in a line, without the words that were to be written."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {(str(cause).splitlines() or [''])[0]}"
