"""The owner's page: what it tells of real answers, and that nobody else is told; in a browser too."""

import base64
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import frontmatter
import httpx
import pytest
from starlette.testclient import TestClient

from assistant import insights
from assistant.chat import Assistant
from assistant.insights import draft, learn, tables
from assistant.server import create_app
from assistant.settings import Settings
from assistant.store import Store
from assistant.types import Ask, Feedback, Gap, Page
from assistant.wire import as_csv
from eval.bench import free_port
from tests.conftest import answers, app, needs_browser
from tests.test_axe import faults

PASSWORD = "riktig-passord-æøå"
GAP = [
    "Kan ansatte lade elbil gratis på jobben?",
    "Er gratis elbillading skattepliktig?",
    "Hvordan lader vi elbiler på arbeidsplassen?",
]
OTHER = "Hva er oppskriften på pannekaker?"
KNOWN = "Hvor lenge sitter verneombudet?"
ADDRESSES = [
    "",
    "config",
    "theme.css",
    "assets/index.js",
    "gradio_api/queue/data",
    "gradio_api/info",
    "fil/30/mangler.csv",
    "fil/30/utkast-0.md",
]


@pytest.fixture(scope="module")
def own(settings: Settings, tmp_path_factory: pytest.TempPathFactory, assistant: Assistant) -> Settings:
    """Settings over the index of `assistant`, with a store of its own and a password."""
    folder = tmp_path_factory.mktemp("insights") / "index"
    folder.symlink_to(settings.index, target_is_directory=True)
    return replace(settings, index=folder, insights_password=PASSWORD, rate=5)


@pytest.fixture(scope="module")
def asked(own: Settings) -> Iterator[Assistant]:
    """An Assistant that was asked, and whose answers were rated."""
    with Store(own) as store:
        assistant = Assistant(own, store)
        assistant.load()
        for question in [*GAP, OTHER, GAP[0].upper()]:
            assert assistant.ask(Ask(question)).outcome == "not_covered"
        answer = [assistant.ask(Ask(KNOWN)) for _ in range(3)][-1]
        store.rate(Feedback(answer.id, "down", "finner ikke sitatet", "=Står det der?"))
        missing = assistant.ask(Ask(GAP[1]))
        store.rate(Feedback(missing.id, "down", "mangler i artiklene"))
        yield assistant


def told(assistant: Assistant, days: int = 30) -> Any:
    assert assistant.store is not None
    return insights._Desk(assistant, assistant.store).insights(days)


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"eier:{password}".encode()).decode()}


def test_questions_on_one_gap_are_told_together_with_the_nearest_article_and_a_heading(asked: Assistant) -> None:
    first, second = told(asked).gaps
    assert set(first.questions) >= set(GAP[1:]) and first.count == 5 and first.reported == 1
    assert first.heading in [*GAP, GAP[0].upper()] and first.nearest in asked.pages()
    assert (second.questions, second.count, second.reported) == ((OTHER,), 1, 0)


def test_figures_are_those_of_the_answers(asked: Assistant) -> None:
    found = told(asked)
    assert found.whole.outcomes == {"not_covered": 6, "answered": 3}
    assert sum(sum(span.outcomes.values()) for span in found.spans) == 9 and found.textless == 0
    assert 0 <= found.whole.p50 <= found.whole.p95
    assert next(each for each in found.asked if each.question == KNOWN).count == 3
    (bad,) = found.complaints
    assert bad.kept.question == KNOWN and bad.ratings[0].comment == "=Står det der?" and bad.kept.citations[0].quote
    assert found.rated == {"down": 1}  # a report of what is missing says nothing of the answer
    cited = {citation.title for citation in bad.kept.citations}
    assert 0 < len(found.never) < len(asked.pages()) and not cited & {page.title for page in found.never}


def test_a_notice_is_counted_and_a_long_time_is_cut_into_weeks(asked: Assistant) -> None:
    row = {"id": "1", "question": "a", "history": [], "language": "nb", "outcome": "answered", "nearest": []}
    notice = {"kind": "outdated", "message": "Artikkelen sier 50.", "url": "https://lovdata.no/"}
    times = [datetime(2026, 3, 2, 12) + timedelta(day) for day in (0, 6, 7)]
    rows = [row | {"time": time, "elapsed_ms": 10 * (n + 1), "notices": [notice] * (n > 0)} for n, time in enumerate(times)]
    found = learn(rows, [], 30, [], asked.alike, lambda _: None)
    assert [(span.start, sum(span.outcomes.values())) for span in found.spans] == [(date(2026, 3, 2), 2), (date(2026, 3, 9), 1)]
    assert [(each.notice.kind, each.count, each.last) for each in found.shown] == [("outdated", 2, date(2026, 3, 9))]
    by_day = learn(rows, [], 7, [], asked.alike, lambda _: None)
    assert len(by_day.spans) == 3 and by_day.whole.p50 == 20


