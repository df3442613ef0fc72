"""Starting the server: up at once, and what stops it is one sentence."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from assistant.settings import Settings
from assistant.store import Store
from tests.conftest import ROOT, answers


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


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_was_answered_is_kept_when_the_server_is_stopped(assistant: object, settings: Settings, how: signal.Signals) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "HMS_INDEX": str(settings.index), "HMS_PORT": str(port), "HMS_RETENTION_DAYS": "7"}
    server = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    begun, end = datetime.now(UTC), time.monotonic() + 60
    while True:
        try:
            reply = httpx.post(f"http://127.0.0.1:{port}/api/ask", json={"question": "Hva er AMU?"}, timeout=30)
            if reply.status_code == 200:
                break
        except httpx.TransportError:
            pass
        assert time.monotonic() < end
        time.sleep(0.1)
    server.send_signal(how)
    server.wait(20)
    with Store(settings) as store:
        assert [each.id for each in answers(store, begun)] == [reply.json()["id"]]
