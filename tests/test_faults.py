"""What happens to machines: killed, emptied, built on twice. Nothing is lost, and what went wrong is said in a sentence.

Each over a small index. A Chroma server, a replica and nginx that go away: test_cluster.py; damaged files
and full disks: test_build.py.
"""

import gc
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
from filelock import FileLock

from assistant import HmsError, NotReadyError
from assistant.chat import AWAY, Assistant
from assistant.settings import Settings
from assistant.types import Ask
from corpus import dense
from corpus.build import build
from corpus.index import Busy, current, open_index
from eval.bench import free_port
from tests.cluster import chroma, replica, running, until
from tests.conftest import ROOT, Writer

EMBEDDER = dense.load()
KILLED = int(os.environ.get("KILLS", "5"))
REPLACED = 12  # indexes, one after the other
COFFEE = "Når renses kaffemaskinen?"
DAYS = ("mandag", "tirsdag", "onsdag", "torsdag", "fredag")
# One process with everything imported, and a fork of it for each round, since starting Python costs seconds. A line that it
# reads says how long the fork may live from where it says `begin`.
FORKING = """
import os, sys, time
{imports}
begun, told = os.pipe()
def begin():
    os.write(told, b".")
for line in sys.stdin:
    child = os.fork()
    if not child:
        {work}
    os.read(begun, 1)
    time.sleep(float(line))
    os.kill(child, 9)
    os.waitpid(child, 0)
    print("killed", flush=True)
"""
BUILDING = """
import itertools
import bm25s, chromadb
from dataclasses import replace
from pathlib import Path
from corpus import dense
from corpus.build import build
def again_and_again():
    embedder = dense.load()
    for number in itertools.count():
        (Path(sys.argv[1]) / "b.md").write_text(f"Utgave {number} av artikkelen om sykler, {time.time()}.", "utf-8")
        build([Path(sys.argv[1])], Path(sys.argv[2]), embedder)
        if not number:
            begin()
"""
SERVING = """
import bm25s, chromadb
from assistant.chat import AWAY, Assistant
from assistant.server import serve
from assistant.settings import load
def served():
    begin()
    settings = load(content=sys.argv[1], index=sys.argv[2], port=sys.argv[3])
    serve(Assistant(settings), settings)
"""
EDITING = """
import os, sys
days = ("mandag", "tirsdag", "onsdag", "torsdag", "fredag")
while True:
    for day in days:
        with open(sys.argv[1] + "~", "w") as file:  # as editors and git do it: another file, then renamed
            file.write("---\\ntitle: kaffe\\n---\\n\\n" + f"Kaffemaskinen renses hver {day}. " * 400)
        os.replace(sys.argv[1] + "~", sys.argv[1])
"""


def coffee(day: str) -> dict[str, str]:
    """Articles of which one says a day."""
    return {"kaffe/index.md": f"Kaffemaskinen renses hver {day}.", "port/index.md": "Porten låses klokken 18."}


@pytest.fixture
def settings(content: Writer, tmp_path: Path) -> Settings:
    """Those of a small assistant."""
    return Settings(content=(content(coffee("fredag")),), index=tmp_path / "index")


