"""What an answer and a ranking are worth, in the field's own words. Pure; knows texts, paths and numbers, not questions.

Every score is 0 to 1, higher is better; relevance is binary.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from math import log2

import numpy as np

MARKER = re.compile(r"(?<!\\)\[\d{1,3}\]")
ESCAPED = re.compile(r"\\([\\`*_\[\]<>])")
RESAMPLES = 2_000
SEED = 20_260_101


def distinct(pages: Iterable[str]) -> list[str]:
    """The pages of a ranking of passages, each at its best place."""
    return list(dict.fromkeys(pages))


def rank(pages: Iterable[str], gold: Sequence[str]) -> int | None:
    """The place, from 1, of the first gold page among the distinct pages; None when there is none."""
    return next((place for place, page in enumerate(distinct(pages), 1) if page in gold), None)


def hit(place: int | None, k: int) -> float:
    """hit@k of a rank."""
    return float(place is not None and place <= k)


def mrr(place: int | None, k: int = 10) -> float:
    """The reciprocal rank, 0 past the k-th place."""
    return 1 / place if place is not None and place <= k else 0.0


def ndcg(pages: Iterable[str], gold: Sequence[str], k: int = 10) -> float:
    """nDCG@k over distinct pages, every gold page worth the same."""
    gains = [page in gold for page in distinct(pages)[:k]]
    ideal = sum(1 / log2(place + 1) for place in range(1, min(len(set(gold)), k) + 1))
    return sum(gain / log2(place + 1) for place, gain in enumerate(gains, 1)) / ideal if ideal else 0.0


def plain(answer: str) -> str:
    """An answer as it is read: no markers, no emphasis, no escapes; one kind of space."""
    return " ".join(ESCAPED.sub(r"\1", MARKER.sub(" ", answer).replace("**", "")).split())


def fold(text: str) -> str:
    """Lower case, and all kinds of space made one. No space before a mark, since a marker may have stood there."""
    return re.sub(r" (?=[.,;:!?])", "", " ".join(text.lower().split()))


def facts(answer: str, wanted: Sequence[Sequence[str]]) -> bool:
    """Whether one alternative of every fact stands in the answer."""
    told = fold(plain(answer))
    return all(any(fold(alternative) in told for alternative in alternatives) for alternatives in wanted)


def contains_any(answer: str, forbidden: Sequence[str]) -> list[str]:
    """Those of the forbidden words that stand in the answer."""
    told = fold(plain(answer))
    return [each for each in forbidden if fold(each) in told]


def cited(pages: Iterable[str], gold: Sequence[str], must_cite: str) -> bool:
    """Whether any (or all) of the gold pages are among the cited ones."""
    given = set(pages)
    return bool(gold) and (all if must_cite == "all" else any)(page in given for page in gold)


def words(answer: str) -> int:
    """How long an answer is to read; markers and list signs are no words."""
    return sum(bool(re.search(r"\w", word)) for word in plain(answer).split())


def interval(values: Sequence[float], of: Callable[..., np.ndarray] = np.mean) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean (or of another `of`), the same for the same values; (nan, nan) without any."""
    if not values:
        return float("nan"), float("nan")
    measured = np.asarray(values, dtype=float)
    picks = np.random.default_rng(SEED).integers(0, len(measured), (RESAMPLES, len(measured)))
    low, high = np.percentile(of(measured[picks], axis=1), [2.5, 97.5])
    return float(low), float(high)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` percent of the values lie; nan without any."""
    return float(np.percentile(values, share)) if len(values) else float("nan")
