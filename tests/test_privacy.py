"""What is somebody's own is taken out, and what only looks like it stays: measured on texts made without a look at the rules."""

import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from assistant import phrases
from assistant.privacy import RULES, Redacted, redact
from assistant.prompts import asked
from assistant.question import LANGUAGES, read
from assistant.reply import private
from assistant.types import Ask, Turn
from tests.conftest import ROOT

FIRST = (
    "Ola Kari Nils Anne-Grete Øystein Åse Siri Bjørn Ahmed Fatima Małgorzata Jonas Thi Ingrid Per-Arne Ragnhild Mehmet Oleksandr"
)
LAST = (
    "Nordmann Hansen Lie Ødegård Kowalski Nguyen Bakke-Olsen Aasland Myklebust Solbakken Haugen Moe Åsheim Petrauskas Dahl Berg"
)
STREETS = (
    "Storgata|Karl Johans gate|Nedre Slottsgate|Bjørkeveien|Gamle Kirkevei|Industrivegen|Elvebakken|Torggata|Solsvingen|Havnegt."
)
TOWNS = "0155 Oslo|5003 Bergen|7010 Trondheim|9008 Tromsø|2317 Hamar"
AROUND = [
    "Hei, {}. Hva gjelder for sykepenger?",
    "Kan dere hjelpe meg? {} Jeg lurer på oppsigelsestid.",
    "{}",
    "vi har en ansatt som spør om feriepenger, {}, hva gjør vi",
    "Hvor mange feriedager har jeg? {}",
    "Eg lurer på eigenmelding ({}) og kor lenge eg kan vere borte",
    "I have a question about overtime. {} Thanks!",
    "Regnskapsføreren ba om dette: {}. Stemmer det?",
    "{} – når får jeg lønn?",
    "lønnen kom ikke i mai 2025 på konto 2930,\n{}\nhva nå?",
]


def person(draw: random.Random, kind: str = "") -> str:
    """A number of a person with both check digits, as the register gives them."""
    while True:
        day, month = draw.randint(1, 28), draw.randint(1, 12)
        start = f"{day + 40 * (kind == 'D'):02}{month + 40 * (kind == 'H'):02}{draw.randint(0, 99):02}{draw.randint(0, 999):03}"
        if kind == "FH":
            start = f"{draw.choice('89')}{draw.randint(0, 10**8 - 1):08}"
        first = -sum(int(a) * b for a, b in zip(start, (3, 7, 6, 1, 8, 9, 4, 5, 2), strict=True)) % 11
        second = -sum(int(a) * b for a, b in zip(start + str(first), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=False)) % 11
        if first < 10 and second < 10:
            return f"{start}{first}{second}"


def account(draw: random.Random) -> str:
    """A bank account with its check digit."""
    while True:
        start = f"{draw.randint(1000, 9999)}{draw.randint(0, 99):02}{draw.randint(0, 9999):04}"
        check = -sum(int(a) * b for a, b in zip(start, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True)) % 11
        if check < 10:
            return f"{start}{check}"


def persons(draw: random.Random) -> str:
    n = person(draw, draw.choice(["", "", "", "D", "D", "H", "FH"]))
    wrong = n[:-1] + str((int(n[-1]) + 1) % 10)
    return draw.choice(
        [
            f"fnr:{n}",
            f"f.nr {n[:6]} {n[6:]}",
            f"fødselsnummeret mitt er {n}",
            n,
            f"{n[:6]}-{n[6:]}",
            f"{n[:2]}.{n[2:4]}.{n[4:6]} {n[6:]}",
            f"personnr. {n[:6]} {n[6:]}",
            f"Fødselsnr: {n[:2]} {n[2:4]} {n[4:6]} {n[6:9]} {n[9:]}",
            f"({n})",
            f"født {n[:6]}\u00a0{n[6:]}",
            f"fodselsnummer {wrong}",
            f"pnr={n}",
            f"d-nummer {n}",
            f"my national id is {n[:6]} {n[6:]}",
            f"{n},",
            f"nr {n}.",
            f"FNR{n}",
            f"personnummer er {n[:6]} {n[6:9]} {n[9:]}",
            f"Kari, {n[:6]}\u202f{n[6:]}",
        ]
    )


