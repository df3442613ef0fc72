"""Holding sentences against passages: what is right stands, and what is changed in it is told from it."""

import math
from collections import defaultdict

import pytest

from assistant.chat import Assistant
from assistant.support import (
    FOUND,
    LONGEST,
    PARTLY,
    READ,
    WEIGHTS,
    Checker,
    Support,
    Told,
    entailment,
    glossed,
    looked_up,
    number,
    plainly,
    source,
    told_in,
)
from corpus.chunk import Chunk
from corpus.language import in_norwegian
from corpus.markdown import Unit
from eval.fit import RIGHT, sentences

ELECTED, COMMITTEE, HOLIDAY, TRAINING, SHOES, DEADLINE, ABSENCE, TRIAL = range(1, 9)


def passage(name: str, title: str, heading: str, *units: Unit) -> Chunk:
    return Chunk(f"/{name}#1", f"/{name}", title, (heading,), heading.lower(), units, (1, 9))


def sentence(text: str) -> Unit:
    return Unit("sentence", text, text)


PASSAGES = (
    passage("verneombud", "Verneombud", "Valg", sentence("Verneombudet velges for to år om gangen.")),
    passage(
        "amu",
        "Arbeidsmiljøutvalg",
        "Når kreves AMU?",
        sentence("Virksomheter med minst 30 ansatte skal ha arbeidsmiljøutvalg (arbeidsmiljøloven § 7-1)."),
    ),
    passage(
        "ferie",
        "Ferie",
        "Varsel",
        sentence("Arbeidstaker kan kreve å få vite når ferien blir, senest to måneder før den tar til."),
    ),
    passage(
        "kurs",
        "Opplæring",
        "Kostnader",
        sentence("Arbeidsgiver betaler for opplæringen av verneombudet, og kostnadene kan ikke legges på arbeidstakeren."),
    ),
    passage("konto", "Bokføring", "Verneutstyr", sentence("Kjøp av vernesko føres debet konto 6570 og kredit konto 2400.")),
    passage("frist", "Årsregnskap", "Frister", sentence("Årsregnskapet skal sendes til Regnskapsregisteret innen 31. juli.")),
    passage(
        "fravær",
        "Sykefravær",
        "Egenmelding",
        sentence("En arbeidstaker kan bruke egenmelding i inntil tre kalenderdager om gangen."),
    ),
    passage("prøve", "Ansettelse", "Prøvetid", sentence("Prøvetiden kan ikke være lenger enn seks måneder.")),
)


@pytest.fixture(scope="module")
def checker(assistant: Assistant) -> Checker:
    return Checker(assistant.index.embedder, assistant.index.lexical)


def judged(checker: Checker, text: str, *cited: int, language: str = "nb") -> Support:
    return checker.check(text, language, PASSAGES, cited)


def said(text: str, language: str = "nb") -> Told:
    return told_in(tuple(in_norwegian(text, language)))


def test_word_by_word_no_negation_and_no_exception_is_lost() -> None:
    assert glossed([("du",), ("skal", "ikke"), ("gjøre", "lage"), ("det",)]) == "du skal ikke gjøre det"
    assert glossed(in_norwegian("cannot, mustn't, unless, no cost", "en")) == "kan ikke må ikke med mindre ingen kostnad"
    assert glossed(in_norwegian("negalima, negali", "lt")) == "ikke tillatt kan ikke"


