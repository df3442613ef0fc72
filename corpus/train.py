"""Articles and the question bank → the shipped embedder.

A static embedder is a tokenizer and a matrix of token vectors; a text is the mean of its tokens. Pairs of texts that mean the
same come from the structure of articles (title and heading with their text, link text with its target, description with the
body) and from the bank's natural questions. A question is worth much more than a heading (eval/LOG.md), so it is seen more often.
"""

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from corpus import dense
from corpus.article import Article, read_content
from corpus.chunk import Chunk, body, chunks, full_text
from corpus.index import BESIDE
from corpus.language import in_bokmaal
from corpus.markdown import Link, blocks

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

VOCABULARY = 24_000  # tokens
DIMENSIONS = 256
TOKENS = 200  # of a text are read in training; the mean of a longer one hardly moves
BATCH = 1024
EPOCHS = 8
DROPPED = (0.3, 0.6)  # share of a query's and of a text's tokens left out at random each time (eval/LOG.md)
RATE = 0.1  # Adam's step at its highest; large, since every batch touches a token's row only now and then
SCALE = 12.0  # of the cosines before the softmax; 20 fits the training questions better and others worse (eval/LOG.md)
REPEATS = 3  # times an epoch that a natural question is seen, against once for a structure pair
KEPT = 0.03  # of the bank's questions is kept from training, to tell whether it went well
SEED = 20261124


@dataclass(frozen=True)
class Pair:
    """Two texts that mean the same; `path` is the article of the second."""

    query: str
    text: str
    path: str


@dataclass(frozen=True)
class Question:
    """A line of the bank: a natural question, earlier turns, and the article and heading that answer it.

    `also` holds the further articles and headings that a comparison needs; `line` is the line in the file, from 1.
    """

    question: str
    path: str
    heading: str
    turns: tuple[str, ...] = ()
    also: tuple[tuple[str, str], ...] = ()
    language: str = "nb"
    line: int = 0

    @property
    def asked(self) -> str:
        """The question as it is searched for: after its earlier turns."""
        return " ".join((*self.turns, self.question))


def train(contents: Sequence[Path], bank: Path, out: Path, apart: Path | None = None, unseen: int = 0) -> Iterator[str]:
    """Train on the articles of the content folders and write the model to `out`; yields a line of news at a time.

    Left out of training are the questions of the file `apart`, and `unseen` articles with their questions, on which the model
    is measured at the end: so does it serve articles that it has never seen.
    """
    import torch

    torch.manual_seed(SEED)
    chance = random.Random(SEED)
    # A page that stands in two of the folders, ours and a site's own, is two texts of one article.
    articles = [each for content in contents for each in read_content(content) if isinstance(each, Article)]
    passages, links = read_passages(articles)
    questions, faults = read_bank(bank, passages)
    yield f"{len(articles)} articles, {len(questions)} questions; left out: {len(faults)} that name no article of these folders"
    strange = set(chance.sample(sorted(passages), unseen))
    held = {(row["question"], row["url"]) for row in map(json.loads, apart.read_text("utf-8").splitlines())} if apart else set()
    about_strange = [question for question in questions if question.path in strange]
    questions = [each for each in questions if each.path not in strange and (each.question, each.path) not in held]
    chance.shuffle(questions)
    kept, taken = questions[: round(KEPT * len(questions))], questions[round(KEPT * len(questions)) :]
    known = [article for article in articles if article.path not in strange]
    beside = list(beside_pairs(BESIDE))
    structure = [*structure_pairs(known, passages), *link_pairs(links, known), *beside]
    asked = [pair for question in taken for pair in question_pairs(question, passages) if pair.path not in strange]
    texts = [full_text(chunk) for article in known for chunk in passages[article.path]]
    texts += [text for pair in beside for text in (pair.query, pair.text)]
    tokenizer = train_tokenizer([*texts, *(in_bokmaal(question.asked) for question in taken)])
    yield f"{len(structure)} structure pairs, {len(asked)} question pairs, {tokenizer.get_vocab_size()} tokens"
    matrix = torch.nn.EmbeddingBag(tokenizer.get_vocab_size(), DIMENSIONS, mode="mean")
    torch.nn.init.normal_(matrix.weight, std=0.1)
    order = [*range(len(structure)), *(REPEATS * list(range(len(structure), len(structure) + len(asked))))]
    yield from _fit(matrix, _Encoded(tokenizer, [*structure, *asked]), order, chance)
    save(out, tokenizer, matrix.weight.detach().numpy())
    model = dense.load(str(out))
    if strange:
        yield f"hit@k on {len(about_strange)} questions on {unseen} unseen articles: {hits(model, about_strange, passages)}"
    yield f"hit@k on {len(kept)} questions kept from training: {hits(model, kept, passages)}"


