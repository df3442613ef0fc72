"""The page in a real browser: asked by keyboard alone, sources opened at their words, nothing fetched from elsewhere."""

import contextlib
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assistant.chat import Assistant
from assistant.settings import Settings
from assistant.store import Store
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
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale="nb-NO")
    page = context.new_page()
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
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
    pressed_until(page, page.locator("#new"), "() => document.querySelectorAll('#chat .turn').length === 0")
    assert page.locator("#source-list .source").count() == 0
    page.close()


def test_what_is_written_while_an_answer_comes_stays_and_a_question_that_fails_is_given_back(browser: Any, address: str) -> None:
    page = browser.new_context(locale="nb-NO").new_page()
    page.goto(address)
    page.locator("html[data-spoken]").wait_for()
    box, written = page.locator("#question textarea"), "Og hvem velger verneombudet?"
    box.fill("Hvor lenge sitter verneombudet?")
    box.press("Enter")
    box.type(written, delay=10)
    page.locator("#now .turn[data-done]").wait_for()
    assert box.input_value() == written
    box.press("Enter")
    page.locator("#before .turn").wait_for()
    page.locator("#now .turn[data-done]").get_by_text(written).wait_for()
    box.fill("a" * 2_001)
    box.press("Enter")
    page.get_by_text("høyst 2000").wait_for()
    page.wait_for_function("() => document.querySelector('#question textarea').value.length === 2001")
    page.context.close()


def test_a_letter_typed_in_the_moment_after_enter_belongs_to_the_next_question(browser: Any, address: str) -> None:
    page = browser.new_context(locale="nb-NO").new_page()
    page.goto(address)
    page.locator("html[data-spoken]").wait_for()
    page.locator("#question textarea").fill("Hvor lenge sitter verneombudet?")
    page.evaluate(  # in one go: Gradio reads the box after it
        """() => {
          const field = document.querySelector('#question textarea');
          for (const name of ['keydown', 'keypress'])
            field.dispatchEvent(new KeyboardEvent(name, {key: 'Enter', bubbles: true, cancelable: true}));
          field.focus();
          field.setSelectionRange(field.value.length, field.value.length);
          document.execCommand('insertText', false, 'O');
        }"""
    )
    page.locator("#now .turn[data-done]").wait_for()
    assert page.locator("#now .asked [data-text]").text_content() == "Hvor lenge sitter verneombudet?"
    assert page.locator("#question textarea").input_value() == "O"
    page.context.close()


def asked(browser: Any, address: str, question: str, **options: Any) -> Any:
    """A page on which this was asked and answered."""
    page = browser.new_context(**{"locale": "nb-NO", **options}).new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    page.locator("html[data-spoken]").wait_for()
    page.locator("#question textarea").fill(question)
    page.locator("#send").click()
    page.locator("#now .turn[data-done]").wait_for()
    return page


@pytest.mark.parametrize(
    ("locale", "language", "send", "sources"),
    [("nb-NO", "nb", "Spør", "Kilder"), ("nn-NO", "nn", "Spør", "Kjelder"), ("en-US", "en", "Ask", "Sources")],
)
def test_the_page_speaks_the_browsers_language(
    browser: Any, address: str, locale: str, language: str, send: str, sources: str
) -> None:
    context = browser.new_context(locale=locale)
    page = context.new_page()
    page.goto(address)
    page.locator(f"html[lang={language}]").wait_for()
    page.locator("#send").get_by_text(send, exact=True).wait_for()
    page.locator("#source-list h2").get_by_text(sources, exact=True).wait_for(state="attached")
    assert page.locator("#language input:checked").get_attribute("value") == language
    context.close()


def test_switching_the_language_keeps_the_talk_and_the_choice_stays_with_the_session(browser: Any, address: str) -> None:
    page = asked(browser, address, "Hvor lenge sitter verneombudet?")
    said = page.locator("#now .answer").inner_text()
    page.locator("#language input[value=nn]").focus()
    page.keyboard.press("ArrowRight")  # arrow keys choose, as in any group of choices
    page.locator("html[lang=en]").wait_for()
    page.get_by_role("button", name="Copy answer with sources").wait_for()
    assert page.locator("#now .answer").inner_text() == said
    assert page.locator("#question textarea").get_attribute("placeholder").startswith("Ask about")
    assert page.locator("#source-list .words").first.get_attribute("lang") == "nb"
    assert page.evaluate("[document.cookie, localStorage.length]") == ["", 0]
    page.locator("#question textarea").fill("Hva er internkontroll?")
    page.locator("#question textarea").press("Enter")
    page.locator("#before .turn").wait_for()
    assert page.locator("#now .by").inner_text() == "You asked"
    page.context.close()


