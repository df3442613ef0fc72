"""Settings: what the environment, `.env` and a command line may say, how a bad value is refused, and that README tells it all."""

from dataclasses import fields
from pathlib import Path

import pytest

from assistant import HmsError, SettingError, settings
from assistant.settings import ROOT, Settings, dotenv, load


@pytest.fixture(autouse=True)
def no_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have a `.env`; it must not change their outcome."""
    monkeypatch.setattr(settings, "dotenv", lambda: {})


def shown(default: object) -> str:
    """A default as one would write it in the environment, paths relative to the project."""
    if isinstance(default, tuple):
        return (":" if all(isinstance(each, Path) for each in default) else ",").join(map(shown, default))
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default.relative_to(ROOT)) if isinstance(default, Path) and default.is_relative_to(ROOT) else str(default)


def table() -> list[str]:
    """The rows of README's table of settings."""
    rows = []
    for each in fields(Settings):
        default = f"`{shown(each.default)}`" if shown(each.default) else ""
        rows.append(f"| `HMS_{each.name.upper()}` | {default} | {each.metadata['about']} |".replace("|  |", "| |"))
    return rows


def test_readme_has_every_setting_with_its_default_and_its_help() -> None:
    readme = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert [line for line in readme if line.startswith("| `HMS_")] == table()


def test_the_example_file_has_every_setting_commented_out_with_its_default() -> None:
    example = (ROOT / ".env.example").read_text("utf-8").splitlines()
    expected = [f"# HMS_{each.name.upper()}={shown(each.default)}" for each in fields(Settings)]
    assert [line for line in example if "HMS_" in line and "=" in line] == expected


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load({}) == Settings()
    assert load({}).content == (ROOT / "corpus" / "articles",)
    assert (load({}).host, load({}).port) == ("127.0.0.1", 7860)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(AttributeError):
        load({}).port = 80  # type: ignore[misc]


def test_the_environment_is_read_by_prefix_and_other_names_are_left_alone() -> None:
    found = load({"HMS_CONTENT": "a:b/c", "HMS_INDEX": "out/index", "HMS_PORT": "8000", "PORT": "1", "HMS_NO_SUCH": "x"})
    assert found.content == (Path("a"), Path("b/c"))
    assert found.index == Path("out/index")
    assert found.port == 8000


def test_the_real_environment_is_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMS_HOST", "0.0.0.0")
    assert load().host == "0.0.0.0"


def test_space_around_a_value_is_dropped_and_an_empty_value_means_the_default() -> None:
    assert load({"HMS_PORT": " 8000 "}).port == 8000
    assert load({"HMS_PORT": "", "HMS_HOST": "   "}) == Settings()


def test_a_command_line_wins_over_the_environment_and_its_none_does_not() -> None:
    environment = {"HMS_PORT": "8000", "HMS_HOST": "::1"}
    assert load(environment, port="9000", host=None) == Settings(port=9000, host="::1")


def test_an_address_loses_its_last_slash() -> None:
    assert load({"HMS_BASE_URL": "https://example.no/hms/"}).base_url == "https://example.no/hms"


def test_sites_are_read_as_browsers_name_them() -> None:
    found = load({"HMS_ALLOWED_ORIGINS": "https://WWW.example.no/, http://localhost:1313,https://blåbær.no,"})
    assert found.allowed_origins == ("https://www.example.no", "http://localhost:1313", "https://xn--blbr-roah.no")
    assert load({}).allowed_origins == ()


def test_proxies_are_addresses_or_networks() -> None:
    found = load({"HMS_TRUSTED_PROXIES": "127.0.0.1, 10.1.2.3/8,2001:db8::/32"})
    assert found.trusted_proxies == ("127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        (
            "ALLOWED_ORIGINS",
            "https://example.no/blogg",
            "nettsteder uten sti, skilt med komma, for eksempel https://www.example.no",
        ),
        ("ALLOWED_ORIGINS", "https://example.no,*", "en adresse som begynner med http:// eller https://"),
        ("ALLOWED_ORIGINS", "null", "en adresse som begynner med http:// eller https://"),
        ("TRUSTED_PROXIES", "proxy.local", "IP-adresser eller nett, skilt med komma, for eksempel 127.0.0.1,10.0.0.0/8"),
        ("TRUSTED_PROXIES", "10.0.0.1/33", "IP-adresser eller nett, skilt med komma, for eksempel 127.0.0.1,10.0.0.0/8"),
        ("RATE", "0", "et heltall større enn 0"),
        ("DAILY", "mange", "et heltall større enn 0"),
        ("CACHE", "-1", "et heltall fra 0"),
        ("METRICS", "alle", "IP-adresser eller nett, skilt med komma, for eksempel 127.0.0.1,10.0.0.0/8"),
        ("LOG", "xml", "json, eller tom"),
    ],
)
def test_a_bad_site_proxy_or_number_is_refused_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingError) as caught:
        load({f"HMS_{name}": value})
    assert str(caught.value) == f"HMS_{name} er «{value}», men må være {allowed}."


def test_the_environment_wins_over_the_dotenv_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "dotenv", lambda: {"HMS_PORT": "8000", "HMS_HOST": "::1"})
    assert load({"HMS_PORT": "9000"}) == Settings(port=9000, host="::1")


def test_a_dotenv_file_is_read_with_quotes_comments_and_norwegian_letters(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# innstillinger\nHMS_PORT=8000\nHMS_INDEX='en mappe/blåbær'\nHMS_HOST\n", "utf-8")
    assert dotenv(file) == {"HMS_PORT": "8000", "HMS_INDEX": "en mappe/blåbær"}
    assert dotenv(tmp_path / "none") == {}


@pytest.mark.parametrize("port", ["0", "65536", "-1", "80.5", "åtti", "８０", "1e3", "80 81"])
def test_a_bad_port_is_refused_with_its_name_its_value_and_what_is_allowed(port: str) -> None:
    with pytest.raises(SettingError) as caught:
        load({"HMS_PORT": port})
    assert str(caught.value) == f"HMS_PORT er «{port}», men må være et heltall fra 1 til 65535."


@pytest.mark.parametrize("url", ["example.no", "ftp://example.no", "https://", "//example.no", "javascript:alert(1)"])
def test_a_bad_address_is_refused_with_its_name_its_value_and_what_is_allowed(url: str) -> None:
    with pytest.raises(SettingError) as caught:
        load({"HMS_BASE_URL": url})
    assert str(caught.value) == f"HMS_BASE_URL er «{url}», men må være en adresse som begynner med http:// eller https://."


def test_a_bad_value_from_the_command_line_is_refused_in_the_same_way() -> None:
    with pytest.raises(SettingError, match="HMS_PORT er «x»"):
        load({"HMS_PORT": "8000"}, port="x")


def test_a_setting_error_is_one_that_every_door_catches_and_shows_no_inner_error() -> None:
    with pytest.raises(HmsError) as caught:
        load({"HMS_PORT": "x"})
    assert caught.value.__suppress_context__