def accounts(draw: random.Random) -> str:
    n = account(draw)
    iban = f"{98 - int(n + '232400') % 97:02}"
    return draw.choice(
        [
            f"{n[:4]}.{n[4:6]}.{n[6:]}",
            f"{n[:4]} {n[4:6]} {n[6:]}",
            n,
            f"kontonr {n}",
            f"kontonummer: {n[:4]} {n[4:6]} {n[6:]}",
            f"NO{iban} {n[:4]} {n[4:8]} {n[8:]}",
            f"NO{iban}{n}",
            f"IBAN no{iban}{n}",
            f"lønnskontoen min er {n[:4]}.{n[4:6]}.{n[6:]}",
            f"{n[:4]}-{n[4:6]}-{n[6:]}",
            f"til {n[:4]}\u00a0{n[4:6]}\u00a0{n[6:]}",
            f"bankkonto {n[:4]} {n[4:]}",
        ]
    )


def telephones(draw: random.Random) -> str:
    n = draw.choice("49") + "".join(draw.choice("123456789") for _ in range(7))
    home = draw.choice("2567") + "".join(draw.choice("123456789") for _ in range(7))
    pairs, three = f"{home[:2]} {home[2:4]} {home[4:6]} {home[6:]}", f"{n[:3]} {n[3:5]} {n[5:]}"
    return draw.choice(
        [
            f"tlf. {pairs}",
            f"tlf {home}",
            f"+47 {three}",
            f"+47{n}",
            f"0047{n}",
            f"(+47) {pairs}",
            n,
            pairs,
            three,
            f"mob: {three}",
            f"ring meg på {n}",
            f"telefon {three}",
            f"mobilnr {n[:4]} {n[4:]}",
            f"nummeret mitt er {pairs}",
            f"Tel: +47-{n}",
            f"send sms til {n}",
            f"{n[:3]}-{n[3:5]}-{n[5:]}",
            f"0047 {n[:2]} {n[2:4]} {n[4:6]} {n[6:]}",
            f"vipps {n}",
            f"{n[:2]}.{n[2:4]}.{n[4:6]}.{n[6:]}",
            f"nås på {home}",
            f"my phone number is {n}",
            f"+48 {n[:3]} {n[3:6]} {n[5:]}1",
            f"+370 {n[:3]} {n[3:]}",
            f"47 {three}",
            f"ring {n[:3]} {n[3:6]} {n[6:]}",
        ]
    )


def mails(draw: random.Random) -> str:
    first, last = (
        draw.choice(["ola", "kari.anne", "n_hansen", "post", "øystein"]),
        draw.choice(["nordmann", "lie91", "x-y", "berg"]),
    )
    host = draw.choice(["firma.no", "mail.example.com", "gmail.com", "blåbær.no", "kommune.oslo.no"])
    return draw.choice(
        [
            f"{first}.{last}@{host}",
            f"e-post: {first}{last}@{host}",
            f"mailto:{first}@{host}",
            f"{first}(at){host}",
            f"{first}.{last} @ {host}",
            f"{first}[at]{host.replace('.', '[dot]')}",
            f"{first} krøllalfa {host}",
            f"<{first}+hms@{host}>",
            f"{first.upper()}@{host.upper()}",
            f"{first} at firma dot no",
            f"svar til {first}.{last}@{host}, takk",
            f"{first}.{last}(a){host}",
        ]
    )


def names(draw: random.Random) -> str:
    first, last = draw.choice(FIRST.split()), draw.choice(LAST.split())
    return draw.choice(
        [
            f"jeg heter {first} {last}",
            f"Jeg heter {first} og jobber i Moss",
            f"mitt navn er {first} {last}",
            f"Eg heiter {first} {last}",
            f"My name is {first} {last}",
            f"jeg er {first} {last}",
            f"jeg heter {first.lower()} {last.lower()}",
            f"navnet mitt er {first} {last}",
            f"Namnet mitt er {first}",
            f"Jeg heter {first} K. {last}",
            f"I'm {first} {last}",
            f"æ heite {first} {last}",
            f"Nazywam się {first} {last}",
            f"Mitt fulle navn er {first} {draw.choice(LAST.split())} {last}",
            f"sjefen min heter {first} {last}",
            f"Navn: {first} {last}",
        ]
    )


def streets(draw: random.Random) -> str:
    street, number, town = draw.choice(STREETS.split("|")), draw.randint(1, 120), draw.choice(TOWNS.split("|"))
    return draw.choice(
        [
            f"jeg bor i {street} {number}",
            f"Jeg bor på {street} {number}B, {town}",
            f"adressen min er {street} {number}",
            f"eg bur i {street} {number} a",
            f"adresse: {street} {number}, {town}",
            f"I live at {street} {number}, {town}",
        ]
    )


