"""Rules as data: each is whole and true by the law, and claims that go against them are found, and only those."""

import json
import re
from datetime import date
from pathlib import Path

import pytest

from assistant.chat import Assistant
from assistant.settings import Settings
from assistant.types import Ask
from corpus import rules as rules_module
from corpus.article import Article, read_content
from corpus.check import check
from corpus.law import laws
from corpus.markdown import blocks
from corpus.rules import NUMBER, TABLE, Rule, RuleError, Rules, _plain, above, claims, message, read, rules
from tests.conftest import BLOG, ROOT, SHARED, Writer

CLAIMS = ROOT / "eval" / "questions" / "claims.jsonl"
LAW = SHARED / "law" / "paragraphs.jsonl"
AMU = {
    "id": "amu",
    "topic": "arbeidsmiljøutvalg",
    "says": "arbeidsmiljøutvalg skal opprettes der det er minst 30 arbeidstakere",
    "law": "LOV-2005-06-17-62 § 7-1",
    "right": [30],
    "former": [50],
    "unit": "ansatte|arbeidstakere",
    "words": ["arbeidsmiljøutvalg|amu"],
}


def test_the_rules_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len({rule.id for rule in rules()}) == len(rules()) >= 150
    assert sum(bool(rule.former) for rule in rules()) >= 75
    for rule in rules():
        assert not rule.right & rule.former, rule.id
        assert rule.says[-1] != "." and rule.basis, rule.id
        known = laws()[rule.law].paragraphs if rule.law else frozenset()
        assert not known or rule.paragraph.lower() in {each.lower() for each in known}, rule.id


@pytest.mark.skipif(not LAW.is_file(), reason="needs the law text")
def test_each_figure_stands_in_the_paragraph_that_is_named() -> None:
    import yaml

    texts = {
        (row["law"], re.sub(r"[§\s]", "", row["para"]).lower()): f"{row['heading']} {row['text']}"
        for row in map(json.loads, LAW.read_text("utf-8").splitlines())
    }
    for row in yaml.safe_load(TABLE.read_text("utf-8")):
        rule = read(row)
        if rule.law and rule.right and not row.get("exception"):
            text = texts[rule.law, rule.paragraph.lower()]
            figures = {_plain(found) for found in re.findall(NUMBER, text, re.IGNORECASE)} | set(
                map(_plain, re.findall(r"\w+", text))
            )
            assert rule.right & figures, rule.id


@pytest.mark.parametrize(
    ("text", "above", "right"),
    [
        ("AMU skal opprettes når det er minst 50 ansatte.", "", [False]),
        ("Dette gjelder fra 50 eller flere arbeidstakere.", "Krav om arbeidsmiljøutvalg", [False]),
        ("Arbeidsmiljøutvalg er påbudt fra 30 arbeidstakere.", "", [True]),
        ("Før 2024 var grensen for AMU 50 arbeidstakere.", "", []),
        ("AMU i en bedrift med 80 ansatte møtes ofte.", "", []),
        ("Antall ansatte: 50", "AMU", [False]),
        ("Bedriften har 50 ansatte.", "Lønn", []),
    ],
)
def test_only_figures_that_are_known_to_be_wrong_are_claims_against_a_rule(
    monkeypatch: pytest.MonkeyPatch, text: str, above: str, right: list[bool]
) -> None:
    monkeypatch.setattr("corpus.rules.rules", lambda: Rules([read(AMU)]))
    assert [claim.right for claim in claims(text, above)] == right


WORDED = {**AMU, "wrong": "i alle bedrifter|uansett størrelse", "right": [], "unit": ""}


@pytest.mark.parametrize(
    ("text", "above", "quotes"),
    [
        ("AMU er påbudt i alle bedrifter.", "", ["i alle bedrifter"]),
        ("Påbudt | Uansett størrelse", "Arbeidsmiljøutvalg", ["Uansett størrelse"]),
        ("AMU er påbudt i alle bedrifter med 30 ansatte.", "", ["i alle bedrifter"]),
        ("Før 2024 var AMU påbudt i alle bedrifter.", "", []),
        ("Verneombud finnes i alle bedrifter.", "", []),
        ("AMU er påbudt i noen bedrifter.", "", []),
    ],
)
def test_words_that_are_known_to_be_wrong_are_claims_without_a_figure(
    monkeypatch: pytest.MonkeyPatch, text: str, above: str, quotes: list[str]
) -> None:
    monkeypatch.setattr("corpus.rules.rules", lambda: Rules([read(WORDED)]))
    found = claims(text, above)
    assert [(claim.quote, claim.figure, claim.right) for claim in found] == [(quote, "", False) for quote in quotes]


