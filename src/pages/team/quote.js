// The price of the call in the form, asked a moment after the last change, and no more often.

import { useEffect, useRef, useState } from "../shared/lib.js";

const AFTER_MS = 500;
const EVERY_MS = 2000;

/**
 * Returns `{ quote, failure, asking }` for a model and a body. Asks again when `ended`, the number
 * of calls that have ended, changes; and with each `tick` while the call would be refused.
 */
export function useQuote(api, model, body, ended, tick) {
  const [known, setKnown] = useState({ quote: null, failure: null, asking: false });
  const last = useRef(0);
  const text = body && JSON.stringify(body);
  const isNo = known.failure !== null || known.quote?.verdict === "refused";
  useEffect(() => {
    if (!model || !text) {
      setKnown({ quote: null, failure: null, asking: false });
      return undefined;
    }
    const stop = new AbortController();
    setKnown((before) => ({ ...before, asking: true }));
    const wait = Math.max(AFTER_MS, last.current + EVERY_MS - Date.now());
    const timer = setTimeout(async () => {
      last.current = Date.now();
      try {
        const { body: quote } = await api.post(`gateway/v1/quote/${model}`, JSON.parse(text), {
          signal: stop.signal,
        });
        if (!stop.signal.aborted) setKnown({ quote, failure: null, asking: false });
      } catch (failure) {
        if (!stop.signal.aborted) setKnown({ quote: null, failure, asking: false });
      }
    }, wait);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [api, model, text, ended, isNo ? tick : null]);
  return known;
}
