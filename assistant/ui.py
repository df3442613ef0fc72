"""The chat page in Gradio: conversation on the left, the sources of the latest answer beside it; and an answer in others' chats.

Knows how an Answer is shown; knows nothing of how it comes about. Everything from articles and readers is escaped: it is data.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant import HmsError, phrases
from assistant.cite import MARKER
from assistant.types import Answer, Ask, Checked, Citation, Notice, Turn

if TYPE_CHECKING:
    from assistant.chat import Assistant

log = logging.getLogger(__name__)
WEB = Path(__file__).resolve().parent / "web"
TITLE = "HMS-assistenten"
KEPT_TURNS, KEPT_CHARACTERS = 20, 4_000  # of the conversation are sent along: the Assistant's own limits
AT_ONCE = 8  # questions answered at the same time
SESSIONS = 2_000  # open pages, and those closed within an hour; each takes 30 KB, and Gradio would keep 10,000
WORDS_A_STEP = 6  # of a streamed answer; single words flicker


Message = dict[str, Any]
Shown = tuple[Any, ...]  # values of the outputs, in the order of `_outputs`
Refusal = Callable[[Any], str]  # an ASGI scope → why its question is not answered, "" when it is


def mount(app: Any, assistant: "Assistant", refusal: Refusal) -> Any:
    """The app with the chat page at `/`; `refusal` is told of every question's request."""
    import gradio as gr

    page = build(assistant, refusal)
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        ssr_mode=False,
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="teal"),
        css_paths=[WEB / "chat.css"],
        favicon_path=str(WEB / "logo.svg"),
        js=IN_NORWEGIAN,
        head='<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">',
    )


def build(assistant: "Assistant", refusal: Refusal) -> Any:
    """The Gradio page."""
    import gradio as gr

    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        gr.HTML(HEADER)
        status = gr.HTML(_status(assistant), elem_id="status")
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=3, elem_id="talk"):
                chat = gr.Chatbot(
                    label="Samtale", show_label=False, height="60vh", buttons=["copy"], allow_tags=False, sanitize_html=True,
                    feedback_options=None, autoscroll=False, placeholder=WELCOME, elem_id="chat", layout="bubble",
                )  # fmt: skip
                with gr.Row(elem_id="suggestions"):
                    suggestions = [
                        gr.Button(text, size="sm", min_width=0, elem_classes="suggestion") for text in phrases.EXAMPLES
                    ]
                with gr.Row(elem_id="ask"):
                    box = gr.Textbox(
                        label="Spørsmålet ditt", placeholder="Spør om HMS, arbeidsliv eller regnskap …", lines=1, max_lines=6,
                        autofocus=True, scale=8, elem_id="question",
                    )  # fmt: skip
                    send = gr.Button("Spør", variant="primary", scale=1, min_width=90, elem_id="send")
                new = gr.Button("Ny samtale", size="sm", elem_id="new")
            with gr.Column(scale=2, elem_id="sources"):
                sources = gr.HTML(NO_SOURCES, elem_id="source-list")

        outputs = [box, chat, sources, *suggestions]

        def answer(question: str, history: list[Message], request: gr.Request) -> Iterator[Shown]:
            assert request.request is not None  # Gradio keeps it for what waits in its queue
            yield from converse(assistant, question, history or [], refusal(request.request.scope))

        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        listen: dict[str, Any] = {"fn": answer, "outputs": outputs, "concurrency_limit": AT_ONCE, **quiet}
        gr.on([box.submit, send.click], inputs=[box, chat], **listen).then(fn=None, js=SHOW_QUESTION)
        for button in suggestions:
            button.click(inputs=[button, chat], **listen).then(fn=None, js=SHOW_QUESTION)
        new.click(_start_again, outputs=outputs, **quiet)
        timer = gr.Timer(1.0, active=True)

        def tick() -> Shown:
            return _status(assistant), gr.Timer(active=not (assistant.ready or assistant.failed))

        timer.tick(tick, outputs=[status, timer], **quiet)
    page.state_session_capacity = SESSIONS
    return page.queue(api_open=False, default_concurrency_limit=AT_ONCE)