@pytest.mark.parametrize(
    ("rule", "wrong", "right", "above"),
    [
        ("skatt-km-godtgjørelse-aldri", "2024 | kr 4,35", "2024 | kr 3,50", "Kjøregodtgjørelse År Standardsats per km"),
        ("arsregnskap-innsending-juni", "Årsregnskap | 30. juni | Ikke mulig | Tvangsmulkt", "Årsregnskap | 31. juli", "Frister"),
        ("mva-siste-virkedag", "MVA-melding | Siste virkedag i måneden etter", "MVA-melding | 10. juni", "Frister"),
        ("allmenngjort-minstelonn", "Renhold | 160", "Telefoni og IT | 160", "Bransje Minstelønn (NOK/time)"),
        ("ekom-faktisk-kostnad", "Telefon | Faktisk kostnad", "Hotell | Faktisk kostnad", "Naturalytelse Verdsettelse"),
        ("konto-2600-mva", "2600 | Inngående MVA", "2711 | Inngående MVA", "Kreditnota"),
        ("feriepenger-langvarige", "Langvarige ansatte | Kan øke", "Over 60 år | Kan øke", "Feriepengesats"),
        (
            "feriepenger-av-feriepenger",
            "Feriepengegrunnlaget består av lønn og feriepenger fra foregående år.",
            "Feriepengegrunnlaget består av lønn, men ikke feriepenger fra foregående år.",
            "",
        ),
        ("foreldrepenger-kvote", "Fedrekvote | 15 uker | 100 % / 80 %", "Fedrekvote | 15 uker | 100 %", ""),
        (
            "mva-registrering-uavhengig",
            "Alle aksjeselskaper uavhengig av omsetning",
            "Lærere uavhengig av omsetning",
            "Må registreres i MVA",
        ),
        ("a-melding-mulkt", "A-melding | Mulkt kr 1.000-5.000", "A-melding | Mulkt per dag", ""),
        ("oppsigelse-arbeidstaker", "Arbeidstaker | 1 måned fra", "Arbeidsgiver | 1 måned", "Minimum oppsigelsestid"),
        (
            "bokforingsplikt-enkeltpersonforetak",
            "Enkeltpersonforetak over visse inntektsgrenser",
            "Enkeltpersonforetak",
            "Full bokføringsplikt:",
        ),
        ("forenklet-regnskapsplikt", "Forenklet regnskapsplikt etter bokføringsloven", "Bokføringsplikt", "Enkeltpersonforetak"),
        ("skattetrekk-tabell-710", "Det trekkes med tabellnummer 710.", "Det trekkes med tabell 7100.", "Uten skattekort?"),
        ("oppsigelse-søksmål", "Søksmål etter oppsigelse: 4 måneder", "Søksmål: 4 måneder (§ 15-5)", "Oppsigelse"),
    ],
)
def test_what_a_reader_met_unmarked_is_known_and_its_like_left_alone(rule: str, wrong: str, right: str, above: str) -> None:
    assert [claim.rule.id for claim in claims(wrong, above) if not claim.right] == [rule]
    assert [claim.rule.id for claim in claims(right, above) if not claim.right] == []


def test_a_claim_is_quoted_in_whole_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.rules.rules", lambda: Rules([read({**AMU, "unit": "ansat|\\+? ?\\|"})]))
    assert [claim.quote for claim in claims("AMU fra 50 ansatte")] == ["50 ansatte"]
    assert [claim.quote for claim in claims("50+ | AMU er påbudt")] == ["50"]
    assert [claim.quote for claim in claims("AMU (fra ansatt 50+ | er påbudt)")] == ["ansatt 50"]
    monkeypatch.setattr("corpus.rules.rules", lambda: Rules([read({**AMU, "unit": "år"})]))
    assert [claim.quote for claim in claims("50-årsregelen for AMU, etter § 50-1 og 50-tallet")] == ["50-årsregelen"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"says": ""}, "rule amu: says is missing"),
        ({"law": "LOV-1900-01-01-1 § 1"}, "rule amu: there is no law LOV-1900-01-01-1"),
        ({"law": ""}, r"rule amu: needs a law \(LOV-… § …\) or a source"),
    ],
)
def test_a_rule_that_cannot_be_used_is_named(change: dict[str, str], told: str) -> None:
    with pytest.raises(RuleError, match=told):
        read({**AMU, **change})


