"""What an answer and a ranking are worth, in the field's own words. Pure; knows texts, paths and numbers, not questions.

Every score is 0 to 1, higher is better; relevance is binary. Here too is how a text is made ready for its words to be looked for:
an answer as it is read, an article's Markdown as it is quoted.
"""

import html
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from corpus.normalise import repair

MARKER = re.compile(r"(?<!\\)\[\d{1,3}\]")
ESCAPED = re.compile(r"\\([\\`*_\[\]<>])")
LINK = re.compile(r"!\[[^\]]*\]\([^)]*\)|\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?:[^()\"]|\([^()]*\)|\"[^\"]*\")*\)")
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)
SHORTCODE = re.compile(r"\{\{[<%].*?[%>]\}\}", re.DOTALL)
LINE_MARK = re.compile(r"^[ \t]*(?:>[ \t]*)*(?:#{1,6}[ \t]|[-+*][ \t]+(?:\[[ xX]\][ \t])?|\d{1,3}[.)][ \t])?", re.MULTILINE)
RESAMPLES = 2_000
SEED = 20_260_101


def distinct(pages: Iterable[str]) -> list[str]:
    """The pages of a ranking of passages, each at its best place."""
    return list(dict.fromkeys(pages))


def ranking(pages: Iterable[str], gold: Sequence[str]) -> dict[str, float]:
    """hit@k, mrr@10 and ndcg@10 of the distinct pages of a ranking; every gold page is worth the same. By ir-measures."""
    import ir_measures
    from ir_measures import RR, Qrel, ScoredDoc, Success, nDCG

    wanted = {"hit@1": Success @ 1, "hit@3": Success @ 3, "hit@5": Success @ 5, "hit@10": Success @ 10}
    wanted |= {"mrr@10": RR @ 10, "ndcg@10": nDCG @ 10}
    if not gold:
        return dict.fromkeys(wanted, 0.0)
    found = [ScoredDoc("q", page, -float(place)) for place, page in enumerate(distinct(pages))]
    scored = ir_measures.calc_aggregate(list(wanted.values()), [Qrel("q", page, 1) for page in set(gold)], found)
    return {name: float(scored[measure]) for name, measure in wanted.items()}


def span_scores(answer: str, wanted: str) -> tuple[float, float]:
    """Exact match and F1 over words of an answer against the wanted span, as SQuAD scores them: case and punctuation aside."""
    told, right = (re.findall(r"\w+", text.lower()) for text in (plain(answer), wanted))
    shared = sum((Counter(told) & Counter(right)).values())
    if not shared:
        return 0.0, 0.0
    precision, recall = shared / len(told), shared / len(right)
    return float(told == right), 2 * precision * recall / (precision + recall)


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


def plain_text(body: str) -> str:
    """An article's Markdown repaired and without its markup, ready to look for quotes in; then as it stands, for what is code."""
    text = LINK.sub(lambda match: match[1] or "", LINK.sub(lambda match: match[1] or "", SHORTCODE.sub("", body)))
    text = TAG.sub("", BREAK.sub(" ", LINE_MARK.sub("", text)))
    return compared(repair(html.unescape(text))) + " \n " + compared(repair(body))


def compared(text: str) -> str:
    """Text as quotes are compared: without the signs that Markdown reads as markup, one kind of space, dash and quotation mark.

    Which dash or quotation mark a broken one is mended to depends on what stands around it, so those count as one each.
    """
    text = re.sub(r"[*_`~\\\[\]]", "", text.replace("|", " ").replace("...", "…"))
    text = re.sub("[“”„‟\"«»‘’']|<<|>>", '"', re.sub("-{2,3}|[–—−]", "-", text))
    return " ".join(text.split())


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