def read_passages(articles: Iterable[Article]) -> tuple[dict[str, list[Chunk]], list[Link]]:
    """The passages of each path, and all links."""
    passages: dict[str, list[Chunk]] = {}
    links: list[Link] = []
    for article in articles:
        parts = blocks(article.body, article.first_line)
        passages.setdefault(article.path, []).extend(chunks(article, parts))
        links += [link for block in parts for link in block.links]
    return passages, links


def read_bank(file: Path, passages: Mapping[str, Sequence[Chunk]]) -> tuple[list[Question], list[str]]:
    """The bank's questions whose articles and headings exist, and the lines of the others with the reason."""
    questions: list[Question] = []
    faults: list[str] = []
    headings = {path: {"", *(each for chunk in own for each in (chunk.title, *chunk.headings))} for path, own in passages.items()}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        record = json.loads(line)
        also = tuple((path, heading) for path, heading in record.get("also", ()))
        for path, heading in ((record["url"], record["heading"]), *also):
            if path not in headings:
                faults.append(f"line {number}: no article {path}")
                break
            if heading not in headings[path]:
                faults.append(f"line {number}: no heading «{heading}» in {path}")
                break
        else:
            turns = tuple(record.get("turns", ()))
            questions.append(Question(record["question"], record["url"], record["heading"], turns, also, record["lang"], number))
    return questions, faults


def structure_pairs(articles: Iterable[Article], passages: dict[str, list[Chunk]]) -> Iterator[Pair]:
    """Title, description and heading with the passages they stand over."""
    for article in articles:
        own = [chunk for chunk in passages[article.path] if chunk.title == article.title]
        for chunk in own:
            yield Pair(" ".join((article.title, *chunk.headings[-1:])), body(chunk), article.path)
            if chunk.headings:
                yield Pair(chunk.headings[-1], full_text(chunk), article.path)
        if article.description and own:
            yield Pair(article.description, full_text(own[0]), article.path)
            yield Pair(article.title, full_text(own[-1]), article.path)


def link_pairs(links: Iterable[Link], articles: Iterable[Article]) -> Iterator[Pair]:
    """The words that other articles use for an article, with its title and description."""
    known = {article.path: article for article in articles}
    seen: set[tuple[str, str]] = set()
    for link in links:
        target = known.get(link.target.split("#")[0].rstrip("/"))
        if target and (link.text.lower(), target.path) not in seen:
            seen.add((link.text.lower(), target.path))
            yield Pair(link.text, f"{target.title}\n{target.description}", target.path)


def question_pairs(question: Question, passages: Mapping[str, Sequence[Chunk]]) -> Iterator[Pair]:
    """A question with the passages that answer it."""
    for path, heading in ((question.path, question.heading), *question.also):
        for chunk in answering(passages[path], heading)[:2]:
            yield Pair(in_bokmaal(question.asked), full_text(chunk), path)


def answering(own: Sequence[Chunk], heading: str) -> list[Chunk]:
    """The passages of an article under a heading; the opening ones when none is named."""
    return (
        [chunk for chunk in own if heading in chunk.headings[-1:]]
        or [chunk for chunk in own if heading in chunk.headings]
        or [chunk for chunk in own if not chunk.headings]
        or list(own)
    )


def beside_pairs(file: Path) -> Iterator[Pair]:
    """Two questions each on one matter beside the articles: what they mean is to be known, and to be far from every passage."""
    topics: dict[str, list[str]] = {}
    for row in map(json.loads, file.read_text("utf-8").splitlines()):
        topics.setdefault(row["topic"], []).append(in_bokmaal(" ".join((*row.get("turns", ()), row["question"]))))
    for topic, texts in topics.items():
        yield from (Pair(text, other, f"beside {topic}") for text, other in pairwise(texts))


