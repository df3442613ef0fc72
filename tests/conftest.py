"""What the tests share: small content trees, a real index over the shipped articles, and an Assistant that is loaded from it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.chat import Assistant
from assistant.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
BLOG = SHARED / "blog" / "content"

Writer = Callable[..., Path]


@pytest.fixture
def content(tmp_path: Path) -> Writer:
    """Write files of a content tree: `content({"a/index.md": "text"})`; a text without front matter gets a title."""

    def write(files: dict[str, str], folder: str = "content") -> Path:
        root = tmp_path / folder
        for name, text in files.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(
                text if text.startswith(("---", "+++", "\ufeff")) else f"---\ntitle: {file.parent.name}\n---\n\n{text}\n", "utf-8"
            )
        return root

    return write


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings for the shipped articles with an index of their own, and room for all that the tests ask."""
    return Settings(content=(ROOT / "corpus" / "articles",), index=tmp_path_factory.mktemp("index"), rate=100_000, daily=100_000)


@pytest.fixture(scope="session")
def assistant(settings: Settings) -> Assistant:
    """The real Assistant over the shipped articles."""
    loaded = Assistant(settings)
    loaded.load()
    return loaded
