/* The assistant on any site: <script src="https://assistant.example/widget.js" defer></script>.

Adds one element, <hms-assistent>, that asks the server the script came from. Knows how an answer is shown; knows nothing of how
it comes about. Answers, articles and questions are data: every node is built with its text, and nothing is ever read as HTML.
Styles are constructed sheets, so the strictest CSP holds. Nothing is stored, and nothing fetched before a question is asked. */
(() => {
'use strict';
const script = document.currentScript ?? document.querySelector('script[src*="widget.js"]');
const base = new URL('.', script?.src ?? location.href);
const MOST = 2000, TURNS = 20, TURN = 4000, BODY = 60_000; // the server's limits: characters, turns, characters of a turn, bytes
const MARKED = 600; // characters of marked text that come along: the rest of the 2,000 is for the question
const SLOW = 8_000, LATE = 120_000; // milliseconds until we say that it takes time, and until we give up

const TEXTS = {
  nb: {
    open: 'Spør om HMS', title: 'HMS-assistenten', close: 'Lukk', fresh: 'Ny samtale', full: 'Åpne i fullt vindu', log: 'Samtale',
    label: 'Spørsmålet ditt', send: 'Send', abort: 'Avbryt', retry: 'Prøv igjen', you: 'Du spurte',
    intro: 'Spør om HMS, arbeidsliv eller regnskap. Svarene er hentet fra artiklene, og hver setning viser hvor den står.',
    marked: 'Spør om den merkede teksten', about: 'Om «{}»: ', sources: 'Kilder', source: 'Kilde {}: {}',
    article: 'Åpne i artikkelen', law: 'Åpne i lovteksten', updated: 'Oppdatert {}', laws: 'Lover og forskrifter i svaret',
    nearest: 'Disse artiklene ligger nærmest', more: 'Spør videre', see: 'Se lovteksten', waiting: 'Leter i artiklene',
    outdated: 'Utdatert', contradiction: 'Motstrid', unknown_law: 'Lovhenvisning', fallback: 'Uten språkmodell', privacy: 'Personvern',
    useful: 'Var svaret nyttig?', up: 'Ja, nyttig', down: 'Nei, ikke nyttig', why: 'Hva var galt?',
    thanks: 'Takk for tilbakemeldingen.',
    lost: 'Takk, men tilbakemeldingen kom ikke fram; prøv gjerne igjen senere.',
    reasons: ['Finner ikke sitatet', 'Mangler kilder', 'Utdatert', 'Feil', 'Annet'],
    slow: 'Dette tar litt tid, men jeg arbeider fortsatt med svaret.',
    long: 'Spørsmålet er på {} tegn, og det er plass til {}; kort det ned litt.',
    many: 'Det kom mange spørsmål på kort tid; prøv igjen om {}.', unready: 'Assistenten er ikke klar ennå; prøv igjen om {}.',
    shut: 'Dette nettstedet har ikke lov til å spørre assistenten; åpne den i fullt vindu i stedet.',
    unreachable: 'Får ikke kontakt med assistenten; prøv igjen om litt, eller åpne den i fullt vindu.',
    offline: 'Du er uten nett; prøv igjen når du er tilkoblet.', late: 'Svaret kom ikke i tide; prøv igjen om litt.',
    cut: 'Svaret ble brutt av før det var ferdig; prøv igjen.', fault: 'Noe gikk galt hos assistenten; prøv igjen om litt.',
    aborted: 'Spørsmålet ble avbrutt.', soon: 'litt', units: ['{} sekunder', '{} minutter', '{} timer'],
  },
  nn: {
    open: 'Spør om HMS', title: 'HMS-assistenten', close: 'Lukk', fresh: 'Ny samtale', full: 'Opne i fullt vindauge',
    log: 'Samtale', label: 'Spørsmålet ditt', send: 'Send', abort: 'Avbryt', retry: 'Prøv igjen', you: 'Du spurde',
    intro: 'Spør om HMS, arbeidsliv eller rekneskap. Svara er henta frå artiklane, og kvar setning viser kvar ho står.',
    marked: 'Spør om den merkte teksten', about: 'Om «{}»: ', sources: 'Kjelder', source: 'Kjelde {}: {}',
    article: 'Opne i artikkelen', law: 'Opne i lovteksten', updated: 'Oppdatert {}', laws: 'Lover og forskrifter i svaret',
    nearest: 'Desse artiklane ligg nærast', more: 'Spør vidare', see: 'Sjå lovteksten', waiting: 'Leitar i artiklane',
    outdated: 'Utdatert', contradiction: 'Motstrid', unknown_law: 'Lovtilvising', fallback: 'Utan språkmodell', privacy: 'Personvern',
    useful: 'Var svaret nyttig?', up: 'Ja, nyttig', down: 'Nei, ikkje nyttig', why: 'Kva var gale?',
    thanks: 'Takk for tilbakemeldinga.',
    lost: 'Takk, men tilbakemeldinga kom ikkje fram; prøv gjerne igjen seinare.',
    reasons: ['Finn ikkje sitatet', 'Manglar kjelder', 'Utdatert', 'Feil', 'Anna'],
    slow: 'Dette tek litt tid, men eg arbeider framleis med svaret.',
    long: 'Spørsmålet er på {} teikn, og det er plass til {}; kort det ned litt.',
    many: 'Det kom mange spørsmål på kort tid; prøv igjen om {}.', unready: 'Assistenten er ikkje klar enno; prøv igjen om {}.',
    shut: 'Denne nettstaden har ikkje lov til å spørje assistenten; opne han i fullt vindauge i staden.',
    unreachable: 'Får ikkje kontakt med assistenten; prøv igjen om litt, eller opne han i fullt vindauge.',
    offline: 'Du er utan nett; prøv igjen når du er tilkopla.', late: 'Svaret kom ikkje i tide; prøv igjen om litt.',
    cut: 'Svaret vart brote av før det var ferdig; prøv igjen.', fault: 'Noko gjekk gale hos assistenten; prøv igjen om litt.',
    aborted: 'Spørsmålet vart avbrote.', soon: 'litt', units: ['{} sekund', '{} minutt', '{} timar'],
  },
  en: {
    open: 'Ask about HSE', title: 'The HSE assistant', close: 'Close', fresh: 'New conversation', full: 'Open in full window',
    log: 'Conversation',
    label: 'Your question', send: 'Send', abort: 'Cancel', retry: 'Try again', you: 'You asked',
    intro: 'Ask about health and safety, working life or accounting. Each sentence of an answer shows where it stands in the articles.',
    marked: 'Ask about the marked text', about: 'About “{}”: ', sources: 'Sources', source: 'Source {}: {}',
    article: 'Open in the article', law: 'Open in the law', updated: 'Updated {}', laws: 'Laws and regulations in the answer',
    nearest: 'These articles come closest', more: 'Ask on', see: 'See the law', waiting: 'Searching the articles',
    outdated: 'Outdated', contradiction: 'Contradiction', unknown_law: 'Law reference', fallback: 'Without a language model', privacy: 'Privacy',
    useful: 'Was this helpful?', up: 'Yes, helpful', down: 'No, not helpful', why: 'What was wrong?',
    thanks: 'Thank you for your feedback.',
    lost: 'Thank you, but the feedback did not get through; please try again later.',
    reasons: ['Cannot find the quote', 'Sources missing', 'Outdated', 'Wrong', 'Something else'],
    slow: 'This takes some time, but I am still working on the answer.',
    long: 'The question has {} characters, and there is room for {}; please shorten it a little.',
    many: 'Many questions came in a short time; try again in {}.', unready: 'The assistant is not ready yet; try again in {}.',
    shut: 'This site is not allowed to ask the assistant; open it in a full window instead.',
    unreachable: 'Cannot reach the assistant; try again in a while, or open it in a full window.',
    offline: 'You are offline; try again when you are connected.', late: 'The answer did not come in time; try again in a while.',
    cut: 'The answer was cut off before it was complete; try again.',
    fault: 'Something went wrong at the assistant; try again in a while.',
    aborted: 'The question was cancelled.', soon: 'a while', units: ['{} seconds', '{} minutes', '{} hours'],
  },
};
const REASONS = TEXTS.nb.reasons.map(each => each.toLowerCase()); // as the server is told, whatever the page's language

// Sizes in em follow the reader's own text size; `!important` on the host wins over the page's rules.
const STYLE = `
:host { all: initial !important; position: fixed !important; z-index: 2147483000 !important; bottom: 16px !important;
  right: 16px !important;
  --fill: #0b6e69; --on: #fff; --ink: #1d2b2a; --paper: #fff; --soft: #eef4f3; --line: #cfdad9; --edge: #6f8584; --quiet: #4d6061;
  --accent: #0b6e69; --warn: #fdecc8; --on-warn: #4a3200; }
:host([data-position=left]) { right: auto !important; left: 16px !important; }
@media (prefers-color-scheme: dark) { :host { --ink: #e6eeed; --paper: #142020; --soft: #1e2e2d; --line: #314544; --edge: #7d9493;
  --quiet: #a9bbba; --accent: #6fd3cb; --warn: #4a3a10; --on-warn: #fff0c9; } }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
.root, dialog { font: 1em/1.5 system-ui, sans-serif; color: var(--ink); color-scheme: light dark; text-align: left; }
.root { user-select: none; }
.offer { position: absolute; bottom: calc(100% + 8px); right: 0; white-space: nowrap; }
.root:has(~ dialog[open]) { visibility: hidden; }
:host([data-position=left]) .offer { right: auto; left: 0; }
button, textarea { font: inherit; color: inherit; margin: 0; }
button, .button { min-height: 2.25em; min-width: 2.25em; padding: .3em .75em; border: 1px solid var(--edge); border-radius: 1.2em;
  background: var(--paper); color: var(--ink); cursor: pointer; text-align: left; text-decoration: none; }
button:hover, .button:hover { border-color: var(--accent); text-decoration: underline; }
button[disabled] { opacity: .6; cursor: default; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.root button { box-shadow: 0 2px 12px #0005; border: 1px solid #fff; }
.fill { background: var(--fill); color: var(--on); border-color: var(--fill); font-weight: 600; }
.open { display: flex; align-items: center; gap: .5em; padding: .6em 1.1em; border-radius: 2em; }
svg { width: 1.4em; height: 1.4em; fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round;
  stroke-linecap: round; }
dialog { position: fixed; inset: auto 16px 16px auto; width: 27em; max-width: calc(100vw - 32px); height: 42em;
  max-height: calc(100dvh - 32px); margin: 0; padding: 0; border: 1px solid var(--edge); border-radius: 14px;
  background: var(--paper); box-shadow: 0 8px 40px #0006; overflow: hidden; overscroll-behavior: contain; }
:host([data-position=left]) dialog { inset: auto auto 16px 16px; }
dialog[open] { display: flex; flex-direction: column; }
dialog::backdrop { background: #0002; }
header { display: flex; align-items: center; padding: .4em .5em .4em 1em; background: var(--fill); color: var(--on); }
header h2 { flex: 1; font-size: 1.05em; margin: 0; }
header button { background: none; color: inherit; border-color: transparent; padding: .3em; line-height: 0; text-align: center; }
header button:hover { border-color: currentColor; }
header :focus-visible { outline-color: currentColor; outline-offset: -2px; }
.log { flex: 1; overflow-y: auto; overscroll-behavior: contain; position: relative; padding: .75em 1em; overflow-wrap: anywhere;
  min-height: 6em; }
.log:focus-visible { outline-offset: -3px; }
p, ul { margin: 0 0 .6em; }
ul { padding-left: 1.2em; }
li { margin-bottom: .25em; }
h3, h4 { font-size: .95em; margin: .9em 0 .35em; }
.asked { background: var(--soft); border-radius: 12px; padding: .5em .75em; margin: .75em 0; white-space: pre-wrap;
  font-weight: 600; }
.quiet, .asked b { color: var(--quiet); font-weight: 400; font-size: .875em; }
.asked b { display: block; }
a { color: var(--accent); }
.mark { display: inline-block; min-width: 24px; height: 24px; line-height: 22px; padding: 0 4px; text-align: center;
  border: 1px solid var(--accent); border-radius: 7px; font-size: .8125em;
  font-weight: 600; text-decoration: none; vertical-align: baseline; }
a.mark:hover { background: var(--accent); color: var(--paper); }
.notice { background: var(--warn); color: var(--on-warn); border-left: 4px solid currentColor; border-radius: 6px;
  padding: .45em .65em; }
.notice a { color: inherit; }
.source { border: 1px solid var(--line); border-radius: 10px; padding: .5em .75em; margin: 0 0 .5em; font-size: .9375em; }
.source h4 { margin: 0; }
.source blockquote { margin: .35em 0 0; }
.to { display: inline-block; min-height: 24px; line-height: 24px; }
.links { list-style: none; padding: 0; }
.chips { display: flex; flex-wrap: wrap; gap: .4em; align-items: center; margin: .5em 0; font-size: .9375em; }
.chips h3 { width: 100%; margin: 0; }
.up, .down { line-height: 0; padding: .3em; text-align: center; }
.down svg { transform: rotate(180deg); }
.fault { border: 1px solid var(--edge); border-left: 4px solid #c33; border-radius: 6px; padding: .45em .65em; }
.fault button { margin-top: .4em; display: block; }
.log[aria-busy] { padding-bottom: 3.5em; }
footer { position: relative; padding: .6em 1em .4em; border-top: 1px solid var(--line); }
.status { position: absolute; inset: auto 0 100%; display: flex; justify-content: space-between; align-items: center;
  padding: .3em 1em; background: var(--paper); border-top: 1px solid var(--line); font-size: .9375em; }
label { display: block; margin-bottom: .3em; font-size: .875em; color: var(--quiet); }
.ask { display: flex; gap: .5em; align-items: flex-end; }
textarea { flex: 1; min-width: 0; min-height: 2.6em; max-height: 8em; field-sizing: content; resize: none; padding: .5em .65em;
  border: 1px solid var(--edge); border-radius: 10px; background: var(--paper); }
.tools { display: flex; flex-wrap: wrap; justify-content: space-between; margin: .4em -.6em 0; font-size: .875em; }
.tools > * { border-color: transparent; background: none; padding: .3em .6em; color: var(--accent); }
.busy::before { content: ''; display: inline-block; width: .6em; height: .6em; margin-right: .5em; border-radius: 50%;
  background: var(--accent); }
@media (prefers-reduced-motion: no-preference) { .busy::before { animation: pulse 1.2s infinite alternate; } }
@keyframes pulse { to { opacity: .2; } }
@media (max-width: 480px), (max-height: 420px) {
  dialog, :host([data-position=left]) dialog { inset: 0; width: 100%; max-width: none; height: 100%; max-height: none; border: 0;
    border-radius: 0; }
}
@media (max-height: 300px) { dialog[open] { overflow-y: auto; display: block; } }
@media print { :host { display: none !important; } }`;

class Fault extends Error {} // its message is the one sentence that the reader is told

const say = (text, ...values) => values.reduce((told, value) => told.replace('{}', () => value), text);
const list = value => (Array.isArray(value) ? value.filter(Boolean) : []);

/** An element: listeners are functions, attributes that are false or missing are left out, texts stay texts. */
function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === 'function') node.addEventListener(name, value);
    else if (value != null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter(child => child != null && child !== ''));
  return node;
}