def train_tokenizer(texts: Iterable[str]) -> "Tokenizer":
    """A Unigram tokenizer of lower-case Norwegian."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[^\p{L}\p{N}§%]+"), "removed"),
            pre_tokenizers.Metaspace(),
        ]
    )
    trainer = trainers.UnigramTrainer(vocab_size=VOCABULARY, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


class _Encoded:
    """Pairs as token numbers, and the number of each pair's article."""

    def __init__(self, tokenizer: "Tokenizer", pairs: Sequence[Pair]) -> None:
        numbers = {path: number for number, path in enumerate({pair.path for pair in pairs})}
        self.articles = np.array([numbers[pair.path] for pair in pairs])
        self.queries = self._tokens(tokenizer, [pair.query for pair in pairs])
        self.texts = self._tokens(tokenizer, [pair.text for pair in pairs])

    @staticmethod
    def _tokens(tokenizer: "Tokenizer", texts: list[str]) -> list[list[int]]:
        return [encoding.ids[:TOKENS] or [0] for encoding in tokenizer.encode_batch_fast(texts)]


def _fit(matrix: "torch.nn.EmbeddingBag", pairs: _Encoded, order: Sequence[int], chance: random.Random) -> Iterator[str]:
    """Contrast every pair with the others of its batch; `order` names the pairs of one epoch, repeats included."""
    import torch

    size = min(BATCH, len(order))  # a few articles of one's own do not fill a batch
    steps = EPOCHS * (len(order) // size)
    optimizer = torch.optim.Adam(matrix.parameters(), lr=RATE)
    pace = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (0.1 * steps)) * (1 - step / steps))
    for epoch in range(EPOCHS):
        chance.shuffle(shuffled := list(order))
        total = 0.0
        for start in range(0, len(shuffled) - size + 1, size):
            loss = _loss(matrix, pairs, shuffled[start : start + size], chance)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            pace.step()
            total += loss.item()
        yield f"epoch {epoch + 1} of {EPOCHS}: loss {total / (len(shuffled) // size):.3f}"


def _loss(matrix: "torch.nn.EmbeddingBag", pairs: _Encoded, batch: Sequence[int], chance: random.Random) -> "torch.Tensor":
    import torch

    queries, texts = (
        _vectors(matrix, [_thinned(side[number], share, chance) for number in batch])
        for side, share in zip((pairs.queries, pairs.texts), DROPPED, strict=True)
    )
    articles = torch.from_numpy(pairs.articles[list(batch)])
    cosines = SCALE * queries @ texts.T
    # Another passage of the same article is no wrong answer.
    same = (articles[:, None] == articles[None, :]) & ~torch.eye(len(batch), dtype=torch.bool)
    cosines = cosines.masked_fill(same, -torch.inf)
    own = torch.arange(len(batch))
    return torch.nn.functional.cross_entropy(cosines, own) + torch.nn.functional.cross_entropy(cosines.T, own)


def _thinned(tokens: list[int], share: float, chance: random.Random) -> list[int]:
    return [token for token in tokens if chance.random() >= share] or tokens


def _vectors(matrix: "torch.nn.EmbeddingBag", texts: Sequence[Sequence[int]]) -> "torch.Tensor":
    import torch

    flat = torch.tensor([token for text in texts for token in text])
    offsets = torch.tensor(np.cumsum([0, *(len(text) for text in texts[:-1])]))
    return torch.nn.functional.normalize(matrix(flat, offsets), dim=1)


def save(out: Path, tokenizer: "Tokenizer", weights: np.ndarray) -> None:
    """Write the model in sentence-transformers' own format, with half-precision weights (no loss in quality, half the size)."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    static = StaticEmbedding(tokenizer, embedding_weights=weights)
    model = SentenceTransformer(modules=[static, Normalize()], device="cpu")
    model.half().save(str(out), create_model_card=False)


def hits(embedder: dense.Embedder, questions: Sequence[Question], passages: dict[str, list[Chunk]]) -> dict[int, float]:
    """hit@k of pages for k = 1, 5, 10, by vectors alone."""
    pages = np.array([path for path, own in passages.items() for _ in own])
    texts = embedder.documents([full_text(chunk) for own in passages.values() for chunk in own])
    ranks = []
    for question, scores in zip(questions, embedder.queries([in_bokmaal(q.asked) for q in questions]) @ texts.T, strict=True):
        best = dict.fromkeys(pages[np.argsort(-scores)[:200]])
        ranks.append(list(best).index(question.path) if question.path in best else 200)
    return {k: round(float(np.mean([rank < k for rank in ranks])), 3) for k in (1, 5, 10)} if ranks else {}
