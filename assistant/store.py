"""What is kept of answers: so far, what readers say of them, a line each in a file beside the index.

Knows files; knows nothing of how an answer comes about.
"""

import json
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from assistant.types import Feedback


class Store:
    """Keeps what is said, in a folder that is made when there is something to keep. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing = threading.Lock()  # one line at a time

    def rate(self, feedback: Feedback) -> None:
        """Add a line. Raises OSError."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(feedback)}, ensure_ascii=False)
        with self._writing:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "feedback.jsonl").open("ab") as file:
                file.write(f"{line}\n".encode("utf-8", "replace"))  # half a sign of two can be sent, but is no text
