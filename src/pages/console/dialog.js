// The dialog before a change: says exactly what will happen, and asks for what is needed.

import { html, useEffect, useRef, useState } from "../shared/lib.js";
import { Copy, Notice, sentence } from "../shared/elements.js";

/** A new secret, which is shown only once. */
const Secret = ({ secret, onClose }) => html`
  <${Notice} tone="warn" title="This is the only time it is shown" live=${false}>Copy it now and give
    it to whoever uses it. It is kept nowhere: of a lost one, only another can be made.<//>
  <div class="secret"><code id="secret" tabindex="0" aria-label="The key's secret">${secret}</code>
    <${Copy} text=${secret} what="the secret" /></div>
  <div class="buttons"><button type="button" class="primary" onClick=${onClose}>I have kept
    it</button></div>`;

/**
 * Shows `asked`, which is `{ title, start, fields, happens, confirm, danger, check, act }`: `start`
 * has the fields' values, `fields` draws them, `happens` says what will be done with them, `check`
 * what is wrong with them, and `act` makes the change and returns `{ said, secret }`.
 */
export function Dialog({ asked, session }) {
  const place = useRef();
  const [form, setForm] = useState(asked.start ?? {});
  const [state, setState] = useState({ busy: false, failure: null, wrong: null, secret: null });
  useEffect(() => {
    const dialog = place.current;
    dialog.showModal();
    return () => dialog.open && dialog.close();
  }, []);
  const close = () => {
    place.current.close();
    session.close();
  };
  const cancel = (event) => {
    event.preventDefault();
    // Escape does not close the dialog while it shows a secret or a change is under way.
    if (!state.busy && !state.secret) close();
  };
  const set = (name) => (event) => {
    const { type, checked, value } = event.target;
    setForm((before) => ({ ...before, [name]: type === "checkbox" ? checked : value }));
  };
  const submit = async (event) => {
    event.preventDefault();
    if (state.busy) return;
    const wrong = asked.check?.(form) ?? null;
    if (wrong) return setState({ ...state, wrong, failure: null });
    setState({ busy: true, failure: null, wrong: null, secret: null });
    try {
      const { said, secret = null } = await asked.act(form, session.api);
      session.changed(said);
      if (secret) setState({ busy: false, failure: null, wrong: null, secret });
      else close();
    } catch (failure) {
      setState({ busy: false, failure, wrong: null, secret: null });
    }
  };
  const { busy, failure, wrong, secret } = state;
  const doIt = `${asked.danger ? "danger" : "primary"}`;
  return html`<dialog ref=${place} aria-labelledby="asked" onCancel=${cancel}>
    <h2 id="asked">${secret ? asked.made : asked.title}</h2>
    ${
      secret
        ? html`<${Secret} secret=${secret} onClose=${close} />`
        : html`<form onSubmit=${submit} novalidate>
      ${asked.fields?.(form, set)}
      <div class="happens" aria-live="polite">${asked.happens(form)}</div>
      ${wrong && html`<${Notice} tone="bad">${wrong}<//>`}
      ${failure && html`<${Notice} tone="bad" title=${failure.title || "It was not done"}>
        <p>${sentence(failure.message)}</p>${failure.errors.map((text) => html`<p key=${text}>${text}</p>`)}<//>`}
      <div class="buttons">
        <button type="button" onClick=${close} aria-disabled=${busy}>Cancel</button>
        <button type="submit" class=${doIt} aria-disabled=${busy}>${busy ? "One moment…" : asked.confirm}</button>
      </div></form>`
    }
  </dialog>`;
}