FAULTS = [
    # another figure
    (ELECTED, "Et verneombud velges for to år.", "Et verneombud velges for fire år."),
    (ELECTED, "Et verneombud velges for to år.", "Et verneombud velges for 4 år."),
    (COMMITTEE, "Med minst 30 ansatte skal dere ha arbeidsmiljøutvalg.", "Med minst 50 ansatte skal dere ha arbeidsmiljøutvalg."),
    (TRIAL, "Prøvetid kan ikke være lenger enn seks måneder.", "Prøvetid kan ikke være lenger enn 12 måneder."),
    # another unit
    (ELECTED, "Et verneombud velges for to år.", "Et verneombud velges for to uker."),
    (ELECTED, "Et verneombud velges for to år.", "Et verneombud velges for to måneder."),
    (ELECTED, "Et verneombud velges for 2 år.", "Et verneombud velges for 2 uker."),
    (HOLIDAY, "Krev å få vite om ferien senest to måneder før.", "Krev å få vite om ferien senest to uker før."),
    (TRIAL, "Prøvetid kan ikke være lenger enn seks måneder.", "Prøvetid kan ikke være lenger enn seks uker."),
    # another comparison
    (COMMITTEE, "Med minst 30 ansatte skal dere ha arbeidsmiljøutvalg.", "Med høyst 30 ansatte skal dere ha arbeidsmiljøutvalg."),
    (ABSENCE, "Egenmelding kan brukes i inntil tre kalenderdager.", "Egenmelding kan brukes i minst tre kalenderdager."),
    (
        DEADLINE,
        "Årsregnskap sendes Regnskapsregisteret innen 31. juli.",
        "Årsregnskap sendes Regnskapsregisteret etter 31. juli.",
    ),
    # a negation less or more
    (TRAINING, "Kostnadene kan ikke legges på arbeidstakeren.", "Kostnadene kan legges på arbeidstakeren."),
    (TRIAL, "Prøvetid kan ikke være lenger enn seks måneder.", "Prøvetid kan være lenger enn seks måneder."),
    (ELECTED, "Et verneombud velges for to år.", "Et verneombud velges ikke for to år."),
    (
        COMMITTEE,
        "Med minst 30 ansatte skal dere ha arbeidsmiljøutvalg.",
        "Med minst 30 ansatte trenger dere ikke arbeidsmiljøutvalg.",
    ),
    # an invented paragraph or law
    (
        COMMITTEE,
        "Med minst 30 ansatte skal dere ha arbeidsmiljøutvalg (arbeidsmiljøloven § 7-1).",
        "Med minst 30 ansatte skal dere ha arbeidsmiljøutvalg (arbeidsmiljøloven § 7-9).",
    ),
    (
        COMMITTEE,
        "Med minst 30 ansatte skal dere ha arbeidsmiljøutvalg (arbeidsmiljøloven § 7-1).",
        "Med minst 30 ansatte skal dere ha arbeidsmiljøutvalg (ferieloven § 7-1).",
    ),
    (ELECTED, "Et verneombud velges for to år.", "Et verneombud velges for to år (arbeidsmiljøloven § 6-9)."),
    # another month
    (
        DEADLINE,
        "Årsregnskap sendes Regnskapsregisteret innen 31. juli.",
        "Årsregnskap sendes Regnskapsregisteret innen 31. august.",
    ),
    # another side, another account
    (SHOES, "Vernesko føres debet konto 6570 og kredit konto 2400.", "Vernesko føres kredit konto 6570 og debet konto 2400."),
    (SHOES, "Vernesko føres debet konto 6570 og kredit konto 2400.", "Vernesko føres debet konto 6860 og kredit konto 2400."),
    # another actor
    (
        TRAINING,
        "Arbeidsgiver betaler opplæringen av verneombudet; kostnadene kan ikke legges på arbeidstakeren.",
        "Kommunen betaler opplæringen av verneombudet; kostnadene kan ikke legges på arbeidstakeren.",
    ),
    (DEADLINE, "Årsregnskap sendes Regnskapsregisteret innen 31. juli.", "Årsregnskap sendes Arbeidstilsynet innen 31. juli."),
]


@pytest.mark.parametrize(("cited", "right", "wrong"), FAULTS)
def test_what_is_changed_in_a_right_sentence_scores_lower(checker: Checker, cited: int, right: str, wrong: str) -> None:
    stands = judged(checker, right, cited)
    assert stands.verdict != "ikke funnet"
    assert judged(checker, wrong, cited).score < stands.score


def test_most_of_what_is_changed_is_left_out(checker: Checker) -> None:
    verdicts = [judged(checker, wrong, cited).verdict for cited, _, wrong in FAULTS]
    assert verdicts.count("ikke funnet") >= 0.85 * len(FAULTS)


