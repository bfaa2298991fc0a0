// What a page shows, asked for again and again: not while nobody looks, and less often when that is
// too much.

const AGAIN_AT_MOST_MS = 60_000;

/**
 * Sources are `{ name: { path, every, ends } }`, `every` in milliseconds. What is known of each
 * stands in `this.known[name]`: `{ data, failure, at }`. What is newer or failed is told to
 * `onChange`. Of what `ends` says yes to, nothing new will come: it is not asked again, and its
 * view says what failed.
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

  /**
   * Asks now, beside the rhythm; a source that is being asked is asked once more when that is done.
   */
  refresh(...names) {
    for (const name of names) this.#plan(name, 0);
  }

  /** Asks a source at another address from now on. */
  change(name, path) {
    this.sources[name] = { ...this.sources[name], path };
    this.known[name] = { data: null, failure: null, at: 0 };
    this.onChange();
    this.refresh(name);
  }

  /** The failure that lasts, of whatever is asked; nothing when all is well. */
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
    // Not all pages at the same moment: a thousand of them may have opened together.
    const about = 0.9 + Math.random() / 5;
    if (!failure) return every * about;
    // Everything is asked with one allowance: who is told to wait waits with all of it.
    if (failure.retryAfter)
      this.notBefore = Math.max(this.notBefore, Date.now() + failure.retryAfter * 1000);
    return about * Math.min(AGAIN_AT_MOST_MS, 2000 * 2 ** Math.min(this.failures[name], 5));
  }
}
