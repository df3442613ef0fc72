"""The page in a real browser: asked by keyboard alone, sources opened at their words, nothing fetched from elsewhere."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.chat import Assistant
from assistant.settings import Settings
from eval.bench import free_port
from tests.conftest import app, needs_browser

MARKED = {"light": (255, 229, 138), "dark": (107, 86, 0)}  # the reader page's ::target-text, see web/reader.css
pytestmark = needs_browser


@pytest.fixture(scope="module")
def address(assistant: Assistant, settings: Settings) -> Iterator[str]:
    """The address of `python app.py`, over the shipped articles."""
    with app(free_port(), HMS_INDEX=str(settings.index)) as address:
        yield address


def highlighted(page: Any, words: str, colour: tuple[int, int, int]) -> bool:
    """Whether the element that holds these words is in view and drawn with the highlight of a text fragment."""
    from PIL import Image

    place = page.locator("li, p, td").filter(has_text=words).last
    assert page.evaluate(
        "box => box.top >= 0 && box.bottom <= innerHeight", place.evaluate("e => e.getBoundingClientRect().toJSON()")
    )
    image = Image.open(io.BytesIO(place.screenshot())).convert("RGB")
    return sum(count for count, each in image.getcolors(1 << 24) or [] if each == colour) > 200


@pytest.mark.parametrize(("width", "height", "scheme"), [(1400, 900, "light"), (360, 740, "dark")])
def test_a_question_is_asked_by_keyboard_and_its_source_opens_at_the_words(
    browser: Any, address: str, width: int, height: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(address)
    page.locator("#question textarea").wait_for()
    assert page.title() == "HMS-assistenten"
    assert page.locator("html").get_attribute("lang") == "nb"
    page.locator("#question textarea").focus()
    page.keyboard.type("Hvor lenge sitter verneombudet? <b onmouseover=x>")
    page.keyboard.press("Enter")
    source = page.locator("#source-list .source").first
    source.wait_for()
    page.locator("#chat a").first.wait_for()
    assert "to år" in page.locator("#chat").inner_text()
    assert page.locator("#chat b[onmouseover]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    link = source.locator("a").first
    assert link.get_attribute("rel") == "noopener"
    quote = source.locator("mark").first.inner_text()
    link.focus()
    with context.expect_page() as opened:
        page.keyboard.press("Enter")
    reader = opened.value
    reader.wait_for_load_state()
    assert "/lest/blogs/regnskap/verneombud#" in reader.url
    assert highlighted(reader, quote, MARKED[scheme])
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {address.split("/")[2]}
    assert faults == []
    context.close()


def pressed_until(page: Any, button: Any, condition: str, arg: str = "") -> None:
    """Press a button until the page shows it: while an answer is written out, a press may meet a button that is just going."""
    from playwright.sync_api import TimeoutError as TooLate

    for _ in range(5):
        button.click()
        with contextlib.suppress(TooLate):
            page.wait_for_function(condition, arg=arg, timeout=8_000)
            return
    raise AssertionError(f"pressing did not lead to {condition}")


def test_follow_ups_and_a_new_conversation_work_by_button(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.locator("button.suggestion").first.focus()
    page.keyboard.press("Enter")
    page.locator("#source-list .source").first.wait_for()
    page.wait_for_function("() => document.activeElement !== document.body")  # the button is gone, the reader's place is not
    follow_up = page.locator("button.suggestion:visible").first
    asked = follow_up.inner_text()
    pressed_until(page, follow_up, "text => document.querySelector('#chat').innerText.includes(text)", asked)
    pressed_until(page, page.locator("#new"), "() => document.querySelectorAll('#chat .message').length === 0")
    assert page.locator("#source-list .source").count() == 0
    page.close()


@pytest.mark.parametrize("locale", ["nb-NO", "en-US"])
def test_the_page_speaks_norwegian_whatever_the_browser_speaks(browser: Any, address: str, locale: str) -> None:
    context = browser.new_context(locale=locale)
    page = context.new_page()
    page.goto(address)
    page.locator("#question textarea").fill("Hva er internkontroll?")
    page.locator("#send").click()
    page.locator("#source-list .source").first.wait_for()
    page.wait_for_function("() => document.querySelector('#chat button[title=Kopier]')")
    visible = [button.get_attribute("aria-label") for button in page.locator("#chat button:visible").all()]
    assert set(visible) <= {"Kopier", "Rull ned"}  # no bin, which would empty the conversation and leave its sources
    assert page.locator("#chat [role=log]").get_attribute("aria-label") == "Samtale"
    context.close()


def test_a_start_that_failed_is_told_on_the_page(browser: Any, tmp_path: Path) -> None:
    told = {"HMS_CONTENT": "finnes-ikke", "HMS_INDEX": str(tmp_path / "index")}
    with app(free_port(), ready="/api/health", **told) as address:
        page = browser.new_page()
        page.goto(address)
        page.locator("#status .failed").wait_for()
        assert "Artikkelmappen finnes-ikke finnes ikke" in page.locator("#status").inner_text()
        page.close()


def test_what_the_articles_do_not_say_names_the_nearest(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.locator("#question textarea").fill("Hvem vant fotballkampen i går?")
    page.locator("#send").click()
    page.locator("#source-list li a").first.wait_for()
    assert "Artiklene sier ikke noe om dette" in page.locator("#chat").inner_text()
    page.close()
