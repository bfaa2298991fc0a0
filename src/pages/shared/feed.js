// Polls what a page shows: not while the page is hidden, and less often if the gateway asks for
// that.

const AGAIN_AT_MOST_MS = 60_000;

/**
 * Polls sources: `{ name: { path, every, ends } }`, `every` in milliseconds. The state of each is
 * in `this.known[name]`: `{ data, failure, at }`; `onChange` is called with each change. A source
 * whose `ends` returns true for its state is not polled again.
 */
export class Feed {
  constructor(api, sources, onChange) {
    Object.assign(this, {
      api,
      sources,
      onChange,
      known: {},
      timers: new Map(),
      running: new Map(),
      failures: {},
      notBefore: 0,
    });
    for (const name of Object.keys(sources))
      this.known[name] = { data: null, failure: null, at: 0 };
    this.look = () => (document.hidden ? this.#rest() : this.#wake());
  }

  start() {
    document.addEventListener("visibilitychange", this.look);
    addEventListener("online", this.look);
    this.#wake();
  }

  stop() {
    this.stopped = true;
    document.removeEventListener("visibilitychange", this.look);
    removeEventListener("online", this.look);
    this.#rest();
  }

  /** Polls now, out of turn; a source that is being polled is polled once more afterwards. */
  refresh(...names) {
    for (const name of names) this.#plan(name, 0);
  }

  /** Polls a source at another address from now on. */
  change(name, path) {
    this.sources[name] = { ...this.sources[name], path };
    this.known[name] = { data: null, failure: null, at: 0 };
    this.onChange();
    this.refresh(name);
  }

  /** The failure of any source that lasts; nothing if all is well. */
  get failure() {
    const failed = (name) => this.known[name].failure && !this.#hasEnded(name);
    const name = Object.keys(this.known).find(failed);
    return name ? this.known[name].failure : null;
  }

  #hasEnded(name) {
    const known = this.known[name];
    return known.at > 0 && Boolean(this.sources[name].ends?.(known));
  }

  #rest() {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  #wake() {
    if (this.stopped || document.hidden) return;
    for (const [name, { every }] of Object.entries(this.sources)) {
      if (this.#hasEnded(name)) continue;
      this.#plan(name, Math.max(0, this.known[name].at + every - Date.now()));
    }
  }

  #plan(name, wait) {
    if (this.stopped || document.hidden) return;
    clearTimeout(this.timers.get(name));
    const from = Math.max(Date.now() + wait, this.notBefore);
    this.timers.set(
      name,
      setTimeout(() => this.#ask(name), from - Date.now()),
    );
  }

  async #ask(name) {
    const { path } = this.sources[name];
    if (this.running.get(name) === path) return this.#plan(name, 250);
    this.running.set(name, path);
    const known = this.known[name];
    let failure = null;
    let data = known.data;
    try {
      data = await this.api.get(path);
    } catch (error) {
      failure = error;
    }
    this.running.delete(name);
    if (this.stopped || this.sources[name].path !== path) return;
    this.failures[name] = failure ? (this.failures[name] ?? 0) + 1 : 0;
    this.known[name] = { data, failure, at: Date.now(), since: failure ? known.since : Date.now() };
    if (!this.#hasEnded(name)) this.#plan(name, this.#wait(name, failure));
    this.onChange();
  }

  #wait(name, failure) {
    const { every } = this.sources[name];
    // Spreads the polls of pages that were opened at the same moment.
    const about = 0.9 + Math.random() / 5;
    if (!failure) return every * about;
    // All sources share one rate limit: if one must wait, all wait.
    if (failure.retryAfter)
      this.notBefore = Math.max(this.notBefore, Date.now() + failure.retryAfter * 1000);
    return about * Math.min(AGAIN_AT_MOST_MS, 2000 * 2 ** Math.min(this.failures[name], 5));
  }
}