def test_a_reader_is_warned_of_a_figure_that_is_no_longer_the_laws(content: Writer, tmp_path: Path) -> None:
    text = (
        "## Krav\n\nArbeidsmiljøutvalg (AMU) skal opprettes i virksomheter med minst 50 ansatte, etter arbeidsmiljøloven § 7-99."
    )
    assistant = Assistant(Settings(content=(content({"amu/index.md": text}),), index=tmp_path / "index"))
    assistant.load()
    answer = assistant.ask(Ask("Når må vi opprette arbeidsmiljøutvalg?"))
    assert answer.outcome == "answered"
    outdated, unknown = answer.notices
    assert outdated.kind == "outdated" and outdated.url == "https://lovdata.no/lov/2005-06-17-62/§7-1"
    assert "50 ansatte" in outdated.message and "30 arbeidstakere" in outdated.message
    assert unknown.kind == "unknown_law" and "7-99" in unknown.message
    first, *_, last = answer.answer.splitlines()  # the law leads, and the article's words stay as they are
    assert first.startswith("**Arbeidsmiljøutvalg er påbudt") and "(https://lovdata.no/lov/2005-06-17-62/§7-1)" in first
    assert last == text.splitlines()[-1] + " [1] *(utdatert)*"


def test_the_law_on_a_side_matter_does_not_stand_before_the_answer(content: Writer, tmp_path: Path) -> None:
    text = (
        "## Kaffe\n\nKaffemaskinen renses hver fredag av renholderen. Rensingen av kaffemaskinen følges opp av "
        "arbeidsmiljøutvalget (AMU), som skal opprettes i virksomheter med minst 50 ansatte."
    )
    assistant = Assistant(Settings(content=(content({"kaffe/index.md": text}),), index=tmp_path / "index"))
    assistant.load()
    questions = ("Når renses kaffemaskinen?", "Hvem følger opp rensingen av kaffemaskinen, AMU?")
    aside, asked = (assistant.ask(Ask(question)) for question in questions)
    for answer in (aside, asked):
        assert [notice.kind for notice in answer.notices] == ["outdated"] and "*(utdatert)*" in answer.answer
    assert not aside.answer.startswith("**Arbeidsmiljøutvalg") and asked.answer.startswith("**Arbeidsmiljøutvalg")


def test_of_the_laws_figures_the_one_asked_for_comes_first_and_each_thing_once(content: Writer, tmp_path: Path) -> None:
    text = (
        "## Valg av verneombud\n\nArbeidsmiljøutvalg skal opprettes i virksomheter med minst 50 ansatte. "
        "Verneombud skal velges i virksomheter med minst 10 ansatte.\n\n## Frist for mva-meldingen\n\n"
        "Fristen for mva-meldingen er siste virkedag i måneden etter. "
        "Mva-meldingen for en termin har frist den 15. i måneden etter."
    )
    assistant = Assistant(Settings(content=(content({"frister/index.md": text}),), index=tmp_path / "index"))
    assistant.load()
    safety = assistant.ask(Ask("Når må vi velge verneombud i virksomheten?")).answer
    tax = assistant.ask(Ask("Hva er fristen for mva-meldingen?")).answer
    assert safety.startswith("**Bare virksomheter med færre enn 5 arbeidstakere") and safety.count("*(utdatert)*") == 2
    assert tax.count("**Mva-meldingen leveres og betales") == 1 and tax.count("*(utdatert)*") == 2


