"""The chat page in Gradio: the conversation on the left, the sources of its answers beside it.

Knows Gradio and what happens when a reader does something; how it looks is in `assistant.render` and web/. What a browser sends
is checked before it is used.
"""

import base64
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from assistant import HmsError, phrases
from assistant import render as look
from assistant.question import MAX_TURN, MAX_TURNS
from assistant.render import EVERYONE, LANGUAGES, ROLES, Exchange, texts
from assistant.types import Answer, Ask, Citation, Feedback, Turn
from assistant.wire import preferred

if TYPE_CHECKING:
    from assistant.chat import Assistant

log = logging.getLogger(__name__)
WEB = Path(__file__).resolve().parent / "web"
TITLE = "HMS-assistenten"
KEPT = 20  # exchanges that a session holds; older ones are gone from the page as well
HOURS = 6 * 3600  # seconds after which a conversation that nobody goes on with is forgotten
AT_ONCE = 8  # questions answered at the same time
SESSIONS = 2_000  # open pages, and those closed within an hour; each takes 60 KB, and Gradio would keep 10,000
PACE = 0.1  # seconds between two drawings of an answer that is being said
SUGGESTIONS = 5
COMMENT = 1_000  # characters
NAMES = {"nb": "Bokmål", "nn": "Nynorsk", "en": "English"}

Talk = tuple[Exchange, ...]
Shown = tuple[Any, ...]  # values of the outputs of an event, in their order
Wait = Callable[[str, Any], int]  # what is counted, an ASGI scope → seconds until there may be one more, 0: now


def mount(app: Any, assistant: "Assistant", wait: Wait) -> Any:
    """The app with the chat page at `/`; `wait` is told of the request of every question and rating."""
    return framed(app, build(assistant, wait), "/", [], (WEB / "chat.js").read_text("utf-8"))


def framed(app: Any, page: Any, path: str, css: Sequence[str], script: str) -> Any:
    """The app with a Gradio page at a path, in the chat's looks with more files of web/, and with a script: a function."""
    import gradio as gr

    scripts = ((WEB / "choices.js").read_text("utf-8"), script)
    return gr.mount_gradio_app(
        app,
        page,
        path=path,
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        ssr_mode=False,
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="teal"),
        css_paths=[WEB / name for name in ("chat.css", *css)],
        favicon_path=str(WEB / "logo.svg") if path == "/" else None,  # elsewhere Gradio has none of its own
        js=f"() => {{ {' '.join(f'({each.strip()})();' for each in scripts)} }}",
        head='<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">'
        '<link rel="stylesheet" href="/web/print.css">',
    )


def build(assistant: "Assistant", wait: Wait) -> Any:
    """The Gradio page."""
    import gradio as gr

    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        _events(assistant, wait, page, _layout(assistant))
    page.state_session_capacity = SESSIONS
    return page.queue(api_open=False, default_concurrency_limit=AT_ONCE)


def _layout(assistant: "Assistant") -> dict[str, Any]:
    """The components, in bokmål until the browser has told its language."""
    import gradio as gr

    t = texts("nb")
    part: dict[str, Any] = {"talk": gr.State((), time_to_live=HOURS)}
    with gr.Row(elem_id="top"):
        part["header"] = gr.HTML(look.header_html("nb"), elem_id="header")
        part["language"] = gr.Radio(
            [(NAMES[each], each) for each in LANGUAGES], value="nb", label=t["language"], container=False, elem_id="language"
        )
    part["status"] = gr.HTML(_status(assistant), elem_id="status")
    with gr.Row(elem_id="columns"):
        with gr.Column(scale=3, elem_id="talk"):
            with gr.Column(elem_id="chat"):
                part["before"] = gr.HTML("", elem_id="before", js_on_load=HEAR)
                part["now"] = gr.HTML(look.conversation_html((), "nb", latest=True), elem_id="now", js_on_load=HEAR)
            with gr.Column(elem_id="prompts"):
                part["role"] = gr.Radio(look.roles("nb"), value=EVERYONE, label=t["role"], container=False, elem_id="role")
                part["suggestions"] = gr.HTML("", elem_id="suggestions", js_on_load=HEAR)  # told once the page is ready
            with gr.Row(elem_id="ask"):
                part["box"] = gr.Textbox(
                    label=t["question"], placeholder=t["placeholder"], lines=1, max_lines=6, autofocus=True, scale=8,
                    elem_id="question",
                )  # fmt: skip
                part["send"] = gr.Button(t["send"], variant="primary", scale=1, min_width=90, elem_id="send")
                part["new"] = gr.Button(t["new"], size="sm", elem_id="new")
        with gr.Column(scale=2, elem_id="sources"):
            part["sources"] = gr.HTML(look.sources_html((), "nb"), elem_id="source-list")
    part["file"] = gr.JSON(visible="hidden", elem_id="file")
    return part


