"""Serve the assistant: settings → assistant → server."""

import argparse

from assistant import HmsError
from assistant.chat import Assistant
from assistant.server import serve
from assistant.settings import load

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--content", "--host", "--port"):
        parser.add_argument(name)
    try:
        settings = load(**vars(parser.parse_args()))
        serve(Assistant(settings), settings)
    except HmsError as error:
        parser.exit(2, f"{error}\n")
