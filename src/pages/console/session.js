// The session of an operator: the token, the data of the open view, and dialogs and notices.

import { Api, Failure, base } from "../shared/api.js";
import { Feed } from "../shared/feed.js";
import { find } from "./call.js";
import { read } from "./metrics.js";

const SECOND = 1000;

/** Paths that probes and scrapes read: they need no token, and get none. */
class OperatorApi extends Api {
  get(path, options) {
    if (path === "readyz") return this.#open(path, [200, 503]).then((answer) => answer.json());
    if (path === "metrics") return this.#open(path, [200]).then(async (answer) => read(await answer.text()));
    return super.get(path, options);
  }

  async #open(path, expected) {
    const answer = await fetch(new URL(path, base()), {
      cache: "no-store",
      credentials: "omit",
    }).catch(() => null);
    if (!answer) throw new Failure(0);
    if (!expected.includes(answer.status)) throw new Failure(answer.status, {}, answer.headers);
    return answer;
  }
}

export const operatorApi = (token) => new OperatorApi(token);

const every = (seconds, path) => ({ path, every: seconds * SECOND });
const HEALTH = {
  ready: every(5, "readyz"),
};

/** The paths that each view asks for, and how often. */
const SOURCES = {
  overview: () => ({
    ...HEALTH,
    today: every(15, "admin/v1/usage?period=today&by=team,model"),
    month: every(60, "admin/v1/usage?period=month&by=day,team"),
    teams: every(15, "admin/v1/teams"),
    queue: every(5, "admin/v1/queue"),
    sharedKeys: every(15, "admin/v1/upstream-keys"),
    metrics: every(30, "metrics"),
  }),
  teams: () => ({
    ...HEALTH,
    teams: every(10, "admin/v1/teams"),
    today: every(20, "admin/v1/usage?period=today&by=team"),
    month: every(60, "admin/v1/usage?period=month&by=team"),
  }),
  team: (team) => ({
    ...HEALTH,
    team: every(5, `admin/v1/teams/${team}`),
    levels: every(5, `admin/v1/teams/${team}/limits`),
    days: every(60, `admin/v1/usage?period=month&team=${team}&by=day`),
    calls: every(10, `admin/v1/ledger?team=${team}&limit=25`),
    refused: every(10, `admin/v1/teams/${team}/refusals`),
    metrics: every(30, "metrics"),
  }),
  keys: () => ({
    ...HEALTH,
    keys: every(10, "admin/v1/keys"),
    teams: every(60, "admin/v1/teams"),
  }),
  call: (id) => ({ ...HEALTH, ...find(id), teams: every(60, "admin/v1/teams") }),
  queue: () => ({ ...HEALTH, queue: every(2, "admin/v1/queue") }),
  shared: () => ({
    ...HEALTH,
    sharedKeys: every(5, "admin/v1/upstream-keys"),
    queue: every(10, "admin/v1/queue"),
    month: every(60, "admin/v1/usage?period=month&by=day,team"),
  }),
  changes: () => ({ ...HEALTH, changes: every(10, "admin/v1/changes") }),
};

export class Session {
  /** `who` is the token's name and role. */
  constructor(api, who, onChange) {
    Object.assign(this, { api, who, onChange, before: new Map(), dialog: null, done: null });
  }

  get mayChange() {
    return this.who.role === "write";
  }

  /** Opens a view, which shows earlier data until new data has come. */
  show({ view, team, sought }) {
    this.#keep();
    this.feed?.stop();
    this.feed = new Feed(this.api, SOURCES[view](team ?? sought), () => this.#news());
    for (const [name, { path }] of Object.entries(this.feed.sources)) {
      const known = this.before.get(path);
      if (known) this.feed.known[name] = { ...known, at: 0 };
    }
    this.feed.start();
  }

  known(name) {
    return this.feed.known[name];
  }

  /** Asks for one part again, as if it had never been read. */
  again(name) {
    this.feed.change(name, this.feed.sources[name].path);
  }

  get failure() {
    return this.feed.failure;
  }

  /** The age of the oldest part that is shown, if any part fails. */
  get since() {
    const failed = Object.values(this.feed.known).filter((known) => known.failure && known.since);
    return failed.length > 0 ? Math.min(...failed.map((known) => known.since)) : null;
  }

  stop() {
    this.feed?.stop();
    this.onChange = () => {};
  }

  /** Asks before a change: see `dialog.js`. */
  ask(dialog) {
    this.done = null;
    this.dialog = dialog;
    this.onChange();
  }

  close() {
    this.dialog = null;
    this.onChange();
  }

  /** Notes a change: shows what was done, and asks for everything in view again. */
  changed(done) {
    this.done = done;
    this.before.clear();
    this.feed.refresh(...Object.keys(this.feed.sources));
    this.onChange();
  }

  forget() {
    this.done = null;
    this.onChange();
  }

  #keep() {
    for (const [name, { path }] of Object.entries(this.feed?.sources ?? {}))
      if (this.feed.known[name].data) this.before.set(path, this.feed.known[name]);
  }

  #news() {
    this.onChange();
  }
}