MADE: dict[str, Callable[[random.Random], str]] = {
    "persons": persons,
    "accounts": accounts,
    "telephones": telephones,
    "mails": mails,
    "names": names,
    "streets": streets,
}
SAYING = set(
    """fnr f nr fødselsnummeret mitt er personnr fødselsnr født fodselsnummer pnr d nummer my national id is personnummer kari
    kontonr kontonummer no iban lønnskontoen min til bankkonto tlf mob ring meg på telefon mobilnr nummeret tel send sms vipps nås
    phone number e post mailto krøllalfa at dot svar takk jeg heter og jobber i moss navn eg heiter name navnet namnet i'm æ heite
    nazywam się fulle sjefen bor adressen bur adresse live hms a oslo""".split()
)


def left(own: str, text: str) -> list[str]:
    """The words and figures of what is somebody's own that still stand in a text."""
    parts = [part.lower() for part in re.findall(r"[^\W\d_][\w'’]*|\d+", own)]
    digits = "".join(re.findall(r"\d", own))
    found = [part for part in parts if part not in SAYING and re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text.lower())]
    return found + [digits[at : at + 5] for at in range(len(digits) - 4) if digits[at : at + 5] in re.sub(r"\D", "", text)]


def test_of_500_texts_with_something_of_ones_own_it_is_found_in_99_of_100() -> None:
    draw, missed = random.Random(20260101), []
    for number in range(500):
        own = list(MADE.values())[number % len(MADE)](draw)
        around = draw.choice(AROUND)
        whole = around.format(own)
        found = redact(whole)
        if not found.kinds or left(own, found.text.replace("2025", "").replace("2930", "")):
            missed.append(f"{whole!r} → {found.text!r}")
    assert len(missed) <= 5, "\n".join(missed)


