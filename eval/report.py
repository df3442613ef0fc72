"""A run as one HTML page: how good, for whom, against what, and where it goes wrong. Nothing on it comes from elsewhere.

Knows scored rows (`eval.run`) and figures; knows nothing of how they came about.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from eval.dataset import Row
from eval.metrics import interval, percentile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = Path(__file__).resolve().parent / "report.html"
HEADLINE = {
    "hit@1": "right page first",
    "hit@5": "right page among five",
    "facts_and_cited": "all facts, right page cited",
    "abstained": "answerable, turned away",
    "as_expected": "rest done as expected",
    "quotes_verbatim": "quotes verbatim",
    "links_valid": "links open at the words",
}
LOWER_IS_BETTER = ("abstained",)
BARS = ("hit@1", "hit@5", "facts_and_cited")
COLOURS = ("#0b6e69", "#6fb7b1", "#c98a1b")
WORST = 40
ORDER = {"lang": ("nb", "nn", "en", "dialect"), "persona": ("ansatt", "verneombud", "leder", "regnskap", "eier")}


@dataclass(frozen=True)
class Report:
    """What a page is made of: rows by the name of their question set, and tables of figures (name → column → value)."""

    title: str
    sets: Mapping[str, Sequence[Row]]
    tables: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    notes: Sequence[str] = ()


def write(report: Report, file: Path) -> None:
    """Write the page; the figures are drawn into it."""
    rows = [row for own in report.sets.values() for row in own]
    parts = [_headlines(report.sets), *(_table(name, table) for name, table in report.tables.items())]
    parts += [_groups(rows, name, told) for name, told in (("lang", "Language"), ("type", "Type"), ("persona", "Who asks"))]
    parts += [_abstention(rows), _latency(rows), _not_answered(rows), _worst(rows)]
    notes = "".join(f"<p>{escape(note)}</p>" for note in report.notes)
    page = Template(PAGE.read_text("utf-8"))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page.substitute(title=escape(report.title), notes=notes, body="\n".join(filter(None, parts))), "utf-8")


def mean(rows: Iterable[Row], name: str) -> tuple[float, float, float, int] | None:
    """Mean, low and high of the 95 % interval, and how many rows have this score; None when none has."""
    values = [row["scores"][name] for row in rows if row["scores"].get(name) is not None]
    return (sum(values) / len(values), *interval(values), len(values)) if values else None


def _headlines(sets: Mapping[str, Sequence[Row]]) -> str:
    columns: dict[str, Sequence[Row]] = {}
    for name, rows in sets.items():
        columns[name] = rows
        for split in sorted({row["split"] for row in rows if row["split"]}, reverse=True):
            columns[f"{name}: {split}"] = [row for row in rows if row["split"] == split]
    head = "".join(f"<th>{escape(name)}<br><small>{len(rows)} questions</small></th>" for name, rows in columns.items())
    lines = []
    for name, told in HEADLINE.items():
        cells = "".join(_cell(mean(own, name)) for own in columns.values())
        lines.append(f"<tr><th>{escape(told)}<br><small>{escape(name)}</small></th>{cells}</tr>")
    lengths = {name: [row["words"] for row in rows if row["words"] is not None] for name, rows in columns.items()}
    lines.append(f"<tr><th>words, median</th>{''.join(f'<td>{percentile(each, 50):.0f}</td>' for each in lengths.values())}</tr>")
    return f"<h2>At a glance</h2><table class='glance'><tr><th></th>{head}</tr>{''.join(lines)}</table>"


def _cell(figure: tuple[float, float, float, int] | None) -> str:
    if figure is None:
        return "<td>–</td>"
    value, low, high, count = figure
    return f"<td title='{count} questions'><b>{_percent(value)}</b><br><small>{_percent(low)}–{_percent(high)}</small></td>"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def _table(name: str, table: Mapping[str, Mapping[str, float]]) -> str:
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    best = {column: max((row[column] for row in table.values() if column in row), default=0.0) for column in columns}

    def cell(row: Mapping[str, float], column: str) -> str:
        if column not in row:
            return "<td>–</td>"
        value = f"{row[column]:.3f}" if best[column] <= 1 else f"{row[column]:,.1f}".replace(",", " ")
        leads = best[column] <= 1 and row[column] == best[column] and column not in LOWER_IS_BETTER
        return f"<td><b>{value}</b></td>" if leads else f"<td>{value}</td>"

    lines = (f"<tr><th>{escape(key)}</th>{''.join(cell(row, column) for column in columns)}</tr>" for key, row in table.items())
    return f"<h2>{escape(name)}</h2><table><tr><th></th>{head}</tr>{''.join(lines)}</table>"


def _groups(rows: Sequence[Row], key: str, told: str) -> str:
    names = [name for name in ORDER.get(key, ()) if any(row.get(key) == name for row in rows)]
    names = names or sorted({row[key] for row in rows if row.get(key)})
    groups = {name: [row for row in rows if row.get(key) == name and row["gold_urls"]] for name in names}
    groups = {name: own for name, own in groups.items() if own}
    if len(groups) < 2:
        return ""

    def draw(axes: "Axes") -> None:
        for number, score in enumerate(BARS):
            figures = [mean(own, score) or (0.0, 0.0, 0.0, 0) for own in groups.values()]
            places = [place + 0.27 * (number - 1) for place in range(len(groups))]
            errors = [[value - low for value, low, _, _ in figures], [high - value for value, _, high, _ in figures]]
            axes.bar(places, [figure[0] for figure in figures], 0.25, color=COLOURS[number], label=score)
            axes.errorbar(places, [figure[0] for figure in figures], errors, fmt="none", ecolor="#44525a", elinewidth=1)
        labels = [f"{name.replace('_', ' ')}\n{len(own)}" for name, own in groups.items()]
        axes.set_xticks(range(len(groups)), labels, fontsize=7)
        axes.set_ylim(0, 1)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(BARS), fontsize=8, frameon=False)

    return f"<h2>{told}</h2>{_drawn(draw, told + ': ' + ', '.join(BARS))}"


def _abstention(rows: Sequence[Row]) -> str:
    """Over every bound on confidence: how many of the answered can be answered, and how many of those that can be are."""
    sure = [(row["confidence"], bool(row["gold_urls"])) for row in rows if row.get("confidence") is not None]
    if not any(answerable for _, answerable in sure) or all(answerable for _, answerable in sure):
        return ""
    bounds = sorted({value for value, _ in sure})
    precision, recall = [], []
    total = sum(answerable for _, answerable in sure)
    for bound in bounds:
        answered = [answerable for value, answerable in sure if value >= bound]
        precision.append(sum(answered) / len(answered))
        recall.append(sum(answered) / total)

    def draw(axes: "Axes") -> None:
        axes.plot(bounds, precision, color=COLOURS[0], label="of the answered, can be answered")
        axes.plot(bounds, recall, color=COLOURS[2], label="of those that can be, are answered")
        axes.axvline(0, color="#44525a", linestyle=":", linewidth=1)
        axes.set_xlabel("bound on confidence (0: as it is)", fontsize=8)
        axes.legend(fontsize=8)

    return f"<h2>Abstention</h2>{_drawn(draw, 'Precision and recall of answering over bounds on confidence')}"


def _latency(rows: Sequence[Row]) -> str:
    times = [row["ms"] for row in rows if row["ms"] is not None]
    if not times:
        return ""

    def draw(axes: "Axes") -> None:
        axes.hist(times, bins=40, color=COLOURS[1])
        axes.set_xlabel("milliseconds to an answer", fontsize=8)

    told = ", ".join(f"p{share} {percentile(times, share):.0f} ms" for share in (50, 95, 99))
    return f"<h2>Latency</h2><p>{told}</p>{_drawn(draw, 'Histogram of the time to an answer')}"


def _drawn(draw: "Callable[[Axes], None]", alt: str) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure: Figure = Figure(figsize=(9, 3.2), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    draw(axes)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    svg = stream.getvalue()
    return f'<div role="img" aria-label="{escape(alt)}">{svg[svg.index("<svg") :]}</div>'


def _not_answered(rows: Sequence[Row]) -> str:
    """What must not be answered, by type: how many were done as expected."""
    rest = [row for row in rows if row["expect"] != "answer"]
    table = {}
    for kind in sorted({row["type"] for row in rest}):
        own = [row for row in rest if row["type"] == kind]
        table[kind] = {"questions": float(len(own)), "as_expected": (mean(own, "as_expected") or (0.0,))[0]}
    return _table("What must not be answered", table) if table else ""


def _worst(rows: Sequence[Row]) -> str:
    """The answerable questions that went wrong, those of which nothing was right first."""
    wrong = [row for row in rows if row["gold_urls"] and not row["scores"].get("facts_and_cited", 1.0)]
    wrong += [row for row in rows if row["scores"].get("as_expected") == 0 and not row["gold_urls"]]
    wrong.sort(key=lambda row: (row["scores"].get("mrr@10", 0.0), row["id"]))
    return f"<h2>Where it goes wrong ({len(wrong)}, the worst {min(len(wrong), WORST)})</h2>{''.join(map(_case, wrong[:WORST]))}"


def _case(row: Row) -> str:
    answer: dict[str, Any] = row["answer"] or {"answer": row["error"] or ""}
    pages = list(dict.fromkeys(row["ranking"]))[:5]
    found = "".join(f"<li{' class=gold' if page in row['gold_urls'] else ''}>{escape(page)}</li>" for page in pages)
    facts = "; ".join(" / ".join(each) for each in row["answer_facts"])
    asked = " → ".join((*row["turns"], row["question"]))
    told = f"{row['id']} · {row['lang']} · {row['type']} · {row['outcome']}"
    wanted = (
        f"<p><b>gold</b> {escape(', '.join(row['gold_urls']))}<br><b>facts</b> {escape(facts)}</p>" if row["gold_urls"] else ""
    )
    return (
        f"<details><summary>{escape(asked)} <small>{escape(told)}</small></summary>{wanted}<ol>{found}</ol>"
        f"<blockquote>{escape(answer['answer'])}</blockquote></details>"
    )