@pytest.mark.parametrize("cited", [COMMITTEE, HOLIDAY, SHOES, ABSENCE])
def test_a_right_sentence_with_a_passage_that_does_not_say_it_is_left_out(checker: Checker, cited: int) -> None:
    wrong, right = (judged(checker, "Et verneombud velges for to år.", number) for number in (cited, ELECTED))
    assert wrong.score < right.score
    assert (wrong.verdict, right.verdict) == ("ikke funnet", "støttet")


@pytest.mark.parametrize(
    ("cited", "language", "text"),
    [
        # in other words
        (ELECTED, "nb", "Valgperioden for verneombudet er to år."),
        (COMMITTEE, "nb", "Virksomheter med 30 eller flere ansatte må ha AMU (arbeidsmiljøloven § 7-1)."),
        (COMMITTEE, "nb", "AMU er påkrevd når virksomheten har 30 ansatte eller flere."),
        (HOLIDAY, "nb", "Du kan kreve å få vite om ferien minst to måneder før den begynner."),
        (SHOES, "nb", "Debiter konto 6570 og krediter konto 2400 når du kjøper vernesko."),
        (SHOES, "nb", "Vernesko føres i debet på konto 6570 og i kredit på konto 2400."),
        (DEADLINE, "nb", "Fristen for å sende årsregnskapet til Regnskapsregisteret er 31. juli."),
        # digits for words, and words for digits
        (ELECTED, "nb", "Verneombudet velges for 2 år av gangen."),
        (HOLIDAY, "nb", "Du kan kreve å få vite om ferien senest 2 måneder før den begynner."),
        (ABSENCE, "nb", "Egenmelding kan brukes i høyst 3 kalenderdager om gangen."),
        (TRIAL, "nb", "Prøvetiden kan ikke være lenger enn 6 måneder."),
        (COMMITTEE, "nb", "Har dere minst tretti ansatte, må dere ha arbeidsmiljøutvalg."),
        # in other languages
        (ELECTED, "nn", "Verneombodet blir valt for to år om gongen."),
        (ELECTED, "en", "The safety representative is elected for two years at a time."),
        (ELECTED, "pl", "Społeczny inspektor pracy (verneombud) jest wybierany na dwa lata."),
        (ELECTED, "lt", "Saugos atstovas (verneombud) renkamas dvejiems metams."),
        (ELECTED, "uk", "Уповноваженого з охорони праці (verneombud) обирають на два роки."),
        (COMMITTEE, "nn", "Verksemder med minst 30 tilsette skal ha arbeidsmiljøutval."),
        (COMMITTEE, "en", "Companies with at least 30 employees must have a working environment committee (AMU)."),
        (COMMITTEE, "pl", "Firmy zatrudniające co najmniej 30 pracowników muszą mieć komitet środowiska pracy (AMU)."),
        (COMMITTEE, "lt", "Įmonės, kuriose dirba ne mažiau kaip 30 darbuotojų, privalo turėti darbo aplinkos komitetą (AMU)."),
        (COMMITTEE, "uk", "Підприємства, де працює щонайменше 30 працівників, повинні мати комітет з робочого середовища (AMU)."),
        (
            TRAINING,
            "nn",
            "Arbeidsgjevar betaler for opplæringa av verneombodet; kostnadene kan ikkje leggjast på arbeidstakaren.",
        ),
        (TRAINING, "en", "The employer pays for training the safety representative; the costs cannot be put on the employee."),
        (TRAINING, "pl", "Pracodawca płaci za szkolenie inspektora pracy i nie może obciążyć kosztami pracownika."),
        (TRAINING, "lt", "Darbdavys moka už saugos atstovo mokymą, ir išlaidų negalima perkelti darbuotojui."),
        (TRAINING, "uk", "Роботодавець оплачує навчання уповноваженого, і витрати не можна перекласти на працівника."),
        (SHOES, "nn", "Kjøp av vernesko blir ført debet konto 6570 og kredit konto 2400."),
        (SHOES, "en", "Safety shoes are debited to account 6570 and credited to account 2400."),
        (SHOES, "pl", "Zakup butów ochronnych księguje się w debet na koncie 6570 i w kredyt na koncie 2400."),
        (SHOES, "lt", "Apsauginių batų pirkimas registruojamas debetu 6570 sąskaitoje ir kreditu 2400 sąskaitoje."),
        (SHOES, "uk", "Купівлю захисного взуття проводять за дебетом рахунку 6570 і кредитом рахунку 2400."),
        (TRIAL, "nn", "Prøvetida kan ikkje vere lenger enn seks månader."),
        (TRIAL, "en", "The trial period cannot be longer than six months."),
        (TRIAL, "pl", "Okres próbny nie może być dłuższy niż sześć miesięcy."),
        (TRIAL, "lt", "Bandomasis laikotarpis negali būti ilgesnis nei šeši mėnesiai."),
        (TRIAL, "uk", "Випробувальний термін не може бути довшим за шість місяців."),
    ],
)
def test_what_is_right_stands_in_other_words_and_other_languages(checker: Checker, cited: int, language: str, text: str) -> None:
    assert judged(checker, text, cited, language=language).verdict != "ikke funnet"


