"""Judging units: the sentence that answers scores highest, and each kind of question has its own evidence."""

import pytest

from assistant.question import Question, read
from assistant.select import WEIGHTS, Place, Selector
from assistant.types import Ask, Passage
from corpus import dense
from corpus.chunk import Chunk, told
from corpus.index import Lexical
from corpus.language import Analyzer
from corpus.markdown import Unit

SENTENCES = (
    "Verneombudet velges for to år om gangen.",
    "Verneombudet er en tillitsvalgt etter arbeidsmiljøloven § 6-1.",
    "Konto 6570 brukes for verneutstyr.",
    "Les mer om AMU i artikkelen om arbeidsmiljøutvalg.",
    "Hvem kan velges?",
)


def passage(*texts: str, number: int = 1, headings: tuple[str, ...] = ("Valg",), score: float = 1.0) -> Passage:
    units = tuple(Unit("sentence", text, text) for text in texts)
    return Passage(Chunk(f"/verneombud#{number}", "/verneombud", "Verneombud", headings, "valg", units, (1, 9)), score)


@pytest.fixture(scope="module")
def selector() -> Selector:
    analyzer = Analyzer({})
    return Selector(dense.load(), Lexical.build([analyzer.terms(text) for text in SENTENCES], analyzer))


def asked(text: str) -> Question:
    return read(Ask(text))


def best(selector: Selector, question: str, *passages: Passage) -> str:
    return max(selector.picks(asked(question), passages), key=lambda pick: pick.score).unit.text


def test_pointers_and_questions_are_no_answers(selector: Selector) -> None:
    places = selector.places(asked("hvor lenge velges verneombudet"), [passage(*SENTENCES)])
    assert [place.unit.text for place in places] == list(SENTENCES[:3])
    assert selector.picks(asked("verneombud"), [passage(SENTENCES[0], headings=("Relaterte artikler",))]) == []


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("hvor lenge velges verneombudet for?", SENTENCES[0]),
        ("hvilken paragraf gjelder for verneombud?", SENTENCES[1]),
        ("hvilken konto for verneutstyr?", SENTENCES[2]),
    ],
)
def test_the_kind_of_question_leads_to_its_answer(selector: Selector, question: str, answer: str) -> None:
    assert best(selector, question, passage(*SENTENCES)) == answer


def test_postings_stand_back_for_those_who_keep_no_accounts(selector: Selector) -> None:
    places = selector.places(asked("hva koster verneutstyr"), [passage("Verneutstyr: debet 6570, kredit 2400.", *SENTENCES)])
    plain, employee, accountant = (
        selector.scores(read(Ask("hva koster verneutstyr", role=role)), places) for role in (None, "ansatt", "regnskap")
    )
    assert employee[0] < plain[0] == accountant[0]
    assert (employee[1:] == plain[1:]).all()


def test_every_weight_has_its_evidence(selector: Selector) -> None:
    places = selector.places(asked("hvor lenge velges verneombudet?"), [passage(*SENTENCES), passage(SENTENCES[0], number=0)])
    columns = selector.evidence(asked("hvor lenge velges verneombudet?"), places)
    assert columns.keys() == WEIGHTS.keys()
    assert all(len(column) == len(places) for column in columns.values())
    assert columns["time"].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert columns["opening"].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_a_surer_passage_counts_for_more(selector: Selector) -> None:
    sure, unsure = passage(SENTENCES[0], number=1), passage(SENTENCES[0], number=2, score=0.01)
    scores = selector.scores(asked("verneombud"), [Place(each.chunk.units[0], each) for each in (unsure, sure)])
    assert scores[1] > scores[0]


@pytest.mark.parametrize(
    ("story", "asks", "answer"),
    [
        (
            "Vi kjøpte verneutstyr til alle på lageret, og det er brukt som verneutstyr",
            "Hvor lenge velges verneombudet?",
            SENTENCES[0],
        ),
        ("Verneombudet vårt velges for to år om gangen", "Hvilken konto brukes for verneutstyr?", SENTENCES[2]),
    ],
)
def test_the_sentence_that_asks_outweighs_the_story(selector: Selector, story: str, asks: str, answer: str) -> None:
    def near(text: str) -> float:
        """How much nearer the answer is than what the story tells of."""
        other = SENTENCES[2] if answer == SENTENCES[0] else SENTENCES[0]
        places = [Place(Unit("sentence", each, each), passage(each)) for each in (answer, other)]
        columns = selector.evidence(asked(text), places)
        return float(columns["alone"][0] - columns["alone"][1])

    told, run_together = f"{story}. {asks}", f"{story}, {asks}"
    assert (asked(told).asks, asked(run_together).asks) == (asks, "")
    assert near(told) > near(run_together) + 0.1
    assert best(selector, told, passage(*SENTENCES)) == answer


def test_a_unit_is_told_with_what_it_needs() -> None:
    row = Unit("row", "6570 | Verneutstyr", "", "Kontoene er:", ("Konto", "Navn"))
    assert told(row) == "Kontoene er: Konto Navn 6570 | Verneutstyr"
