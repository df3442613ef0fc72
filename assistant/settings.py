"""Every setting in one frozen table; the only file that reads the environment.

Each field is set by `HMS_<NAME>` in the environment or in `.env` (the environment wins). README's table is compared with
this one by `tests/test_settings.py`.
"""

import errno
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from assistant import HmsError, SettingError

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = 12  # characters at least: whoever guesses may do so a thousand times a day


def _setting(default: Any, read: Callable[[str], Any], about: str) -> Any:
    return field(default=default, metadata={"read": read, "about": about})


def _folders(value: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in value.split(":") if part)


def _origins(value: str) -> tuple[str, ...]:
    return tuple(_origin(part.strip()) for part in value.split(",") if part.strip())


def _origin(value: str) -> str:
    """A site as a browser names it: small letters, no path, foreign letters coded."""
    parts = urlsplit(_address(value).lower())
    if parts.path or parts.query or parts.fragment:
        raise ValueError("nettsteder uten sti, skilt med komma, for eksempel https://www.example.no")
    return f"{parts.scheme}://{parts.netloc.encode('idna').decode()}"


def _networks(value: str) -> tuple[str, ...]:
    try:
        return tuple(str(ip_network(part.strip(), strict=False)) for part in value.split(",") if part.strip())
    except ValueError:
        raise ValueError("IP-adresser eller nett, skilt med komma, for eksempel 127.0.0.1,10.0.0.0/8") from None


def _address(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise ValueError("en adresse som begynner med http:// eller https://")
    return value.rstrip("/")


def _upto(most: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= most:
            raise ValueError(f"et heltall fra 1 til {most}")
        return int(value)

    return read


def _switch(value: str) -> bool:
    if value not in ("on", "off"):
        raise ValueError("on eller off")
    return value == "on"


def _database(value: str) -> str:
    if not re.match(r"postgres(?:ql)?://[^/]", value):
        raise ValueError("en adresse som postgresql://bruker:passord@vert/base")
    return value


def _storage(value: str) -> str:
    if value and (not urlsplit(value).scheme or "://" not in value):
        raise ValueError("en adresse som redis://vert:6379")
    return value


def _number(value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise ValueError("et heltall større enn 0")
    return int(value)


def _size(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise ValueError("et heltall fra 0")
    return int(value)


def _password(value: str) -> str:
    if len(value) < PASSWORD:
        raise ValueError(f"minst {PASSWORD} tegn")
    return value


def _header(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", value):
        raise ValueError("navnet på ett hodefelt, for eksempel Remote-User")
    return value


def _log(value: str) -> str:
    if value != "json":
        raise ValueError("json, eller tom")
    return value


def _model(value: str) -> str:
    provider, mark, name = value.partition(":")
    if not (provider and mark and name):
        raise ValueError("leverandør:modell, for eksempel ollama:qwen3 eller openai:gpt-5")
    return value


@dataclass(frozen=True)
class Settings:
    """What a running assistant may be told from outside."""

    content: tuple[Path, ...] = _setting((ROOT / "corpus" / "articles",), _folders, "content folders, `:`-separated")
    index: Path = _setting(ROOT / "index", Path, "folder of the search index")
    chroma_url: str = _setting("", _address, "address of a Chroma server that holds the vectors; empty: they lie with the index")
    base_url: str = _setting("", _address, "site that citations link to; empty: the app's own reader pages")
    embedder: str = _setting("", str, "empty: the shipped one; else any sentence-transformers name or folder")
    model: str = _setting("", _model, "empty: answer without a language model; else `provider:model` as LangChain names it")
    model_url: str = _setting("", _address, "address of an OpenAI-compatible or Ollama server; empty: the provider's own")
    model_seconds: int = _setting(60, _number, "time limit of a model's answer, in seconds")
    model_tokens: int = _setting(800, _number, "length of a model's answer at most, in tokens")
    model_daily_tokens: int = _setting(2_000_000, _number, "tokens a day, then answers come without the model")
    host: str = _setting("127.0.0.1", str, "address to serve on")
    port: int = _setting(7860, _upto(65535), "port to serve on")
    allowed_origins: tuple[str, ...] = _setting((), _origins, "sites that may embed the widget, `,`-separated")
    rate: int = _setting(30, _number, "questions a minute that one client may ask")
    daily: int = _setting(1000, _number, "questions a day that one client may ask")
    at_once: int = _setting(32, _number, "questions under way at once; who asks beyond that is told to wait")
    limits_url: str = _setting("", _storage, "where several servers count clients together, as `redis://host`; empty: each alone")
    trusted_proxies: tuple[str, ...] = _setting(
        (), _networks, "proxies whose X-Forwarded-For tells the client, as addresses or networks, `,`-separated"
    )
    cache: int = _setting(16, _size, "memory for answers that are asked for again, in MiB; 0: none")
    metrics: tuple[str, ...] = _setting(
        ("127.0.0.0/8", "::1/128"), _networks, "who may read `/metrics`, as addresses or networks, `,`-separated"
    )
    insights_password: str = _setting("", _password, "password of the owner's page `/innsikt`, 12 characters or more")
    insights_header: str = _setting(
        "", _header, "header in which a trusted proxy names whom it lets in to `/innsikt`, as `Remote-User`"
    )
    log: str = _setting("", _log, "empty: a few lines for people; `json`: a line for each request")
    database_url: str = _setting(
        "",
        _database,
        "where answers are kept; empty: an SQLite file beside the index; else `postgresql://user:password@host/name`",
    )
    retention_days: int = _setting(90, _upto(36_500), "days that answers and ratings are kept")
    store_questions: bool = _setting(True, _switch, "`on`: questions are kept, redacted; `off`: only counts are")


def load(environment: Mapping[str, str] | None = None, **overrides: str | None) -> Settings:
    """Settings from the environment, with `overrides` (a command line's words, by field name) on top.

    Raises SettingError naming the setting, the value and what is allowed.
    """
    environment = dotenv() | dict(os.environ if environment is None else environment)
    values: dict[str, Any] = {}
    for each in fields(Settings):
        name = f"HMS_{each.name.upper()}"
        value = overrides.get(each.name) or environment.get(name, "").strip()
        if not value:
            continue
        try:
            values[each.name] = each.metadata["read"](value)
        except ValueError as error:
            told = "…" if each.metadata["read"] is _password else re.sub(r"//[^/@]*@", "//…@", value)  # no password
            raise SettingError(f"{name} er «{told}», men må være {error}.") from None
    return Settings(**values)


def check_address(settings: Settings) -> None:
    """Raises HmsError when the address cannot be served on, before anything is loaded."""
    host, port = settings.host, settings.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, UnicodeError) as error:
            if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES):
                why = "opptatt" if error.errno == errno.EADDRINUSE else "forbeholdt administratorer"
                told = f"Kan ikke bruke port {port} på {host}, for den er {why}; velg en annen med --port eller HMS_PORT."
                raise HmsError(told) from None
            raise HmsError(
                f"HMS_HOST er «{host}», som ikke er en adresse på denne maskinen; bruk for eksempel 127.0.0.1."
            ) from None


def dotenv(file: Path = ROOT / ".env") -> dict[str, str]:
    """The names and values of a `.env` file; empty when there is none."""
    if not file.is_file():
        return {}
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(file).items() if value is not None}
