"""Ranking by evidence: each piece says what its name says, and the weights put the right passage first."""

import numpy as np

from assistant import rerank
from assistant.chat import Assistant
from assistant.rerank import Candidates
from assistant.retrieve import candidates


def evidence(assistant: Assistant, question: str) -> tuple[Candidates, dict[str, np.ndarray]]:
    weights = assistant.index.lexical.analyzer.meant(question)
    found = candidates(assistant.index, question, weights)
    return found, rerank.evidence(assistant.index, question, weights, found)


def test_every_weight_has_its_evidence_and_every_share_is_one(assistant: Assistant) -> None:
    found, columns = evidence(assistant, "hvilken konto for verneutstyr")
    assert columns.keys() == rerank.WEIGHTS.keys()
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
    best, second = rerank._of_page(np.array([1, 1, 2]), np.array([0.2, 0.5, 0.9]))
    assert best.tolist() == [0.5, 0.5, 0.9]
    assert second.tolist() == [0.2, 0.2, 0.0]