/** An address that may be followed, made whole: http and https only. */
function address(url) {
  try {
    const whole = new URL(String(url), base);
    return /^https?:$/.test(whole.protocol) && url ? whole : null;
  } catch {
    return null;
  }
}

function link(url, attributes, ...children) {
  const whole = address(url);
  if (!whole) return make('span', null, ...children);
  return make('a', {...attributes, href: whole.href, target: '_blank', rel: 'noopener'}, ...children);
}

// Markdown: what the server's answers use; the rest stays as written.
const INLINE = new RegExp([
  String.raw`\\([!-/:-@[-\`{-~])`, // 1 an escaped sign
  String.raw`\*\*(?=\S)((?:\\.|(?!\*\*)[^\\])+)\*\*`, // 2 bold
  String.raw`\*(?=[^\s*])((?:\\.|[^*\\])+)\*`, // 3 italic
  String.raw`\[((?:\\.|[^[\]\\])*)\]\(([^()\s]+)\)`, // 4, 5 a link
  String.raw`\[(\d{1,3})\]`, // 6 a marker
].join('|'), 'gs');

function inline(text, how) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, sign, bold, italic, label, url, number] = found;
    nodes.push(text.slice(end, found.index));
    end = found.index + whole.length;
    if (sign) nodes.push(sign);
    else if (bold) nodes.push(make('strong', null, inline(bold, how)));
    else if (italic) nodes.push(make('em', null, inline(italic, how)));
    else if (url) nodes.push(how.allows(url) ? link(url, null, inline(label, how)) : make('span', null, inline(label, how)));
    else nodes.push(how.marker(number));
  }
  return [...nodes, text.slice(end)];
}

