"""Serve the assistant: settings → assistant → server."""

import argparse
import signal
import sys

from assistant import HmsError
from assistant.chat import Assistant
from assistant.server import serve
from assistant.settings import load
from assistant.store import Store

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--content", "--host", "--port"):
        parser.add_argument(name)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # what waits to be kept is still written
    try:
        settings = load(**vars(parser.parse_args()))
        with Store(settings) as store:
            serve(Assistant(settings, store), settings)
    except HmsError as error:
        parser.exit(2, f"{error}\n")
