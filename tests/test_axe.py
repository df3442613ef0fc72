"""No fault that axe finds, wide in light and narrow in dark: the chat empty and answered, the reader page, the widget."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import needs_browser
from tests.test_browser import address

pytestmark = needs_browser
__all__ = ["address"]  # the fixture: the page of `python app.py`
SCREENS = [(1280, 900, "light"), (390, 844, "dark")]


@pytest.fixture(params=SCREENS, ids=lambda screen: f"{screen[2]}-{screen[0]}")
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    width, height, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
    yield context.new_page()
    context.close()


def faults(page: Any) -> list[str]:
    """What axe finds on the page as it stands: rule and place."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['target']} {node['html'][:200]}" for rule in found for node in rule["nodes"]]


def test_the_chat_is_accessible_empty_and_with_an_answer(page: Any, address: str) -> None:
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    page.goto(f"{address}/?__theme={'dark' if dark else 'light'}")
    page.locator("html[data-spoken]").wait_for()
    assert page.locator("body.dark").count() == dark
    assert faults(page) == []
    page.locator("#question textarea").fill("Hvor mange må vi være før vi trenger verneombud?")
    page.locator("#send").click()
    page.locator("#source-list .source").first.wait_for()
    page.locator("#now .turn[data-done]").wait_for()  # the last that an answer changes
    page.locator("[data-do=why]").click()
    assert faults(page) == []
    assert page.get_by_role("log", name="Conversation").count() == 1
    page.locator("#language input[value=nn]").check()
    page.locator("html[lang=nn]").wait_for()
    for question in ("Hvilken konto fører jeg arbeidsklær på?", "Hvem vant fotballkampen i går?"):
        page.locator("#question textarea").fill(question)
        page.locator("#send").click()
        page.locator("#now .turn[data-done] .asked").filter(has_text=question).wait_for()
        assert faults(page) == []


def test_the_reader_page_is_accessible(page: Any, address: str) -> None:
    page.goto(f"{address}/lest/blogs/regnskap/verneombud")
    assert page.locator("table").count() > 1
    assert faults(page) == []
    page.goto(f"{address}/lest/blogs/regnskap/bedriftshelsetjeneste")  # a title that is wider than a telephone
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_widget_is_accessible_closed_and_with_an_answer(page: Any, address: str) -> None:
    page.goto(f"{address}/widget")
    page.locator("hms-assistent .open").wait_for()
    assert faults(page) == []
    page.locator("hms-assistent .open").click()
    page.get_by_role("textbox").fill("Hvor lenge sitter verneombudet?")
    page.get_by_role("textbox").press("Enter")
    page.get_by_role("button", name="Ja, nyttig").wait_for()
    assert faults(page) == []