def test_a_rule_in_steps_is_told_whole_and_a_mark_names_the_figure_that_is_wrong(content: Writer, tmp_path: Path) -> None:
    text = (
        "## Oppsigelsestid\n\nOppsigelsestiden er 1 måned (ansiennitet < 5 år), 2 måneder (5–10 år), 3 måneder (10–15 år) og "
        "4 måneder (>15 år)."
    )
    assistant = Assistant(Settings(content=(content({"frist/index.md": text}),), index=tmp_path / "index"))
    assistant.load()
    answer = assistant.ask(Ask("jobba 7 år her, hvor lang oppsigelsestid har jeg")).answer
    assert "to måneder etter fem års sammenhengende ansettelse og tre måneder etter ti år" in answer.splitlines()[0]
    assert re.search(r"\[1\] \*\(«4 måneder[^»]*» er utdatert\)\*\Z", answer)


def test_articles_that_disagree_are_told_of(content: Writer, tmp_path: Path) -> None:
    files = {
        "amu/index.md": "## Krav\n\nArbeidsmiljøutvalg skal opprettes i virksomheter med minst 50 ansatte.",
        "utvalg/index.md": "## Krav\n\nBedriften må opprette arbeidsmiljøutvalg når den har 30 ansatte eller flere.",
    }
    assistant = Assistant(Settings(content=(content(files),), index=tmp_path / "index"))
    assistant.load()
    notices = assistant.ask(Ask("Når må vi opprette arbeidsmiljøutvalg?")).notices
    told = next(notice.message for notice in notices if notice.kind == "contradiction")
    assert told == "Artiklene er uenige: «amu» sier «50 ansatte», og «utvalg» sier «30 ansatte»."


YEARLY = {
    "id": "g", "topic": "G", "says": "G er 130 160 kroner i 2025", "source": "Nav, 2025", "year": 2025,
    "right": [130160], "former": [124028], "unit": "kr", "words": ["grunnbeløp"],
}  # fmt: skip


def test_a_figure_of_a_year_knows_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_module, "rules", lambda: Rules([read(YEARLY)]))
    (claim,) = claims("Grunnbeløpet er 130 160 kr.")
    assert not claim.past(date(2025, 12, 31)) and claim.past(date(2026, 1, 1))
    assert message(claim).startswith("«130 160 kr» gjelder 2025.")
    assert [claim.right for claim in claims("Grunnbeløpet er 124 028 kr.")] == [False]
    assert list(claims("Grunnbeløpet var 124 028 kr i 2024.")) == []  # of another year, and right then


def test_the_shipped_articles_go_against_no_rule() -> None:
    assert [found for found in check(read_content(ROOT / "corpus" / "articles")) if found.kind == "outdated"] == []


@pytest.mark.skipif(not BLOG.is_dir(), reason="needs the articles in ../shared/blog")
@pytest.mark.parametrize(("split", "named", "warned", "alarms"), [("tune", 0.82, 0.88, 0.05), ("kept", 0.77, 0.85, 0.03)])
def test_wrong_claims_of_a_real_blog_are_known_and_right_ones_left_alone(
    split: str, named: float, warned: float, alarms: float
) -> None:
    """Of a list by others who saw no rule (eval/LOG.md): how many are warned of, by that rule or by any."""
    articles = {each.path: each for each in read_content(BLOG) if isinstance(each, Article)}
    told: dict[bool, list[tuple[bool, bool]]] = {True: [], False: []}
    for row in map(json.loads, CLAIMS.read_text("utf-8").splitlines()):
        if row["split"] == split:
            article = articles[row["page"]]
            found = [
                claim.rule
                for block in blocks(article.body, article.first_line)
                for unit in block.units
                if row["words"] in unit.text
                for claim in claims(unit.text, above(article.title, block.headings, unit.lead, unit.header))
                if not claim.right
            ]
            exact = [rule for rule in found if _about(rule, row)]
            told[row["wrong"]].append((bool(exact), bool(found)))
    assert sum(exact for exact, _ in told[True]) / len(told[True]) >= named
    assert sum(found for _, found in told[True]) / len(told[True]) >= warned
    assert sum(found for _, found in told[False]) / len(told[False]) <= alarms


def _about(rule: Rule, row: dict[str, str]) -> bool:
    return (rule.law, rule.paragraph) == (row["law"], row["paragraph"]) or row["right"].split(" ")[0].rstrip("%") in rule.right
