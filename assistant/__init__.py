"""What talks: questions in, answers with citations out.

What can go wrong, as a tree. Every message is one Norwegian sentence: what happened, with which value, what to do.

HmsError                  the root; doors catch this and nothing else
├── SettingError          a setting has a value that is not allowed
├── QuestionError         a question or history that cannot be read: empty, too long, broken
└── NotReadyError         the index is still being built or loaded
corpus.index.IndexFault   the index is missing, damaged, locked or made by another embedder
"""

from pathlib import Path
from types import SimpleNamespace

import yaml

from corpus.enrich import FAULTS


class HmsError(Exception):
    """Root of the errors that are meant for a reader."""


class SettingError(HmsError):
    """A setting has a value that is not allowed; the start stops."""


class QuestionError(HmsError):
    """The question cannot be used. `field` names the part of the request, as in the JSON body."""

    def __init__(self, message: str, field: str = "question") -> None:
        super().__init__(message)
        self.field = field


class NotReadyError(HmsError):
    """The index is not loaded yet; asking again in a moment helps."""


def _phrases() -> SimpleNamespace:
    """Every fixed sentence said to a reader, by name: mostly language → sentence."""
    told = yaml.load(Path(__file__).with_name("phrases.yaml").read_text("utf-8"), yaml.CSafeLoader)
    told["FALLBACK"] |= FAULTS
    return SimpleNamespace(**{name: tuple(said) if isinstance(said, list) else said for name, said in told.items()})


phrases = _phrases()
