"""BM25: which rows come first, and what survives saving."""

from pathlib import Path

import numpy as np
import pytest

from corpus.index import Lexical
from corpus.language import Analyzer

TEXTS = ["verneombud velges av ansatte", "faktura sendes til kunden", "ansatte har rett til ferie", ""]


@pytest.fixture
def lexical() -> Lexical:
    analyzer = Analyzer({})
    return Lexical.build([analyzer.terms(text) for text in TEXTS], analyzer)


def test_the_row_that_holds_the_words_scores_highest(lexical: Lexical) -> None:
    scores = lexical.scores(lexical.analyzer.meant("Hvem velger verneombudet?"))
    assert scores.shape == (4,)
    assert int(scores.argmax()) == 0


def test_unknown_words_score_nothing(lexical: Lexical) -> None:
    assert not lexical.scores({"finnesikke": 1.0}).any()
    assert not lexical.scores({}).any()


def test_rare_words_weigh_more_than_common_and_unknown_most(lexical: Lexical) -> None:
    rare, common, unknown = (lexical.rarity(lexical.analyzer.terms(word)[0]) for word in ("faktura", "ansatte", "pizza"))
    assert common < rare < unknown


def test_saved_and_loaded_scores_are_the_same(lexical: Lexical, tmp_path: Path) -> None:
    lexical.save(tmp_path / "words")
    again = Lexical.load(tmp_path / "words", lexical.analyzer)
    terms = lexical.analyzer.meant("ansatte ferie")
    assert np.array_equal(lexical.scores(terms), again.scores(terms))
    assert again.rows == 4
