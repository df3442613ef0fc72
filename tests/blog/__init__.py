"""A blog as its owner would have it: Hugo builds it with the layout in this folder, and it is served under a strict policy.

Knows Hugo's command line and HTTP; knows nothing of the assistant but the address that its pages load the widget from.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from eval.metrics import hugo

SITE = Path(__file__).resolve().parent
POLICY = (  # Hugo sets the alignment of a table's columns by style attributes
    "default-src 'none'; script-src {0}; connect-src {0}; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


def built(content: Path, out: Path, address: str, assistant: str) -> Path:
    """Build the blog of a content folder, to be served at `address`, into the folder `out`; returns it.

    Its pages load the widget from `assistant`, or none when that is empty. Raises CalledProcessError when Hugo fails.
    """
    command = [str(hugo()), "--quiet", "--noBuildLock", "--source", str(SITE), "--contentDir", str(content.resolve())]
    command += ["--destination", str(out), "--baseURL", f"{address}/"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "HUGO_PARAMS_ASSISTANT": assistant})
    return out


@contextlib.contextmanager
def served(folder: Path, port: int, assistant: str) -> Iterator[None]:
    """Serve a built blog on a port, with a policy that lets in the widget of `assistant` and nothing else from elsewhere."""
    handler = partial(_Handler, directory=str(folder), policy=POLICY.format(assistant or "'none'"))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: object, directory: str, policy: str) -> None:
        self.policy = policy
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def end_headers(self) -> None:
        """Add what every reply has."""
        self.send_header("Content-Security-Policy", self.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "strict-origin-when-cross-origin")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""
