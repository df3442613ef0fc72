"""The machines of `deploy/` as processes on this one: replicas, a Chroma server, PostgreSQL, Redis, nginx; and readers.

Knows commands, ports and HTTP; knows nothing of what is proved with them.
"""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from eval.bench import free_port
from tests.conftest import ROOT

PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin"  # where Debian has nginx, and not everybody looks
NGINX, REDIS = shutil.which("nginx", path=PLACES), shutil.which("redis-server", path=PLACES)
INITDB = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)
needs_nginx = pytest.mark.skipif(not NGINX, reason="nginx is not installed")
CONTENT_TYPE = {"Content-Type": "application/json"}


def until(true: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait for something to come true; fails with `what` when it does not."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} took more than {seconds} s"
        time.sleep(0.05)


@dataclass
class Service:
    """A process that can be killed and started again as it was. What it says goes to `<place>/<name>.log`.

    `url` is where it is asked, `whose` as whom it runs (words of Popen), `end` the signal that leaves nothing of it.
    """

    name: str
    command: Sequence[str]
    place: Path
    url: str
    answers: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    whose: Mapping[str, Any] = field(default_factory=dict)
    end: signal.Signals = signal.SIGKILL
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, wait: bool = True) -> None:
        """Start it, and wait until it answers."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HMS_")}
        with (self.place / f"{self.name}.log").open("ab") as said:
            own = {"cwd": ROOT, "env": clean | dict(self.environment), "start_new_session": True, **self.whose}
            self.process = subprocess.Popen(self.command, stdout=said, stderr=said, **own)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        until(self._up, self.name)

    def _up(self) -> bool:
        assert self.process and self.process.poll() is None, f"{self.name} stopped: {self.said()[-2000:]}"
        return self.answers()

    def kill(self) -> None:
        """End it and what it started, without warning."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, self.end)
            self.process.wait()

    def said(self) -> str:
        """What it has written so far."""
        return (self.place / f"{self.name}.log").read_text("utf-8", "replace")

    @property
    def memory(self) -> float:
        """Resident memory in megabytes."""
        return float(self._seen().memory_info().rss) / 1e6

    @property
    def files(self) -> int:
        """How many files and connections are open."""
        return int(self._seen().num_fds())

    def _seen(self) -> psutil.Process:
        assert self.process
        return psutil.Process(self.process.pid)


def says_ok(url: str) -> Callable[[], bool]:
    """Whether an address answers with 200."""

    def asked() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(url, timeout=5, trust_env=False).status_code == 200
        return False

    return asked


def listens(port: int) -> Callable[[], bool]:
    """Whether something takes connections on a port."""

    def tried() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    return tried


def chroma(place: Path, port: int) -> Service:
    """The Rust server of the chromadb package."""
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(place / "chroma"), "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    return Service("chroma", [*command, "--host", "127.0.0.1"], place, url, says_ok(f"{url}/api/v2/heartbeat"))


def redis(place: Path, port: int) -> Service:
    """Redis that keeps nothing on disk."""
    command = [REDIS or "", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(place)]
    return Service("redis", command, place, f"redis://127.0.0.1:{port}", listens(port))


