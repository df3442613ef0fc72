"""The house keeps its shape: who imports whom, who owns which library, how long things are, what README says is there.

Each rule is a function from a project's root to the sentences that say what is wrong there. Every rule is run on this project,
which must come out empty, and on a small tree made up to break it, which must not.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("corpus", "assistant", "eval")
LINES, FUNCTION, MODULES = 350, 60, 40
COMMAND_LINES = ("__main__.py",)

DOORS = {"app", *(f"assistant.{door}" for door in ("__main__", "server", "guards", "wire", "ui", "mcp_server", "insights"))}
BEHIND_THE_DOORS = ("corpus", "assistant.retrieve", "assistant.prompts")
NEVER = {
    "corpus": ("assistant", "eval", "app", "tests"),
    "assistant": ("eval", "app", "tests"),
    "eval": ("app", "tests"),
    "app": ("eval", "tests"),
}

OWNERS = {
    "ftfy": {"corpus.article"},
    "frontmatter": {"corpus.article"},
    "markdown_it": {"corpus.markdown", "assistant.render"},  # one reads articles, the other shows answers
    "nh3": {"assistant.render"},
    "fpdf": {"assistant.render"},
    "jinja2": {"assistant.render", "eval.run"},
    "Stemmer": {"corpus.language"},
    "symspellpy": {"corpus.language"},
    "bm25s": {"corpus.index"},
    "chromadb": {"corpus.dense"},
    "sentence_transformers": {"corpus.dense", "corpus.train"},  # one reads a model, the other makes it
    "torch": {"corpus.dense", "corpus.train"},
    "onnxruntime": {"assistant.support"},
    "fastapi": {"assistant.server"},
    "starlette": {"assistant.server", "assistant.guards", "assistant.wire", "assistant.insights"},
    "scipy": {"assistant.library", "eval.fit"},
    "uvicorn": {"assistant.server"},
    "limits": {"assistant.guards"},
    "prometheus_client": {"assistant.reply"},
    "cachetools": {"assistant.reply"},
    "mcp": {"assistant.__main__"},
    "redis": {"assistant.guards"},
    "gradio": {"assistant.ui", "assistant.insights"},
    "langchain_core": {"assistant.retrieve", "assistant.chat"},
    "langchain": {"corpus.enrich"},
    "orjson": {"assistant.store"},
    "sqlalchemy": {"assistant.store"},
    "alembic": {"assistant.store"},
    "stdnum": {"assistant.privacy"},
}
SLOW = {"torch", "onnxruntime", "sentence_transformers", "chromadb", "gradio", "mcp"}  # seconds to import: inside functions only

# Written in pieces, so that this file does not hold the words itself.
HOSTS = "py|pi.org python|hosted.org npm|js.org anaconda|.org download.py|torch.org crates|.io deb|.debian.org".replace(
    "|", ""
).split()
MACHINE_PATH = re.compile(r"(?<![\w.~/:-])/(?:work|root|opt)/")
MOCKING = ("Mo" + "ck(", "pat" + "ch(", "unit" + "test.mock")
PROSE = {".py", ".md", ".toml", ".lock", ".js", ".css", ".html", ".yaml", ".yml", ".example", ""}


@dataclass(frozen=True)
class Import:
    """One imported name: `name` is dotted; `late` inside a function; `typing` under TYPE_CHECKING."""

    name: str
    late: bool
    typing: bool


def module_name(root: Path, file: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def sources(root: Path, *places: str) -> dict[str, Path]:
    """Module name → file, for app.py and the places asked for (all of the program's when none is named)."""
    files = [root / "app.py"] if (root / "app.py").is_file() and (not places or "app" in places) else []
    for place in places or PLACES:
        files += sorted((root / place).rglob("*.py"))
    return {module_name(root, file): file for file in files}


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"), str(file))


def imports(module: str, file: Path) -> list[Import]:
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    return list(_imports(parsed(file), package, False, False))


def _imports(node: ast.AST, package: str, late: bool, typing: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, late, typing) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield from (Import(f"{base}.{alias.name}", late, typing) for alias in node.names)
    late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and child in node.body
        yield from _imports(child, package, late, typing or guarded)


def within(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


def wrong_arrows(root: Path) -> Iterator[str]:
    for module, file in sources(root).items():
        banned = NEVER[module.partition(".")[0]] + (BEHIND_THE_DOORS if module in DOORS else ())
        for each in imports(module, file):
            if any(within(each.name, place) for place in banned):
                yield f"{module} imports {each.name}"


def second_owners(root: Path) -> Iterator[str]:
    for module, file in sources(root).items():
        for each in imports(module, file):
            library = each.name.partition(".")[0]
            if module not in OWNERS.get(library, {module}):
                yield f"{module} imports {library}, which belongs to {', '.join(sorted(OWNERS[library]))}"


def slow_starts(root: Path) -> Iterator[str]:
    for module, file in sources(root).items():
        for each in imports(module, file):
            if each.name.partition(".")[0] in SLOW and not each.late and not each.typing:
                yield f"{module} imports {each.name} outside a function"


def cycles(root: Path) -> Iterator[str]:
    """Late imports count (they only hide a cycle); those for types alone do not."""
    files = sources(root)
    graph: dict[str, set[str]] = {}
    for module, file in files.items():
        names = {each.name for each in imports(module, file) if not each.typing}
        known = names | {name.rpartition(".")[0] for name in names}
        graph[module] = (known & files.keys()) - {module}
    done: set[str] = set()

    def walk(module: str, trail: list[str]) -> Iterator[str]:
        if module in trail:
            yield " → ".join([*trail[trail.index(module) :], module])
        elif module not in done:
            for other in sorted(graph[module]):
                yield from walk(other, [*trail, module])
            done.add(module)

    for module in files:
        yield from walk(module, [])


def no_docstrings(root: Path) -> Iterator[str]:
    for module, file in sources(root, "app", *PLACES, "tests").items():
        if not ast.get_docstring(parsed(file)):
            yield f"{module} does not say what it is for"


def over_budget(root: Path) -> Iterator[str]:
    files = sources(root)
    if (count := sum(file.name != "__init__.py" for file in sources(root, *PLACES).values())) > MODULES:
        yield f"{count} modules, and the budget is {MODULES}"
    for module, file in files.items():
        if (lines := len(file.read_text("utf-8").splitlines())) > LINES:
            yield f"{module} has {lines} lines, and the budget is {LINES}"
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION:
                    yield f"{module}.{node.name} has {length} lines, and the budget is {FUNCTION}"


def prints(root: Path) -> Iterator[str]:
    for module, file in sources(root).items():
        for node in ast.walk(parsed(file)):
            printing = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            if printing and file.name not in COMMAND_LINES:
                yield f"{module} prints, and is no command line"


def mocks(root: Path) -> Iterator[str]:
    for module, file in sources(root, "tests").items():
        yield from (f"{module} has {word}" for word in MOCKING if word in file.read_text("utf-8"))


def ignored(root: Path) -> set[str]:
    """Names that .gitignore keeps out of the repository, as plain names."""
    file = root / ".gitignore"
    lines = file.read_text("utf-8").split() if file.is_file() else []
    return {".git"} | {line.strip("/") for line in lines}


def kept(root: Path) -> list[Path]:
    """Every file of the project, relative to its root: what lies in no ignored folder."""
    out = ignored(root)
    found, folders = [], [root]
    while folders:
        inside = [path for path in folders.pop().iterdir() if not any(fnmatch(path.name, name) for name in out)]
        folders += [path for path in inside if path.is_dir()]
        found += [path.relative_to(root) for path in inside if path.is_file()]
    return found


def strangers(root: Path) -> Iterator[str]:
    """Package registries' hosts and paths of somebody's machine, in any text file but the articles and questions."""
    for path in kept(root):
        if path.suffix in PROSE and not {"articles", "questions", "model"} & set(path.parts[:2]):
            text = (root / path).read_text("utf-8", errors="replace")
            yield from (f"{path} names {host}" for host in HOSTS if host in text)
            yield from (f"{path} names the path {found}" for found in MACHINE_PATH.findall(text))


def tree(root: Path) -> dict[str, bool]:
    """README's tree: path → whether it is a folder. Two spaces indent a level; several names may share a line."""
    block = re.search(r"^## The files\n.*?^```\n(.*?)^```", (root / "README.md").read_text("utf-8"), re.M | re.S)
    found: dict[str, bool] = {}
    above: list[str] = []
    for line in block[1].splitlines() if block else []:
        depth = (len(line) - len(line.lstrip())) // 2
        for name in re.split(r",\s+", re.split(r"\s{2,}", line.strip())[0]):
            path = "/".join([*above[:depth], name.rstrip("/")])
            found[path] = name.endswith("/")
            above = [*above[:depth], name.rstrip("/")] if name.endswith("/") else above
    return found


def told_otherwise(root: Path) -> Iterator[str]:
    """README's tree against the disk: every module and every top-level name is there, and nothing that is not.

    `tests/test_<module>.py` in the tree stands for the tests named after a module or a place.
    """
    told, files = tree(root), set(kept(root))
    subjects = "|".join(name.rpartition(".")[2] for name in sources(root))
    if told.pop("tests/test_<module>.py", None) is not None:
        named = re.compile(rf"tests/test_(({'|'.join(PLACES)})_)?({subjects})\.py")
        files = {path for path in files if not named.fullmatch(path.as_posix())}
    expected = {path.as_posix() for path in files if path.suffix == ".py"} | {path.parts[0] for path in files}
    for path in sorted(expected - told.keys()):
        if not path.endswith("__init__.py") and path != ".gitignore":
            yield f"{path} is not in README's tree"
    for path, folder in told.items():
        if not ((root / path).is_dir() if folder else (root / path).is_file()):
            yield f"README's tree has {path}, which is not there"


def unpinned(root: Path) -> Iterator[str]:
    """Lock files hold versions only: no ranges, addresses, paths, hashes or local builds."""
    for file in root.glob("requirements*.lock"):
        for line in file.read_text("utf-8").splitlines():
            if not re.fullmatch(r"#.*|-r requirements\.lock|[\w.-]+==[\w.]+( ; .*)?", line):
                yield f"{file.name} has {line}"


Rule = Callable[[Path], Iterator[str]]
RULES: list[Rule] = [wrong_arrows, second_owners, slow_starts, cycles, no_docstrings, over_budget, prints, mocks]
RULES += [strangers, told_otherwise, unpinned]
TREE = "# Name\n\n## The files\n```\n{}```\n"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(ROOT)) == []


def made_up(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return root


def loop(*names: str) -> dict[str, str]:
    return {f"corpus/{name}.py": f"import corpus.{other}\n" for name, other in zip(names, [*names[1:], names[0]], strict=True)}


BROKEN: list[tuple[Rule, dict[str, str], str]] = [
    (wrong_arrows, {"corpus/a.py": "from assistant import types\n"}, "corpus.a imports assistant.types"),
    (wrong_arrows, {"corpus/a.py": "def f():\n    import eval.run\n"}, "corpus.a imports eval.run"),
    (wrong_arrows, {"corpus/sub/a.py": "from ...assistant import types\n"}, "corpus.sub.a imports assistant.types"),
    (wrong_arrows, {"assistant/chat.py": "import app\n"}, "assistant.chat imports app"),
    (wrong_arrows, {"assistant/chat.py": "from tests import conftest\n"}, "assistant.chat imports tests.conftest"),
    (wrong_arrows, {"eval/run.py": "from app import main\n"}, "eval.run imports app.main"),
    (wrong_arrows, {"assistant/ui.py": "from . import retrieve\n"}, "assistant.ui imports assistant.retrieve"),
    (
        wrong_arrows,
        {"assistant/__main__.py": "from assistant.prompts import ANSWER\n"},
        "assistant.__main__ imports assistant.prompts.ANSWER",
    ),
    (wrong_arrows, {"app.py": "from corpus.index import build\n"}, "app imports corpus.index.build"),
    (second_owners, {"assistant/chat.py": "import bm25s\n"}, "assistant.chat imports bm25s"),
    (second_owners, {"corpus/index.py": "def f():\n    from chromadb import Client\n"}, "corpus.index imports chromadb"),
    (second_owners, {"assistant/cite.py": "from langchain_core.documents import Document\n"}, "which belongs to assistant.chat"),
    (slow_starts, {"corpus/dense.py": "import chromadb.config\n"}, "corpus.dense imports chromadb.config outside a function"),
    (slow_starts, {"assistant/ui.py": "class Ui:\n    import gradio\n"}, "assistant.ui imports gradio outside"),
    (slow_starts, {"corpus/a.py": "if TYPE_CHECKING:\n    x = 1\nelse:\n    import torch\n"}, "corpus.a imports torch"),
    (cycles, loop("a", "b"), "corpus.a → corpus.b → corpus.a"),
    (cycles, loop("a", "b", "c"), "corpus.a → corpus.b → corpus.c → corpus.a"),
    (
        cycles,
        {"corpus/a.py": "from corpus.b import x\n", "corpus/b.py": "def f():\n    from corpus import a\n"},
        "corpus.b → corpus.a",
    ),
    (no_docstrings, {"tests/test_a.py": "x = 1\n"}, "tests.test_a does not say"),
    (over_budget, {"corpus/a.py": "x = 1\n" * (LINES + 1)}, "corpus.a has 351 lines"),
    (over_budget, {"corpus/a.py": "class A:\n    def f(self):\n" + "        x = 1\n" * FUNCTION}, "corpus.a.f has 61 lines"),
    (over_budget, {f"eval/m{n}.py": "" for n in range(MODULES + 1)}, "41 modules"),
    (prints, {"corpus/index.py": "def f():\n    print(1)\n"}, "corpus.index prints"),
    (mocks, {"tests/test_a.py": f"x = Magic{MOCKING[0]})\n"}, f"tests.test_a has {MOCKING[0]}"),
    (mocks, {"tests/test_a.py": f"with {MOCKING[1]}'a.b'):\n    pass\n"}, f"tests.test_a has {MOCKING[1]}"),
    (mocks, {"tests/test_a.py": f"from {MOCKING[2]} import call\n"}, f"tests.test_a has {MOCKING[2]}"),
    (strangers, {"Makefile": f"x = https://{HOSTS[0]}/simple\n"}, f"Makefile names {HOSTS[0]}"),
    (strangers, {"docs/a.md": "see `/" + "root/models`\n"}, "docs/a.md names the path"),
    (told_otherwise, {"README.md": TREE.format("README.md  this\n"), "app.py": ""}, "app.py is not in README's tree"),
    (told_otherwise, {"README.md": TREE.format("corpus/\n"), "corpus/a.py": ""}, "corpus/a.py is not in README's tree"),
    (
        told_otherwise,
        {"README.md": TREE.format("README.md\ncorpus/  x\n  a.py, b.py  y\n"), "corpus/a.py": ""},
        "corpus/b.py, which is not there",
    ),
    (
        told_otherwise,
        {"README.md": TREE.format("tests/\n  test_<module>.py\n"), "tests/test_no.py": ""},
        "tests/test_no.py is not in",
    ),
    (unpinned, {"requirements.lock": "torch==2.13.0+cpu\n"}, "requirements.lock has"),
    (told_otherwise, {"README.md": "no tree at all\n"}, "README.md is not in README's tree"),
]


@pytest.mark.parametrize(("rule", "files", "said"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_breaking_the_rule_is_noticed(tmp_path: Path, rule: Rule, files: dict[str, str], said: str) -> None:
    assert any(said in sentence for sentence in rule(made_up(tmp_path, files)))


def test_a_sound_house_passes_every_rule(tmp_path: Path) -> None:
    told = (
        "README.md, app.py  doors\ncorpus/\n  dense.py  vectors\nassistant/\n  chat.py, __main__.py\ntests/\n  test_<module>.py\n"
    )
    files = {
        "README.md": TREE.format(told),
        ".gitignore": ".venv/\n*.egg-info/\n/index/\n",
        "app.py": '"""Serves."""\nfrom assistant import chat\n',
        "corpus/dense.py": '"""Vectors."""\nif TYPE_CHECKING:\n    import chromadb\ndef f():\n    import torch\n',
        "assistant/chat.py": '"""Talks."""\nfrom corpus import dense\nfrom langchain_core import runnables\n',
        "assistant/__main__.py": '"""Asks."""\nfrom assistant import chat\nprint(chat)\n',
        "tests/test_dense.py": '"""Proves."""\ndef test_x(monkeypatch): import eval, app, chromadb\n',
        ".venv/lib/a.py": f"https://{HOSTS[0]}\n",
        "x.egg-info/top.py": "",
        "index/CURRENT": "/" + "root/\n",
    }
    root = made_up(tmp_path, files)
    assert {rule.__name__: list(rule(root)) for rule in RULES} == {rule.__name__: [] for rule in RULES}
