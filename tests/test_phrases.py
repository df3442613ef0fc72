"""Every fixed sentence is there in each language, and says the same in all."""

import re
from collections.abc import Mapping

import pytest

from assistant import phrases
from assistant.question import LANGUAGES
from assistant.types import Phrase

PHRASES: Mapping[str, Phrase] = {
    name: value for name, value in vars(phrases).items() if isinstance(value, dict) and name.isupper() and "nb" in value
}


def fields(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w*)\}", text))


def test_the_phrases_are_found() -> None:
    assert {
        "NOT_COVERED",
        "GREETING",
        "CLARIFY",
        "REFUSED",
        "ACUTE",
        "FRAME",
        "CORRECTION",
        "STATUTE",
        "PARTLY",
    } <= PHRASES.keys()


@pytest.mark.parametrize("name", PHRASES)
def test_a_phrase_is_there_in_every_language_with_the_same_fields(name: str) -> None:
    phrase = PHRASES[name]
    assert phrase.keys() == set(LANGUAGES)
    assert {tuple(fields(text)) for text in phrase.values()} == {tuple(fields(phrase["nb"]))}
    assert all(text.strip() == text or name == "SINCE" for text in phrase.values())
    if name != "FRAME":  # quotes need none in their own language
        assert all(phrase.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_emergency_numbers_are_the_same_in_every_language(language: str) -> None:
    assert re.findall(r"\b1\d\d\b", phrases.ACUTE[language]) == ["113", "110", "112", "116", "123"]
    assert phrases.ACUTE[language].count("Giftinformasjonen") == phrases.ACUTE[language].count("22 59 13 00") == 1
    assert phrases.ACUTE[language].startswith("**")


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "nb"])
def test_a_frame_cites_the_first_of_its_quotes(language: str) -> None:
    assert phrases.FRAME[language].endswith("[1]")


@pytest.mark.parametrize(("language", "letters"), [("pl", "ąćęłńóśźż"), ("lt", "ąčęėįšųūž"), ("uk", "іїєа")])
def test_each_phrase_is_in_its_own_language(language: str, letters: str) -> None:
    whole = [phrase[language] for name, phrase in PHRASES.items() if name not in ("SINCE", "OUTDATED")]
    assert sum(any(letter in text.lower() for letter in letters) for text in whole) >= len(whole) - 1
    assert not any(phrase[language] == phrase[other] for phrase in PHRASES.values() for other in LANGUAGES if other != language)


@pytest.mark.parametrize("reason", phrases.FALLBACK)
def test_why_a_model_was_not_used_is_told_in_one_sentence(reason: str) -> None:
    told = phrases.INSTEAD.format(reason=phrases.FALLBACK[reason])
    assert told[0].isupper() and told.endswith(".") and not re.search(r"[{}]", told)
