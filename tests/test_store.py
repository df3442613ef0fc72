"""What is kept of answers: nothing is lost when many write at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from assistant.store import Store
from assistant.types import Feedback


def test_many_ratings_at_once_are_a_line_each(tmp_path: Path) -> None:
    store = Store(tmp_path / "index")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.rate(Feedback(str(number), "up", comment="ø" * number)), range(100)))
    lines = [json.loads(line) for line in (tmp_path / "index" / "feedback.jsonl").read_text("utf-8").splitlines()]
    assert sorted(int(line["answer_id"]) for line in lines) == list(range(100))
    assert all(len(line["comment"]) == int(line["answer_id"]) for line in lines)
