"""The weights of the ranking, of the choice of units and of abstention, fitted again: tables to put into assistant/.

Knows the question files and the evidence of assistant/; knows nothing of how it is used. Nothing is fitted on a question of the
`kept` part. What is fitted on questions of the bank needs an embedder that has not seen them:

    python -m corpus train BLOG corpus/articles --apart corpus/questions/answers.jsonl --out out/apart
    python -m eval fit units BLOG --embedder out/apart
"""

import random
import re
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assistant import select as units
from assistant.question import Question, pieces, read
from assistant.retrieve import Candidates, candidates, evidence, ground_evidence, passages, understood, with_matter, with_opening
from assistant.support import READ, Checker
from assistant.types import Ask, Turn
from corpus import dense
from corpus.article import Article, read_content
from corpus.build import build
from corpus.chunk import Chunk, from_json
from corpus.index import Index, open_index
from corpus.language import FOREIGN
from eval import Record, read_objects, read_records
from eval.metrics import Row

FOUND = 20  # passages, as many as an answer is made from
PENALTY = 3e-3  # on the squares of the standardised weights
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
HERE = Path(__file__).resolve().parent
CORPUS = HERE.parent / "corpus"
PLAIN, MESSAGE = 30_000, 6.0  # ordinary questions beside the messages, and how many of them one message counts as
TELLING = {"signs": 16_000, "matters": 8_000}  # pieces that are kept for each kind
COVERED = 30_000  # questions that articles answer, beside those that they leave open
SEED = 20261125
RIGHT = ("right", "paraphrase", "translation")  # labels of sentences that their passages bear
OTHERS = 900  # questions on articles that are not among the shipped ones, as negatives


@dataclass(frozen=True)
class Choice:
    """What was to choose from for one question: evidence by name, and which are right; arrays of one length."""

    evidence: Mapping[str, np.ndarray]
    right: np.ndarray


@dataclass(frozen=True)
class Asked:
    """Questions (rows with `question` and perhaps `turns`) put to an index, and whether its articles answer them.

    `weight` is how much they count beside other such sets, however many they are; `seen` are questions of the bank, on which the
    table of matters was learnt.
    """

    index: Index
    questions: Sequence[Row]
    covered: bool
    weight: float
    seen: bool = False


def fit(what: str, blog: Path, embedder: str) -> str:
    """As code the weights of the "ranking", of the "units", of the "ground" for an answer or of the "support" of sentences; or
    the table of "signs" or of "matters"."""
    if what in ("signs", "matters"):
        return signs() if what == "signs" else matters()
    model = dense.load(embedder)
    with tempfile.TemporaryDirectory(prefix="hms-fit-") as place:
        if what == "support":
            return support(_opened(CORPUS / "articles", Path(place) / "shipped", model))
        index = _opened(blog, Path(place) / "blog", model)
        if what == "ranking":
            return as_code(weights(list(ranking(index, read_records(HERE / "questions" / "dev.jsonl"))), each=False))
        if what == "units":
            return as_code(weights(list(answering(index, blog, CORPUS / "questions" / "answers.jsonl")), each=True))
        own, base = ground(_sets(index, _opened(CORPUS / "articles", Path(place) / "shipped", model)))
        return f"{as_code(own)}\nbase {base}"


def _opened(content: Path, folder: Path, model: dense.Embedder) -> Index:
    build([content], folder, model)
    return open_index(folder, model)


