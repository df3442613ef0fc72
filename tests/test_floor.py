"""The quality below which nothing lands: natural questions over the shipped articles, and what must not be answered.

The bounds stand in eval/questions/floor.json, a little under what was measured when they were set (eval/LOG.md); they are raised
when the figures rise.
"""

import json
from pathlib import Path

import pytest

from assistant.chat import Assistant
from assistant.settings import Settings
from eval import read_records
from eval.metrics import Judge, Row
from eval.run import InProcess, run
from tests.conftest import ROOT

QUESTIONS = ROOT / "eval" / "questions"
FLOOR = json.loads((QUESTIONS / "floor.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def report(assistant: Assistant, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Row:
    assert assistant.ready
    target = InProcess(settings.index)
    out: Path = tmp_path_factory.mktemp("run")
    return run(read_records(QUESTIONS / FLOOR["questions"]), target, Judge(settings.content, None, target.base_url), out)


@pytest.mark.parametrize(("group", "score", "least"), FLOOR["at_least"])
def test_the_shipped_articles_are_answered_at_least_this_well(report: Row, group: str, score: str, least: float) -> None:
    assert report[group][score]["mean"] >= least


@pytest.mark.parametrize(("group", "score", "most"), FLOOR["at_most"])
def test_few_answerable_questions_are_turned_away(report: Row, group: str, score: str, most: float) -> None:
    assert report[group][score]["mean"] <= most