def converse(assistant: "Assistant", question: str, history: list[Message], refusal: str = "") -> Iterator[Shown]:
    """What the page shows while a question is answered, step by step; with a `refusal`, that it is not."""
    before = _turns(history)
    shown = question.replace("![", "!\u200b[")  # no picture from elsewhere; what is not seen is not read either, see Assistant
    history = [*history, {"role": "user", "content": shown}]
    if refusal:
        yield (question, [*history, _said(refusal)], NO_SOURCES, *_suggest(phrases.EXAMPLES))
        return
    wait = _said(f"{phrases.SEARCHING['nb']} …")
    yield ("", [*history, wait], NO_SOURCES, *_suggest(()))
    text, steps = "", 0
    try:
        for event in assistant.stream(Ask(question, before)):
            if event.name == "token" and not isinstance(event.data, Answer | Citation):
                text += str(event.data["text"])
                steps += 1
                if steps % WORDS_A_STEP == 0:
                    yield ("", [*history, _said(text)], NO_SOURCES, *_suggest(()))
            elif event.name == "status" and text and not isinstance(event.data, Answer | Citation):
                stage = f'<h2>Kilder</h2><p class="quiet" role="status">{escape(str(event.data["stage"]))} …</p>'
                yield ("", [*history, _said(text)], stage, *_suggest(()))
            elif isinstance(event.data, Answer):
                said = event.data
                yield ("", [*history, _said(linked(said))], sources_html(said), *_suggest(said.followups))
    except HmsError as error:
        yield (question, [*history, _said(str(error))], NO_SOURCES, *_suggest(phrases.EXAMPLES))
    except Exception:  # whoever asks must not be left with "searching" for ever
        log.exception("a question was not answered")
        yield (question, [*history, _said(UNEXPECTED)], NO_SOURCES, *_suggest(phrases.EXAMPLES))


def _said(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _turns(history: list[Message]) -> tuple[Turn, ...]:
    """The conversation as the Assistant reads it; Gradio gives a message's content as a list of blocks."""
    turns = []
    for message in history[-KEPT_TURNS:]:
        content = message["content"]
        text = content if isinstance(content, str) else " ".join(str(block.get("text", "")) for block in content)
        turns.append(Turn(message["role"], text[:KEPT_CHARACTERS]))
    return tuple(turns)


def _suggest(texts: tuple[str, ...]) -> list[Any]:
    """Updates of the suggestion buttons: these texts, the rest hidden."""
    import gradio as gr

    padded = [*texts[: len(phrases.EXAMPLES)], *[""] * (len(phrases.EXAMPLES) - len(texts))]
    return [gr.Button(value=text, visible=bool(text)) for text in padded]


def _start_again() -> Shown:
    return ("", [], NO_SOURCES, *_suggest(phrases.EXAMPLES))


def linked(answer: Answer) -> str:
    """The answer's Markdown with every marker a link to its source."""
    urls = {citation.number: citation.url for citation in answer.citations}

    def link(match: re.Match[str]) -> str:
        url = urls.get(int(match[1]))
        return f"[\\[{match[1]}\\]]({url})" if url else match[0]

    return MARKER.sub(link, answer.answer)


def sources_html(answer: Answer) -> str:
    """The source panel of an answer."""
    parts = [f'<p class="notice" role="note">{_warning(notice)}</p>' for notice in answer.notices]
    sections = groupby(answer.citations, key=lambda citation: (citation.title, citation.section, citation.updated))
    parts += [_section(title, section, updated, quotes) for (title, section, updated), quotes in sections]
    if answer.laws:
        links = ", ".join(_link(each.url, each.text) for each in answer.laws)
        parts.append(f'<p class="laws">Lover og forskrifter i svaret: {links}</p>')
    if answer.support:
        parts.append(_checked(answer.support))
    if answer.nearest:
        parts.append(f"<p>{escape(phrases.NEAREST[answer.language])}</p><ul>")
        parts += [f"<li>{_link(page.url, page.title)}</li>" for page in answer.nearest]
        parts.append("</ul>")
    return f"<h2>Kilder</h2>{''.join(parts)}" if parts else NO_SOURCES


def _warning(notice: Notice) -> str:
    """A notice, with a link to the law where it names one."""
    return f"{escape(notice.message)} {_link(notice.url, 'Se lovteksten') if notice.url else ''}".rstrip()


def _checked(support: Sequence[Checked]) -> str:
    """The check of a language model's sentences, those that were left out among them."""
    stands = sum(each.verdict == "støttet" for each in support)
    told = "".join(
        f'<li class="{each.verdict.split()[0]}"><strong>{VERDICTS[each.verdict]}</strong> {escape(each.sentence)} '
        f"{''.join(f'[{number}]' for number in each.citations)}</li>"
        for each in support
    )
    summary = f"Kontroll av svaret: {stands} av {len(support)} setninger er støttet av kildene"
    return f'<details class="checked"><summary>{summary}</summary><ul>{told}</ul></details>'


def _section(title: str, section: str, updated: str | None, quotes: Iterable[Citation]) -> str:
    """The quotes from one section of an article, each with the link that opens it there."""
    name = escape(title) + (f'<span class="section">{escape(section)}</span>' if section != title else "")
    dated = f'<p class="updated">Oppdatert {escape(day(updated))}</p>' if updated else ""
    return f'<article class="source"><h3>{name}</h3>{"".join(map(_quote, quotes))}{dated}</article>'


def _quote(citation: Citation) -> str:
    where = "artikkelen" if citation.kind == "artikkel" else "lovteksten"
    opens = (
        f'<a href="{escape(citation.url)}" target="_blank" rel="noopener" aria-label="Åpne kilde {citation.number} i {where}">'
    )
    return (
        f'<blockquote id="source-{citation.number}"><span class="number">{citation.number}</span> '
        f"<mark>{escape(citation.quote)}</mark> {opens}Åpne&nbsp;i&nbsp;{where}</a></blockquote>"
    )


def day(iso: str) -> str:
    """A date as Norwegians write it; what is no ISO date stays as it is."""
    try:
        return f"{date.fromisoformat(iso):%d.%m.%Y}"
    except ValueError:
        return iso


def _link(url: str, text: str) -> str:
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(text)}</a>'