@pytest.mark.parametrize(
    "text", ["Hei, så hyggelig at du spør om dette.", "Håper dette hjelper.", "I hope this helps you.", "HACKET.", ""]
)
def test_what_claims_nothing_is_left_out(checker: Checker, text: str) -> None:
    assert {judged(checker, text, number, language="en" if "help" in text else "nb").verdict for number in (ELECTED, SHOES)} == {
        "ikke funnet"
    }


def test_what_is_copied_stands_whatever_speaks_against_it(checker: Checker) -> None:
    copied = judged(checker, "verneombudet velges  for to år om gangen", ELECTED)
    assert (copied.score, copied.verdict) == (math.inf, "støttet")
    assert judged(checker, "Verneombudet velges for to år om gangen.", ABSENCE).verdict == "ikke funnet"


def test_of_each_cited_passage_the_unit_that_bears_the_sentence_best_is_named(checker: Checker) -> None:
    own = [sentence("Kurset varer i 40 timer."), sentence("Verneombudet velges for to år om gangen.")]
    two = (passage("en", "Verneombud", "Valg", *own), PASSAGES[COMMITTEE - 1])
    found = checker.check("Et verneombud velges for to år.", "nb", two, [1, 2])
    assert found.units == {1: own[1], 2: two[1].units[0]}


def test_a_row_of_a_table_has_its_sides_by_its_columns(checker: Checker) -> None:
    rows = [Unit("row", text, text, "", ("Konto", "Debet", "Kredit")) for text in ("6570 | 1 000 | ", "2400 |  | 1 000")]
    table = (passage("bilag", "Bokføring", "Kjøp av vernesko", *rows),)
    right, wrong = (
        checker.check(text, "nb", table, [1]).score
        for text in ("Vernesko: debet 6570 og kredit 2400.", "Vernesko: kredit 6570 og debet 2400.")
    )
    assert wrong < right


def test_every_weight_has_its_evidence(checker: Checker) -> None:
    evidence, best = checker.evidence("Et verneombud velges for to år.", "nb", PASSAGES, [ELECTED])
    assert evidence.keys() == WEIGHTS.keys()
    assert best == {ELECTED: PASSAGES[0].units[0]}
    assert evidence["behind"] == 0.0 and checker.evidence("Verneombud i to år.", "nb", PASSAGES, [TRIAL])[0]["behind"] < 0


