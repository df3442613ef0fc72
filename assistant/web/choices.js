/* Groups of choices on every page of Gradio's: it gives each choice of a group another name, so that arrow keys would not choose. */
() => document.addEventListener('keydown', event => {
  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  if (!step || !event.target.matches?.('[data-testid$="-radio-label"] input')) return;
  event.preventDefault();
  const group = [...event.target.closest('fieldset').querySelectorAll('input')];
  const next = group.at((group.indexOf(event.target) + step) % group.length);
  next.focus();
  next.click();
})
