// The session of a caller: the credential and the team's data, polled while the page is visible and
// forgotten at sign-out.

import { Feed } from "../shared/feed.js";
import { Calls } from "./calls.js";
import { historyPath } from "./history.js";
import { KeptAnswers } from "./kept.js";

const SECOND = 1000;
/**
 * How often the state of a call is polled while it runs: with all else, within half of a user's
 * rate limit.
 */
const WATCHING_MS = 2 * SECOND;
const OPEN_MS = 10 * SECOND;

export class Session {
  constructor(api, me, onChange) {
    this.api = api;
    this.historyView = { page: 0, model: "" };
    this.answers = new Map();
    this.kept = new KeptAnswers(this);
    const sources = {
      me: { path: "gateway/v1/me", every: 10 * SECOND },
      month: { path: "gateway/v1/usage?period=month", every: 30 * SECOND },
      lastMonth: { path: "gateway/v1/usage?period=last_month", every: 600 * SECOND },
      calls: { path: historyPath(this.historyView), every: 15 * SECOND },
      refused: { path: "gateway/v1/refusals", every: 15 * SECOND },
      open: { path: "gateway/v1/requests", every: OPEN_MS },
    };
    this.onChange = onChange;
    this.feed = new Feed(api, sources, () => this.onChange());
    this.feed.known.me = { data: me, failure: null, at: Date.now(), since: Date.now() };
    this.made = new Calls(
      api,
      () => this.#pace(),
      (call) => this.#ended(call),
    );
    this.feed.start();
  }

  get failure() {
    return this.feed.failure;
  }

  get me() {
    return this.feed.known.me;
  }

  get month() {
    return this.feed.known.month;
  }

  get lastMonth() {
    return this.feed.known.lastMonth;
  }

  get calls() {
    return this.feed.known.calls;
  }

  get refused() {
    return this.feed.known.refused;
  }

  get open() {
    return this.feed.known.open;
  }

  stop() {
    this.feed.stop();
    this.made.stop();
    this.onChange = () => {};
  }

  /** Notes that a view was opened, and polls its data. */
  watch(view) {
    this.kept.look();
    if (view === "history") this.feed.refresh("calls", "refused", "open");
  }

  viewHistory(view) {
    this.historyView = view;
    this.kept.look();
    this.feed.change("calls", historyPath(view));
  }

  /** Fetches a kept answer, with the facts of its call. */
  async fetchAnswer(id) {
    const call = await this.api.get(`gateway/v1/requests/${id}`);
    if (call.answer) this.answers.set(id, call.answer);
    this.onChange();
    return call;
  }

  #pace() {
    const every = this.made.pending.length > 0 ? WATCHING_MS : OPEN_MS;
    if (this.feed.sources.open.every !== every) {
      this.feed.sources.open.every = every;
      this.feed.refresh("open");
    }
    this.onChange();
  }

  #ended(call) {
    if (call.answer && call.id) this.answers.set(call.id, call.answer);
    this.#pace();
    this.feed.refresh("me", "month", "calls", "open");
  }
}