def forked(imports: str, work: str, most: float, *arguments: object) -> Iterator[float]:
    """Have it killed `KILLED` times, each after a random time of at most so many seconds; each is given when it has happened."""
    command = [sys.executable, "-c", FORKING.format(imports=imports, work=work), *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin and process.stdout
    chance = random.Random(9)
    try:
        for _ in range(KILLED):
            moment = chance.uniform(0, most)
            process.stdin.write(f"{moment}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "killed\n"
            yield moment
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def whole(index: Path) -> bool:
    """Whether an index opens, which checks that all its parts agree, and finds what stands there."""
    opened = open_index(index, EMBEDDER)
    found = opened.nearest("renses kaffemaskinen", 1)[0][0] == opened.rows["/kaffe#0"]
    opened.vectors.close()
    return found


def timed(folder: Path, index: Path) -> tuple[str, float]:
    """Build twice: the id of what was built, and the seconds that the second took, with all imported and one article new."""
    build([folder], index, EMBEDDER)
    (folder / "ny.md").write_text("Ny artikkel om verneutstyr.", "utf-8")
    begun = time.monotonic()
    return build([folder], index, EMBEDDER).manifest.id, time.monotonic() - begun


def test_a_build_killed_at_any_moment_leaves_a_whole_index(content: Writer, tmp_path: Path) -> None:
    folder, index = content(coffee("fredag")), tmp_path / "index"
    first, took = timed(folder, index)
    assert [whole(index) for _ in forked(BUILDING, "again_and_again()", 4 * took, folder, index)] == [True] * KILLED
    assert current(index) != index / "versions" / first  # some of them were finished
    (folder / "b.md").unlink()
    assert len(build([folder], index, EMBEDDER).manifest.articles) == 3
    assert len(list((index / "versions").iterdir())) == 2


def test_a_server_killed_at_any_moment_starts_again(settings: Settings, content: Writer, tmp_path: Path) -> None:
    folder, port = settings.content[0], free_port()
    _, took = timed(folder, settings.index)
    for number, _ in enumerate(forked(SERVING, "served()", 8 * took, folder, settings.index, port)):
        assert whole(settings.index)
        content(coffee(DAYS[number % 5]))  # so that the next one brings the index up to date when it starts
    with running(replica(tmp_path, port, {"HMS_INDEX": str(settings.index), "HMS_CONTENT": str(folder)})):
        reply = httpx.post(f"http://127.0.0.1:{port}/api/ask", json={"question": COFFEE}, timeout=30, trust_env=False)
        assert DAYS[(KILLED - 1) % 5] in reply.json()["answer"]


def test_an_index_folder_that_is_deleted_is_built_anew_while_questions_are_asked(settings: Settings) -> None:
    assistant = Assistant(settings)
    assistant.start()
    until(lambda: assistant.ready, "loading")
    old = assistant.index.manifest.id
    shutil.rmtree(settings.index)
    told = set()

    def restored() -> bool:
        assert assistant.ready
        try:
            answer = assistant.ask(Ask(COFFEE))
        except NotReadyError as error:  # Chroma reads its folder again when it likes
            told.add(str(error))
            return False
        assert "fredag" in answer.answer
        return answer.index != old

    until(restored, "a new index")
    assert told <= {AWAY}
    assert current(settings.index) is not None


def test_without_its_articles_too_a_deleted_index_goes_on_answering_until_one_is_built(
    settings: Settings, content: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    assistant = Assistant(settings)
    assistant.start()
    until(lambda: assistant.ready, "loading")
    for folder in (*settings.content, settings.index):
        shutil.rmtree(folder)
    until(lambda: "still answering from the index that is open" in caplog.text, "noticing")
    assert assistant.ready
    built = build([content(coffee("onsdag"))], settings.index, EMBEDDER).manifest.id
    until(lambda: assistant.index.manifest.id == built, "taking up the new index")
    assert "onsdag" in assistant.ask(Ask(COFFEE)).answer
    assert caplog.text.count("Artikkelmappen") == 1


def test_a_published_index_that_cannot_be_opened_leaves_the_old_one_serving(settings: Settings, content: Writer) -> None:
    assistant = Assistant(settings)
    assistant.load()
    old = assistant.index.manifest.id
    build([content(coffee("onsdag"))], settings.index, EMBEDDER)
    broken = current(settings.index)
    assert broken is not None
    (broken / "chunks.jsonl").write_text("")
    with pytest.raises(HmsError, match="skadet"):
        assistant.load()
    assert (assistant.ready, assistant.ask(Ask(COFFEE)).index) == (True, old)
    build([content(coffee("mandag"))], settings.index, EMBEDDER)
    assistant.load()
    assert "mandag" in assistant.ask(Ask(COFFEE)).answer


def test_a_question_keeps_to_the_index_that_it_began_with(settings: Settings, content: Writer) -> None:
    assistant = Assistant(settings)
    assistant.load()
    events = assistant.stream(Ask(COFFEE))
    next(event for event in events if event.name == "token")
    build([content(coffee("onsdag"))], settings.index, EMBEDDER)
    assistant.load()
    *_, last = events
    assert last.data.index != assistant.index.manifest.id  # type: ignore[union-attr]
    assert "fredag" in last.data.answer and "onsdag" in assistant.ask(Ask(COFFEE)).answer  # type: ignore[union-attr]


def test_replaced_indexes_are_let_go_of(settings: Settings, content: Writer) -> None:
    assistant, process, sizes = Assistant(settings), psutil.Process(), []
    gc.disable()  # an index that only the collector of cycles could free would stay for long
    try:
        for number in range(REPLACED):
            build([content(coffee(DAYS[number % 5]))], settings.index, EMBEDDER)
            assistant.load()
            assert DAYS[number % 5] in assistant.ask(Ask(COFFEE)).answer
            sizes.append(process.memory_info().rss / 1e6)
            if number == 4:
                files = process.num_fds()
    finally:
        gc.enable()
    assert process.num_fds() <= files + 2
    assert sizes[-1] - sizes[4] < 40, sizes


def test_of_two_builds_at_once_one_is_told_and_a_start_waits_for_the_other(settings: Settings) -> None:
    settings.index.mkdir()
    waiting = Assistant(settings)
    with FileLock(settings.index / "lock"):
        (settings.index / "lock.json").write_text('{"pid": 4711, "host": "a", "since": "12:00:00"}')
        with pytest.raises(Busy, match="bygges allerede av prosess 4711"):
            build(settings.content, settings.index, EMBEDDER)
        waiting.start()
        until(lambda: "bygges allerede" in waiting.status, "being told")
        assert not waiting.ready and not waiting.failed
    until(lambda: waiting.ready, "building when it may")
    assert "fredag" in waiting.ask(Ask(COFFEE)).answer


def test_a_start_without_chromas_server_waits_for_it(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    service, own = chroma(tmp_path, port), replace(settings, chroma_url=f"http://127.0.0.1:{port}")
    with running(service):
        build(own.content, own.index, EMBEDDER, server=own.chroma_url)
        service.kill()
        waiting = Assistant(own)
        waiting.start()
        until(lambda: waiting.status == "Venter på Chroma-serveren", "being told")
        assert not waiting.ready and not waiting.failed
        with pytest.raises(NotReadyError, match=r"ikke klar ennå \(Venter på Chroma-serveren\); prøv igjen om litt\."):
            waiting.ask(Ask(COFFEE))
        service.start()
        until(lambda: waiting.ready, "going on by itself")
        assert "fredag" in waiting.ask(Ask(COFFEE)).answer


def test_articles_edited_during_a_build_are_whole_in_it_and_right_in_the_next(settings: Settings, content: Writer) -> None:
    folder = settings.content[0]
    texts = [f"Kaffemaskinen renses hver {day}. " * 400 for day in DAYS]
    editing = subprocess.Popen([sys.executable, "-c", EDITING, str(folder / "kaffe/index.md")])
    try:
        for _ in range(5):
            build([folder], settings.index, EMBEDDER)
            opened = open_index(settings.index, EMBEDDER)
            article = opened.article("/kaffe")
            assert article is not None and len({day for day in DAYS if day in article.body}) <= 1
            opened.vectors.close()
    finally:
        editing.kill()
        editing.wait()
    content({"kaffe/index.md": texts[2]})
    build([folder], settings.index, EMBEDDER)
    assistant = Assistant(settings)
    assistant.load()
    assert "onsdag" in assistant.ask(Ask(COFFEE)).answer
