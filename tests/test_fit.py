"""Fitting: weights that are known come out of choices that were made by them, and marked words lead to their units."""

import numpy as np

from corpus.chunk import Chunk
from corpus.markdown import Unit
from eval.fit import Choice, _holding, as_code, telling, weights


def choices(count: int, by: dict[str, float]) -> list[Choice]:
    """For each question five things to choose from, of which the one that `by` rates highest is right."""
    chance = np.random.default_rng(7)
    made = []
    for _ in range(count):
        evidence = {name: chance.random(5) for name in by}
        total = np.sum([weight * evidence[name] for name, weight in by.items()], axis=0)
        made.append(Choice(evidence, total == total.max()))
    return made


def test_the_weights_that_made_the_choices_are_found_again() -> None:
    for each in (True, False):
        found = weights(choices(400, {"telling": 2.0, "idle": 0.0, "misleading": -1.0}), each)
        assert found["telling"] > 0 > found["misleading"]
        assert abs(found["idle"]) < 0.2 * found["telling"]
        assert 1.5 < found["telling"] / -found["misleading"] < 2.5


def test_of_several_right_ones_each_is_to_be_likely_or_any() -> None:
    far = Choice({"near": np.array([1.0, 0.2, 0.5])}, np.array([True, True, False]))
    assert weights([far], each=False)["near"] > weights([far], each=True)["near"]


def test_marked_words_are_found_in_their_unit() -> None:
    units = (
        Unit("sentence", "Verneombudet velges for to år.", "Verneombudet velges for to år."),
        Unit("item", "sørge for opplæring (§ 6-5)", ""),
    )
    chunk = Chunk("/a#0", "/a", "A", (), "", units, (4, 9))
    assert list(_holding(chunk, 4, "velgesfortoår")) == [("/a#0", units[0].text)]
    assert list(_holding(chunk, 8, "sørgeforopplæring65")) == [("/a#0", units[1].text)]
    assert list(_holding(chunk, 9, "velgesfortoår")) == []


def test_weights_are_told_as_code() -> None:
    assert as_code({"a": 1.5, "b": -2.0}) == '{\n    "a": 1.5,\n    "b": -2.0,\n}'


def test_pieces_tell_for_the_column_whose_texts_hold_them() -> None:
    texts = ["konto bilag", "konto bilag", "potet gulrot", "potet gulrot"] * 5
    lines = telling(
        texts, [np.array(["potet" in text for text in texts]), np.array(["konto" in text for text in texts])], np.ones(20), 50
    )
    table = {piece: (float(first), float(second)) for piece, first, second in (line.split("\t") for line in lines.split("\n"))}
    assert table["potet"][0] > 0 > table["konto"][0]
    assert table["konto"][1] > 0 > table["potet"][1]