def written() -> list[str]:
    """Questions of the question files that have figures in them."""
    lines = [
        line for file in sorted((ROOT / "eval" / "questions").glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()
    ]
    questions = [json.loads(line) for line in lines]
    own = ("personal_data", "injection")  # these hold what must be found
    return [
        each["question"]
        for each in questions
        if re.search(r"\d|§|konto", each.get("question", ""))
        and each.get("type") not in own
        and not each.get("id", "").startswith("x")
    ]


def orgnr(draw: random.Random) -> str:
    while True:
        start = f"{draw.choice('89')}{draw.randint(0, 10**7 - 1):07}"
        check = -sum(int(a) * b for a, b in zip(start, (3, 2, 7, 6, 5, 4, 3, 2), strict=True)) % 11
        if check < 10:
            return f"{start}{check}"


def ordinary(draw: random.Random) -> str:
    """A question with figures that are nobody's own."""
    o, sum8, k = orgnr(draw), draw.randint(10_000_000, 99_999_999), [draw.randint(1000, 8999) for _ in range(4)]
    spaced, year, law = f"{sum8:,}".replace(",", " "), draw.randint(1990, 2027), draw.randint(1, 20)
    return draw.choice(
        [
            f"Skal org.nr {o[:3]} {o[3:6]} {o[6:]} stå på fakturaen?",
            f"Hva betyr NO{o}MVA?",
            f"Firmaet vårt ({o}) skal levere årsregnskap for {year}",
            f"Vi omsatte for {spaced} kroner i {year}, må vi ha revisor?",
            f"Omsetningen var {sum8} kr, hva da?",
            f"kr {spaced},50 i banken, hvor føres det",
            f"Balansesum på {sum8}, er vi store?",
            f"Hører {k[0]} {k[1]} {k[2]} {k[3]} til driftskostnader?",
            f"konto {k[0]}, {k[1]} og {k[2]}?",
            f"Hva er forskjellen på konto {k[0]} og {k[1]}?",
            f"Føres telefon på konto {k[0]} eller 6900?",
            f"Gjelder § {law}-{law + 2} fra 01.01.{year}?",
            f"Hva sier LOV-2005-06-17-62 § {law}-1?",
            f"FOR-1996-12-06-1127 § {law}, hva krever den?",
            f"Fristen er {draw.randint(10, 28)}.12.{year}, eller?",
            f"Faktura {sum8} er ikke betalt, når er den foreldet?",
            f"Bilag {draw.randint(10_000, 99_999)} mangler, hva gjør vi?",
            f"Er satsen {law},5 % eller {law + 1} prosent?",
            f"ISO 45001:{year} eller NS 4102?",
            f"Vi har {law} ansatte og {draw.randint(2, 60) * 1000} timer",
            f"{year}{draw.randint(10, 12)}{draw.randint(10, 28)}, er det rett datoformat?",
            f"Kjøpte maskin til {spaced} i {year}, avskrivning?",
            f"Lønn {draw.randint(300, 900)} 000 i året, feriepenger?",
            f"Hvor mye er {law} G når G er {draw.randint(100, 140)} {draw.randint(100, 999)}?",
            f"Egenkapital {-sum8}, styreplikt?",
            f"Vi betalte {spaced} NOK i mva i {law}. termin",
            f"Åpningstid 08-16 fra {law}. mai {year} til 31. desember {year + 1}?",
            f"Jeg er daglig leder i et AS med {law} ansatte",
            f"Jeg er HMS-ansvarlig, hva gjør jeg i {year}?",
            f"Hva heter skjemaet RF-{draw.randint(1000, 1400)}?",
            f"Jeg er verneombud og heter det «{law} timer»?",
            f"Prosjekt {sum8} er ferdig, inntektsføring?",
            f"Bor vi i sone {draw.randint(1, 5)} for arbeidsgiveravgift?",
            f"Er 10 000 000 {year} grensen?",
            f"KID {draw.randint(10**9, 10**10)} – hva er det?",
            f"Kontoklasse {k[0] // 1000}: {k[0]} {k[1]}",
            f"nr. {law} i listen fra {year}",
        ]
    )


def test_of_500_ordinary_questions_with_figures_one_in_a_hundred_at_most_is_touched() -> None:
    draw = random.Random(20260102)
    real = draw.sample(written(), 250)
    texts = real + [ordinary(draw) for _ in range(250)]
    touched = [f"{text!r} → {redact(text).text!r}" for text in texts if redact(text).kinds]
    assert len(touched) <= 5, "\n".join(touched)


def test_a_redacted_text_stays_as_it_is() -> None:
    draw = random.Random(3)
    for number in range(100):
        once = redact(draw.choice(AROUND).format(list(MADE.values())[number % len(MADE)](draw))).text
        assert redact(once) == Redacted(once)


@pytest.mark.parametrize(
    "piece", ["1 ", "12345678 ", "a.", "a", "jeg heter ", "bor i ", "konto ", "tlf ", "Ola ", "+1 ", ".", "@", "9 9-"]
)
def test_no_text_takes_long(piece: str) -> None:
    short, long = piece * (2_000 // len(piece)), piece * (20_000 // len(piece))
    times = []
    for text in (short, long):
        begun = time.process_time()
        redact(text)
        times.append(time.process_time() - begun)
    assert times[0] < 0.1 and times[1] < 30 * times[0] + 0.1  # seconds; ten times the text


def test_the_question_and_what_was_said_before_are_read_and_told_without_it() -> None:
    history = (Turn("user", "Jeg heter Kari Nordmann, hva er AMU?"), Turn("assistant", "Ring 22 33 44 55."))
    question = read(Ask("og hvem er med? Fnr 15108695088, kari@firma.no", history))
    assert question.text == "og hvem er med? Fnr [fødselsnummer], [e-post]"
    assert question.private == ("e-post", "fødselsnummer")
    told = asked("Mobilen min er 912 34 567", history)
    for whole in (question.search, question.before, told):
        assert not re.search(r"Nordmann|kari@|\d{3}", whole)
    assert "[" not in question.search  # "[navn]" would be searched for as a word
    assert (question.kind, question.language) == ("search", "nb")


@pytest.mark.parametrize("language", LANGUAGES)
def test_whoever_asks_is_told_in_the_language_of_the_question(language: str) -> None:
    question = replace(read(Ask("Jeg heter Kari Nordmann, fnr 55108695087, 1234.56.78903")), language=language)
    (notice,) = private(question)
    assert notice.kind == "privacy" and notice.message.endswith(".")
    assert all(phrases.PRIVATE[kind][language] in notice.message for kind in question.private)
    assert private(replace(question, private=())) == ()


def test_every_kind_has_its_name_in_every_language() -> None:
    assert set(phrases.PRIVATE) == {rule.kind for rule in RULES} | {"D-nummer"}
    assert all(set(names) == set(LANGUAGES) for names in phrases.PRIVATE.values())


def test_language_and_danger_are_read_from_all_that_was_written() -> None:
    assert read(Ask("Mam na imię Małgorzata Nowak. Czy mogę wypowiedzieć umowę o pracę?")).language == "pl"
    assert read(Ask("Kollegaen min fikk strøm i seg, ring meg på 912 34 567!!")).kind == "acute"
