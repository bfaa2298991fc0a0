// Calls that this page makes: each from its start to its answer, its refusal or its failure.

import { Failure } from "../shared/api.js";

const LOOK_EVERY_MS = 2000;

/** A unique name; `randomUUID` is missing on plain HTTP. */
function name() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

const number = (headers, key) => {
  const found = new RegExp(`(?:^|, *)${key};dur=([0-9.]+)`).exec(
    headers.get("server-timing") ?? "",
  );
  return found ? Number(found[1]) / 1000 : null;
};

/** Calls `onChange` with every change, and `onEnd` with every end. */
export class Calls {
  constructor(api, onChange, onEnd) {
    Object.assign(this, { api, onChange, onEnd, list: [] });
  }

  /** Makes a call. */
  async make(model, body) {
    const call = { name: name(), model, body, startedAt: Date.now(), state: "sent" };
    this.list = [call, ...this.list];
    this.onChange();
    const headers = { "x-request-id": call.name };
    try {
      const { body: answer, headers: told } = await this.api.post(`api/v1/${model}`, body, {
        headers,
      });
      const times = { queue: number(told, "queue"), upstream: number(told, "upstream") };
      this.#end(call, {
        state: "done",
        answer,
        times,
        id: told.get("x-call-id"),
        cost: told.get("x-credits-cost"),
      });
    } catch (failure) {
      if (failure instanceof Failure && failure.status > 0)
        return this.#end(call, { state: "refused", failure });
      await this.#lost(call);
    }
  }

  /** Calls that have no answer yet. */
  get pending() {
    return this.list.filter((call) => ["sent", "lost"].includes(call.state));
  }

  #end(call, news) {
    Object.assign(call, news, { endedAt: Date.now() });
    this.onChange();
    this.onEnd(call);
  }

  /**
   * Handles a broken connection: the call may run on, and its answer is then kept. It is found by
   * the name that it carried.
   */
  async #lost(call) {
    call.state = "lost";
    this.onChange();
    for (let misses = 0; misses < 30 && !this.stopped;) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      try {
        const { requests } = await this.api.get(`gateway/v1/requests/${call.name}`);
        const [found] = requests;
        if (found.state !== "done") continue;
        const news = { id: found.callId, cost: found.creditsCost, times: {} };
        if (found.answer && found.outcome === "completed")
          return this.#end(call, { ...news, state: "done", answer: found.answer });
        return this.#end(call, {
          ...news,
          state: "refused",
          failure: new Failure(found.status ?? 0, {
            message: found.message ?? "It made nothing",
            ...found.answer,
          }),
        });
      } catch (error) {
        if (error.status === 404 || error.status === 401) break;
        misses += 1;
      }
    }
    this.#end(call, {
      state: "refused",
      failure: new Failure(0, {
        message: "The connection broke, and the gateway knows of no such call",
      }),
    });
  }

  stop() {
    this.stopped = true;
  }
}
