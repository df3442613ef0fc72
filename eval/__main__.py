"""The command line of the measurements: run · report · compare · check · bank · fit · bench."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eval.dataset import Row
    from eval.run import Judge, Target

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SHARED = ROOT.parent / "shared"  # where this is built lie a real blog and NorQuAD; elsewhere those parts are left out
QUESTIONS = HERE.parent / "corpus" / "questions" / "bank.jsonl"
SITE = "https://www.example.no"  # for an index without a site of its own, when links are to be checked against a built one
SHARES = ("hit@1", "hit@5", "hit@10", "mrr@10", "ndcg@10", "facts", "cited", "facts_and_cited", "abstained", "as_expected")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it did its work, 1 when not (with one sentence on stderr)."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
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
    from eval.bench import BenchError
    from eval.dataset import DatasetError
    from eval.run import RunError

    return isinstance(error, HmsError | ContentError | IndexFault | BenchError | DatasetError | RunError)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eval", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="ask and score the questions of a file")
    run.add_argument("file", type=Path, metavar="FILE.jsonl")
    place = run.add_mutually_exclusive_group()
    place.add_argument("--index", type=Path, metavar="DIR", help="an index to ask in this process (default: the settings' own)")
    place.add_argument("--url", help="a running server to ask instead")
    run.add_argument("--out", type=Path, metavar="DIR", help="for records.jsonl and summary.json (default: out/<file>-<time>)")
    run.add_argument("--content", type=Path, nargs="+", metavar="DIR", help="content folders to look quotes up in")
    run.add_argument("--site", type=Path, metavar="DIR", help="the built site to check links against; built there when empty")
    run.add_argument("--base-url", help="the site that the citations lead to")
    run.set_defaults(run=_run)
    report = commands.add_parser("report", help="everything: shipped and real articles, baselines, NorQuAD; a page to read")
    report.add_argument("--blog", type=Path, default=SHARED / "blog" / "content", metavar="DIR", help="a real blog's content")
    report.add_argument("--norquad", type=Path, default=SHARED / "norquad", metavar="DIR")
    report.add_argument(
        "--tutorial", action="store_true", help="also what a LangChain tutorial builds (minutes of building, once)"
    )
    report.add_argument("--out", type=Path, metavar="DIR")
    report.set_defaults(run=_report)
    compare = commands.add_parser("compare", help="what changed between two runs")
    compare.add_argument("before", type=Path, metavar="A")
    compare.add_argument("after", type=Path, metavar="B")
    compare.set_defaults(run=_compare)
    check = commands.add_parser("check", help="whether a question file's pages and facts are right")
    check.add_argument("files", type=Path, nargs="+", metavar="FILE.jsonl")
    check.add_argument("--content", type=Path, nargs="+", metavar="DIR", help="content folders (default: the settings' own)")
    check.set_defaults(run=_check)
    bank = commands.add_parser("bank", help="whether the question bank is sound, and what it is like")
    bank.add_argument("content", type=Path, nargs="+", metavar="CONTENT_DIR")
    bank.add_argument("--questions", type=Path, default=QUESTIONS, metavar="FILE")
    bank.add_argument("--apart", type=Path, nargs="*", default=[], metavar="FILE.jsonl", help="what is measured with")
    bank.set_defaults(run=_bank)
    fit = commands.add_parser("fit", help="fit the weights of assistant/ again, to be put into its code")
    fit.add_argument("what", choices=("ranking", "units", "ground", "support", "signs"))
    fit.add_argument("blog", type=Path, nargs="?", default=SHARED / "blog" / "content", metavar="CONTENT_DIR")
    fit.add_argument(
        "--embedder", default="", metavar="DIR", help="one that has not seen the questions (default: the shipped one)"
    )
    fit.set_defaults(run=_fit)
    bench = commands.add_parser("bench", help="measure building, starting, answering and memory")
    bench.add_argument("content", type=Path, nargs="*", metavar="CONTENT")
    bench.add_argument("--questions", type=Path, default=QUESTIONS, metavar="FILE")
    bench.add_argument("--sizes", type=int, nargs="+", metavar="N", help="over so many articles, made up where there are too few")
    bench.add_argument("--tutorial", action="store_true", help="beside it what a LangChain tutorial builds, as ratios")
    bench.add_argument("--out", type=Path, default=ROOT / "out" / "bench", metavar="DIR", help="for bench.json and bench.svg")
    bench.set_defaults(run=_bench)
    return parser


def _run(options: argparse.Namespace) -> int:
    from eval import dataset, run

    records = dataset.read(options.file)
    target, contents = _target(options)
    out: Path = options.out or ROOT / "out" / f"{options.file.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    report = run.run(records, target, _judge(options, target, contents), out, _progress)
    for line in table(report):
        print(line)
    print(f"\n{out / 'records.jsonl'}\n{out / 'summary.json'}")
    return 0


def _report(options: argparse.Namespace) -> int:
    from eval.full import measure
    from eval.report import write

    out: Path = options.out or ROOT / "out" / f"report-{datetime.now():%Y%m%d-%H%M%S}"
    blog, quad = (folder if folder.is_dir() else None for folder in (options.blog, options.norquad))
    report = measure(out, blog, quad, options.tutorial, _progress)
    write(report, out / "report.html")
    for name, table in report.tables.items():
        print(f"\n{name}")
        columns = list(dict.fromkeys(column for row in table.values() for column in row))
        print(" " * 24 + " ".join(f"{column:>16}" for column in columns))
        for key, row in table.items():
            print(f"{key:24}" + " ".join(f"{row[column]:16.3f}" if column in row else f"{'–':>16}" for column in columns))
    print(f"\n{out / 'report.html'}")
    return 0


def _target(options: argparse.Namespace) -> "tuple[Target, list[Path]]":
    """Whoever is asked, and the content folders that its quotes can be looked up in."""
    from eval.run import InProcess, OverHttp

    if options.url:
        return OverHttp(options.url, options.base_url or ""), options.content or []
    target = InProcess(options.index, options.base_url)
    if options.site and not target.base_url:
        target = InProcess(options.index, SITE)
    return target, options.content or [folder for folder in target.content if folder.is_dir()]


def _judge(options: argparse.Namespace, target: "Target", contents: list[Path]) -> "Judge":
    from eval.metrics import build_site
    from eval.run import Judge, RunError

    site: Path | None = options.site
    if site and not target.base_url:
        raise RunError("For å kontrollere lenkene til en tjener må adressen de begynner med oppgis med --base-url.")
    if site and not any(site.glob("*")):
        if len(contents) != 1:
            raise RunError(f"Nettstedet i {site} kan bare bygges av én innholdsmappe; oppgi den med --content.")
        try:
            site = build_site(contents[0], site)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RunError(f"Nettstedet kunne ikke bygges i {site} ({error}); se at hugo er installert.") from None
    elif site and (site / "public").is_dir():
        site = site / "public"
    return Judge(contents, site, target.base_url)


def _progress(done: int, total: int) -> None:
    print(f"\r{done} av {total}", end="" if done < total else "\n", file=sys.stderr, flush=True)


def table(report: "Row") -> list[str]:
    """A summary as lines: a group each for the shares, then what is measured of the answers themselves."""
    wide = max(map(len, report))
    lines = [" " * wide + "     n " + " ".join(f"{name:>15}" for name in SHARES)]
    for name, figures in report.items():
        lines.append(
            f"{name:{wide}} {figures['questions']:>5} " + " ".join(f"{_share(figures.get(each)):>15}" for each in SHARES)
        )
    whole = report["all"]
    lines += ["", *(f"{name:16} {_share(whole.get(name))}" for name in ("quotes_verbatim", "links_valid", "clean", "failed"))]
    lines += [f"{name:16} {whole[name]:.0f}" for name in ("median_words", "p50_ms", "p95_ms") if name in whole]
    return lines


def _share(figure: dict[str, float] | None) -> str:
    return f"{figure['mean']:.2f} [{figure['low']:.2f} {figure['high']:.2f}]".replace("0.", ".") if figure else "–"


def _compare(options: argparse.Namespace) -> int:
    from eval.run import RunError, compare, read_rows

    before, after = read_rows(options.before), read_rows(options.after)
    shared = before.keys() & after.keys()
    if not shared:
        raise RunError(f"{options.before} og {options.after} har ingen spørsmål felles.")
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
    from eval import dataset

    records = [record for file in options.files for record in dataset.read(file)]
    found = list(dataset.faults(records, dataset.read_articles(options.content or _own_content())))
    for fault in found:
        print(f"{fault.id} (spørsmål {fault.line}): {fault.message}")
    print(f"{len(records)} spørsmål, {len(found)} feil")
    return 1 if found else 0


def _bank(options: argparse.Namespace) -> int:
    from collections import Counter

    import numpy as np

    from corpus.article import Article, read_content
    from corpus.train import read_bank, read_passages
    from eval import dataset

    passages, _ = read_passages(each for root in options.content for each in read_content(root) if isinstance(each, Article))
    questions, strange = read_bank(options.questions, passages)
    apart = [record for file in options.apart for record in dataset.read(file)]
    found = list(dataset.bank_faults(questions, apart))
    for line in strange + [f"line {line}: {fault}" for line, fault in found]:
        print(line)
    shares = np.percentile([dataset.overlap(question, passages) for question in questions], [10, 25, 50, 75, 90])
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
        columns |= bench.against_tutorial(contents, options.questions, columns["as it is"], ROOT / "out" / "cache")
    (options.out / "bench.json").write_text(json.dumps(columns, indent=1), "utf-8")
    print(" " * 32 + "".join(f"{name:>18}" for name in columns))
    for name in next(iter(columns.values())):
        print(f"{name:32}" + "".join(f"{own[name]:18,.2f}" if name in own else f"{'–':>18}" for own in columns.values()))
    print(f"\n{options.out / 'bench.json'}")
    return 0


def _own_content() -> list[Path]:
    from assistant.settings import load

    return list(load().content)


if __name__ == "__main__":
    sys.exit(main())
