"""Building: only what changed, one writer, and whatever happens the live index goes on serving."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from corpus import dense
from corpus.article import ContentError
from corpus.build import build
from corpus.index import IndexFault, current, open_index, read_manifest, rollback
from tests.conftest import ROOT, Writer

EMBEDDER = dense.load()
FILES = {
    "blogs/a/index.md": "Verneombudet velges for to år.",
    "blogs/b/index.md": "Faktura sendes til kunden.",
    "blogs/c/index.md": "Ferie avtales med arbeidsgiver.",
}


def best(folder: Path, question: str) -> str:
    index = open_index(folder, EMBEDDER)
    row, _ = index.nearest(question, 1)[0]
    index.vectors.close()
    return index.ids[row].rpartition("#")[0]


def test_a_build_finds_what_it_indexed(content: Writer, tmp_path: Path) -> None:
    summary = build([content(FILES)], tmp_path / "index", EMBEDDER)
    assert (summary.changed, summary.removed, summary.rebuilt, summary.manifest.chunks) == (3, 0, True, 3)
    assert best(tmp_path / "index", "hvor lenge sitter verneombudet") == "/blogs/a"


def test_nothing_changed_builds_nothing(content: Writer, tmp_path: Path) -> None:
    folder = content(FILES)
    first = build([folder], tmp_path / "index", EMBEDDER)
    second = build([folder], tmp_path / "index", EMBEDDER)
    assert (second.rebuilt, second.manifest.id) == (False, first.manifest.id)


def test_only_what_changed_is_embedded_again(content: Writer, tmp_path: Path) -> None:
    class Counting:
        name, hash, dimensions = EMBEDDER.name, EMBEDDER.hash, EMBEDDER.dimensions
        queries, strange = staticmethod(EMBEDDER.queries), staticmethod(EMBEDDER.strange)

        def __init__(self) -> None:
            self.seen: list[str] = []

        def documents(self, texts: Sequence[str]) -> np.ndarray:
            self.seen += texts
            return EMBEDDER.documents(texts)

    folder = content(FILES)
    build([folder], tmp_path / "index", EMBEDDER)
    counting = Counting()
    content({"blogs/b/index.md": "Kreditnota sendes til kunden.", "blogs/d/index.md": "Ny artikkel om brannvern."})
    (folder / "blogs/c/index.md").unlink()
    summary = build([folder], tmp_path / "index", counting)
    assert (summary.changed, summary.removed) == (2, 1)
    assert len(counting.seen) == 2
    assert best(tmp_path / "index", "kreditnota") == "/blogs/b"
    assert best(tmp_path / "index", "brannvern") == "/blogs/d"
    index = open_index(tmp_path / "index", EMBEDDER)
    assert [index.page(path)[0].path for path in index.entries] == ["/blogs/a", "/blogs/b", "/blogs/d"]
    assert index.article("/blogs/c") is None
    index.vectors.close()


def test_the_version_before_the_live_one_is_kept_and_older_ones_are_not(content: Writer, tmp_path: Path) -> None:
    made = []
    for number in range(3):
        made.append(build([content({"a/index.md": f"Utgave {number}."})], tmp_path / "index", EMBEDDER).manifest.id)
    assert sorted(path.name for path in (tmp_path / "index" / "versions").iterdir()) == sorted(made[1:])


def test_the_version_before_the_live_one_can_be_served_again(content: Writer, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    first, second = (build([content({"a/index.md": text})], folder, EMBEDDER).manifest.id for text in ("Ferie.", "Faktura."))
    assert (rollback(folder), read_manifest(folder / "versions" / first).id) == (first, first)
    assert current(folder) == folder / "versions" / first
    assert rollback(folder) == second
    with pytest.raises(IndexFault, match="ingen annen utgave"):
        rollback(tmp_path / "nowhere")


def test_rejected_files_are_named_with_their_reason(content: Writer, tmp_path: Path) -> None:
    folder = content(
        {**FILES, "bad/index.md": "---\ntitle: [\n---\n\nTekst.\n", "draft/index.md": "---\ndraft: true\n---\n\nTekst.\n"}
    )
    (folder / "binary.md").write_bytes(b"\xff\xfe\x00\x01")
    summary = build([folder], tmp_path / "index", EMBEDDER)
    assert [each.file for each in summary.manifest.rejected] == ["bad/index.md", "binary.md", "draft/index.md"]
    assert all(each.reason.endswith(".") for each in summary.manifest.rejected)
    assert len(summary.manifest.articles) == 3


def test_content_that_cannot_be_used_is_said_and_the_live_index_stays(content: Writer, tmp_path: Path) -> None:
    index = tmp_path / "index"
    build([content(FILES)], index, EMBEDDER)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").write_text("ikke Markdown")
    for folder, words in (("missing", "finnes ikke"), ("empty", "ingen Markdown-filer"), ("text", "ingen Markdown-filer")):
        with pytest.raises(ContentError, match=words):
            build([tmp_path / folder], index, EMBEDDER)
    with pytest.raises(IndexFault, match="Ingen artikler kunne leses"):
        build([content({"only/index.md": "---\ndraft: true\n---\n\nTekst.\n"}, "drafts")], index, EMBEDDER)
    assert best(index, "faktura") == "/blogs/b"


def test_an_article_of_ten_megabytes_is_rejected_with_its_size(content: Writer, tmp_path: Path) -> None:
    summary = build([content({**FILES, "big/index.md": "ord " * 2_500_000})], tmp_path / "index", EMBEDDER)
    assert [(each.file, "10.0 MB" in each.reason) for each in summary.manifest.rejected] == [("big/index.md", True)]


def test_two_files_with_one_address_keep_the_first(content: Writer, tmp_path: Path) -> None:
    summary = build(
        [content({"a/index.md": "Første.", "b.md": "---\ntitle: b\nurl: /a/\n---\n\nAndre.\n"})], tmp_path / "index", EMBEDDER
    )
    assert [entry.file for entry in summary.manifest.articles] == ["a/index.md"]
    assert "/a er alt brukt av a/index.md" in summary.manifest.rejected[0].reason


def test_five_thousand_tiny_articles_are_indexed(content: Writer, tmp_path: Path) -> None:
    summary = build(
        [content({f"p{number}/index.md": f"Regel nummer {number}." for number in range(5_000)})], tmp_path / "index", EMBEDDER
    )
    assert (len(summary.manifest.articles), summary.manifest.chunks) == (5_000, 5_000)


def test_an_index_by_another_embedder_is_refused_by_name(content: Writer, tmp_path: Path) -> None:
    class Other:
        name, hash, dimensions = "en annen", "0", EMBEDDER.dimensions
        documents = staticmethod(EMBEDDER.documents)
        queries, strange = staticmethod(EMBEDDER.queries), staticmethod(EMBEDDER.strange)

    folder = content(FILES)
    build([folder], tmp_path / "index", Other())
    with pytest.raises(IndexFault, match="laget med modellen «en annen», ikke «shipped»"):
        open_index(tmp_path / "index", EMBEDDER)
    assert build([folder], tmp_path / "index", EMBEDDER).changed == 3  # building anew mends it
    assert best(tmp_path / "index", "faktura") == "/blogs/b"


@pytest.mark.parametrize(
    "file", ["manifest.json", "chunks.jsonl", "vocabulary.json", "lexical/params.index.json", "chroma/chroma.sqlite3"]
)
def test_a_damaged_index_is_said_and_mended_by_a_build(content: Writer, tmp_path: Path, file: str) -> None:
    folder = content(FILES)
    build([folder], tmp_path / "index", EMBEDDER)
    live = current(tmp_path / "index")
    assert live is not None
    (live / file).write_text("{", "utf-8")
    with pytest.raises(IndexFault, match="skadet"):
        open_index(tmp_path / "index", EMBEDDER)
    assert build([folder], tmp_path / "index", EMBEDDER).rebuilt
    assert best(tmp_path / "index", "faktura") == "/blogs/b"


def test_damaged_words_are_read_again_by_the_next_build(content: Writer, tmp_path: Path) -> None:
    folder = content(FILES)
    build([folder], tmp_path / "index", EMBEDDER)
    live = current(tmp_path / "index")
    assert live is not None
    (live / "words.npz").write_bytes(b"PK")
    (folder / "blogs/d.md").write_text("Kontoplan for verktøy.", "utf-8")
    assert build([folder], tmp_path / "index", EMBEDDER).changed == 4
    assert best(tmp_path / "index", "kontoplan") == "/blogs/d"


def test_an_updated_index_is_the_one_that_a_build_from_nothing_makes(content: Writer, tmp_path: Path) -> None:
    folder = content(FILES)
    build([folder], tmp_path / "updated", EMBEDDER)
    (folder / "blogs/b/index.md").write_text("Avskrivning av maskiner og verneutstyr. Verneombudet velges.", "utf-8")
    (folder / "blogs/a/index.md").unlink()
    build([folder], tmp_path / "updated", EMBEDDER)
    build([folder], tmp_path / "anew", EMBEDDER)
    updated, anew = (open_index(tmp_path / name, EMBEDDER) for name in ("updated", "anew"))
    assert updated.ids == anew.ids == ("/blogs/b#0", "/blogs/c#0")
    assert [updated.line(row) for row in (0, 1)] == [anew.line(row) for row in (0, 1)]
    for question in ("Hvem velger verneombudet?", "ferie", "faktura"):
        terms = updated.lexical.analyzer.meant(question)
        assert np.array_equal(updated.lexical.scores(terms), anew.lexical.scores(anew.lexical.analyzer.meant(question)))
        assert dict(updated.nearest(question, 2)) == pytest.approx(
            dict(anew.nearest(question, 2)), abs=2**-23
        )  # a distance in 32 bits
    assert np.array_equal(updated.asked.held, anew.asked.held)
    for index in (updated, anew):
        index.vectors.close()


def test_no_index_is_said(tmp_path: Path) -> None:
    with pytest.raises(IndexFault, match="ingen søkeindeks"):
        open_index(tmp_path / "index", EMBEDDER)


SLOW_BUILD = """
import sys, time
from pathlib import Path
from corpus import dense
from corpus.build import build
def slowly(stage, done, total):
    print(stage, flush=True)
    if stage == "Lager vektorer":
        time.sleep(60)