def _status(assistant: "Assistant") -> str:
    if assistant.ready:
        return ""
    kind = "failed" if assistant.failed else "waiting"
    return f'<p class="{kind}" role="status">{escape(assistant.status)}{"" if assistant.failed else " …"}</p>'


HEADER = f"<header><h1>{TITLE}</h1><p>Svar om HMS, arbeidsliv og regnskap – med kilder du kan åpne og lese selv.</p></header>"
VERDICTS = {"støttet": "✓ Støttet:", "delvis": "≈ Delvis støttet:", "ikke funnet": "✗ Utelatt, ikke funnet i kildene:"}
WELCOME = "Still et spørsmål, eller velg et av forslagene under."
UNEXPECTED = "Noe gikk galt hos oss, og spørsmålet ble ikke besvart; prøv igjen om litt."
# Gradio has no Norwegian for some labels, and follows the browser's language for the rest. Labels come and go with the messages.
# A message it names in English, by all its raw Markdown, addresses too, on an element whose role can have no name.
IN_NORWEGIAN = """() => {
  document.documentElement.lang = 'nb';
  const labels = {'chatbot conversation': 'Samtale', 'Copy message': 'Kopier', 'Copied message': 'Kopiert',
    'Scroll down': 'Rull ned', 'Scroll to top': 'Rull opp', 'Copy': 'Kopier', 'Copied': 'Kopiert'};
  const speakers = {user: 'Spørsmål', bot: 'Svar'};
  const translate = () => document.querySelectorAll('#chat [aria-label], #chat [title]').forEach(each => {
    const speaker = speakers[each.dataset.testid];
    if (speaker) each.setAttribute('role', 'group');
    for (const name of ['aria-label', 'title']) {
      const said = each.getAttribute(name), label = said && (speaker || labels[said]);
      if (label && label !== said) each.setAttribute(name, label);
    }
  });
  translate();
  new MutationObserver(translate).observe(document.getElementById('chat'),
    {subtree: true, childList: true, attributeFilter: ['aria-label', 'title']});
}"""
# An answer is read from its beginning: the latest question goes to the top of the conversation, not its last line to the bottom.
# A suggestion is gone once it is chosen, and the focus with it: then it goes to the answer's conversation, for the next Tab.
SHOW_QUESTION = """() => {
  let left = 40;  // looks, for a slow machine takes its time to take the chosen suggestion away
  const show = () => {
    const question = [...document.querySelectorAll('#chat .user-row')].pop();
    const talk = question && question.closest('.bubble-wrap');
    if (!talk) return;
    if (left === 40) talk.scrollTop += question.getBoundingClientRect().top - talk.getBoundingClientRect().top - 8;
    talk.tabIndex = 0;  // so that arrow keys scroll a long conversation
    if (document.activeElement === document.body) talk.focus({preventScroll: true});
    else if (--left && document.activeElement.closest('#suggestions')) setTimeout(show, 60);
  };
  setTimeout(show, 60);
}"""
NO_SOURCES = '<h2>Kilder</h2><p class="quiet">Her står kildene til svaret, med ordene som er brukt.</p>'
