"""A question file is read as it stands, and a broken one is refused with the file, the line and the fault.

What its questions name is looked up, and their faults are found before it is believed.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corpus.article import Article
from eval import SECTIONS, EvalError, Record, faults, norquad, read_articles, read_objects, read_records, recombine

WHOLE: dict[str, Any] = {
    "id": "amu-1",
    "lang": "nn",
    "type": "fact",
    "turns": ["Kva er AMU?"],
    "question": "Når må vi ha det?",
    "gold_urls": ["/blogs/amu", "/"],
    "must_cite": "all",
    "answer_facts": [["30", "tretti"]],
    "expect": "correct_premise",
    "must_not_contain": ["50"],
    "split": "dev",
}
PAGE = "/blogs/hms/amu"
PASSAGES = {
    "news-1": ("Ny flyplass i Moss", "Flyplassen i Moss heter Rygge.\nDen har vært stengt siden 2016."),
    "news-2": ("Tørt i Bergen", "Det falt 51 millimeter nedbør i Bergen i november."),
    "news-3": ("Valg i kommunen", "Ordføreren ble valgt for fire år."),
}
QUERIES = {
    "q1": ("Hva heter flyplassen i Moss?", "Rygge", "news-1"),
    "q2": ("Hvor lenge er ordføreren valgt?", "fire år", "news-3"),
}
GOOD = Record(
    "q1",
    "nb",
    "threshold",
    "når blir vi store nok til å måtte ha et slikt utvalg",
    gold_urls=(PAGE,),
    answer_facts=(("30 ansatte",),),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "questions.jsonl"


def small(**fields: Any) -> str:
    return json.dumps({"id": "a", "lang": "nb", "type": "fact", "question": "Hva?", "gold_urls": ["/a"], **fields})


def test_every_field_is_read(file: Path) -> None:
    file.write_text(json.dumps(WHOLE, ensure_ascii=False) + "\n", "utf-8")
    assert read_records(file) == [
        Record(
            id="amu-1",
            lang="nn",
            type="fact",
            question="Når må vi ha det?",
            turns=("Kva er AMU?",),
            gold_urls=("/blogs/amu", "/"),
            must_cite="all",
            answer_facts=(("30", "tretti"),),
            expect="correct_premise",
            must_not_contain=("50",),
            split="dev",
        )
    ]


def test_what_is_left_out_has_the_formats_defaults(file: Path) -> None:
    file.write_text("\ufeff" + small() + "\n\n" + small(id="b", note="our own"), "utf-8")
    first, second = read_records(file)
    assert (first.expect, first.must_cite, first.turns, first.answer_facts) == ("answer", "any", (), ())
    assert second.id == "b"


def test_a_question_without_gold_pages_must_not_be_answered(file: Path) -> None:
    file.write_text(small(gold_urls=[]) + "\n" + small(id="b", gold_urls=[], expect="greet"), "utf-8")
    assert [record.expect for record in read_records(file)] == ["abstain", "greet"]


def test_line_separators_inside_a_question_do_not_end_its_line(file: Path) -> None:
    file.write_text(json.dumps({"id": "a", "lang": "nb", "type": "x", "question": "a\u2028b"}, ensure_ascii=False), "utf-8")
    assert read_records(file)[0].question == "a\u2028b"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "ikke gyldig JSON"),
        ("[]", "ikke et JSON-objekt"),
        ("{}", "feltet «id» mangler"),
        ('{"id": "a", "lang": "nb", "type": "x"}', "feltet «question» mangler"),
        (small(question=" "), "«question» er"),
        (small(id=7), "«id» er 7, men må være en tekst"),
        (small(lang="sv"), '«lang» er "sv", men må være en av nb, nn, en, dialect'),
        (small(lang=["nb"]), "«lang» er"),
        (small(expect="maybe"), '«expect» er "maybe", men må være en av answer, abstain'),
        (small(must_cite="some"), '«must_cite» er "some"'),
        (small(turns="Hei"), '«turns» er "Hei", men må være en liste av tekster'),
        (small(turns=[""]), "«turns» er"),
        (small(gold_urls=["/a/"]), '«gold_urls» har "/a/"'),
        (small(gold_urls=["https://x.no/a"]), "«gold_urls» har"),
        (small(answer_facts=["30"]), "«answer_facts» er"),
        (small(answer_facts=[[]]), "«answer_facts» er"),
        (small(answer_facts=[[""]]), "«answer_facts» er"),
        (small(id="first"), "id «first» er alt brukt i linje 1"),
        (small(lang="x" * 200), "…"),
    ],
)
def test_a_broken_line_is_named(file: Path, line: str, said: str) -> None:
    file.write_text(f"{small(id='first')}\n\n{line}\n", "utf-8")
    with pytest.raises(EvalError) as error:
        read_records(file)
    assert f"{file}, linje 3: " in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize(("data", "said"), [(b"", "ingen spørsmål"), (b"\n \n", "ingen spørsmål"), (b"\xff\xfe", "ikke UTF-8")])
def test_an_empty_or_unreadable_file_is_refused(file: Path, data: bytes, said: str) -> None:
    file.write_bytes(data)
    with pytest.raises(EvalError, match=said):
        read_records(file)


def test_a_missing_file_is_refused(file: Path) -> None:
    with pytest.raises(EvalError, match="kan ikke leses"):
        read_records(file)


@pytest.fixture
def articles(tmp_path: Path) -> dict[str, Article]:
    page = tmp_path / "blogs" / "hms" / "amu" / "index.md"
    page.parent.mkdir(parents=True)
    page.write_text(
        "---\ntitle: AMU\n---\n## Krav til opprettelse av utvalg\n\nDet kreves fra **30** ansatte – alltid.\n", "utf-8"
    )
    return read_articles([tmp_path])


def told(articles: dict[str, Article], *records: Record) -> list[tuple[str, int, str]]:
    return [(each.id, each.line, each.message) for each in faults(records, articles)]


def test_a_sound_question_has_no_faults(articles: dict[str, Article]) -> None:
    assert told(articles, GOOD) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gold_urls": ("/nowhere",)}, "siden /nowhere finnes ikke"),
        ({"answer_facts": (("50 ansatte",),)}, f"['50 ansatte'] står ikke på {PAGE}"),
        ({"answer_facts": ()}, "mangler «answer_facts»"),
        ({"question": "hva gjelder fra 30 ansatte og oppover"}, "['30 ansatte'] står alt i spørsmålet"),
        ({"question": "Hvilke krav er det til opprettelse av utvalg?"}, None),  # three telling words cannot avoid the heading
        ({"expect": "abstain"}, "har sider, men skal ikke besvares («expect» er «abstain»)"),
    ],
)
def test_each_fault_is_told(articles: dict[str, Article], change: dict[str, object], message: str | None) -> None:
    assert told(articles, replace(GOOD, **change)) == ([("q1", 1, message)] if message else [])  # type: ignore[arg-type]


def test_with_all_the_pages_hold_the_facts_together(articles: dict[str, Article]) -> None:
    articles["/other"] = replace(articles[PAGE], path="/other", body="Helt andre ord.")
    both = replace(GOOD, gold_urls=(PAGE, "/other"))
    assert told(articles, both) == [("q1", 1, "['30 ansatte'] står ikke på /other")]
    assert told(articles, replace(both, must_cite="all")) == []


def test_an_echo_of_a_heading_and_a_double_are_told(articles: dict[str, Article]) -> None:
    articles[PAGE] = replace(articles[PAGE], body="## Valg av leder og nestleder i utvalget\n\n30 ansatte")
    echo = replace(GOOD, question="valg av leder og nestleder i utvalget?")
    assert told(articles, echo, replace(echo, id="q2")) == [
        ("q1", 1, f"gjentar overskriften «Valg av leder og nestleder i utvalget» på {PAGE}"),
        ("q2", 2, f"gjentar overskriften «Valg av leder og nestleder i utvalget» på {PAGE}"),
        ("q2", 2, "ligner for mye på q1"),
    ]


def test_other_lines_are_read_as_they_are_and_a_broken_one_is_named(file: Path) -> None:
    file.write_text('{"a": 1}\n\n{"b": [2]}\n', "utf-8")
    assert read_objects(file) == [{"a": 1}, {"b": [2]}]
    file.write_text('{"a": 1}\n[]\n', "utf-8")
    with pytest.raises(EvalError, match="linje 2: linjen er ikke et JSON-objekt"):
        read_objects(file)


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    out = tmp_path / "norquad"
    out.mkdir()
    corpus = [{"_id": key, "title": title, "text": f"{title}\n{text}"} for key, (title, text) in PASSAGES.items()]
    queries = [{"_id": key, "text": text, "answer": answer} for key, (text, answer, _) in QUERIES.items()]
    qrels = [{"qid": key, "docid": page, "score": 1} for key, (*_, page) in QUERIES.items()]
    for name, lines in (("corpus", corpus), ("queries", queries), ("qrels", qrels)):
        (out / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return out


def test_norquad_becomes_articles_and_questions_with_their_spans(benchmark: Path, tmp_path: Path) -> None:
    first, second = norquad(benchmark, tmp_path / "content")
    assert (first.question, first.gold_urls, first.answer_facts) == ("Hva heter flyplassen i Moss?", ("/news-1",), (("Rygge",),))
    assert second.gold_urls == ("/news-3",)
    articles = read_articles([tmp_path / "content"])
    assert set(articles) == {"/news-1", "/news-2", "/news-3"}
    assert articles["/news-1"].title == "Ny flyplass i Moss"
    assert articles["/news-1"].body.strip() == "Flyplassen i Moss heter Rygge.\n\nDen har vært stengt siden 2016."


def test_made_up_articles_are_of_real_sections_and_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    for number in range(3):
        text = "".join(f"## Del {part}\n\n{'ord ' * 20}{number}{part}\n\n" for part in range(4))
        (tmp_path / "content" / f"{number}.md").write_text(f"---\ntitle: A\n---\n\n{text}", "utf-8")
    for name in ("a", "b"):
        recombine([tmp_path / "content"], tmp_path / name, 5)
    texts = [[file.read_text("utf-8") for file in sorted((tmp_path / name).rglob("*.md"))] for name in ("a", "b")]
    assert texts[0] == texts[1] and len(set(texts[0])) == 5
    assert texts[0][4].count("## Del") == SECTIONS
    with pytest.raises(EvalError, match="ingen artikler å måle med"):
        recombine([tmp_path / "nowhere"], tmp_path / "c", 5)
