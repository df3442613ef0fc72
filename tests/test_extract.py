"""Picking an answer: what comes first, what is left out, how it is told."""

import pytest

from assistant.extract import HARD_LIMIT, KEEP, UNITS, Pick, arrange, choose, complete, tell, wording
from corpus.chunk import Chunk
from corpus.markdown import Unit


def chunk(number: int, *units: Unit, path: str = "/a", headings: tuple[str, ...] = ("Krav",)) -> Chunk:
    return Chunk(f"{path}#{number}", path, "Artikkel", headings, "krav", units, (1, 2))


def pick(text: str, score: float, path: str = "/a", number: int = 0) -> Pick:
    unit = Unit("sentence", text, text)
    return Pick(unit, chunk(number, unit, path=path), score)


def texts(picks: list[Pick]) -> list[str]:
    return [each.unit.text for each in picks]


def test_what_is_far_behind_the_best_is_left_out() -> None:
    assert texts(choose([pick("Svaret er fem.", 9.0), pick("Noe helt annet her.", 9.0 - KEEP - 0.1)], False)) == [
        "Svaret er fem."
    ]


def test_a_repetition_is_said_once() -> None:
    found = choose([pick("Verneombudet velges for to år.", 2.0), pick("Verneombudet velges for to år om gangen.", 1.9)], False)
    assert len(found) == 1


def test_an_answer_stays_within_its_budgets() -> None:
    many = [pick(" ".join(f"ord{number}{word}" for word in range(30)), 2.0) for number in range(9)]
    assert sum(len(each.unit.text.split()) for each in choose(many, False)) <= HARD_LIMIT
    short = [pick(f"Punkt{number} er eget{number}.", 2.0) for number in range(20)]
    assert len(choose(short, False)) == UNITS


def test_at_most_three_articles_are_quoted() -> None:
    found = choose([pick(f"Noe om emne{path}.", 2.0, path) for path in ("/a", "/b", "/c", "/d")], False)
    assert {each.chunk.path for each in found} == {"/a", "/b", "/c"}


def test_the_best_article_comes_first_and_each_is_told_as_it_is_written() -> None:
    found = arrange([pick("to", 3.0, "/b", 2), pick("en", 2.0, "/b", 1), pick("tre", 1.0, "/a", 0)], ["/b", "/a"])
    assert texts(found) == ["en", "to", "tre"]


def test_the_section_of_the_best_unit_comes_first() -> None:
    told = [Unit("sentence", text, text) for text in ("Bakgrunn.", "Svaret.")]
    picks = [Pick(told[1], chunk(5, told[1], headings=("Krav",)), 9.0), Pick(told[0], chunk(1, told[0], headings=("Om",)), 3.0)]
    assert texts(arrange(picks, ["/a"])) == ["Svaret.", "Bakgrunn."]


def test_items_follow_their_lead_in_and_rows_are_told_with_their_column_names() -> None:
    lead = Unit("sentence", "Arbeidsgiver skal:", "")
    items = [Unit("item", text, text, lead.text) for text in ("kartlegge *farer*", "rette feil")]
    row = Unit("row", "6570 | Verneutstyr |  | 100", "", "", ("Konto", "Navn", "", "Debet"))
    own, table = chunk(0, lead, *items), chunk(1, row)
    picks = [Pick(items[0], own, 1.0), Pick(items[1], own, 1.0), Pick(row, table, 1.0)]
    draft = tell(picks, {"/a": [own, table]})
    assert draft.text.split("\n") == [
        "Arbeidsgiver skal: [1]",
        "",
        "- kartlegge \\*farer\\* [2]",
        "- rette feil [3]",
        "- **Konto: 6570** – Navn: Verneutstyr; Debet: 100 [4]",
    ]
    assert [unit.text for unit, _ in draft.sources] == [lead.text, items[0].text, items[1].text, row.text]


@pytest.mark.parametrize(
    ("told", "language", "lead"),
    [
        ("ab", "nb", "Fakturaen skal ha: [1] *(utdrag: 2 av 3)*"),
        ("ab", "en", "Fakturaen skal ha: [1] *(excerpt: 2 of 3)*"),
        ("abc", "nb", "Fakturaen skal ha: [1]"),
        ("b", "nb", "Fakturaen skal ha: [1]"),  # which was looked up, and does not pass for the list
    ],
)
def test_of_a_list_that_is_told_in_part_the_reader_learns_how_much(told: str, language: str, lead: str) -> None:
    introduction = Unit("sentence", "Fakturaen skal ha:", "")
    items = {letter: Unit("item", f"{letter} 1", "", introduction.text) for letter in "abc"}
    own = chunk(0, introduction, items["a"])
    more = chunk(1, items["b"], items["c"])
    picks = [Pick(items[letter], own if letter == "a" else more, 1.0) for letter in told]
    assert tell(picks, {"/a": [own, more]}, language).text.split("\n")[0] == lead