def _events(assistant: "Assistant", wait: Wait, page: Any, part: dict[str, Any]) -> None:
    """What happens when."""
    import gradio as gr

    talk, language, role, suggestions = part["talk"], part["language"], part["role"], part["suggestions"]
    shown = [talk, part["before"], part["now"], part["sources"], suggestions]
    worded = [part["header"], language, role, part["box"], part["send"], part["new"]]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

    def answer(question: str, kept: Talk, spoken: str, asker: str, request: gr.Request) -> Iterator[Shown]:
        assert request.request is not None  # Gradio keeps it for what waits in its queue
        told = look.too_many(wait("questions", request.request.scope), _one_of(LANGUAGES, spoken))
        yield from converse(assistant, question, kept, spoken, asker, _origin(request), told)
        # All that a page shows is kept by Gradio for links to a session, which we do not offer: some 0.3 MB a reader.
        page.state_holder[request.session_hash].config_values.clear()

    def choose(kept: Talk, spoken: str, asker: str, event: gr.EventData, request: gr.Request) -> Iterator[Shown]:
        yield from answer(str(_told(event).get("question", "")), kept, spoken, asker, request)

    def act(kept: Talk, spoken: str, event: gr.EventData, request: gr.Request) -> Shown:
        assert request.request is not None
        scope = request.request.scope
        return done(assistant, kept, spoken, _told(event), lambda: wait("ratings", scope))

    def begin(request: gr.Request) -> Shown:
        spoken = preferred(request.headers.get("accept-language", ""))
        return _in(spoken, EVERYONE, ())

    def suggest(asker: str, spoken: str) -> str:
        return _suggest(look.examples(_one_of(LANGUAGES, spoken), _one_of(ROLES, asker)))

    def tick() -> Shown:
        return _status(assistant), gr.Timer(active=not (assistant.ready or assistant.failed))

    # What is told is as it is shown, so nothing needs Gradio's postprocessing, which takes a thread for each output.
    listen: dict[str, Any] = {"outputs": shown, "concurrency_limit": AT_ONCE, "concurrency_id": "answers", **quiet}
    listen["postprocess"] = False
    ask = [part["box"].submit, part["send"].click]
    asked = [gr.on(ask, answer, [part["box"], talk, language, role], js=ASKED, **listen)]
    asked += [suggestions.click(choose, [talk, language, role], **listen)]
    for each in asked:
        each.then(fn=None, js="() => hms.answered()")
    part["new"].click(_start_again, inputs=[language, role], outputs=shown, cancels=asked, **quiet)
    for html in (part["before"], part["now"]):
        event = html.click(act, inputs=[talk, language], outputs=[talk, part["now"], part["file"]], **quiet)
        event.then(fn=None, inputs=part["file"], js="file => hms.acted(file)")
    spoken_in = [*worded, part["before"], part["now"], part["sources"], suggestions]
    changed = language.input(_in, inputs=[language, role, talk], outputs=spoken_in, **quiet)
    begun = page.load(begin, outputs=spoken_in, **quiet)
    for each in (changed, begun):
        each.then(fn=None, inputs=language, js="language => hms.speak(language)")
    role.input(suggest, inputs=[role, language], outputs=suggestions, **quiet)
    timer = gr.Timer(1.0, active=True)
    timer.tick(tick, outputs=[part["status"], timer], **quiet)