def test_a_cell_of_a_table_is_never_a_formula(asked: Assistant) -> None:
    rows = list(csv.reader(io.StringIO(as_csv(tables(told(asked))["vurdert-ned"]).decode("utf-8-sig")), delimiter=";"))
    assert rows[1][2] == "'=Står det der?" and rows[1][3] == KNOWN
    evil = ["=1+1", "+47", "-2", "@SUM(A1)", " =1", "\t=1", "＝1", "trygg", 7]
    (cells,) = csv.reader(io.StringIO(as_csv([evil]).decode("utf-8-sig")), delimiter=";")
    assert [cell[0] for cell in cells] == ["'"] * 7 + ["t", "7"]


def test_a_draft_is_an_article_of_hugos_whatever_readers_wrote() -> None:
    page = Page("https://example.no/blogs/a/", "Om [a]")
    gap = Gap("1", 'er "det" lov: ja?', "nb", ("# er det lov?", "{{% evil %}} <script>"), 2, 0, date(2026, 3, 2), page)
    made = frontmatter.loads(draft(gap, date(2026, 3, 3)))
    assert (made["title"], made["date"], made["draft"]) == ('Er "det" lov: ja?', date(2026, 3, 3), True)
    assert "\n- \\# er det lov?\n" in made.content and "{{%" not in made.content and " <script" not in made.content
    assert "[Om \\[a\\]](<https://example.no/blogs/a/>)" in made.content


def test_each_table_is_a_file_and_each_gap_a_draft(own: Settings, asked: Assistant) -> None:
    found = told(asked)
    with TestClient(create_app(asked), headers=basic(PASSWORD)) as client:
        files = {name: client.get(f"/innsikt/fil/30/{name}.csv").content.decode("utf-8-sig") for name in tables(found)}
        drafts = [frontmatter.loads(client.get(f"/innsikt/fil/30/utkast-{gap.id}.md").text) for gap in found.gaps]
    rows = {name: list(csv.reader(io.StringIO(text), delimiter=";"))[1:] for name, text in files.items()}
    assert [KNOWN, "3", "0"] in rows["mest-spurt"]
    assert {row[1] for row in rows["aldri-sitert"]} == {page.url for page in found.never}
    assert [row[1:3] for row in rows["mangler"]] == [["5", "1"], ["1", "0"]] and set(GAP[1:]) <= set(
        rows["mangler"][0][6].split("\n")
    )
    (bad,) = rows["vurdert-ned"]
    assert bad[7] == found.complaints[0].kept.id  # by which it can be replayed
    assert (
        bad[1] == "finner ikke sitatet"
        and bad[5]
        and bad[5].split("\n")[0] in [each.quote for each in found.complaints[0].kept.citations]
    )
    assert sum(int(cell) for row in rows["perioder"] for cell in row[1:7]) == 9 and rows["varsler"] == []
    assert all(
        f"- {question}" in each.content for gap, each in zip(found.gaps, drafts, strict=True) for question in gap.questions
    )


def test_with_counts_only_the_page_says_so_and_shows_them(own: Settings, asked: Assistant, tmp_path: Any) -> None:
    folder = tmp_path / "index"
    folder.symlink_to(own.index.resolve(), target_is_directory=True)
    counting = replace(own, index=folder, store_questions=False)
    with Store(counting) as store:
        assistant = Assistant(counting, store)
        assistant.load()
        desk = insights._Desk(assistant, store)
        assert "Ingen har spurt om noe de siste 30 dagene" in desk.html(30)
        assistant.ask(Ask(OTHER))
        html = insights._Desk(assistant, store).html(30)
    assert "Bare antall lagres" in html and "Spørsmålene er ikke lagret." in html and "pannekaker" not in html


def test_nobody_sees_the_page_while_no_setting_says_who_may(own: Settings, asked: Assistant) -> None:
    closed = Assistant(replace(own, insights_password=""), asked.store)
    with TestClient(create_app(closed)) as client:
        for address in ADDRESSES:
            reply = client.get(f"/innsikt/{address}", headers=basic(""))
            assert reply.status_code == 403 and "HMS_INSIGHTS_PASSWORD" in reply.text


def test_nothing_of_the_page_comes_without_the_password_and_guessing_ends(own: Settings, asked: Assistant) -> None:
    with TestClient(create_app(asked)) as client:
        for address in ADDRESSES:
            reply = client.get(f"/innsikt/{address}")
            assert reply.status_code == 401 and reply.headers["www-authenticate"].startswith("Basic "), address
            assert client.get(f"/innsikt/{address}", headers={"Authorization": "Bearer x"}).status_code == 401
        joined = {"data": [30], "fn_index": 0, "session_hash": "x"}
        assert client.post("/innsikt/gradio_api/queue/join", json=joined).status_code == 401
        assert client.get("/innsikt", follow_redirects=False).headers["location"] == "innsikt/"
        assert client.get("/innsikt/", headers=basic(PASSWORD)).status_code == 200
        assert client.post("/innsikt/gradio_api/queue/join", json=joined, headers=basic(PASSWORD)).status_code == 200
        assert client.post("/innsikt/gradio_api/upload", headers=basic(PASSWORD)).status_code == 404
        table = client.get("/innsikt/fil/30/mangler.csv", headers=basic(PASSWORD))
        assert table.headers["cache-control"] == "no-store" and GAP[1] in table.text
        for address in ("fil/30/nix.csv", "fil/31/mangler.csv", "fil/30/utkast-0.md"):
            assert client.get(f"/innsikt/{address}", headers=basic(PASSWORD)).status_code == 404
        statuses = [client.get("/innsikt/", headers=basic("feil")).status_code for _ in range(own.rate + 2)]
        assert statuses == [401] * own.rate + [429] * 2
        assert client.get("/innsikt/", headers=basic(PASSWORD)).status_code == 429  # or a guess too many would be answered
        chat = client.get("/config").text  # what anybody gets
        assert "Hva folk spør om" not in chat and client.post("/gradio_api/queue/join", json=joined).status_code != 401