def test_each_role_has_questions_of_its_own(browser: Any, address: str) -> None:
    context = browser.new_context(locale="nb-NO")
    page = context.new_page()
    page.goto(address)
    page.locator("html[data-spoken]").wait_for()  # the last of a start
    seen = {page.locator("button.suggestion").first.inner_text()}
    page.locator("#role input").first.focus()
    for count in range(2, 6):
        page.keyboard.press("ArrowRight")
        first = "document.querySelector('button.suggestion').innerText"
        page.wait_for_function(f"seen => !seen.includes({first})", arg=[*seen])
        seen.add(page.locator("button.suggestion").first.inner_text())
        assert len(seen) == count
    context.close()


def test_a_marker_shows_its_source_and_opens_it(browser: Any, address: str) -> None:
    page = asked(browser, address, "Hvilken konto fører jeg arbeidsklær på?", viewport={"width": 1280, "height": 600})
    number = page.locator("#now a.marker").last.get_attribute("data-number")
    mark = page.locator(f'#source-list mark[data-number="{number}"]').first
    page.locator("#now a.marker").last.hover()
    page.locator("#source-list mark.shown").first.wait_for()
    assert mark.get_attribute("class") == "shown"
    page.wait_for_function(
        """mark => { const [one, panel] = [mark, document.querySelector('#sources')].map(
        each => each.getBoundingClientRect()); return one.top >= panel.top && one.bottom <= innerHeight; }""",
        arg=mark.element_handle(),
    )
    page.mouse.move(0, 0)
    page.wait_for_function("() => !document.querySelector('#source-list .shown')")
    page.locator("#now a.marker").first.focus()
    assert page.locator('#source-list mark[data-number="1"]').first.get_attribute("class") == "shown"
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    assert "/lest/blogs/kontoplan/6570-arbeidsklaer-og-verneutstyr#" in opened.value.url
    card = page.locator(".account")
    assert "6570" in card.inner_text() and "Debet" in card.inner_text()
    assert card.locator("a").get_attribute("href") == "/lest/blogs/kontoplan/6570-arbeidsklaer-og-verneutstyr"
    page.context.close()


def test_a_telephone_shows_each_row_of_a_table_by_its_cells_and_one_question_a_line(browser: Any, address: str) -> None:
    page = asked(browser, address, "Hvordan bokføres feriepenger?", viewport={"width": 360, "height": 740})
    cells = page.locator("#source-list td")
    assert {each.is_visible() for each in cells.filter(has_not_text="x").all()} == {True, False}  # the empty ones are left out
    assert all(each.inner_text() for each in cells.all() if each.is_visible())
    places = [page.locator(name).bounding_box() for name in ("#question textarea", "#send", "#new")]
    assert places[0]["y"] + places[0]["height"] < places[1]["y"] == places[2]["y"]
    page.context.close()