build([Path(sys.argv[1])], Path(sys.argv[2]), dense.load(), progress=slowly)
"""


@pytest.fixture
def builder(content: Writer, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of a build of changed content, over a live index."""
    build([content(FILES)], tmp_path / "index", EMBEDDER)
    content({"blogs/b/index.md": "Endret tekst om purring."})
    command = [sys.executable, "-c", SLOW_BUILD, str(tmp_path / "content"), str(tmp_path / "index")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "vektorer" not in process.stdout.readline():
        assert process.poll() is None
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_is_told_who_holds_the_index(builder: subprocess.Popen[str], content: Writer, tmp_path: Path) -> None:
    with pytest.raises(IndexFault, match=f"bygges allerede av prosess {builder.pid}"):
        build([tmp_path / "content"], tmp_path / "index", EMBEDDER)


def test_a_killed_build_leaves_the_old_index_serving_and_the_next_starts_clean(
    builder: subprocess.Popen[str], tmp_path: Path
) -> None:
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    index = tmp_path / "index"
    assert list(index.glob("versions/.*"))
    assert best(index, "faktura") == "/blogs/b"
    assert build([tmp_path / "content"], index, EMBEDDER).changed == 1
    assert not list(index.glob("versions/.*"))
    assert best(index, "purring") == "/blogs/b"


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs root to mount a small disk")
def test_a_disk_that_fills_is_said_and_the_live_index_stays(content: Writer, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=14m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("no right to mount")
    try:
        build([content(FILES)], disk / "index", EMBEDDER)
        content({f"p{number}/index.md": f"Regel {number}. " + "mange ord om mye rart " * 200 for number in range(1500)})
        with pytest.raises(IndexFault, match="ble full"):
            build([tmp_path / "content"], disk / "index", EMBEDDER)
        assert best(disk / "index", "faktura") == "/blogs/b"
        assert not list((disk / "index").glob("versions/.*"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_manifest_says_how_the_index_was_made(content: Writer, tmp_path: Path) -> None:
    folder = content(FILES)
    build([folder], tmp_path / "index", EMBEDDER, base_url="https://example.no")
    live = current(tmp_path / "index")
    assert live is not None
    manifest = read_manifest(live)
    assert (manifest.embedder, manifest.embedder_hash, manifest.base_url) == ("shipped", EMBEDDER.hash, "https://example.no")
    assert manifest.content == (str(folder),)
    assert {entry.path: len(entry.hash) for entry in manifest.articles} == {"/blogs/a": 64, "/blogs/b": 64, "/blogs/c": 64}
    assert json.loads((live / "manifest.json").read_text("utf-8"))["id"] == manifest.id
    assert time.strptime(manifest.created[:19], "%Y-%m-%dT%H:%M:%S")


def test_the_command_tells_what_it_read_and_rejected(content: Writer, tmp_path: Path) -> None:
    folder = content({**FILES, "draft/index.md": "---\ndraft: true\n---\n\nTekst.\n"})
    command = [sys.executable, "-m", "corpus", "build", str(folder), "--index", str(tmp_path / "index")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "3 artikler lest, 3 nye eller endret, 0 fjernet, 1 avvist" in done.stdout
    assert "draft/index.md: Artikkelen er et utkast" in done.stdout
    failed = subprocess.run([*command[:4], str(tmp_path / "nowhere"), *command[5:]], cwd=ROOT, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.strip().endswith("(HMS_CONTENT).")
