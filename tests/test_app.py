"""Starting the server: up at once, and what stops it is one sentence."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "app.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, env={**os.environ, **environment}, check=False
    )


def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = start("--port", str(port), HMS_INDEX=str(tmp_path / "index"))
    assert done.returncode != 0
    assert done.stderr.startswith(f"Kan ikke bruke port {port}") and done.stderr.rstrip().endswith("HMS_PORT.")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "index").exists()


def test_a_setting_that_is_not_allowed_is_named() -> None:
    done = start("--port", "99999")
    assert (done.returncode, done.stderr) == (2, "HMS_PORT er «99999», men må være et heltall fra 1 til 65535.\n")