def test_what_has_the_focus_is_outlined_all_round(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.locator("html[data-spoken]").wait_for()
    page.locator("#question textarea").focus()
    cut = """field => { const cuts = []; for (let each = field.parentElement; each.id !== 'ask'; each = each.parentElement)
        cuts.push(getComputedStyle(each).overflow); return cuts; }"""
    assert set(page.locator("#question textarea").evaluate(cut)) == {"visible"}
    page.close()


def test_who_is_in_danger_sees_the_emergency_numbers_before_all_else(browser: Any, address: str) -> None:
    page = asked(browser, address, "En kollega har falt ned fra stillaset og puster ikke")
    first, second = page.locator("#now .answer > *").nth(0), page.locator("#now .answer > *").nth(1)
    assert "113" in first.inner_text()
    ground = "each => getComputedStyle(each).backgroundColor"
    assert first.evaluate(ground) != second.evaluate(ground) == "rgba(0, 0, 0, 0)"
    page.context.close()


def rated(settings: Settings) -> tuple[str | None, str | None]:
    """The latest reason and comment that are kept; they are written a moment after they were sent."""
    for _ in range(50):
        with Store(settings) as store:
            if said := store.ratings(datetime(1970, 1, 1, tzinfo=UTC)):
                return said[-1].reason, said[-1].comment
        time.sleep(0.1)
    raise AssertionError("no rating is kept")


def test_a_bad_answer_is_told_by_keyboard_with_a_reason_and_a_comment(browser: Any, address: str, settings: Settings) -> None:
    page = asked(browser, address, "Hvor lenge sitter verneombudet?")
    page.locator("[data-do=why]").focus()
    page.keyboard.press("Enter")
    assert page.locator("[data-do=why]").get_attribute("aria-expanded") == "true"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    page.keyboard.type("<b>Det er to år.</b>")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#now .thanks").wait_for()
    assert page.locator("#now .thanks").inner_text() == "Takk for tilbakemeldingen."
    page.wait_for_function("() => document.activeElement.matches('.thanks')")
    assert rated(settings) == ("feil", "<b>Det er to år.</b>")
    page.context.close()


def test_what_is_missing_is_reported_with_what_was_looked_for(browser: Any, address: str, settings: Settings) -> None:
    page = asked(browser, address, "Hvem vant fotballkampen i går?")
    assert "Artiklene sier ikke noe om dette" in page.locator("#chat").inner_text()
    assert page.locator("#now .searched q").all_inner_texts() == ["vant", "fotballkampen"]
    assert page.locator("#now .nearest a").count() == 3
    page.get_by_role("button", name="Meld fra at dette mangler").click()
    page.locator("#now .thanks").wait_for()
    assert rated(settings)[0] == "mangler i artiklene"
    page.context.close()


def test_an_answer_is_copied_and_saved(browser: Any, address: str) -> None:
    from pypdf import PdfReader

    page = asked(browser, address, "Hvor lenge sitter verneombudet?", permissions=["clipboard-read", "clipboard-write"])
    page.locator("[data-do=copy]").click()
    page.wait_for_function("() => document.querySelector('.happened').textContent === 'Kopiert'")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "[1] Verneombud – " in copied and f"{address}/lest/blogs/regnskap/verneombud#" in copied
    saved = {}
    for kind in ("pdf", "markdown"):
        with page.expect_download() as download:
            page.locator(f"[data-do={kind}]").click()
        saved[kind] = (download.value.suggested_filename, download.value.path())
    name, path = saved["pdf"]
    text = " ".join(" ".join(sheet.extract_text() for sheet in PdfReader(path).pages).split())
    assert name == "hvor-lenge-sitter-verneombudet.pdf" and "to år" in text and "Side 1 av" in text
    name, path = saved["markdown"]
    assert name == "hvor-lenge-sitter-verneombudet.md" and path.read_text("utf-8").startswith("# Hvor lenge sitter verneombudet?")
    page.context.close()


def test_on_paper_there_are_answers_quotes_and_addresses_and_no_buttons(browser: Any, address: str) -> None:
    page = asked(browser, address, "Hvor lenge sitter verneombudet?")
    page.emulate_media(media="print", color_scheme="dark")
    for each in ("html", "body", ".gradio-container"):  # a dark page would leave dark margins
        painted = page.locator(each).evaluate(
            "each => [getComputedStyle(each).backgroundColor, getComputedStyle(each).colorScheme]"
        )
        assert painted[0] == "rgb(255, 255, 255)" and "dark" not in painted[1]
    assert page.locator("button:visible, textarea:visible, #language:visible").count() == 0
    assert page.locator("#now .answer").is_visible() and page.locator("#source-list mark").first.is_visible()
    written = page.locator(".source").first.evaluate("each => getComputedStyle(each, '::after').content")
    assert f"{address}/lest/blogs/regnskap/verneombud#" in written
    page.context.close()


def test_a_start_that_failed_is_told_on_the_page(browser: Any, tmp_path: Path) -> None:
    told = {"HMS_CONTENT": "finnes-ikke", "HMS_INDEX": str(tmp_path / "index")}
    with app(free_port(), ready="/api/health", **told) as address:
        page = browser.new_page()
        page.goto(address)
        page.locator("#status .failed").wait_for()
        assert "Artikkelmappen finnes-ikke finnes ikke" in page.locator("#status").inner_text()
        page.close()
