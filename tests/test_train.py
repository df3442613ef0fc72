"""Training: from articles and a bank to a model that loads, is small, and has learnt something."""

import json
from pathlib import Path

import pytest

from corpus import dense
from corpus.article import Article, read_content
from corpus.chunk import Chunk, chunks
from corpus.law import laws
from corpus.markdown import blocks
from corpus.train import (
    Question,
    beside_pairs,
    hits,
    link_pairs,
    question_pairs,
    read_bank,
    read_passages,
    structure_pairs,
    train,
)
from eval import bank_faults, read_records
from tests.conftest import BLOG, ROOT

ARTICLES = ROOT / "corpus" / "articles"
BANK = ROOT / "corpus" / "questions" / "bank.jsonl"


@pytest.fixture(scope="module")
def passages() -> dict[str, list[Chunk]]:
    found = [each for each in read_content(ARTICLES) if isinstance(each, Article)]
    return {article.path: chunks(article, blocks(article.body)) for article in found}


def test_a_model_is_trained_saved_and_finds_its_articles(tmp_path: Path, passages: dict[str, list[Chunk]]) -> None:
    told = list(train([ARTICLES], BANK, tmp_path / "model"))
    assert told[-1].startswith("hit@k on")
    embedder = dense.load(str(tmp_path / "model"))
    questions = [Question(chunk.headings[-1], chunk.path, "") for own in passages.values() for chunk in own if chunk.headings]
    assert hits(embedder, questions, passages)[5] > 0.9


def test_questions_on_one_matter_are_paired(tmp_path: Path) -> None:
    lines = [("asbest", "a"), ("stillas", "c"), ("asbest", "b"), ("asbest", "d")]
    file = tmp_path / "beside.jsonl"
    file.write_text("".join(json.dumps({"question": text, "topic": topic}) + "\n" for topic, text in lines), "utf-8")
    assert [(pair.query, pair.text) for pair in beside_pairs(file)] == [("a", "b"), ("b", "d")]


def test_the_bank_is_sound() -> None:
    records = [json.loads(line) for line in BANK.read_text("utf-8").splitlines()]
    asked = {(record["question"].lower(), *record.get("turns", ())) for record in records}
    assert len(asked) == len(records) >= 50_000
    assert {record["lang"] for record in records} == {"nb", "nn", "en", "dialect"}
    assert sum("turns" in record for record in records) >= 4_000
    assert all(record["url"].startswith("/") and record["question"].strip() for record in records)


def test_the_banks_questions_on_the_law_name_paragraphs_that_exist() -> None:
    records = [json.loads(line) for line in BANK.read_text("utf-8").splitlines()]
    own = [record for record in records if record["url"].startswith(("/lov/", "/forskrift/"))]
    assert len(own) >= 600
    for record in own:
        _, kind, number = record["url"].split("/")
        paragraphs = laws()[f"{kind[:3].upper()}-{number}"].paragraphs
        assert record["heading"].replace("§", "").replace(" ", "") in paragraphs, record


@pytest.mark.skipif(not BLOG.is_dir(), reason="needs the real blog")
def test_every_other_question_of_the_bank_names_an_article_and_a_heading() -> None:
    found = [each for root in (BLOG, ARTICLES) for each in read_content(root) if isinstance(each, Article)]
    passages, _ = read_passages(found)
    questions, faults = read_bank(BANK, passages)
    assert [fault for fault in faults if "no article /lov/" not in fault and "no article /forskrift/" not in fault] == []
    measured = read_records(ROOT / "eval" / "questions" / "dev.jsonl")
    assert list(bank_faults(questions, measured)) == []


def test_a_question_is_paired_with_the_passage_under_its_heading(passages: dict[str, list[Chunk]]) -> None:
    own = passages["/blogs/regnskap/verneombud"]
    (pair, *_) = question_pairs(
        Question("hvor lenge sitter det?", own[0].path, "Hvor lenge sitter verneombudet?", ("Hva er et verneombud?",)), passages
    )
    assert pair.query == "Hva er et verneombud? hvor lenge sitter det?"
    assert "to år" in pair.text


def test_structure_and_links_give_pairs(passages: dict[str, list[Chunk]]) -> None:
    found = [each for each in read_content(ARTICLES) if isinstance(each, Article)]
    links = [link for article in found for block in blocks(article.body) for link in block.links]
    assert len(list(structure_pairs(found, passages))) > 200
    assert {pair.path for pair in link_pairs(links, found)} >= {"/blogs/regnskap/amu", "/blogs/regnskap/hms"}