function markdown(text, how) {
  const blocks = [];
  let last = null; // the block that a line without a beginning of its own goes on in
  for (const line of String(text).replace(/(§|\d) (?=\d)/g, '$1\u00a0').split('\n')) {
    const [, item] = line.match(/^\s*[-*] +(.*)/) ?? [];
    if (!line.trim()) last = null;
    else if (item !== undefined) {
      if (blocks.at(-1)?.items) blocks.at(-1).items.push(last = {text: item});
      else blocks.push({items: [last = {text: item}]});
    } else if (last) last.text += '\n' + line.trim();
    else blocks.push(last = {text: line.replace(/^\s*(#+|>) +/, '')});
  }
  return blocks.map(block => (block.items
    ? make('ul', null, block.items.map(each => make('li', null, inline(each.text, how))))
    : make('p', null, inline(block.text, how))));
}

/** Server-sent events of a body as [name, data], cut anywhere. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '', name = '', data = '';
  try {
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\n');
      rest = lines.pop();
      for (const line of lines.map(each => each.replace(/\r$/, ''))) {
        if (line.startsWith('event:')) name = line.slice(6).trim();
        else if (line.startsWith('data:')) data += line.slice(5);
        else if (!line && data) {
          yield [name, JSON.parse(data)];
          name = data = '';
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** `colour` as #rrggbb with the text colour that reads best on it, or null when it is no plain colour. */
function fill(colour) {
  if (!colour || !CSS.supports('color', colour)) return null;
  const pen = document.createElement('canvas').getContext('2d');
  pen.fillStyle = colour;
  const hex = /^#(..)(..)(..)$/.exec(pen.fillStyle);
  if (!hex) return null;
  const linear = part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = hex.slice(1).map(part => linear(parseInt(part, 16) / 255));
  const onWhite = 1.05 / (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05); // WCAG's contrast; black has 4.5 where white has not
  return `:host { --fill: ${pen.fillStyle}; --on: ${onWhite >= 4.5 ? '#fff' : '#000'}; }`;
}

function sheet(text) {
  const made = new CSSStyleSheet();
  made.replaceSync(text);
  return made;
}

const SPEAK = 'M4 4h16v12h-9l-5 4v-4H4zM8.5 10l2.5 2.5 4.5-5', CROSS = 'm6 6 12 12M18 6 6 18';
const THUMB = 'M7 11v9H3v-9zl4-8c1.5 0 2.5 1 2.5 2.5V9H19a2 2 0 0 1 2 2.3l-1.2 7a2 2 0 0 1-2 1.7H7';

function icon(path) {
  const [svg, line] = ['svg', 'path'].map(tag => document.createElementNS('http://www.w3.org/2000/svg', tag));
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  line.setAttribute('d', path);
  svg.append(line);
  return svg;
}

class Assistent extends HTMLElement {
  #text; #root; #history = []; #running = null; #marked = ''; #forget = 0; #at = 0;
  #opener; #offer; #dialog; #log; #field; #send; #status; #stage; #own;

  connectedCallback() {
    if (this.#root) return document.addEventListener('selectionchange', this.#selected);
    const {position, colour, lang} = {...script?.dataset, ...this.dataset};
    if (position) this.dataset.position = position;
    const code = (lang || document.documentElement.lang || 'nb').toLowerCase().slice(0, 2);
    this.lang = code in TEXTS ? code : 'nb';
    this.#text = TEXTS[this.lang];
    this.#root = this.attachShadow({mode: 'open'});
    this.#root.adoptedStyleSheets = [STYLE, fill(colour)].filter(Boolean).map(sheet);
    const keep = event => event.preventDefault(); // pressing must not unmark the page's text
    this.#offer = make('button', {type: 'button', class: 'offer', hidden: '', mousedown: keep, click: () => this.#about()},
      this.#text.marked);
    this.#opener = make('button', {type: 'button', class: 'open fill', 'aria-haspopup': 'dialog', 'aria-expanded': 'false',
      mousedown: keep, click: () => this.open()}, icon(SPEAK), this.#text.open);
    this.#root.append(make('div', {class: 'root', lang: this.lang}, this.#offer, this.#opener));
    document.addEventListener('selectionchange', this.#selected);
  }

  disconnectedCallback() {
    document.removeEventListener('selectionchange', this.#selected);
    this.#running?.abort(new Fault(this.#text.aborted));
  }

  /** Show the panel; it is built the first time. */
  open() {
    if (!this.#dialog) this.#build();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#opener.setAttribute('aria-expanded', 'true');
    this.#own.hidden = !this.#marked;
    this.#field.focus();
  }

  close() {
    this.#dialog?.close();
  }

  #build() {
    const text = this.#text;
    const button = (label, click, attributes) => make('button', {type: 'button', click, ...attributes}, label);
    this.#log = make('div', {class: 'log', role: 'log', 'aria-live': 'polite', 'aria-label': text.log, tabindex: 0});
    this.#field = make('textarea', {id: 'question', rows: 1, autocomplete: 'off', enterkeyhint: 'send',
      keydown: event => this.#key(event), input: () => this.#field.removeAttribute('aria-invalid')});
    this.#send = button(text.send, () => this.#submit(), {class: 'fill'});
    this.#stage = make('span', {class: 'busy', role: 'status'});
    this.#status = make('div', {class: 'status', hidden: ''}, this.#stage,
      button(text.abort, () => this.#running?.abort(new Fault(text.aborted))));
    this.#own = button(text.marked, () => this.#about(), {hidden: ''});
    this.#dialog = make('dialog', {role: 'dialog', 'aria-modal': 'true', 'aria-labelledby': 'title', lang: this.lang,
      keydown: event => this.#trap(event), close: () => this.#closed(), mousedown: event => this.#beside(event)},
      make('header', null, make('h2', {id: 'title'}, text.title),
        button(icon(CROSS), () => this.close(), {class: 'close', 'aria-label': text.close, title: text.close})),
      this.#log,
      make('footer', null, this.#status, this.#own, make('label', {for: 'question'}, text.label),
        make('div', {class: 'ask'}, this.#field, this.#send),
        make('div', {class: 'tools'}, button(text.fresh, () => this.#fresh()), link(base.href, {class: 'button'}, text.full))));
    this.#root.append(this.#dialog);
    this.#greet();
  }

  #greet() {
    this.#log.replaceChildren(make('p', null, this.#text.intro));
  }

  /** A press beside the panel closes it, without taking the focus from the button again. */
  #beside(event) {
    const {left, right, top, bottom} = this.#dialog.getBoundingClientRect(), {clientX: x, clientY: y} = event;
    if (event.target !== this.#dialog || (x >= left && x <= right && y >= top && y <= bottom)) return;
    event.preventDefault();
    this.close();
  }

  #closed() {
    this.#opener.setAttribute('aria-expanded', 'false');
    this.#opener.focus();
  }

  #fresh() {
    const running = this.#running;
    this.#running = null; // what still comes of it is nobody's
    running?.abort(new Fault(this.#text.aborted));
    this.#history = [];
    this.#idle();
    this.#greet();
    this.#field.value = '';
    this.#field.focus();
  }

  #key(event) {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  /** Tab goes round inside the panel; the browser makes the page behind it inert. */
  #trap(event) {
    if (event.key !== 'Tab') return;
    const all = [...this.#dialog.querySelectorAll('a[href], button:not([disabled]), textarea, [tabindex="0"]')]
      .filter(each => each.getClientRects().length);
    const [from, to] = event.shiftKey ? [all[0], all.at(-1)] : [all.at(-1), all[0]];
    if (this.#root.activeElement !== from) return;
    event.preventDefault();
    to.focus();
  }

  // What is marked on the page

  #selected = () => {
    if (this.#dialog?.open) return;
    const written = /^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName); // the reader's own words, not the page's
    const words = written ? '' : String(getSelection()).replace(/\s+/g, ' ').trim();
    clearTimeout(this.#forget);
    const keep = () => {
      this.#marked = words.length < 10 ? '' : [...words].length > MARKED ? [...words].slice(0, MARKED).join('') + '…' : words;
      this.#offer.hidden = !this.#marked;
    };
    this.#forget = setTimeout(keep, 400); // not at every letter, and a tap on the button may unmark first
  };

  #about() {
    this.open();
    this.#own.hidden = this.#offer.hidden = true;
    this.#field.value = say(this.#text.about, this.#marked) + this.#field.value;
    this.#marked = '';
    this.#field.focus();
    this.#field.setSelectionRange(this.#field.value.length, this.#field.value.length);
    this.#field.scrollTop = this.#field.scrollHeight;
  }

  // Asking

  #submit() {
    const question = this.#field.value.trim(), length = [...question].length;
    this.#log.querySelector('.long')?.remove();
    if (!question || this.#running) return this.#field.focus();
    if (length <= MOST) return this.#ask(question);
    this.#field.setAttribute('aria-invalid', 'true');
    this.#log.append(make('p', {class: 'fault long', role: 'alert'}, say(this.#text.long, length, MOST)));
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  async #ask(question) {
    const control = (this.#running = new AbortController()), text = this.#text;
    const reply = make('div'), asked = make('p', {class: 'asked'}, make('b', null, text.you), question);
    const turn = make('article', null, asked, reply);
    if (this.#field.value.trim() === question) this.#field.value = '';
    this.#log.querySelector('.failed')?.remove();
    this.#log.append(turn);
    this.#log.setAttribute('aria-busy', 'true'); // read out once it is whole, not word by word
    this.#at = this.#log.scrollTop;
    this.#show(turn, reply, []);
    this.#stage.textContent = text.waiting + ' …';
    this.#status.hidden = false;
    this.#send.disabled = true;
    const timers = [
      setTimeout(() => { this.#stage.textContent = text.slow; }, SLOW),
      setTimeout(() => control.abort(new Fault(text.late)), LATE),
    ];
    try {
      const answer = await this.#fetch(question, control.signal, written => this.#show(turn, reply, written));
      if (this.#running !== control) return;
      this.#show(turn, reply, this.#answer(answer, reply));
      const content = [...answer.answer].slice(0, TURN).join('');
      this.#history.push({role: 'user', content: question}, {role: 'assistant', content});
    } catch (error) {
      if (this.#running !== control) return;
      const told = control.signal.aborted ? control.signal.reason : error;
      this.#failed(turn, reply, question, told instanceof Fault ? told.message : text.cut);
    } finally {
      timers.forEach(clearTimeout);
      if (this.#running === control) this.#idle();
    }
  }

  #idle() {
    this.#running = null;
    if (this.#status.contains(this.#root.activeElement)) this.#field.focus();
    this.#status.hidden = true;
    this.#send.disabled = false;
    this.#log.removeAttribute('aria-busy');
  }

  /** Keep the question in view at the top, unless the reader has gone elsewhere. */
  #show(turn, reply, nodes) {
    const follows = Math.abs(this.#log.scrollTop - this.#at) < 4;
    reply.replaceChildren(...nodes);
    if (!follows) return;
    this.#log.scrollTop = turn.offsetTop - 8;
    this.#at = this.#log.scrollTop;
  }

  #failed(turn, reply, question, message) {
    turn.classList.add('failed');
    const again = () => this.#running || (this.#field.focus(), this.#ask(question));
    const retry = make('button', {type: 'button', click: again}, this.#text.retry);
    this.#show(turn, reply, [make('div', {class: 'fault', role: 'alert'}, message, retry)]);
    this.#field.value ||= question;
  }

  async #fetch(question, signal, show) {
    const text = this.#text;
    const response = await this.#post('api/ask', this.#request(question), {Accept: 'text/event-stream'}, signal);
    if (!response.ok) throw new Fault(await this.#refusal(response));
    if (response.headers.get('content-type')?.includes('json')) return this.#sound(await response.json());
    let written = '', frame = 0;
    const draw = () => {
      frame = 0;
      show(markdown(written, {allows: () => false, marker: number => make('span', {class: 'quiet'}, `[${number}]`)}));
    };
    try {
      for await (const [name, data] of events(response.body)) {
        if (name === 'answer') return this.#sound(data);
        if (name === 'error') throw new Fault(this.#said(data));
        if (name === 'status') this.#stage.textContent = `${data.stage} …`;
        if (name === 'token') written += data.text;
        if (name === 'token') frame ||= requestAnimationFrame(draw);
      }
    } finally {
      cancelAnimationFrame(frame);
    }
    throw new Fault(text.cut);
  }

  #sound(answer) {
    if (typeof answer?.answer !== 'string') throw new Fault(this.#text.cut);
    return answer;
  }

  /** The body of a question, with as much of the talk as the server takes. */
  #request(question) {
    const history = this.#history.slice(-TURNS);
    const page = location.pathname.replace(/\/+$/, '') || '/';
    let body;
    do {
      body = JSON.stringify({question, history, page: decoded(page)});
    } while (new TextEncoder().encode(body).length > BODY && history.splice(0, 2).length);
    return body;
  }

  async #post(path, body, headers, signal) {
    try {
      headers = {'Content-Type': 'application/json', ...headers};
      return await fetch(new URL(path, base), {method: 'POST', body, headers, signal, credentials: 'omit', cache: 'no-store'});
    } catch {
      throw new Fault(await this.#silence(signal));
    }
  }

  /** Why nothing came back. A browser shows a page that is not let in as little as one whose server is down; the script tells. */
  async #silence(signal) {
    const {offline, shut, unreachable} = this.#text;
    if (!navigator.onLine) return offline;
    if (this.#history.length) return unreachable; // it was let in before
    return fetch(new URL('widget.js', base), {mode: 'no-cors', cache: 'no-store', signal}).then(() => shut, () => unreachable);
  }

  async #refusal(response) {
    const {status} = response, text = this.#text;
    if (status === 429) return say(text.many, this.#wait(response));
    if (status === 503) return say(text.unready, this.#wait(response));
    if (status === 403) return text.shut;
    return status < 500 ? this.#said(await response.json().catch(() => null)) : text.fault;
  }

  /** The server's own sentence, which is in bokmål. */
  #said(told) {
    return String((this.lang === 'nb' && told?.error?.message) || this.#text.fault);
  }

  #wait(response) {
    const seconds = parseInt(response.headers.get('retry-after'), 10);
    if (!(seconds > 0)) return this.#text.soon;
    const unit = seconds < 100 ? 0 : seconds < 6000 ? 1 : 2;
    return say(this.#text.units[unit], Math.ceil(seconds / 60 ** unit));
  }

  // The answer

  #answer(answer, reply) {
    const text = this.#text, citations = list(answer.citations);
    const urls = new Set(citations.map(each => String(each.url)));
    const cited = number => citations.find(each => String(each.number) === number);
    const how = {
      allows: url => urls.has(url) || /^https:\/\/(www\.)?lovdata\.no\//.test(url),
      marker: number => (cited(number) ? this.#marker(cited(number)) : `[${number}]`),
    };
    const language = /^[a-z]{2}$/.test(answer.language) ? answer.language : null;
    return [
      make('div', {lang: language}, markdown(answer.answer, how)),
      list(answer.notices).map(each => this.#notice(each)),
      make('div', {'aria-live': 'off'}, this.#sources(citations), this.#links(text.laws, answer.laws, 'text'),
        this.#links(text.nearest, answer.nearest, 'title')),
      this.#followups(list(answer.followups)),
      answer.outcome !== 'greeting' && answer.id && this.#feedback(answer.id),
    ].flat().filter(Boolean);
  }

  #notice({kind, message, url}) {
    const more = address(url) && link(url, {class: 'to'}, this.#text.see);
    return make('p', {class: 'notice'}, make('strong', null, this.#text[kind] ?? '', ': '), String(message ?? ''), ' ', more);
  }

  #marker(citation) {
    const where = [citation.title, citation.section].filter(Boolean).join(' – ');
    const name = say(this.#text.source, citation.number, where);
    return link(citation.url, {class: 'mark', 'aria-label': name}, String(citation.number));
  }

  #sources(citations) {
    const text = this.#text, cards = [];
    let before = null;
    for (const each of citations) {
      const where = [each.title, each.section, each.updated].join('\n');
      if (where !== before) {
        const section = each.section !== each.title && make('div', {class: 'quiet'}, String(each.section ?? ''));
        cards.push(make('div', {class: 'source'}, make('h4', null, String(each.title ?? '')), section || null,
          each.updated && make('div', {class: 'quiet'}, say(text.updated, this.#day(each.updated)))));
      }
      before = where;
      const label = each.kind === 'lov' || each.kind === 'forskrift' ? text.law : text.article;
      const name = `${label}, ${say(text.source, each.number, each.title)}`;
      const quote = make('span', {lang: 'nb'}, String(each.quote ?? ''));
      const opens = link(each.url, {class: 'to', 'aria-label': name}, label);
      cards.at(-1).append(make('blockquote', null, this.#marker(each), ' ', quote, ' ', opens));
    }
    return cards.length ? [make('h3', null, text.sources), ...cards] : [];
  }

  #day(iso) {
    const day = new Date(`${iso}T12:00:00`), how = {day: 'numeric', month: 'long', year: 'numeric'};
    return isNaN(day) ? iso : day.toLocaleDateString(this.lang === 'en' ? 'en-GB' : ['nb', 'no'], how);
  }

  #links(heading, pages, name) {
    const items = list(pages).map(each => make('li', null, link(each.url, {class: 'to'}, String(each[name] ?? each.url))));
    return items.length ? [make('h3', null, heading), make('ul', {class: 'links'}, items)] : [];
  }

  #followups(questions) {
    const ask = question => this.#running || (this.#field.focus(), this.#ask(question));
    return questions.length ? make('div', {class: 'chips'}, make('h3', null, this.#text.more),
      questions.map(each => make('button', {type: 'button', click: () => ask(String(each))}, String(each)))) : null;
  }

  #feedback(id) {
    const text = this.#text, told = make('span', {role: 'status', class: 'quiet'});
    let sending = false;
    const rate = async (rating, reason) => {
      if (sending) return;
      sending = true;
      const response = await this.#post('api/feedback', JSON.stringify({answer_id: id, rating, reason})).catch(() => null);
      sending = false;
      told.textContent = response?.ok ? text.thanks : text.lost;
      if (!response?.ok) return;
      if (box.contains(this.#root.activeElement)) this.#field.focus();
      box.replaceChildren(told);
    };
    const button = (kind, label, click, attributes) =>
      make('button', {type: 'button', class: kind, 'aria-label': label, title: label, click, ...attributes}, icon(THUMB));
    const group = (label, attributes, ...inside) => make('div',
      {class: 'chips', role: 'group', 'aria-label': label, ...attributes}, make('span', {class: 'quiet'}, label), ...inside);
    const why = group(text.why, {hidden: ''},
      text.reasons.map((each, place) => make('button', {type: 'button', click: () => rate('down', REASONS[place])}, each)));
    const down = button('down', text.down, () => {
      why.hidden = !why.hidden;
      down.setAttribute('aria-expanded', String(!why.hidden));
      why.querySelector('button').focus();
    }, {'aria-expanded': 'false'});
    const box = group(text.useful, null, button('up', text.up, () => rate('up')), down, told, why);
    return box;
  }
}

function decoded(path) {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

const start = () => {
  if (customElements.get('hms-assistent')) return;
  customElements.define('hms-assistent', Assistent);
  if (!document.querySelector('hms-assistent')) document.body.append(document.createElement('hms-assistent'));
};
// Not before the page is loaded and has time for it; what never loads is waited for 3 seconds.
const idle = () => (window.requestIdleCallback ?? setTimeout)(start, {timeout: 1000});
addEventListener('load', idle);
setTimeout(idle, document.readyState === 'complete' ? 0 : 3000);
})();
