"""What the model of assistant/entailment is taught with, and how it is made from it."""

import json
import random
from collections import Counter

import pytest

from assistant.support import LONGEST, SHIPPED, entailment, plainly
from docs.entailment import ALTERED, SENTENCES, changed, tokenizer, used
from eval.fit import RIGHT

PIECES = [
    ("<s>", 0.0),
    ("<pad>", 0.0),
    ("</s>", 0.0),
    ("<unk>", 0.0),
    ("▁to", -1.0),
    ("▁år", -2.0),
    ("漢", -3.0),
    ("▁uke", -4.0),
    ("<mask>", 0.0),
]


def test_every_sentence_names_its_passage_and_what_it_is() -> None:
    rows = [line.split("\t") for line in SENTENCES.read_text("utf-8").splitlines()]
    assert {len(row) for row in rows} == {5}
    assert {len(row[0]) for row in rows} == {12} and all(row[4].strip() == row[4] != "" for row in rows)
    right = Counter(row[2] in RIGHT for row in rows)
    assert {row[1] for row in rows} == {"taught", "apart"} and 0.45 < right[True] / len(rows) < 0.55
    assert {row[3] for row in rows} == {"nb", "nn", "en", "pl", "lt", "uk", "de"}
    assert len({(row[0], row[4]) for row in rows}) == len(rows)


def test_the_same_sentence_is_right_beside_one_passage_and_wrong_beside_another() -> None:
    rows = [json.loads(line) for line in ALTERED.read_text("utf-8").splitlines()]
    given = [(row["passage"], bears, language, sentence) for row in rows for bears, language, sentence in row["sentences"]]
    assert all(passage.strip() and sentence.strip() == sentence != "" for passage, _, _, sentence in given)
    assert {language for _, _, language, _ in given} == {"nb", "nn", "en", "pl", "lt", "uk", "de"}
    assert len({(passage, sentence) for passage, _, _, sentence in given}) == len(given)
    assert Counter(row["split"] for row in rows) == {"taught": 880, "apart": 110}
    taught = {line.split("\t")[4]: line.split("\t")[2] in RIGHT for line in SENTENCES.read_text("utf-8").splitlines()}
    turned = [bears != taught[sentence] for _, bears, _, sentence in given if sentence in taught]
    assert 0.3 < sum(turned) / len(turned) < 0.7


def test_the_model_reads_the_passage_and_does_not_know_its_topic_by_heart() -> None:
    """Sentences and passages that nothing was taught with, whose rules are not the real ones."""
    odds: dict[bool, list[float]] = {True: [], False: []}
    for row in map(json.loads, ALTERED.read_text("utf-8").splitlines()):
        for bears, language, sentence in row["sentences"] if row["split"] == "apart" else ():
            told = plainly(sentence) if language in ("nb", "nn") else sentence
            odds[bears].append(entailment().read(told, plainly(row["passage"])))
    ahead = [right > wrong for right in odds[True] for wrong in odds[False]]
    assert sum(ahead) / len(ahead) >= 0.845  # .865; taught with half of the other altered passages .843, with none .804


@pytest.mark.parametrize(
    ("sentence", "ways"),
    [
        ("Det er ikke lov.", {"Det er lov."}),
        ("Fristen er minst to uker.", {"Fristen er høyst to uker.", "Fristen er høgst to uker."}),
        ("Se arbeidsmiljøloven § 7-1.", {f"Se arbeidsmiljøloven § 7-{number}." for number in (2, 3, 4)}),
        ("Prøvetiden er 6 måneder.", {f"Prøvetiden er {number} måneder." for number in (7, 8, 11, 30)}),
        ("Er dere 12, gjelder det.", {None}),  # the reader's own figure: what is said may stay true
        ("Ingenting her.", {None}),
    ],
)
def test_a_right_sentence_is_made_wrong_in_one_place(sentence: str, ways: set[str | None]) -> None:
    chance = random.Random(1)
    assert {changed(sentence, "Høyst 6 måneder, 30 ansatte (§ 7-1).", chance) for _ in range(200)} == ways


def test_a_vocabulary_keeps_what_our_texts_and_letters_use() -> None:
    assert used(PIECES, ["to år"]) == [0, 1, 2, 3, 4, 5, 7, 8]


def test_two_texts_stand_between_the_marks_that_the_base_knows() -> None:
    made = tokenizer(PIECES)
    assert made.encode("to", "år").ids == [0, 4, 2, 2, 5, 2]
    assert len(made.encode("to", "to år " * LONGEST).ids) == LONGEST


def test_the_model_comes_with_its_card_and_licence() -> None:
    assert {each.name for each in SHIPPED.iterdir()} == {"LICENSE", "README.md", "model.onnx", "tokenizer.json"}
    assert b"site-packages" not in (SHIPPED / "model.onnx").read_bytes()  # nothing of the machine that made it
