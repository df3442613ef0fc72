"""Ranking: both legs count, few passages of an article, the page one is on comes forward, and each piece of evidence says what
its name says."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from assistant import retrieve
from assistant.chat import Assistant
from assistant.retrieve import PER_ARTICLE, Candidates, alike, candidates, passages, with_matter
from assistant.types import Audience
from corpus import dense
from corpus.build import build
from corpus.index import BESIDE, Index, open_index
from tests.conftest import Writer

TOPICS = {
    "vern": "Verneombudet velges av de ansatte for to år.",
    "mva": "Merverdiavgift på varer er 25 prosent.",
    "ferie": "Feriepenger betales i juni.",
    "lang": "\n\n".join(f"## Del {number}\n\nVerneombud i avdeling {number} møter hver uke." for number in range(8)),
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    content = tmp_path_factory.mktemp("content")
    for name, text in TOPICS.items():
        (content / f"{name}.md").write_text(f"---\ntitle: {name}\n---\n\n{text}\n", "utf-8")
    folder: Path = tmp_path_factory.mktemp("index")
    embedder = dense.load()
    build([content], folder, embedder)
    opened = open_index(folder, embedder)
    yield opened
    opened.vectors.close()


def test_words_and_meaning_both_find(index: Index) -> None:
    assert passages(index, "merverdiavgift prosent", 1)[0].chunk.path == "/mva"
    assert passages(index, "når kommer pengene til sommerferien", 3)[0].chunk.path == "/ferie"


def test_an_article_gives_few_passages(index: Index) -> None:
    found = passages(index, "verneombud møter", 20)
    assert sum(each.chunk.path == "/lang" for each in found) == PER_ARTICLE
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


def test_the_page_the_reader_is_on_comes_forward(index: Index) -> None:
    def place(page: str | None) -> float:
        return next(each.score for each in passages(index, "hva gjelder her", 20, page) if each.chunk.path == "/vern")

    assert place("/vern") > place(None)


@pytest.mark.parametrize("question", ["???", "§", "zzzz", "🙂"])
def test_a_question_without_known_words_still_ranks_but_is_no_ground(index: Index, question: str) -> None:
    found = passages(index, question, 20)
    assert len(found) > 0
    assert found[0].ground < 0


def test_a_covered_question_is_ground_for_an_answer(assistant: Assistant) -> None:
    assert passages(assistant.index, "hvor lenge sitter verneombudet", 1)[0].ground > 0
    assert passages(assistant.index, "hvem vant fotballkampen i går", 1)[0].ground < 0


def test_who_somebody_around_the_asker_is_can_only_be_told_by_an_article_that_names_one(
    assistant: Assistant, content: Writer, tmp_path: Path
) -> None:
    for question in ("hvem er verneombudet vårt?", "who is our safety rep"):
        assert passages(assistant.index, question, 10)[0].ground < 0
    assert passages(assistant.index, "hvem er ansvarlig for HMS hos oss?", 10)[0].ground > 0
    folder = content({"hos-oss.md": "---\ntitle: Verneombud hos oss\n---\n\nVerneombudet vårt er Kari Nordmann på lageret.\n"})
    embedder = dense.load()
    build([folder], tmp_path / "index", embedder)
    named = open_index(tmp_path / "index", embedder)
    assert passages(named, "hvem er verneombudet vårt?", 10)[0].ground > 0
    named.vectors.close()


def test_a_question_that_is_a_heading_leads_to_what_stands_below_it(assistant: Assistant) -> None:
    best = passages(assistant.index, "hva gjør vi ved en arbeidsulykke?", 10)[0].chunk
    assert best.headings[-1] == "Hva gjør vi ved en arbeidsulykke?"


def test_what_lies_beside_the_articles_is_known_until_an_article_is_about_it(
    index: Index, content: Writer, tmp_path: Path
) -> None:
    first = json.loads(BESIDE.read_text("utf-8").splitlines()[0])["question"]
    assert index.beside(index.vector(first)) == pytest.approx(1.0, abs=1e-3)
    build([content({"a/index.md": f"{first} {first}"})], tmp_path / "index", index.embedder)
    covering = open_index(tmp_path / "index", index.embedder)
    assert covering.beside(covering.vector(first)) < 0.99
    covering.vectors.close()


def test_accounts_stand_back_a_little_for_those_who_keep_none(assistant: Assistant) -> None:
    def share(role: Audience | None) -> float:
        found = passages(assistant.index, "hva er verneutstyr", 20, role=role)
        return sum(each.score for each in found if "/kontoplan/" in each.chunk.path)

    assert share("ansatt") < share(None) == share("regnskap")


def missing(assistant: Assistant, question: str) -> float:
    """The share of a question's words that its best page does not name."""
    text, weights = retrieve.understood(assistant.index, question)
    found = candidates(assistant.index, text, weights)
    columns = retrieve.evidence(assistant.index, text, weights, found)
    return retrieve.ground_evidence(assistant.index, text, weights, found, columns)["missing_page"]