def test_a_row_leaves_out_column_names_that_say_nothing_and_has_its_law_in_brackets() -> None:
    header = ("Spørsmål", "Regel", "Lovhenvisning")
    row = Unit("row", "Hvor mange dager? | Opptil tre | Folketrygdloven § 8-24", "", "", header)
    assert wording(row) == "**Hvor mange dager?** – Regel: Opptil tre (folketrygdloven § 8-24)"
    bare = Unit("row", "Ferie | Ferieloven § 5", "", "", ("Plikt", "Lovhjemmel"))
    assert wording(bare) == "**Plikt: Ferie** (ferieloven § 5)"


def test_a_list_that_nothing_introduces_stands_under_its_heading_and_apart_from_the_one_before() -> None:
    step, row = Unit("item", "Stift selskapet", ""), Unit("row", "Ansvar | Personlig", "", "", ("Aspekt", "ENK"))
    steps, table = chunk(0, step, headings=("3. Fra ENK til AS:",)), chunk(1, row, headings=("Forskjeller",))
    assert tell([Pick(step, steps, 2.0), Pick(row, table, 1.0)], {"/a": [steps, table]}).text.split("\n") == [
        "**Fra ENK til AS** [1]", "", "- Stift selskapet [1]",
        "", "**Forskjeller** [2]", "", "- **Ansvar** – ENK: Personlig [2]",
    ]  # fmt: skip
    assert tell([Pick(row, table, 1.0)], {"/a": [table]}).text == "- **Ansvar** – ENK: Personlig [1]"


def test_a_posting_is_told_whole() -> None:
    posting = Unit("code", "Debet: 6570 Kredit: 2400", "Debet: 6570\nKredit: 2400")
    assert tell([Pick(posting, chunk(0, posting), 1.0)], {"/a": []}).text == "- Debet: 6570; Kredit: 2400 [1]"


def test_a_short_list_that_was_begun_is_told_to_its_end() -> None:
    items = [Unit("item", text, text, "Slik gjør du:") for text in ("meld fra", "sikre stedet", "skriv rapport")]
    own = chunk(0, *items)
    picks = [Pick(unit, own, score) for unit, score in zip(items, (9.0, 8.0, 1.0), strict=True)]
    other = pick("En setning til.", 7.0, number=1)
    assert texts(complete([picks[0], picks[1], other], [*picks, other])) == [
        "meld fra",
        "sikre stedet",
        "En setning til.",
        "skriv rapport",
    ]
    assert texts(complete([picks[0], other], [*picks, other])) == ["meld fra", "En setning til."]  # one item may stand alone


def test_a_second_list_that_was_begun_is_told_to_its_end_too_where_there_is_room() -> None:
    def items(lead: str, length: int) -> list[Pick]:
        units = [Unit("item", f"{lead} {'ord ' * length}{number}", "", lead) for number in range(3)]
        return [Pick(unit, chunk(0, *units), 9.0 - number) for number, unit in enumerate(units)]

    first, second, third = items("Arbeidsgiver:", 12), items("Verneombud:", 12), items("Ansatt:", 12)
    begun = [*first[:2], *second[:2]]
    assert sorted(texts(complete(begun, [*first, *second]))) == sorted(texts([*first, *second]))
    told = complete([*begun, *third[:2]], [*first, *second, *third])
    assert third[2] not in told and sum(len(each.unit.text.split()) for each in told) <= HARD_LIMIT


def test_a_long_list_is_told_in_part() -> None:
    items = [Unit("item", f"{'ord ' * 20}{number}", "", "Krav:") for number in range(5)]
    picks = [Pick(unit, chunk(0, *items), 5.0) for unit in items]
    assert complete(picks[:2], picks) == picks[:2]


def test_yes_and_no_are_told_with_the_question_that_they_answer() -> None:
    unit = Unit("sentence", "Nei, ferien er din (ferieloven § 5).", "")
    own = chunk(0, unit, headings=("Vanlige spørsmål", "Kan sjefen nekte meg ferie?"))
    assert tell([Pick(unit, own, 1.0)], {"/a": [own]}).text == (
        "**Kan sjefen nekte meg ferie?** [1] Nei, ferien er din (ferieloven § 5). [1]"
    )
    bare = chunk(0, unit)
    assert tell([Pick(unit, bare, 1.0)], {"/a": [bare]}).text == "Nei, ferien er din (ferieloven § 5). [1]"


def test_a_list_is_not_broken_by_the_lists_within_it() -> None:
    lead, inner = "Delene er:", "Miljø"
    units = [Unit("item", inner, "", lead), Unit("item", "holdning", "", inner), Unit("item", "Risiko", "", lead)]
    own = chunk(0, *units)
    assert texts(arrange([Pick(unit, own, 1.0) for unit in units], ["/a"])) == ["Miljø", "Risiko", "holdning"]


def test_of_an_entry_both_sides_are_told() -> None:
    header = ("Konto", "Debet", "Kredit")
    rows = [Unit("row", text, "", "", header) for text in ("1920 Bank | 10 000 | ", "5800 Refusjon |  | 10 000")]
    whole = Unit("row", "Kjøp av vernesko | 6570 | 2400", "", "", header)
    own, other = chunk(0, *rows), chunk(1, whole, headings=("Eksempel",))
    picks = [Pick(rows[1], own, 3.0), Pick(whole, other, 2.0), Pick(rows[0], own, -9.0)]
    assert texts(complete(picks[:2], picks)) == [rows[1].text, whole.text, rows[0].text]