@contextlib.contextmanager
def postgres() -> Iterator[Service]:
    """PostgreSQL over an empty database of its own; skips where it is not installed."""
    if not INITDB:
        pytest.skip("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="hms-") as folder:  # pytest's own are closed to other users
        whose: dict[str, Any] = {"cwd": folder}
        if os.getuid() == 0:  # as whom PostgreSQL refuses to run
            nobody = pwd.getpwnam("nobody")
            whose |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        make = [INITDB, "-D", f"{folder}/data", *"-U owner -A trust -N --locale=C -E UTF8".split()]
        subprocess.run(make, check=True, capture_output=True, timeout=60, **whose)
        port, server = free_port(), Path(INITDB).resolve().with_name("postgres")
        command = [str(server), *f"-D data -p {port} -k {folder} -h 127.0.0.1 -c fsync=off".split()]
        url = f"postgresql://owner@127.0.0.1:{port}/postgres"
        # SIGQUIT: at once, without a word to whoever is connected and without tidying up, and no child stays behind.
        service = Service("postgres", command, Path(folder), url, _connects(url), whose=whose, end=signal.SIGQUIT)
        with running(service):
            yield service


def _connects(url: str) -> Callable[[], bool]:
    def tried() -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
            return True
        return False

    return tried


def replica(place: Path, port: int, environment: Mapping[str, str]) -> Service:
    """`app.py` on a port."""
    told = {"HMS_PORT": str(port), "HMS_RATE": "1000000", "HMS_DAILY": "1000000", "HMS_TRUSTED_PROXIES": "127.0.0.1"}
    told["HMS_CACHE"] = "0"  # readers here ask the same again, and each answer is to be made
    url = f"http://127.0.0.1:{port}"
    return Service(f"app-{port}", [sys.executable, "app.py"], place, url, says_ok(f"{url}/api/ready"), told | dict(environment))


def nginx(place: Path, port: int, replicas: Sequence[int]) -> Service:
    """nginx by deploy/nginx.conf, with the addresses and folders of this machine."""
    text = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    for number, own in enumerate(replicas, 1):
        text = text.replace(f"app-{number}:7860", f"127.0.0.1:{own}")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};")
    folders = [f"{kind}_temp_path {place}/nginx-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    text = text.replace("http {", "http {\n" + "\n".join(folders), 1)
    user = "user root;\n" if os.geteuid() == 0 else ""  # a worker of another user could not enter a test's folder
    (place / "nginx.conf").write_text(f"{user}pid {place}/nginx.pid;\nerror_log stderr;\ndaemon off;\n{text}", "utf-8")
    command = [NGINX or "", "-p", str(place), "-e", "stderr", "-c", str(place / "nginx.conf")]
    return Service("nginx", command, place, f"http://127.0.0.1:{port}", listens(port))


@contextlib.contextmanager
def running(*services: Service) -> Iterator[None]:
    """All of them up, and none left at the end."""
    try:
        for service in services:
            service.start(wait=False)
        for service in services:
            service.wait()
        yield
    finally:
        for service in services:
            service.kill()


@dataclass(frozen=True)
class Asked:
    """One question and what came back: status 0 for none, seconds, and the answer's text, index and id."""

    begun: float
    seconds: float
    status: int
    wait: str = ""
    text: str = ""
    index: str = ""
    id: str = ""
    retried: bool = False


@dataclass
class Load:
    """What readers have asked so far."""

    asked: list[Asked] = field(default_factory=list)

    def failed(self) -> list[Asked]:
        """Those that did not get an answer."""
        return [each for each in self.asked if each.status != 200]

    def percentile(self, share: float, answered: bool = True) -> float:
        """Seconds within which that share of the answers came, or of the refusals; 0 when there were none."""
        times = sorted(each.seconds for each in self.asked if (each.status == 200) is answered)
        return times[min(len(times) - 1, int(share * len(times)))] if times else 0.0

    def told(self) -> str:
        """All of it in a line."""
        took = ", ".join(f"p{round(100 * share)} {1000 * self.percentile(share):.0f} ms" for share in (0.5, 0.95, 0.99))
        kinds = Counter(f"{each.status}{each.wait and f' wait {each.wait}'}" for each in self.asked)
        return f"{len(self.asked)} questions, {dict(kinds)}, {took}"


@contextlib.contextmanager
def readers(url: str, questions: Sequence[str], users: int, every: float, retry: bool = False) -> Iterator[Load]:
    """So many readers, each with a question every so many seconds, while the block runs; all have their answers at its end."""
    load, stop = Load(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_all(url, cycle(questions), users, every, retry, load, stop)))
    thread.start()
    try:
        yield load
    finally:
        stop.set()
        thread.join()


async def _all(
    url: str, questions: Iterator[str], users: int, every: float, retry: bool, load: Load, stop: threading.Event
) -> None:
    async def reader(number: int) -> None:
        await asyncio.sleep(every * number / users)
        # One of its own, as readers have: a pool of three hundred connections would itself take the time that is measured.
        own = {"X-Forwarded-For": f"198.18.{number // 256}.{number % 256}"}  # each is a client by itself
        async with httpx.AsyncClient(base_url=url, headers=own, timeout=30, trust_env=False, verify=False) as client:
            while not stop.is_set():
                question, begun = next(questions), time.monotonic()
                asked = await _asked(client, question)
                load.asked.append(asked)
                if retry and asked.status != 200:
                    await asyncio.sleep(float(asked.wait or 0.2))
                    load.asked.append(await _asked(client, question, retried=True))
                await asyncio.sleep(max(0.0, begun + every - time.monotonic()))

    await asyncio.gather(*map(reader, range(users)))


async def _asked(client: httpx.AsyncClient, question: str, retried: bool = False) -> Asked:
    begun = time.monotonic()
    try:
        reply = await client.post("/api/ask", json={"question": question})
    except httpx.TransportError:
        return Asked(begun, time.monotonic() - begun, 0, retried=retried)
    seconds, fields = time.monotonic() - begun, reply.json()
    wait = reply.headers.get("retry-after", "")
    text, index, own = (str(fields.get(name, "")) for name in ("answer", "index", "id"))
    return Asked(begun, seconds, reply.status_code, wait, text, index, own, retried)
