// Kept answers that are fetched unasked: of calls in sight, a dozen at a look, each once.

import { useEffect, useRef } from "../shared/lib.js";

const A_LOOK_MAX = 12;
/** One with its pictures written out in it is larger, and is fetched by hand. */
const BYTES_MAX = 64 * 1024;

export class KeptAnswers {
  #asked = new Set();
  #wanted = [];
  #left = A_LOOK_MAX;
  #line = Promise.resolve();

  constructor(session) {
    this.session = session;
  }

  /** Somebody looks at another view, or at another page of it. */
  look() {
    this.#left = A_LOOK_MAX;
  }

  /** What to do once this call is in sight; nothing when its picture is there or cannot be had. */
  sight(id) {
    const { answers, open } = this.session;
    if (answers.has(id)) return null;
    const call = open.data?.requests.find(({ callId }) => callId === id);
    if (call?.outcome !== "completed" || call.answerBytes === null) return null;
    return call.answerBytes <= BYTES_MAX ? () => this.#seen(id) : null;
  }

  #seen(id) {
    this.#wanted.push(id);
    if (this.#wanted.length === 1) setTimeout(() => this.#fetchWanted());
  }

  /** Of those that came into sight together the newest first: later ids sort later. */
  #fetchWanted() {
    const wanted = this.#wanted.sort().reverse();
    this.#wanted = [];
    for (const id of wanted) {
      if (this.#left === 0) return;
      if (this.#asked.has(id)) continue;
      this.#left -= 1;
      this.#asked.add(id);
      // One after another: what else the page asks does not wait behind them. Who wants one that
      // failed can still ask for it by hand.
      const fetch = () => this.session.feed.stopped || this.session.fetchAnswer(id);
      this.#line = this.#line.then(fetch).catch(() => {});
    }
  }
}

/** The element to give this to has come into sight: then `tell` is called, unless there is none. */
export function useSight(tell) {
  const element = useRef();
  const isAwaited = Boolean(tell);
  useEffect(() => {
    if (!isAwaited) return undefined;
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      tell();
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [isAwaited]);
  return element;
}
