"""The command line of the corpus: build · rollback · check · train."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dotenv import load_dotenv
from tqdm import tqdm

from corpus import dense
from corpus.article import Article, ContentError, read_contents
from corpus.build import Reader, build
from corpus.chunk import read_statutes
from corpus.enrich import FAULTS, SECONDS, TOKENS, Enricher, Fault, ModelError, chat_model
from corpus.index import LAW, IndexFault, rollback

HERE = Path(__file__).resolve().parent


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it did its work, 1 when not (with one sentence on stderr)."""
    load_dotenv(HERE.parent / ".env")
    parser = argparse.ArgumentParser(prog="python -m corpus", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    index = commands.add_parser("build", help="build or update the search index")
    index.add_argument("content", nargs="*", type=Path, metavar="CONTENT_DIR")
    index.add_argument("--index", type=Path, default=Path(os.environ.get("HMS_INDEX") or HERE.parent / "index"))
    index.add_argument("--base-url", default=os.environ.get("HMS_BASE_URL", ""))
    index.add_argument("--law", type=Path, metavar="DIR", help="Lovdata's public XML: law text beside the answers")
    index.add_argument("--enrich", action="store_true", help="let HMS_MODEL write questions to each section, to be found by")
    index.set_defaults(run=_build)
    back = commands.add_parser("rollback", help="serve the index before the last one again")
    back.add_argument("--index", type=Path, default=index.get_default("index"))
    back.set_defaults(run=_rollback)
    checker = commands.add_parser("check", help="what should be mended in the articles")
    checker.add_argument("content", type=Path, metavar="CONTENT_DIR")
    checker.add_argument("--html", type=Path, metavar="FILE", help="a page to read and to mend by")
    checker.add_argument("--json", type=Path, metavar="FILE", help="the findings for other programs")
    checker.set_defaults(run=_check)
    trainer = commands.add_parser("train", help="train the shipped embedder")
    trainer.add_argument("content", nargs="+", type=Path, metavar="CONTENT_DIR")
    trainer.add_argument("--questions", type=Path, default=HERE / "questions" / "bank.jsonl")
    trainer.add_argument("--out", type=Path, default=dense.SHIPPED)
    trainer.add_argument("--apart", type=Path, metavar="FILE.jsonl", help="questions that are not to be trained on")
    trainer.add_argument("--unseen", type=int, default=0, metavar="N", help="leave N articles out and measure on their questions")
    trainer.set_defaults(run=_train)
    options = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except (ContentError, IndexFault, ModelError, dense.EmbedderError, dense.Away) as error:
        print(error, file=sys.stderr)
        return 1


def _build(options: argparse.Namespace) -> int:
    enricher = _enricher() if options.enrich else None
    embedder = dense.load(os.environ.get("HMS_EMBEDDER", ""))
    _built(options.content or _content_setting(), options.index, embedder, options.base_url, read_contents, enricher)
    if options.law:
        _built([options.law], options.index / LAW, embedder, "", read_statutes)
    return 0


def _enricher() -> Enricher:
    """The model of the settings; one that does not start has nothing to add to what it wrote before. Raises ModelError."""
    if not (model := os.environ.get("HMS_MODEL", "").strip()):
        raise ModelError("HMS_MODEL er tom, og --enrich trenger en språkmodell; sett for eksempel HMS_MODEL=ollama:qwen3.")
    try:
        return Enricher(model, chat_model(model, os.environ.get("HMS_MODEL_URL", "").strip(), TOKENS, SECONDS))
    except Fault as fault:
        return Enricher(model, fault)


def _built(
    contents: list[Path], folder: Path, embedder: dense.Embedder, base_url: str, read: Reader, enricher: Enricher | None = None
) -> None:
    """Build one index, and say what was done."""
    begun = time.perf_counter()
    with _Bar() as bar:
        server = os.environ.get("HMS_CHROMA_URL", "").rstrip("/")
        summary = build(contents, folder, embedder, base_url, bar.show, read, enricher, server)
    manifest, written = summary.manifest, summary.written
    for each in manifest.rejected:
        print(f"avvist  {each.file}: {each.reason}")
    print(
        f"{len(manifest.articles)} artikler lest, {summary.changed} nye eller endret, {summary.removed} fjernet, "
        f"{len(manifest.rejected)} avvist; {manifest.chunks} avsnitt på {time.perf_counter() - begun:.1f} s."
    )
    if enricher:
        print(f"{manifest.chunks - written.missing} avsnitt har spørsmål skrevet av {enricher.name}, {written.missing} er uten.")
    if written.fault:
        print(f"{FAULTS[written.fault]}; kjør kommandoen igjen for de avsnittene som er uten spørsmål.", file=sys.stderr)
    print(f"Indeks {manifest.id} {'er tatt i bruk' if summary.rebuilt else 'var à jour'} i {folder}")


def _rollback(options: argparse.Namespace) -> int:
    print(f"Indeks {rollback(options.index)} er tatt i bruk i {options.index}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from corpus.check import as_json, check, page

    read = list(read_contents([options.content]))
    found = check(read)
    count = sum(isinstance(each, Article) for each in read)
    for file, text in ((options.html, page(found, str(options.content), count)), (options.json, as_json(found))):
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
    for each in () if options.html or options.json else found:
        print(f"{each.file}:{each.line}  {each.kind}  «{each.quote}»  {each.message}")
    kinds = ", ".join(f"{number} {kind}" for kind, number in Counter(each.kind for each in found).most_common())
    print(f"{count} artikler, {len(found)} funn{f' ({kinds})' if kinds else ''}.")
    return 1 if found else 0


def _content_setting() -> list[Path]:
    return [Path(part) for part in os.environ.get("HMS_CONTENT", "").split(":") if part] or [HERE / "articles"]


def _train(options: argparse.Namespace) -> int:
    from corpus.train import train

    for line in train(options.content, options.questions, options.out, options.apart, options.unseen):
        print(line, flush=True)
    return 0


class _Bar:
    """A progress bar on stderr, one for each stage."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, stage: str, done: int, total: int) -> None:
        """Progress, as corpus.build tells it."""
        if stage != self._stage or self._bar is None:
            self.__exit__()
            self._bar = tqdm(desc=stage, total=total or None, unit="", leave=False)
            self._stage = stage
        self._bar.update(done + 1 - self._bar.n)


if __name__ == "__main__":
    sys.exit(main())
