"""Holding sentences against passages: what is right stands, and what is changed in it is told from it."""

import math
from collections import defaultdict

import pytest

from assistant.chat import Assistant
from assistant.support import BASE, FOUND, PARTLY, Checker, Figure, Support, Told, number, tables, told_in
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


def figure(text: str, language: str = "nb") -> Figure:
    (found,) = (each for each in said(text, language).figures if each.sure)
    return found


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
    assert evidence.keys() == tables()["weights"].keys()
    assert best == {ELECTED: PASSAGES[0].units[0]}
    assert evidence["behind"] == 0.0 and checker.evidence("Verneombud i to år.", "nb", PASSAGES, [TRIAL])[0]["behind"] < 0


@pytest.mark.parametrize(
    ("score", "verdict"), [(FOUND, "støttet"), (FOUND - 0.01, "delvis"), (PARTLY, "delvis"), (PARTLY - 0.01, "ikke funnet")]
)
def test_a_verdict_is_told_by_two_bounds(score: float, verdict: str) -> None:
    assert Support(score, {}).verdict == verdict


def test_most_faults_are_found_and_most_right_sentences_stand(assistant: Assistant) -> None:
    """On answers that nothing was fitted on."""
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for row, _, evidence in sentences(assistant.index, "kept"):
        scores[row["label"]].append(BASE + sum(weight * evidence[name] for name, weight in tables()["weights"].items()))

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
    ("text", "value", "unit"),
    [
        ("14,1 prosent", 14.1, "percent"),
        ("14,1 %", 14.1, "percent"),
        ("seks måneder", 6, "month"),
        ("seks månader", 6, "month"),
        ("40 timers uke", 40, "hour"),
        ("30 fast ansatte", 30, "people"),
        ("1.500 kr", 1500, "kroner"),
        ("6 G", 6, "basic amount"),
        ("31. juli", 31, "juli"),
        ("konto 6570", 6570, ""),
    ],
)
def test_a_figure_is_told_with_what_it_counts(text: str, value: float, unit: str) -> None:
    assert (figure(text).value, figure(text).unit) == (value, unit)


@pytest.mark.parametrize(
    ("text", "language", "compared"),
    [
        ("minst 30 ansatte", "nb", {"at least"}),
        ("ikke mindre enn 30 ansatte", "nb", {"at least"}),
        ("30 eller flere ansatte", "nb", {"at least"}),
        ("30 ansatte eller flere", "nb", {"at least"}),
        ("høyst 30 ansatte", "nb", {"at most"}),
        ("ikke mer enn 30 ansatte", "nb", {"at most"}),
        ("30 ansatte eller færre", "nb", {"at most"}),
        ("mer enn 30 ansatte", "nb", {"above"}),
        ("færre enn 30 ansatte", "nb", {"below"}),
        ("innen 30 dager", "nb", {"before"}),
        ("tidligst 30 dager", "nb", {"after"}),
        ("fra 30. juni", "nb", {"from"}),
        ("30 ansatte", "nb", set()),
        ("at least 30 employees", "en", {"at least"}),
        ("no more than 30 employees", "en", {"at most"}),
        ("co najmniej 30 pracowników", "pl", {"at least"}),
        ("ne mažiau kaip 30 darbuotojų", "lt", {"at least"}),
        ("не більше 30 працівників", "uk", {"at most"}),
    ],
)
def test_a_figure_is_told_with_what_it_is_compared_as(text: str, language: str, compared: set[str]) -> None:
    assert figure(text, language).compared == compared


def test_a_comparison_is_of_its_own_figure() -> None:
    found = said("Minst 30 ansatte og høyst 8 timer, innen 31. juli.").figures
    assert [each.compared for each in found] == [{"at least"}, {"at most"}, {"before"}]


def test_one_and_two_as_words_bear_a_digit_but_claim_nothing() -> None:
    assert [(each.value, each.unit, each.sure) for each in said("i to år").figures] == [(2, "year", False)]
    assert [(each.value, each.unit, each.sure) for each in said("i 2 år").figures] == [(2, "year", True)]
    assert [(each.value, each.sure) for each in said("en måned").figures] == [(1, False)]
    assert said("et krav").figures == ()


def test_a_paragraph_is_no_figure() -> None:
    told = said("etter arbeidsmiljøloven § 14-9 og § 3-3c")
    assert told.figures == () and told.paragraphs == {"14-9", "3-3c"}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("debet 6570, kredit 2400", "nb"),
        ("Debet: 6570 Kredit: 2400", "nb"),
        ("debet på konto 6570 og kredit på konto 2400", "nb"),
        ("konto 6570 debiteres og 2400 krediteres", "nb"),
        ("6570 (debet) mot 2400 (kredit)", "nb"),
        ("krediter 2400 og debiter 6570", "nb"),
        ("debited to account 6570 and credited to account 2400", "en"),
        ("w debet konta 6570 i w kredyt konta 2400", "pl"),
    ],
)
def test_an_account_has_the_side_that_stands_nearest(text: str, language: str) -> None:
    assert said(text, language).sides == {"6570": {"d"}, "2400": {"k"}}


def test_amounts_and_hours_are_no_accounts() -> None:
    assert said("3000 kroner og 2400 timer").sides == {}
    assert said("konto 3000").sides == {"3000": set()}


def test_months_negations_and_actors_are_told() -> None:
    told = said("Arbeidstilsynet gir ikke fritak uten søknad i mars, og legen skriver under.")
    assert told.months == {"mars"} and told.negations == 2 and len(told.actors) == 2