@pytest.mark.parametrize(
    ("cited", "text", "found"),
    [
        (TRIAL, "Prøvetiden er høyst 12 måneder.", {"missing_figures": 1.0}),
        (TRIAL, "Prøvetiden er høyst 6 måneder.", {"missing_figures": 0.0}),
        (COMMITTEE, "AMU kreves fra 30 ansatte (arbeidsmiljøloven § 7-1).", {"missing_paragraphs": 0.0, "other_paragraph": 0.0}),
        (COMMITTEE, "AMU kreves fra 30 ansatte (arbeidsmiljøloven § 9-2).", {"missing_paragraphs": 1.0, "other_paragraph": 1.0}),
        (SHOES, "Vernesko: debet 6570, kredit 2400.", {"other_side": 0.0}),
        (SHOES, "Vernesko: kredit 6570, debet 2400.", {"other_side": 2.0}),
    ],
)
def test_what_can_be_looked_up_is_looked_up(checker: Checker, cited: int, text: str, found: dict[str, float]) -> None:
    assert checker.evidence(text, "nb", PASSAGES, [cited])[0].items() >= found.items()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Fem eller flere ansatte", "minst 5 ansatte"),
        ("30 ansatte eller fleire", "minst 30 ansatte "),
        ("ikke mindre enn to uker", "minst 2 uker"),
        ("ikkje meir enn 9 timar", "høyst 9 timar"),
        ("inntil tre kalenderdager", "høyst 3 kalenderdager"),
        ("Minst to, høyst 16 dager", "Minst 2, høyst 16 dager"),
        ("færre enn ti og mer enn 1 000", "færre enn 10 og mer enn 1 000"),
        ("den andre av første ledd", "den andre av første ledd"),
        ("AMU og BHT", "arbeidsmiljøutvalg og bedriftshelsetjeneste"),
    ],
)
def test_numbers_and_bounds_are_read_as_told_in_one_way(text: str, plain: str) -> None:
    assert plainly(text).split() == plain.split()


def test_a_sentence_and_a_passage_of_any_length_are_read() -> None:
    """A piece a letter: both are cut to what the model can take."""
    long = passage("lang", "Lang", "Side", sentence("§" * 9 * LONGEST))
    assert all(math.isfinite(entailment().read(text, source([long]))) for text in ("", "Æ" * 9 * LONGEST, "Kort."))


@pytest.mark.parametrize(
    ("score", "verdict"), [(FOUND, "støttet"), (FOUND - 0.01, "delvis"), (PARTLY, "delvis"), (PARTLY - 0.01, "ikke funnet")]
)
def test_a_verdict_is_told_by_two_bounds(score: float, verdict: str) -> None:
    assert Support(score, {}).verdict == verdict


def test_most_faults_are_found_and_most_right_sentences_stand(assistant: Assistant) -> None:
    """On answers that nothing was fitted on."""
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for row, evidence, read in sentences(assistant.index, "kept"):
        scores[row["label"]].append(READ * read + looked_up(evidence))

    def left_out(*labels: str) -> float:
        told = [score < PARTLY for label in labels for score in scores[label]]
        return sum(told) / len(told)

    assert left_out("figure", "threshold", "negation", "law", "marker") >= 0.78
    assert left_out(*(scores.keys() - set(RIGHT))) >= 0.68
    assert 1 - left_out(*RIGHT) >= 0.86


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30", 30.0),
        ("14,1", 14.1),
        ("3.14", 3.14),
        ("1.500", 1500.0),
        ("1,500", 1500.0),
        ("20 000", 20_000.0),
        ("1\u00a0000\u202f000", 1_000_000.0),
        ("20 000,50", 20_000.5),
        ("31.", 31.0),
        ("7-1", None),
        ("ti", None),
        ("", None),
    ],
)
def test_a_number_is_read_as_it_is_written_in_norway_and_elsewhere(text: str, value: float | None) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    ("text", "language", "figures"),
    [
        ("14,1 prosent", "nb", {14.1: True}),
        ("seks måneder og 6 uker", "nb", {6: True}),
        ("to av første ledd", "nb", {2: False}),
        ("2 år", "nb", {2: True}),
        ("§ 7-1 og 1.500 kr", "nb", {1500: True}),
        ("dwa lata, 30 pracowników", "pl", {2: False, 30: True}),
        ("tredve tilsette", "nn", {30: True}),
    ],
)
def test_figures_are_those_that_are_said_for_their_own_sake(text: str, language: str, figures: dict[float, bool]) -> None:
    assert said(text, language).figures == figures
