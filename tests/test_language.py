"""The tokenizer: what must meet meets, and what must stay apart stays apart."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.language import LISTS, Analyzer, everyday, in_bokmaal, in_norwegian, listed, split, vocabulary, words

NONE = Analyzer({})


def test_inflections_of_a_word_meet() -> None:
    assert NONE.terms("verneombud")[0] == NONE.terms("Verneombudet")[0] == NONE.terms("verneombudene")[0]


def test_a_law_keeps_its_name_beside_the_stem() -> None:
    assert "aksjelov" in NONE.terms("aksjeloven")
    assert "aksjelov" not in NONE.terms("aksje")
    assert set(NONE.terms("arbeidsmiljøloven")) & set(NONE.terms("arbeidsmiljølova"))


@pytest.mark.parametrize("written", ["§ 3-1", "§3-1", "§\u00a03-1", "§§ 3-1"])
def test_a_paragraph_reference_is_one_term(written: str) -> None:
    assert NONE.terms(written) == ["§3-1"]


def test_letters_belong_to_a_paragraph_only_when_they_are_its_own() -> None:
    assert list(words("§ 3-1 i loven, § 14 A, § 2 A-1 og § 3-3c")) == ["§3-1", "i", "loven", "§14a", "§2a-1", "og", "§3-3c"]


def test_account_numbers_and_amounts_are_terms() -> None:
    assert NONE.terms("konto 6550 og 1.500") == ["konto", "6550", "1.500"]


def test_stop_words_carry_nothing() -> None:
    assert NONE.terms("hva er det som er med en") == []


def test_nynorsk_meets_bokmaal() -> None:
    assert NONE.terms("arbeidsgjevar rekneskap") == NONE.terms("arbeidsgiver regnskap")
    assert NONE.terms("verneombodet arbeidsmiljøutval sjukepengar") == NONE.terms("verneombudet arbeidsmiljøutvalg sykepenger")
    assert NONE.terms("bedriftshelsetenesta") == NONE.terms("bedriftshelsetjenesten")


def test_a_hyphenated_word_is_found_joined_and_apart() -> None:
    assert set(NONE.terms("a-melding")) & set(NONE.terms("amelding"))
    assert set(NONE.terms("HMS-arbeid")) >= set(NONE.terms("HMS arbeid"))


def test_compounds_are_split_by_the_vocabulary_of_the_articles() -> None:
    known = {"forsikring": 9, "yrkesskade": 5, "regnskap": 7, "fører": 3}
    assert split("yrkesskadeforsikring", known) == ("yrkesskade", "forsikring")
    assert split("regnskapsfører", known) == ("regnskap", "fører")
    assert split("forsikring", known) is None
    assert set(Analyzer(known).terms("yrkesskadeforsikring")) >= set(Analyzer(known).terms("yrkesskade"))


def test_vocabulary_counts_texts_not_occurrences() -> None:
    assert vocabulary({"konto": 2, "faktura": 1, "ikke": 9, "2024": 3, "mva": 4}) == {"konto": 2}


def test_words_of_hostile_text_come_quickly() -> None:
    assert len(list(words("-" * 100_000 + "a-" * 50_000))) < 100_000


KNOWN = Analyzer(
    {"yrkesskadeforsikring": 4, "verneombud": 9, "forsikring": 9, "faktura": 5, "følger": 3, "skatten": 7, "avgift": 4}
)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("yrkesskade forsikring", "yrkesskadeforsikring"),  # written apart
        ("verne ombud", "verneombud"),
        ("verneombuud", "verneombud"),  # a letter too many
        ("forsikrng premie", "forsikring"),  # a letter too few
        ("hva folger av dette", "følger"),  # no æ, ø and å
        ("AMU", "arbeidsmiljøutvalg"),  # an abbreviation
        ("hvem er safety representative her", "verneombud"),  # English words among Norwegian
    ],
)
def test_a_question_may_mean_more_than_its_words(asked: str, meant: str) -> None:
    weights = KNOWN.meant(asked)
    assert KNOWN.word(meant)[0] in weights
    assert all(0 < weight <= 1 for weight in weights.values())


def test_a_right_word_is_not_mended_into_a_neighbour() -> None:
    assert not set(KNOWN.terms("skatten")) & set(KNOWN.meant("katten er syk"))


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("Hva er yrkesskade forsikring?", "Hva er yrkesskadeforsikring?"),  # the rest stays as it is written
        ("verne ombud, forsikrng og § 3-1", "verneombud, forsikring og § 3-1"),
        ("verneombodet kostar 20 000", "verneombudet koster 20 000"),
        ("på forsikring", "på forsikring"),  # a stop word joins nothing
        ("", ""),
    ],
)
def test_a_text_is_mended_as_its_writer_meant_it(asked: str, meant: str) -> None:
    assert KNOWN.mended(asked) == meant


@given(st.text(max_size=200))
def test_any_text_can_be_mended_and_words_without_a_mend_stay(text: str) -> None:
    assert NONE.mended(text) == in_bokmaal(text)
    KNOWN.mended(text)


def test_everyday_words_mean_what_articles_call_the_thing() -> None:
    weights = KNOWN.meant("kan sjefen nekte meg fri")
    assert weights[KNOWN.word("arbeidsgiver")[0]] < 0.5 < weights[KNOWN.word("sjefen")[0]]
    assert everyday("sjefens") == everyday("sjef") and everyday("verneombud") == ()


def test_capitals_tell_an_abbreviation_from_a_word() -> None:
    assert "aksjeselskap" in KNOWN.meant("er vi et AS")
    assert "aksjeselskap" not in KNOWN.meant("er det as usual")


def test_an_english_question_is_looked_up_phrase_by_phrase() -> None:
    weights = KNOWN.meant("How much holiday pay do employees get?", english=True)
    assert {KNOWN.word("feriepenger")[0], KNOWN.word("ansatt")[0]} <= weights.keys()


def test_dialect_and_nynorsk_are_read_as_bokmaal() -> None:
    assert in_bokmaal("Kor mykje feriepengar har eg krav på?") == "hvor mye feriepenger har jeg krav på?"
    assert NONE.terms("ka e verneombodet") == NONE.terms("hva er verneombudet")


def test_the_lists_are_as_large_as_promised_and_well_formed() -> None:
    sizes = {name: len(listed(name)) for name in ("english", "nynorsk", "abbreviations", "everyday", "parts")}
    assert sizes["everyday"] >= 200 and sizes["english"] >= 1_500 and sizes["nynorsk"] >= 600 and sizes["abbreviations"] >= 150
    for name in sizes:
        assert all(left.strip() and right.strip() for left, right in listed(name).items())
    assert all(left != right for left, right in listed("nynorsk").items())


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        # a phrase before its words, the longest first
        ("co najmniej", "pl", ["minst"]),
        ("czas wolny za nadgodziny", "pl", ["avspasering"]),
        ("czas wolny", "pl", ["fritid"]),
        ("darbo aplinkos komitetas", "lt", ["arbeidsmiljøutvalg"]),
        ("не більше 8", "uk", ["høyst", "8"]),
        ("working environment committee", "en", ["arbeidsmiljøutvalg"]),
        ("working environments", "en", ["arbeidsmiljø"]),
        ("safety representative must", "en", ["verneombud", "må"]),
        # the beginning of a word, and whole words only where the list says so
        ("pracownika", "pl", ["arbeidstaker"]),
        ("codziennie", "pl", ["daglig"]),
        ("co", "pl", ["hva"]),
        ("prawie", "pl", ["nesten"]),
        ("ні", "uk", ["nei"]),
        ("ніч", "uk", ["natt"]),
        # numbers and paragraphs, and what no list holds
        ("§§ 3-1 i 14-9, 20 000,50 kr, 12,5 %", "pl", ["3-1", "og", "14-9", "20000,50", "kr", "12,5", "%"]),
        ("xyzzy 5", "lt", ["xyzzy", "5"]),
        ("Verneombodet § 6-1, 20\u00a0000 kr", "nn", ["verneombudet", "6-1", "20000", "kr"]),
    ],
)
def test_a_text_is_read_word_by_word_as_norwegian(text: str, language: str, expected: list[str]) -> None:
    assert [each[0] for each in in_norwegian(text, language)] == expected


def test_a_word_may_stand_for_several() -> None:
    assert in_norwegian("pracownik", "pl") == [("arbeidstaker", "ansatt")]
    assert in_norwegian("", "pl") == []


@pytest.mark.parametrize("name", ["polish", "lithuanian", "ukrainian", "little"])
def test_a_list_has_two_parts_a_line_and_names_nothing_twice(name: str) -> None:
    rows = [line.split("\t") for line in (LISTS / f"{name}.tsv").read_text("utf-8").splitlines()]
    assert [row for row in rows if len(row) != 2 or not all(part and part == part.strip() for part in row)] == []
    assert [left for left, count in Counter(left for left, _ in rows).items() if count > 1] == []
    assert [left for left, _ in rows if left == "=" or "=" in left[1:]] == []  # only a whole first word is marked