def converse(
    assistant: "Assistant",
    question: str,
    kept: Talk,
    language: str = "nb",
    role: str = EVERYONE,
    origin: str = "",
    refusal: str = "",
) -> Iterator[Shown]:
    """What the page shows while a question is answered, step by step; with a `refusal`, that it is not."""
    language, role = _one_of(LANGUAGES, language), _one_of(ROLES, role)
    if refusal:
        yield _failed(refusal, question, language, role)
        return
    ask = Ask(question, _turns(kept), None if role == EVERYONE else role)  # type: ignore[arg-type]  # one of ROLES
    before, beside = look.conversation_html(kept[1 - KEPT :], language), look.sources_html((), language)
    yield (kept, before, _now(Exchange(question, f"{phrases.SEARCHING[language]} …"), language), beside, "")
    try:
        for said in _said(assistant, ask, language):
            if not isinstance(said, Answer):
                # What stays as it is, is told again: for a skip() of one output Gradio makes a component.
                yield (*_skip(1), before, _now(Exchange(question, said), language), beside, "")
                continue
            talk = (*kept, look.exchange(assistant, ask, said, origin))[-KEPT:]
            yield (talk, before, _now(talk[-1], language), look.sources_html(talk, language), _suggest(said.followups))
    except HmsError as error:
        yield _failed(look.sentence(error, question, language), question, language, role)
    except Exception:  # whoever asks must not be left with "searching" for ever
        log.exception("a question was not answered")
        yield _failed(texts(language)["unexpected"], question, language, role)


def _said(assistant: "Assistant", ask: Ask, language: str) -> Iterator[str | Answer]:
    """The answer so far, from time to time, and the whole Answer last. Raises as `Assistant.stream` does."""
    text, shown, drawn = "", 0, 0.0
    for event in assistant.stream(ask):
        if isinstance(event.data, Answer):
            yield event.data
        elif event.name == "token" and not isinstance(event.data, Citation):
            text += str(event.data["text"])
            if len(text) >= 2 * shown or monotonic() - drawn >= PACE:  # words that are there at once are not drawn one by one
                yield text
                shown, drawn = len(text), monotonic()
        elif event.name == "status" and text:
            yield f"{text}\n\n{phrases.CHECKING[language]} …"


def _failed(sentence: str, question: str, language: str, role: str) -> Shown:
    return (*_skip(2), _now(Exchange(question, sentence), language), *_skip(1), _suggest(look.examples(language, role)))


def _now(each: Exchange, language: str) -> str:
    return look.conversation_html((each,), language, latest=True)


def _skip(count: int) -> list[Any]:
    import gradio as gr

    return [gr.skip()] * count


def _turns(kept: Talk) -> tuple[Turn, ...]:
    """The conversation as the Assistant reads it."""
    turns = [
        turn for each in kept if each.answer for turn in (Turn("user", each.question), Turn("assistant", each.answer.answer))
    ]
    return tuple(Turn(turn.role, turn.content[:MAX_TURN]) for turn in turns[-MAX_TURNS:])


def done(assistant: "Assistant", kept: Talk, language: str, told: dict[str, Any], wait: Callable[[], int] = lambda: 0) -> Shown:
    """What follows when a reader presses something in the conversation: the talk, its latest exchange, a file to save.

    `wait` counts a rating; seconds until there may be one more, 0 when it may be now.
    """
    language = _one_of(LANGUAGES, language)
    each = next((one for one in kept if one.answer and one.answer.id == told.get("answer")), None)
    if each is None or each.answer is None:
        return (*_skip(2), {"failed": texts(language)["gone"]})
    if told.get("do") in [*look.FILES]:
        return (*_skip(2), _file(each, str(told["do"]), language))
    feedback = _feedback(each.answer.id, told)
    if feedback is None or each.told or each is not kept[-1]:
        return tuple(_skip(3))
    if seconds := wait():
        return (*_skip(2), {"failed": look.too_many(seconds, language)})
    rated = replace(each, told=_kept(assistant, feedback))
    return ((*kept[:-1], rated), _now(rated, language), None)


