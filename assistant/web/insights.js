/* What Gradio leaves out of the owner's page: its language, and the name of the choices, which stands beside them. */
() => {
  document.documentElement.lang = 'nb';
  document.querySelector('#period').setAttribute('aria-label', 'Siste');
}
