"""The command line of the measurements, as a user calls it: what is at hand is measured, and what is not is said."""

import json
from pathlib import Path

import pytest

from assistant.chat import Assistant
from assistant.settings import Settings
from eval.__main__ import _print_table, main


def test_the_command_line_runs_and_compares(
    assistant: Assistant, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert assistant.ready
    file = tmp_path / "few.jsonl"
    asked = {
        "id": "a",
        "lang": "nb",
        "type": "fact",
        "question": "Hvor mange ansatte krever AMU?",
        "gold_urls": ["/blogs/regnskap/amu"],
    }
    file.write_text(json.dumps(asked), "utf-8")
    assert main(["run", str(file), "--index", str(settings.index), "--out", str(tmp_path / "a")]) == 0
    assert "quotes_verbatim" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "a")]) == 0
    assert "1 felles spørsmål" in capsys.readouterr().out


def test_the_command_line_says_what_is_wrong_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path / "no.jsonl")]) == 1
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 1
    assert main(["bench", str(tmp_path), "--questions", str(tmp_path / "no.jsonl")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert all("kan ikke leses" in line for line in said)


def test_without_a_blog_and_norquad_the_shipped_articles_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere, out = str(tmp_path / "nowhere"), tmp_path / "out"
    assert main(["report", "--blog", nowhere, "--norquad", nowhere, "--out", str(out)]) == 0
    assert capsys.readouterr().out.split() == [str(out / "report.html")]
    page = (out / "report.html").read_text("utf-8")
    assert page.count("it is left out") + page.count("are left out") == 2
    scored = [json.loads(line)["scores"] for line in (out / "shipped" / "records.jsonl").read_text("utf-8").splitlines()]
    assert len(scored) >= 70
    assert all(each.get("links_valid", 1.0) == 1.0 for each in scored)


def test_a_table_has_a_dash_where_a_row_has_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    _print_table({"ours": {"hit@1": 0.5, "build_s": 1_234.0}, "bm25": {"hit@1": 0.25}})
    assert capsys.readouterr().out.splitlines() == [
        "      hit@1    build_s",
        "ours  0.500  1,234.000",
        "bm25  0.250          –",
    ]


@pytest.mark.parametrize("command", ["run", "report", "compare", "check", "bank", "fit", "bench"])
def test_every_command_tells_what_it_takes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert f"python -m eval {command}" in capsys.readouterr().out