def _feedback(answer: str, told: dict[str, Any]) -> Feedback | None:
    """What a reader says of an answer, None for what no form of ours sends."""
    comment = str(told.get("comment") or "").strip()[:COMMENT] or None
    match told.get("do"):
        case "up":
            return Feedback(answer, "up")
        case "missing":
            return Feedback(answer, "down", look.MISSING)
        case "down" if told.get("reason") in look.REASONS:
            return Feedback(answer, "down", str(told["reason"]), comment)
    return None


def _kept(assistant: "Assistant", feedback: Feedback) -> str:
    """Keep a rating; the text that tells how it went."""
    try:
        assistant.rate(feedback)
    except (HmsError, OSError):
        log.exception("a rating was not kept")
        return "unrated"
    return "reported" if feedback.reason == look.MISSING else "rated"


def _file(each: Exchange, kind: str, language: str) -> dict[str, str]:
    """A file as the page saves it: its name, its type, its bytes in base64."""
    name, mime, data = look.file(each, kind, language)
    return {"name": name, "mime": mime, "data": base64.b64encode(data).decode()}


def _in(language: str, role: str, kept: Talk) -> Shown:
    """Everything on the page that is worded, in a language."""
    import gradio as gr

    language, role = _one_of(LANGUAGES, language), _one_of(ROLES, role)
    t = texts(language)
    followups = kept[-1].answer.followups if kept and kept[-1].answer else ()
    return (
        look.header_html(language),
        gr.Radio(value=language, label=t["language"]),
        gr.Radio(choices=look.roles(language), value=role, label=t["role"]),
        gr.Textbox(label=t["question"], placeholder=t["placeholder"]),
        gr.Button(value=t["send"]),
        gr.Button(value=t["new"]),
        look.conversation_html(kept[:-1], language),
        look.conversation_html(kept[-1:], language, latest=True),
        look.sources_html(kept, language),
        _suggest(followups or look.examples(language, role)),
    )


def _one_of(allowed: Sequence[str], value: str) -> str:
    return value if value in allowed else allowed[0]


def _suggest(questions: Sequence[str]) -> str:
    return look.rendered("suggestions.html", "nb", questions=questions[:SUGGESTIONS])


def _told(event: Any) -> dict[str, Any]:
    """What the page's own script says with an event, or {} when it was not that script."""
    return event._data if isinstance(event._data, dict) else {}


def _start_again(language: str, role: str) -> Shown:
    language, role = _one_of(LANGUAGES, language), _one_of(ROLES, role)
    welcome = look.conversation_html((), language, latest=True)
    return ((), "", welcome, look.sources_html((), language), _suggest(look.examples(language, role)))


def _origin(request: Any) -> str:
    """Where the page lies, for links in files: scheme and host."""
    url = request.request.base_url
    return f"{url.scheme}://{url.netloc}"


def _status(assistant: "Assistant") -> str:
    if assistant.ready:
        return ""
    kind = "failed" if assistant.failed else "waiting"
    return f'<p class="{kind}" role="status" lang="nb">{escape(assistant.status)}{"" if assistant.failed else " …"}</p>'


# A question that is sent while the page begins waits until it has begun (3 s at most): what begins it would wipe the answer out.
ASKED = """async (...inputs) => {
  const begun = () => 'spoken' in document.documentElement.dataset;
  for (let times = 0; times < 150 && !begun(); times += 1) await new Promise(done => setTimeout(done, 20));
  return [window.hms?.asked(inputs[0]) ?? inputs[0], ...inputs.slice(1)];
}"""
# What the page's own script tells of (web/chat.js), as an event of Gradio's.
HEAR = "element.addEventListener('told', event => trigger('click', event.detail))"
