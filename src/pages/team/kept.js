// Fetches kept answers of calls in sight by itself: a dozen at a time, each once.

import { useEffect, useRef } from "../shared/lib.js";

const A_LOOK_MAX = 12;
/** The largest answer to fetch: one with its pictures inside is larger, and is fetched by hand. */
const BYTES_MAX = 64 * 1024;

export class KeptAnswers {
  #asked = new Set();
  #wanted = [];
  #left = A_LOOK_MAX;
  #line = Promise.resolve();

  constructor(session) {
    this.session = session;
  }

  /** Starts anew: another view, or another page of it, is shown. */
  look() {
    this.#left = A_LOOK_MAX;
  }

  /**
   * The action once this call is in sight; nothing if its picture is there or cannot be fetched.
   */
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

  /** Sorts those that came into sight together newest first: later ids sort later. */
  #fetchWanted() {
    const wanted = this.#wanted.sort().reverse();
    this.#wanted = [];
    for (const id of wanted) {
      if (this.#left === 0) return;
      if (this.#asked.has(id)) continue;
      this.#left -= 1;
      this.#asked.add(id);
      // Fetches one after another, so that other requests of the page do not wait behind them. One
      // that failed can still be fetched by hand.
      const fetch = () => this.session.feed.stopped || this.session.fetchAnswer(id);
      this.#line = this.#line.then(fetch).catch(() => {});
    }
  }
}

/**
 * Returns a ref for an element, and calls `tell`, if there is one, once the element is in sight.
 */
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
