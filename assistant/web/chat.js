/* What the chat page does in the browser itself: markers and their sources, copying, saving, asking what was wrong, the page's
language. A press that the server must hear of is told to it as an event "told" of the component that it happened in. */
() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const tell = (from, detail) => from.dispatchEvent(
    new CustomEvent('told', {bubbles: true, detail: {answer: from.closest('.turn')?.dataset.answer, ...detail}}));

  // A marker that is pointed at or has the focus shows its source, also that of an earlier answer.
  const source = marker => {
    const answer = marker.closest('.turn').dataset.answer;
    const panel = all('#source-list .of').find(each => each.dataset.answer === answer);
    if (!panel) return [];
    all('#source-list .of').forEach(each => { each.hidden = each !== panel; });
    return all(`[data-number="${marker.dataset.number}"]`, panel);
  };
  const unmark = () => all('#source-list .shown').forEach(each => each.classList.remove('shown'));
  const show = marker => {
    unmark();
    const marks = source(marker), panel = one('#sources');
    marks.forEach(each => each.classList.add('shown'));
    if (!marks.length || panel.scrollHeight <= panel.clientHeight) return;  // beside the talk; below it, the page stays put
    const [mark, frame] = [marks[0].getBoundingClientRect(), panel.getBoundingClientRect()];
    if (mark.top < frame.top || mark.bottom > frame.bottom)
      panel.scrollBy({top: mark.top - frame.top - frame.height / 3, behavior: calm ? 'auto' : 'smooth'});
  };
  const pointed = event => event.target.closest?.('#chat a.marker');
  for (const name of ['mouseover', 'focusin']) document.addEventListener(name, event => pointed(event) && show(pointed(event)));
  for (const name of ['mouseout', 'focusout']) document.addEventListener(name, event => pointed(event) && unmark());

  const copy = async text => {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* no clipboard without https, or not allowed */ }
    const area = Object.assign(document.createElement('textarea'), {value: text});
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return copied;
  };
  const actions = {
    ask: button => tell(button, {question: button.textContent}),
    copy: async button => {
      const copied = await copy(button.dataset.text);
      one('.happened', button.parentElement).textContent = copied ? button.dataset.done : button.dataset.failed;
    },
    why: button => {
      const form = one('form.why', button.closest('.turn'));
      form.hidden = !form.hidden;
      button.setAttribute('aria-expanded', !form.hidden);
      if (!form.hidden) one('input:checked', form).focus();
    },
  };
  document.addEventListener('click', event => {
    const button = event.target.closest?.('#chat [data-do], #suggestions [data-do]');
    if (!button) return;
    const action = actions[button.dataset.do];
    action ? action(button) : tell(button, {do: button.dataset.do});
  });
  document.addEventListener('submit', event => {
    if (!event.target.matches('#chat form.why')) return;
    event.preventDefault();
    const said = new FormData(event.target);
    tell(event.target, {do: 'down', reason: said.get('reason'), comment: said.get('comment')});
  });

  const save = ({name, mime, data}) => {
    const bytes = Uint8Array.from(atob(data), each => each.charCodeAt(0));
    const link = Object.assign(document.createElement('a'), {href: URL.createObjectURL(new Blob([bytes], {type: mime})), download: name});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  // Gradio names a group of choices by a text beside it, and the conversation not at all.
  const name = () => {
    for (const group of all('#role, #language')) {
      const label = one('[data-testid="block-info"]', group);
      if (label) group.setAttribute('aria-label', label.textContent.trim());
    }
    const chat = one('#chat');
    chat.setAttribute('role', 'log');
    chat.setAttribute('aria-label', {nb: 'Samtale', nn: 'Samtale', en: 'Conversation'}[document.documentElement.lang] ?? 'Samtale');
  };
  const fill = text => {
    const field = one('#question textarea');
    field.value = text;
    field.dispatchEvent(new Event('input', {bubbles: true}));  // for Gradio, which holds the value
  };
  // Gradio reads the box a little after it was sent. What is asked is what stood there when it was: a letter that was typed
  // since belongs to the next question.
  let sent = '';
  const keep = sends => event => { if (sends(event)) sent = one('#question textarea').value; };
  document.addEventListener('keydown', keep(event => event.key === 'Enter' && event.target.matches('#question textarea')), true);
  document.addEventListener('click', keep(event => event.target.closest?.('#send')), true);
  window.hms = {
    // What is asked, of what Gradio read; it is taken out of the box, and no more: a reader may already be writing on.
    asked: read => {
      const question = sent && read.startsWith(sent) ? sent : read;
      sent = '';
      const {value} = one('#question textarea');
      if (value.startsWith(question)) fill(value.slice(question.length));
      return question;
    },
    speak: language => {
      document.documentElement.lang = language;
      document.documentElement.dataset.spoken = '';
      setTimeout(name, 50);  // when the labels are there
    },
    acted: file => {
      if (file?.data) save(file);
      const turn = one('#now .turn');
      if (file?.failed && turn) (one('.happened', turn) ?? {}).textContent = file.failed;
      if (document.activeElement === document.body) one('#now .thanks')?.focus();
    },
    // An answer is read from its beginning. A suggestion that was chosen is gone, and the focus with it: it goes to the answer.
    answered: () => setTimeout(() => {
      const turn = one('#now .turn');
      if (!turn) return;
      if (one('#before .turn')) turn.scrollIntoView({block: 'start', behavior: calm ? 'auto' : 'smooth'});
      turn.dataset.done = '';
      if (!turn.dataset.answer && !one('#question textarea').value) fill(one('.asked [data-text]', turn).textContent);  // to mend
      if (document.activeElement === document.body) turn.focus({preventScroll: true});
    }, 60),
  };
  document.documentElement.lang = 'nb';
  name();
}