@pytest.mark.parametrize(("proxies", "status"), [("127.0.0.0/8", 200), ("10.0.0.0/8", 403)])
def test_a_header_is_believed_of_a_trusted_proxy_only(own: Settings, asked: Assistant, proxies: str, status: int) -> None:
    told = {"Remote-User": "kari"}
    names = {"HMS_INDEX": str(own.index), "HMS_INSIGHTS_HEADER": "Remote-User", "HMS_TRUSTED_PROXIES": proxies}
    with app(free_port(), "/api/health", **names) as address:
        assert httpx.get(f"{address}/innsikt/", headers=told).status_code == status
        assert httpx.get(f"{address}/innsikt/", headers=told | {"X-Forwarded-For": "203.0.113.9"}).status_code == status
        assert httpx.get(f"{address}/innsikt/", headers=told | {"X-Forwarded-For": "10.0.0.1"}).status_code == status
        assert httpx.get(f"{address}/innsikt/", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 403


@pytest.mark.parametrize(
    ("told", "peer", "status"),
    [
        ("kari", "127.0.0.1", 200),
        ("", "127.0.0.1", 403),
        (" \t ", "127.0.0.1", 403),
        (None, "127.0.0.1", 403),
        ("kari", "10.0.0.1", 403),
    ],
)
def test_a_header_that_names_nobody_lets_nobody_in(
    own: Settings, asked: Assistant, told: str | None, peer: str, status: int
) -> None:
    settings = replace(own, insights_password="", insights_header="Remote-User", trusted_proxies=("127.0.0.0/8",))
    with TestClient(create_app(Assistant(settings, asked.store)), client=(peer, 5000)) as client:
        reply = client.get("/innsikt/", headers={} if told is None else {"Remote-User": told})
        assert reply.status_code == status, reply.text
        assert told is None or reply.request.headers["remote-user"] == told  # it was sent


def test_a_header_that_nobody_may_send_is_told_of(own: Settings, asked: Assistant, caplog: pytest.LogCaptureFixture) -> None:
    settings = replace(own, insights_header="Remote-User", trusted_proxies=("127.0.0.1/32",))
    create_app(Assistant(settings, asked.store))
    assert "HMS_INSIGHTS_HEADER" not in caplog.text
    create_app(Assistant(replace(settings, trusted_proxies=()), asked.store))
    assert "HMS_INSIGHTS_HEADER is set without HMS_TRUSTED_PROXIES" in caplog.text


@needs_browser
@pytest.mark.parametrize(("width", "height", "scheme"), [(1280, 900, "light"), (360, 740, "dark")])
def test_the_page_in_a_browser(browser: Any, own: Settings, asked: Assistant, width: int, height: int, scheme: str) -> None:
    with app(free_port(), HMS_INDEX=str(own.index), HMS_INSIGHTS_PASSWORD="et-langt-passord") as address:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", accept_downloads=True,
            http_credentials={"username": "eier", "password": "et-langt-passord"},
        )  # fmt: skip
        page = context.new_page()
        page.set_default_timeout(60_000)
        seen: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: seen.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto(f"{address}/innsikt/?__theme={scheme}")
        page.locator("#insights .gap").first.wait_for()
        assert page.locator("html").get_attribute("lang") == "nb"
        assert page.locator("#insights .columns .stack").first.evaluate("e => e.getBoundingClientRect().height") > 20
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        with page.expect_download() as download:
            page.locator("#insights .gap a[download]").first.press("Enter")
        assert frontmatter.load(download.value.path())["draft"] is True
        page.locator("#period input:checked").focus()
        page.keyboard.press("ArrowLeft")
        page.get_by_text("de siste 30 dagene").wait_for()
        assert page.get_by_role("radiogroup", name="Siste").or_(page.get_by_role("group", name="Siste")).count() == 1
        assert {url.split("/")[2] for url in seen if url.startswith("http")} == {address.split("/")[2]}
        assert wrong == [] and context.cookies() == []
        context.close()


def test_many_answers_are_read_in_parts(own: Settings, asked: Assistant) -> None:
    store = asked.store
    assert store is not None
    since = datetime.now(UTC) - timedelta(1)
    ids = [row["id"] for row in store.each(since, "id")]
    assert ids == [kept.id for kept in answers(store, since)] and len(ids) >= 9
    assert list(store.each(datetime.now(UTC) + timedelta(1), "id")) == []
    assert json.dumps([row["citations"] for row in store.each(since, "citations")])
