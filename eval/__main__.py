"""The command line of the measurements: run · report · compare · check · bank · fit · bench."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval.metrics import Judge, Table
    from eval.run import Target

ROOT = Path(__file__).resolve().parent.parent
ASKED = ROOT / "eval" / "questions"
ARTICLES = ROOT / "corpus" / "articles"
SHARED = ROOT.parent / "shared"  # where this is built lie a real blog and NorQuAD; elsewhere those parts are left out
BLOG = SHARED / "blog" / "content"
QUESTIONS = ROOT / "corpus" / "questions" / "bank.jsonl"
CACHE = ROOT / "out" / "cache"
SHARES = ("hit@1", "hit@5", "hit@10", "mrr@10", "ndcg@10", "facts", "cited", "facts_and_cited", "abstained", "as_expected")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it did its work, 1 when not (with one sentence on stderr)."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except ModuleNotFoundError as error:
        print(f"Målingen trenger {error.name}; installer det med «pip install -r requirements-dev.lock».", file=sys.stderr)
    except Exception as error:
        if not _told(error):
            raise
        print(error, file=sys.stderr)
    return 1


def _told(error: Exception) -> bool:
    """Whether an error is a sentence for the reader. Imported here: `bench` is to stay small and needs none of them."""
    from assistant import HmsError
    from corpus.article import ContentError
    from corpus.index import IndexFault
    from eval import EvalError

    return isinstance(error, HmsError | ContentError | IndexFault | EvalError)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (run, told, arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=told)
        command.set_defaults(run=run)
        for names, more in arguments.items():
            command.add_argument(*names.split(), **more)
    return parser


def _run(options: argparse.Namespace) -> int:
    from eval import read_records, run

    records = read_records(options.file)
    target, contents = _target(options)
    out: Path = options.out or ROOT / "out" / f"{options.file.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    report = run.run(records, target, _judge(options, target, contents), out, _progress)
    shares = {name: {"n": own["questions"], **{each: own.get(each) for each in SHARES}} for name, own in report.items()}
    _print_table(shares, _share)
    whole = report["all"]
    print(
        "", *(f"{name:16} {_share(whole.get(name))}" for name in ("quotes_verbatim", "links_valid", "clean", "failed")), sep="\n"
    )
    print(*(f"{name:16} {whole[name]:.0f}" for name in ("median_words", "p50_ms", "p95_ms") if name in whole), sep="\n")
    print(f"\n{out / 'records.jsonl'}\n{out / 'summary.json'}")
    return 0


def _target(options: argparse.Namespace) -> "tuple[Target, list[Path]]":
    """Whoever is asked, and the content folders that its quotes can be looked up in."""
    from eval import EvalError
    from eval.run import SITE, InProcess, OverHttp

    if options.url and options.index:
        raise EvalError("Enten --index eller --url kan oppgis, ikke begge.")
    if options.url:
        return OverHttp(options.url, options.base_url or ""), options.content or []
    target = InProcess(options.index, options.base_url)
    if options.site and not target.base_url:
        target = InProcess(options.index, SITE)
    return target, options.content or [folder for folder in target.content if folder.is_dir()]


def _judge(options: argparse.Namespace, target: "Target", contents: list[Path]) -> "Judge":
    from eval import EvalError
    from eval.metrics import Judge, build_site

    site: Path | None = options.site
    if site and not target.base_url:
        raise EvalError("For å kontrollere lenkene til en tjener må adressen de begynner med oppgis med --base-url.")
    if site and not any(site.glob("*")):
        if len(contents) != 1:
            raise EvalError(f"Nettstedet i {site} kan bare bygges av én innholdsmappe; oppgi den med --content.")
        try:
            site = build_site(contents[0], site)
        except (OSError, subprocess.CalledProcessError) as error:
            raise EvalError(f"Nettstedet kunne ikke bygges i {site} ({error}); se at hugo er installert.") from None
    elif site and (site / "public").is_dir():
        site = site / "public"
    return Judge(contents, site, target.base_url)


def _progress(done: int, total: int) -> None:
    print(f"\r{done} av {total}", end="" if done < total else "\n", file=sys.stderr, flush=True)


def _share(figure: Any) -> str:
    """A share with its interval, or a plain number."""
    if not isinstance(figure, dict):
        return "–" if figure is None else str(figure)
    return f"{figure['mean']:.2f} [{figure['low']:.2f} {figure['high']:.2f}]".replace("0.", ".")


def _print_table(table: Mapping[str, Mapping[str, Any]], told: Callable[[Any], str] = "{:,.3f}".format) -> None:
    """Print a table, a line for each row; what a row does not have is a dash."""
    names = dict.fromkeys(column for row in table.values() for column in row)
    lines = [["", *names], *([key, *(told(row[name]) if name in row else "–" for name in names)] for key, row in table.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *rest in lines:
        print(first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)), sep="  ")


def _report(options: argparse.Namespace) -> int:
    """Everything at hand, one after the other; what is not on this machine is left out, and the page says so."""
    from eval.run import overview, run_over, write

    begun = time.perf_counter()
    out: Path = options.out or ROOT / "out" / f"report-{datetime.now():%Y%m%d-%H%M%S}"
    sets = {"shipped": run_over(ARTICLES, ASKED / "shipped.jsonl", out / "shipped", _progress)}
    tables: dict[str, Table] = {}
    notes = []
    if options.blog.is_dir():
        sets["real blog"] = run_over(options.blog, ASKED / "dev.jsonl", out / "blog", _progress)
        tables["The real blog, today's figures"] = overview(sets["real blog"])
        tables |= _beside(options.blog, out / "blog" / "index", options.tutorial)
    else:
        notes.append("No real blog on this machine: its questions and the baselines are left out.")
    if options.norquad.is_dir():
        tables |= _norquad(options.norquad, out / "norquad")
    else:
        notes.append("No NorQuAD on this machine: it is left out.")
    notes.insert(0, f"Measured in {time.perf_counter() - begun:.0f} seconds. Intervals are 95 %, by bootstrap over questions.")
    write(out / "report.html", "HMS-assistenten: what users get", sets, tables, notes)
    for name, table in tables.items():
        print(f"\n{name}")
        _print_table(table)
    print(f"\n{out / 'report.html'}")
    return 0


def _beside(blog: Path, index: Path, tutorial: bool) -> "dict[str, Table]":
    """Our search and the baselines over the real blog, for each split."""
    from eval import bench, read_records

    records = read_records(ASKED / "dev.jsonl")
    parts = {split: [record for record in records if record.split == split] for split in ("tune", "kept")}
    search, took = bench.open_tutorial([blog], CACHE) if tutorial else (None, {})
    found = bench.rank(index, parts, {"tutorial": search} if search else {})
    for table in found.values() if tutorial else ():
        table["tutorial"] |= took
    return {f"Against what a user could have had, {split}": table for split, table in found.items()}


def _norquad(folder: Path, out: Path) -> "dict[str, Table]":
    """A benchmark that nothing is trained on, indexed as articles are by the same program: passages found, and spans told."""
    from corpus import dense
    from corpus.build import build
    from eval import bench, norquad
    from eval.run import InProcess, spans

    records = {part: norquad(folder / part, out / part / "content") for part in ("news", "test")}
    for part in records:
        build([out / part / "content"], out / part / "index", dense.load())
    return {
        "NorQuAD, passages of news found": bench.rank(out / "news" / "index", {"": records["news"]}, {})[""],
        "NorQuAD test, spans told": spans(InProcess(out / "test" / "index"), records["test"]),
    }


def _compare(options: argparse.Namespace) -> int:
    from eval import EvalError
    from eval.run import compare, read_rows

    before, after = read_rows(options.before), read_rows(options.after)
    shared = before.keys() & after.keys()
    if not shared:
        raise EvalError(f"{options.before} og {options.after} har ingen spørsmål felles.")
    print(f"{len(shared)} felles spørsmål ({len(before)} i A, {len(after)} i B)\n")
    for each in compare(before, after):
        print(
            f"{each['score']:16} n={each['n']:<5} {each['before']:.3f} → {each['after']:.3f}  "
            f"{each['after'] - each['before']:+.3f} [{each['low']:+.3f} {each['high']:+.3f}]  "
            f"{len(each['better'])} bedre, {len(each['worse'])} verre"
        )
        for word, keys in (("bedre", each["better"]), ("verre", each["worse"])):
            for key in keys if each["score"] in ("hit@5", "facts_and_cited", "as_expected") else ():
                print(f"    {word}  {key}: {after[key]['question']}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from eval import faults, read_articles, read_records

    records = [record for file in options.files for record in read_records(file)]
    found = list(faults(records, read_articles(options.content or _own_content())))
    for fault in found:
        print(f"{fault.id} (spørsmål {fault.line}): {fault.message}")
    print(f"{len(records)} spørsmål, {len(found)} feil")
    return 1 if found else 0


def _bank(options: argparse.Namespace) -> int:
    from collections import Counter

    import numpy as np

    from corpus.train import read_bank, read_passages
    from eval import bank_faults, overlap, read_articles, read_records

    passages, _ = read_passages(read_articles(options.content).values())
    questions, strange = read_bank(options.questions, passages)
    apart = [record for file in options.apart for record in read_records(file)]
    found = list(bank_faults(questions, apart))
    for line in strange + [f"line {line}: {fault}" for line, fault in found]:
        print(line)
    shares = np.percentile([overlap(question, passages) for question in questions], [10, 25, 50, 75, 90])
    languages = Counter(question.language for question in questions)
    talks = sum(bool(question.turns) for question in questions)
    print(f"{len(questions)} spørsmål over {len({each.path for each in questions})} sider, {talks} samtaler; "
          f"{', '.join(f'{name} {count / len(questions):.0%}' for name, count in languages.most_common())}")  # fmt: skip
    print("andel av ordene som står i avsnittet (10, 25, 50, 75, 90 %): " + " ".join(f"{share:.2f}" for share in shares))
    print(f"{len(strange)} som ikke kan brukes, {len(found)} like andre")
    return 1 if strange or found else 0


def _fit(options: argparse.Namespace) -> int:
    from eval import fit

    print(fit.fit(options.what, options.blog, options.embedder))
    return 0


def _bench(options: argparse.Namespace) -> int:
    from eval import bench

    def progress(stage: str) -> None:
        print(f"… {stage}", file=sys.stderr, flush=True)

    contents = options.content or _own_content()
    options.out.mkdir(parents=True, exist_ok=True)
    columns = {}
    if options.sizes:
        figures = bench.growth(contents, options.questions, options.sizes, progress)
        bench.plot(figures, options.out / "bench.svg")
        columns = {f"{size} articles": own for size, own in figures.items()}
    if options.tutorial or not options.sizes:
        columns["as it is"] = bench.bench(contents, options.questions, progress)
    if options.tutorial:
        columns |= bench.against_tutorial(contents, options.questions, columns["as it is"], CACHE)
    (options.out / "bench.json").write_text(json.dumps(columns, indent=1), "utf-8")
    names = next(iter(columns.values()))
    _print_table(
        {name: {column: own[name] for column, own in columns.items() if name in own} for name in names}, "{:,.2f}".format
    )
    print(f"\n{options.out / 'bench.json'}")
    return 0


def _own_content() -> list[Path]:
    from assistant.settings import load

    return list(load().content)


def _path(metavar: str = "DIR", **more: Any) -> dict[str, Any]:
    return {"type": Path, "metavar": metavar, **more}


# name → (what runs it, what it is for, its arguments)
COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], str, dict[str, dict[str, Any]]]] = {
    "run": (_run, "ask and score the questions of a file", {
        "file": _path("FILE.jsonl"),
        "--index": _path(help="an index to ask in this process (default: the settings' own)"),
        "--url": {"help": "a running server to ask instead"},
        "--out": _path(help="for records.jsonl and summary.json (default: out/<file>-<time>)"),
        "--content": _path(nargs="+", help="content folders to look quotes up in"),
        "--site": _path(help="the built site to check links against; built there when empty"),
        "--base-url": {"help": "the site that the citations lead to"},
    }),
    "report": (_report, "everything: shipped and real articles, baselines, NorQuAD; a page to read", {
        "--blog": _path(default=BLOG, help="a real blog's content"),
        "--norquad": _path(default=SHARED / "norquad"),
        "--tutorial": {"action": "store_true", "help": "also what a LangChain tutorial builds (minutes of building, once)"},
        "--out": _path(),
    }),
    "compare": (_compare, "what changed between two runs", {"before": _path("A"), "after": _path("B")}),
    "check": (_check, "whether a question file's pages and facts are right", {
        "files": _path("FILE.jsonl", nargs="+"),
        "--content": _path(nargs="+", help="content folders (default: the settings' own)"),
    }),
    "bank": (_bank, "whether the question bank is sound, and what it is like", {
        "content": _path("CONTENT_DIR", nargs="+"),
        "--questions": _path("FILE", default=QUESTIONS),
        "--apart": _path("FILE.jsonl", nargs="*", default=[], help="what is measured with"),
    }),
    "fit": (_fit, "fit the weights of assistant/ again, to be put into its code", {
        "what": {"choices": ("ranking", "units", "ground", "support", "signs", "matters")},
        "blog": _path("CONTENT_DIR", nargs="?", default=BLOG),
        "--embedder": {"default": "", "metavar": "DIR", "help": "one that has not seen the questions (default: the shipped one)"},
    }),
    "bench": (_bench, "measure building, starting, answering and memory", {
        "content": _path("CONTENT", nargs="*"),
        "--questions": _path("FILE", default=QUESTIONS),
        "--sizes": {"type": int, "nargs": "+", "metavar": "N", "help": "over so many articles, made up where there are too few"},
        "--tutorial": {"action": "store_true", "help": "beside it what a LangChain tutorial builds, as ratios"},
        "--out": _path(default=ROOT / "out" / "bench", help="for bench.json and bench.svg"),
    }),
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
