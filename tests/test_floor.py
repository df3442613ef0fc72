"""The quality below which nothing lands: natural questions over the shipped articles, and what must not be answered.

The bounds lie a little under what was measured when they were set (eval/LOG.md); they are raised when the figures rise.
"""

from pathlib import Path

import pytest

from assistant.chat import Assistant
from assistant.settings import Settings
from eval.dataset import read
from eval.run import InProcess, Judge, Row, run
from tests.conftest import ROOT

QUESTIONS = ROOT / "eval" / "questions" / "shipped.jsonl"


@pytest.fixture(scope="module")
def report(assistant: Assistant, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Row:
    assert assistant.ready
    target = InProcess(settings.index)
    out: Path = tmp_path_factory.mktemp("run")
    return run(read(QUESTIONS), target, Judge(settings.content, None, target.base_url), out)


@pytest.mark.parametrize(
    ("group", "score", "least"),
    [
        ("expect=answer", "hit@1", 0.94),
        ("expect=answer", "hit@5", 0.98),
        ("expect=answer", "facts_and_cited", 0.80),
        ("turns=multi-turn", "hit@1", 1.0),
        ("expect=abstain", "as_expected", 0.9),
        ("expect=acute", "as_expected", 1.0),
        ("expect=refuse", "as_expected", 1.0),
        ("expect=greet", "as_expected", 1.0),
        ("all", "quotes_verbatim", 1.0),
    ],
)
def test_the_shipped_articles_are_answered_at_least_this_well(report: Row, group: str, score: str, least: float) -> None:
    assert report[group][score]["mean"] >= least


def test_few_answerable_questions_are_turned_away(report: Row) -> None:
    assert report["expect=answer"]["abstained"]["mean"] <= 0.04