def test_a_thing_may_be_named_by_its_parts_or_by_another_word(assistant: Assistant) -> None:
    assert missing(assistant, "kan sjefen velge verneombud") < missing(assistant, "kan zyxwen velge verneombud")
    assert missing(assistant, "verneombudopplæring") == 0.0
    assert missing(assistant, "verne ombud") == missing(assistant, "verneombud") == 0.0


def test_english_questions_find_norwegian_passages_by_the_word_list(assistant: Assistant) -> None:
    found = [each.chunk.path for each in passages(assistant.index, "how long is the safety representative elected for", 5)]
    assert "/blogs/regnskap/verneombud" in found


def test_an_account_that_is_named_is_found_by_its_number(assistant: Assistant) -> None:
    assert passages(assistant.index, "hva føres på konto 5920", 1)[0].chunk.path.startswith("/blogs/kontoplan/5920")


def evidence(assistant: Assistant, question: str) -> tuple[Candidates, dict[str, np.ndarray]]:
    weights = assistant.index.lexical.analyzer.meant(question)
    found = candidates(assistant.index, question, weights)
    return found, retrieve.evidence(assistant.index, question, weights, found)


def test_every_weight_has_its_evidence_and_every_share_is_one(assistant: Assistant) -> None:
    found, columns = evidence(assistant, "hvilken konto for verneutstyr")
    assert columns.keys() == retrieve.WEIGHTS.keys()
    assert all(len(column) == len(found.rows) for column in columns.values())
    for name in ("held", "held_page", "held_title"):
        assert columns[name].min() >= 0 and columns[name].max() <= 1 + 1e-6
    assert (columns["held_page"] >= columns["held"] - 1e-9).all()
    assert (columns["page_meaning"] >= columns["meaning"]).all()
    assert (columns["page_meaning"] >= columns["page_meaning_2"]).all()


def test_accounts_are_evidence_only_when_one_is_asked_for(assistant: Assistant) -> None:
    _, asked = evidence(assistant, "hvilken konto for verneutstyr")
    _, other = evidence(assistant, "hvem betaler for verneutstyr")
    assert asked["account_page"].max() == 1.0 and other["account_page"].max() == 0.0
    _, named = evidence(assistant, "hva er 6570")
    assert named["account_named"].sum() > 0 and asked["account_named"].sum() == 0


def test_the_second_best_of_a_page_is_told_beside_the_best() -> None:
    best, second = retrieve._of_page(np.array([1, 1, 2]), np.array([0.2, 0.5, 0.9]))
    assert best.tolist() == [0.5, 0.5, 0.9]
    assert second.tolist() == [0.2, 0.2, 0.0]


def test_the_matter_of_a_question_says_nothing_against_a_page_that_holds_its_words() -> None:
    asked = "hvor lenge skal poteter koke"
    assert with_matter(asked, {"missing_page": 0.3})["elsewhere"] > 0
    assert with_matter(asked, {"missing_page": 0.0}) == {"missing_page": 0.0, "open": 0.0, "own": 0.0, "elsewhere": 0.0}


def test_texts_that_share_rare_runs_of_letters_are_alike() -> None:
    scores = alike(" mehamn ", ["siktet i mehamn-saken torsdag", "politiet i oslo torsdag", "helt annet"])
    assert scores[0] > 0 == scores[1] == scores[2]
