// Client of the gateway, with one shape for every failure.

/** A failure to get an answer. `status` 0: the gateway was not reached. */
export class Failure extends Error {
  constructor(status, body = {}, headers = new Headers()) {
    super(body.message ?? "The gateway does not answer");
    this.status = status;
    this.code = body.code ?? (status === 0 ? "unreachable" : "");
    this.title = body.error ?? "";
    this.errors = body.errors ?? [];
    this.resetAt = body.resetAt ?? null;
    this.requestId = headers.get("x-request-id");
    this.source = headers.get("x-error-source");
    this.retryAfter = Number(headers.get("retry-after")) || 0;
  }
}

/** The gateway's address, from which the page was loaded; ends with a slash. */
export const base = () => new URL(".", location.href.split("#")[0]).href;

export class Api {
  #headers;

  /** Keeps the credential here, in memory, and nowhere else. */
  constructor(credential, team = "") {
    this.#headers = { authorization: `Bearer ${credential}` };
    if (team) this.#headers["x-moongate-team"] = team;
  }

  get(path, options = {}) {
    return this.ask(path, options).then((answer) => answer.body);
  }

  post(path, body, options = {}) {
    const headers = { "content-type": "application/json", ...options.headers };
    return this.ask(path, { ...options, method: "POST", headers, body: JSON.stringify(body) });
  }

  /** Returns the answer's body and headers; throws a Failure if there is none. */
  async ask(path, { headers = {}, ...options } = {}) {
    let answer, text;
    try {
      const own = { ...this.#headers, ...headers };
      answer = await fetch(new URL(path, base()), {
        cache: "no-store",
        credentials: "omit",
        ...options,
        headers: own,
      });
      text = await answer.text();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Failure(0);
    }
    const body = parsed(text);
    if (!answer.ok)
      throw new Failure(
        answer.status,
        body ?? { message: `The answer was ${answer.status}` },
        answer.headers,
      );
    return { body, headers: answer.headers, status: answer.status };
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
