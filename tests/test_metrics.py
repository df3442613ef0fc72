"""The scores, against values computed by hand; texts, as they are read and compared."""

from math import isnan, log2

import numpy as np
import pytest

from eval import metrics


def score(name: str, pages: list[str], gold: list[str]) -> float:
    return metrics.ranking(pages, gold)[name]


def test_pages_are_counted_not_passages() -> None:
    assert metrics.distinct(["/a", "/a", "/b", "/a"]) == ["/a", "/b"]
    assert score("mrr@10", ["/a", "/a", "/a", "/b"], ["/b"]) == 0.5
    assert score("mrr@10", ["/a", "/b"], ["/b", "/a"]) == 1.0
    assert metrics.ranking([], ["/b"]) == dict.fromkeys(("hit@1", "hit@3", "hit@5", "hit@10", "mrr@10", "ndcg@10"), 0.0)
    assert set(metrics.ranking(["/a"], []).values()) == {0.0}


@pytest.mark.parametrize(("place", "hit5", "mrr"), [(1, 1.0, 1.0), (5, 1.0, 0.2), (6, 0.0, 1 / 6), (11, 0.0, 0.0)])
def test_hit_and_reciprocal_rank(place: int, hit5: float, mrr: float) -> None:
    pages = [*(f"/{n}" for n in range(1, place)), "/gold"]
    assert score("hit@5", pages, ["/gold"]) == hit5
    assert score("mrr@10", pages, ["/gold"]) == pytest.approx(mrr)


def test_ndcg_of_one_gold_page_is_the_discount_of_its_place() -> None:
    assert score("ndcg@10", ["/a", "/b"], ["/a"]) == 1.0
    assert score("ndcg@10", ["/x", "/x", "/a"], ["/a"]) == pytest.approx(1 / log2(3))


def test_ndcg_of_several_gold_pages_is_measured_against_the_best_order() -> None:
    gained = 1 / log2(2) + 1 / log2(4)
    assert score("ndcg@10", ["/a", "/x", "/b"], ["/a", "/b"]) == pytest.approx(gained / (1 + 1 / log2(3)))


def test_ndcg_is_zero_past_the_tenth_page() -> None:
    assert score("ndcg@10", [f"/{n}" for n in range(10)] + ["/a"], ["/a"]) == 0.0


def test_ndcg_of_more_gold_pages_than_places_can_still_be_one() -> None:
    pages = [f"/{n}" for n in range(12)]
    assert score("ndcg@10", pages, pages) == pytest.approx(1.0)


def test_a_span_is_scored_as_squad_scores_it() -> None:
    assert metrics.span_scores("Ane Stø. [1]", "ane stø") == (1.0, 1.0)
    assert metrics.span_scores("Leder er Ane Stø", "Ane Stø") == pytest.approx((0.0, 2 / 3))  # precision 2/4, recall 1
    assert metrics.span_scores("noe annet", "Ane Stø") == (0.0, 0.0)
    assert metrics.span_scores("", "Ane Stø") == (0.0, 0.0)


def test_facts_need_one_alternative_of_each() -> None:
    wanted = [["30 ansatte", "tretti ansatte"], ["§ 7-1"]]
    assert metrics.facts("Ved **30 ansatte**, jf. § 7-1. [1]", wanted)
    assert metrics.facts("TRETTI\nansatte (§\u202f7-1)", wanted)
    assert not metrics.facts("Ved 30 ansatte.", wanted)
    assert metrics.facts("Hva som helst", [])


def test_facts_are_read_as_a_reader_sees_them() -> None:
    assert metrics.facts("100\u00a0000 kr", [["100 000 kr"]])
    assert metrics.facts("Satsen er 25 % [1], som før.", [["25 %, som"]])
    assert metrics.facts(r"a\_b og \[x\]", [["a_b"], ["[x]"]])
    assert not metrics.facts("Se der [30].", [["30"]])
    assert metrics.facts(r"Skriv \[30\].", [["30"]])


def test_forbidden_words_are_found_as_facts_are() -> None:
    assert metrics.contains_any("Fra **50** ansatte [3]", ["50 ansatte", "3"]) == ["50 ansatte"]


def test_cited_asks_for_any_or_all() -> None:
    assert metrics.cited(["/b"], ["/a", "/b"], "any")
    assert not metrics.cited(["/b"], ["/a", "/b"], "all")
    assert metrics.cited(iter(["/b", "/a"]), ["/a", "/b"], "all")
    assert not metrics.cited([], ["/a"], "any")
    assert not metrics.cited(["/a"], [], "all")


def test_quotes_are_compared_after_repair_and_without_markup() -> None:
    text = metrics.plain_text(
        '1. [§–¯3‘1](/a) *gjelder* &amp; <b>mer</b>\n> - sitat -- slutt...\n![bilde](x.svg "t") {{< kort >}}\n\n`<Header>`'
    )
    assert "§ 3-1 gjelder & mer sitat - slutt… " in text
    assert "bilde" not in text.partition("§–")[0].partition("\n")[0].split("slutt")[1]
    assert "<Header>" in text


def test_words_leave_out_markers_and_list_signs() -> None:
    assert metrics.words("Det er tre ord her [1][2].\n\n- **Fem** – og seks [12]") == 8
    assert metrics.words("") == 0


def test_the_interval_holds_the_mean_and_is_the_same_every_time() -> None:
    values = [0.0] * 50 + [1.0] * 50
    low, high = metrics.interval(values)
    assert (low, high) == metrics.interval(values)
    assert low == pytest.approx(0.40, abs=0.02)  # 0.5 ± 1.96 · √(0.25/100)
    assert high == pytest.approx(0.60, abs=0.02)
    assert metrics.interval([1.0]) == (1.0, 1.0)
    assert metrics.interval([3.0, 3.0], np.median) == (3.0, 3.0)


def test_without_values_there_is_no_figure() -> None:
    assert all(isnan(value) for value in (*metrics.interval([]), metrics.percentile([], 50)))


def test_percentiles() -> None:
    assert metrics.percentile([1, 2, 3], 50) == 2
    assert metrics.percentile(list(range(101)), 95) == 95