def weights(choices: Sequence[Choice], each: bool) -> dict[str, float]:
    """The weights under which the right ones are most likely, by softmax regression over each question's choices.

    With `each`, every right one is to be likely; without, one of them is enough (of a right page's passages any will do).
    """
    from scipy.optimize import minimize

    used = [choice for choice in choices if choice.right.any() and not choice.right.all()]
    names = list(used[0].evidence)
    table = np.concatenate([np.column_stack(list(choice.evidence.values())) for choice in used])
    spread = table.std(axis=0) + 1e-6
    table = (table - table.mean(axis=0)) / spread
    right = np.concatenate([choice.right for choice in used])
    starts = np.cumsum([0, *(len(choice.right) for choice in used[:-1])])
    sizes = [len(choice.right) for choice in used]

    def shares(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        top = np.repeat(np.maximum.reduceat(scores, starts), sizes)
        parts = np.exp(scores - top)
        total = np.add.reduceat(parts, starts)
        return parts / np.repeat(total, sizes), np.log(total) + np.maximum.reduceat(scores, starts)

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        scores = table @ vector
        share, logarithm = shares(scores)
        if each:
            target = right / np.repeat(np.add.reduceat(right.astype(float), starts), sizes)
            gained = np.add.reduceat(target * scores, starts)
        else:
            target, gained = shares(np.where(right, scores, -1e9))
        value = (logarithm - gained).mean() + PENALTY * vector @ vector
        return float(value), table.T @ (share - target) / len(used) + 2 * PENALTY * vector

    found = minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B").x / spread
    return {name: round(float(value), 3) for name, value in zip(names, found, strict=True)}


def asked(question: str, turns: Sequence[str]) -> Question:
    """A question after its earlier turns, as the assistant reads it."""
    return read(Ask(question, tuple(Turn("user", turn) for turn in turns)))


def ranking(index: Index, records: Sequence[Record]) -> Iterator[Choice]:
    """The candidates for each answerable question of the `tune` part; right are all passages of the right pages."""
    for record in records:
        if record.split == "tune" and record.gold_urls:
            text = asked(record.question, record.turns).search
            found, columns = _candidates(index, text)
            pages = [index.manifest.articles[page].path for page in index.pages[found.rows]]
            yield Choice(columns, np.array([path in record.gold_urls for path in pages]))


def _candidates(index: Index, question: str) -> tuple[Candidates, dict[str, np.ndarray]]:
    text, terms = understood(index, question)
    found = candidates(index, text, terms)
    return found, evidence(index, text, terms, found)


def answering(index: Index, content: Path, file: Path) -> Iterator[Choice]:
    """The units for each question whose answering words are marked, of those whose passages were found."""
    pages = _Pages(index, content)
    selector = units.Selector(index.embedder, index.lexical)
    for row in read_objects(file):
        question = asked(row["question"], row.get("turns", ()))
        marked = pages.marked(row)
        places = selector.places(question, with_opening(index, passages(index, question.search, FOUND))[: units.READ])
        right = np.array([(place.passage.chunk.id, place.unit.text) in marked for place in places])
        if right.any():
            yield Choice(selector.evidence(question, places), right)


class _Pages:
    """The articles' lines, to find the units that a marked span stands in."""

    def __init__(self, index: Index, content: Path) -> None:
        self._index, self._content = index, content
        self._files = {each.path: each.file for each in read_content(content) if isinstance(each, Article)}

    def marked(self, row: Row) -> set[tuple[str, str]]:
        """(chunk id, unit text) of each unit that holds, or is held by, one of the row's spans [line from 1, start, end]."""
        if row["url"] not in self._index.entries:
            return set()
        lines = (self._content / self._files[row["url"]]).read_text("utf-8-sig").split("\n")
        page = self._index.page(row["url"])
        spans = [(line, _letters(lines[line - 1][start:end])) for line, start, end in row["spans"]]
        return {found for line, span in spans if span for chunk in page for found in _holding(chunk, line, span)}


def _holding(chunk: Chunk, line: int, span: str) -> Iterator[tuple[str, str]]:
    if chunk.span[0] <= line < chunk.span[1]:
        for unit in chunk.units:
            texts = [text for text in (_letters(unit.text), _letters(unit.raw)) if text]
            if any(span in text or text in span for text in texts):
                yield chunk.id, unit.text


def _letters(text: str) -> str:
    """Letters and digits alone, lower case, link targets out: what a span and its unit have in common."""
    return re.sub(r"[\W_]+", "", LINK.sub(r"\1", text)).lower()


def _sets(blog: Index, shipped: Index) -> list[Asked]:
    """What the two indexes answer and what not: questions that no embedder behind this was trained on, and of `tune` alone."""

    def tuned(name: str) -> list[Row]:
        return [row for row in read_objects(HERE / "questions" / name) if row["split"] == "tune" and row["gold_urls"]]

    def left_open(name: str) -> list[Row]:
        kinds = ("near_domain", "out_of_domain", "personal_data", "garbage")
        return [row for row in read_objects(HERE / "questions" / name) if row["split"] == "tune" and row["type"] in kinds]

    uncovered = read_objects(CORPUS / "questions" / "uncovered.jsonl")
    labelled = [row for row in read_objects(CORPUS / "questions" / "answers.jsonl") if row["url"] in blog.entries]
    return [
        Asked(blog, tuned("dev.jsonl"), True, 2.0),
        Asked(blog, labelled, True, 1.0, seen=True),
        Asked(blog, uncovered, False, 2.0),
        Asked(blog, left_open("dev.jsonl"), False, 1.0),
        Asked(shipped, tuned("shipped.jsonl") + tuned("shipped-fresh.jsonl"), True, 1.5),
        Asked(shipped, left_open("shipped.jsonl") + left_open("shipped-fresh.jsonl"), False, 0.5),
        Asked(shipped, [row for row in uncovered if row["kind"] == "out_of_domain"], False, 0.7),
        Asked(shipped, [row for row in labelled if row["url"] not in shipped.entries][:OTHERS], False, 0.3, seen=True),
    ]


def ground(sets: Sequence[Asked]) -> tuple[dict[str, float], float]:
    """The weights of abstention and their base, by logistic regression; what words say of matters on top of all the others."""
    told = [(ground_of(own.index, row), own, own.weight / len(own.questions)) for own in sets for row in own.questions]
    told = [each for each in told if each[0]]
    words = ["open", "own", "elsewhere"]
    others = [{name: value for name, value in evidence.items() if name not in words} for evidence, *_ in told]
    weight = np.array([weight for *_, weight in told]) * 1_000
    covered = np.array([own.covered for _, own, _ in told])
    named, base, scores = logistic(others, covered, C=0.1, weight=weight)
    fresh = np.array([not own.seen for _, own, _ in told])
    more = [{"score": score} | {name: told[at][0][name] for name in words} for at, score in enumerate(scores) if fresh[at]]
    on_top, _, _ = logistic(more, covered[fresh], C=10, weight=weight[fresh])
    return named | {name: round(on_top[name] / on_top["score"], 3) for name in words}, base


def logistic(
    evidence: Sequence[Mapping[str, float]], right: Sequence[bool] | np.ndarray, weight: np.ndarray | None = None, **how: Any
) -> tuple[dict[str, float], float, np.ndarray]:
    """The weights of evidence by name, their base, and each example's score: logistic regression on standardised columns."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    table = np.array([list(each.values()) for each in evidence])
    scaler = StandardScaler().fit(table)
    model = LogisticRegression(max_iter=5_000, **how).fit(scaler.transform(table), right, sample_weight=weight)
    own = model.coef_[0] / scaler.scale_
    named = {name: round(float(value), 3) for name, value in zip(evidence[0], own, strict=True)}
    base = float(model.intercept_[0] - (own * scaler.mean_).sum())
    return named, round(base, 3), model.decision_function(scaler.transform(table))


def ground_of(index: Index, row: Row) -> dict[str, float]:
    """The evidence that an index answers a question; empty when it finds nothing."""
    question = asked(row["question"], row.get("turns", ())).search
    found, columns = _candidates(index, question)
    return with_matter(question, ground_evidence(index, *understood(index, question), found, columns)) if len(found.rows) else {}


def signs() -> str:
    """The table of assistant/signs.tsv: the most telling pieces of messages, with their weights for danger and for attack."""
    lines = [line.split("\t") for line in (CORPUS / "questions" / "messages.tsv").read_text("utf-8").splitlines()]
    bank, beside, elsewhere = (
        [row["question"] for row in read_objects(CORPUS / "questions" / f"{name}.jsonl")]
        for name in ("bank", "beside", "elsewhere")
    )
    told = {text for *_, text in lines}  # a few questions beside the articles tell of danger: they stand among the messages
    plain = beside + elsewhere + random.Random(SEED).sample(bank, min(PLAIN, len(bank)))
    texts = [asked(text, ()).search if spoken in FOREIGN else text for _, spoken, text in lines]
    texts += [text for text in plain if text not in told]
    counts = np.array([MESSAGE / 2] * len(lines) + [0.5] * (len(texts) - len(lines)))
    labels = np.array([label for label, *_ in lines] + [""] * (len(texts) - len(lines)))
    return telling(texts, [labels == label for label in ("acute", "attack")], counts, TELLING["signs"])


def matters() -> str:
    """The table of assistant/matters.tsv: the most telling pieces of questions, with their weights for a matter that articles
    leave open, for one outside of working life and accounts, and for what only those around the asker know."""
    beside = [row for name in ("beside", "elsewhere") for row in read_objects(CORPUS / "questions" / f"{name}.jsonl")]
    bank = list(read_objects(CORPUS / "questions" / "bank.jsonl"))
    asked = beside + random.Random(SEED).sample(bank, min(COVERED, len(bank)))
    texts = [" ".join((*row.get("turns", ()), row["question"])) for row in asked]
    kinds = np.array([row.get("kind", "near_domain") for row in beside] + [""] * (len(asked) - len(beside)))
    return telling(texts, [kinds != "", kinds == "out_of_domain", kinds == "own"], np.ones(len(texts)), TELLING["matters"])


def telling(texts: Sequence[str], columns: Sequence[np.ndarray], counts: np.ndarray, most: int) -> str:
    """A table of pieces with a weight for each column (which of the texts are so), "" with the base first; counted are the texts
    by `counts`, and of each column the `most` pieces that tell most."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    table = CountVectorizer(analyzer=pieces, binary=True, min_df=2)
    told, names, found = table.fit_transform(texts), table.get_feature_names_out(), []
    for right in columns:
        model = LogisticRegression(C=0.3, solver="liblinear").fit(told, right, sample_weight=counts)
        tells = np.abs(model.coef_[0]) * np.sqrt(np.asarray(told.mean(axis=0))[0])
        chosen = np.sort(np.argsort(-tells)[:most])
        model.fit(told[:, chosen], right, sample_weight=counts)
        found.append({"": float(model.intercept_[0]), **dict(zip(names[chosen], model.coef_[0].tolist(), strict=True))})
    known = sorted({piece for column in found for piece in column})
    return "\n".join("\t".join([piece, *(f"{column.get(piece, 0.0):.3f}" for column in found)]) for piece in known)


def apart(name: str) -> bool:
    """Whether assistant/entailment was not taught with what bears this name: 15 of 100."""
    return zlib.crc32(name.encode()) % 100 < 15


def sentences(index: Index, split: str) -> Iterator[tuple[Row, Mapping[str, float], float]]:
    """The sentences of eval/questions/scripts.jsonl, each with what is looked up in what it cites, and the log-odds of the model;
    those of "apart" are of other answers than `kept`, and the model was not taught with them."""
    checker = Checker(index.embedder, index.lexical)
    chunks = {
        chunk.id: chunk for chunk in map(from_json, (HERE / "questions" / "scripts-passages.jsonl").read_bytes().splitlines())
    }
    for answer in read_objects(HERE / "questions" / "scripts.jsonl"):
        if answer["split"] == split or (split == "apart" and answer["split"] != "kept" and apart(answer["id"])):
            given = [chunks[key] for key in answer["passages"]]
            for row in answer["sentences"]:
                told = checker.evidence(row["text"], answer["lang"], given, row["cites"])[0]
                yield row, told, checker.read(row["text"], answer["lang"], given, row["cites"])


def support(index: Index) -> str:
    """The weights of what is looked up, their base, and the bounds that 92 and 80 of 100 right sentences exceed."""
    told = list(sentences(index, "tune"))
    named, base, _ = logistic(
        [each for _, each, _ in told], [row["label"] in RIGHT for row, *_ in told], C=0.05, class_weight="balanced"
    )
    right = [(each, read) for row, each, read in sentences(index, "apart") if row["label"] in RIGHT]
    scores = [base + READ * read + sum(weight * each[name] for name, weight in named.items()) for each, read in right]
    return f"{as_code(named)}\nbase {base:.3f}, bounds {np.quantile(scores, (0.08, 0.2)).round(2)}"


def as_code(table: Mapping[str, float]) -> str:
    """A table of weights as it stands in the code."""
    return "\n".join(["{", *(f'    "{name}": {value},' for name, value in table.items()), "}"])
