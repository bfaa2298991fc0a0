// A call as the console finds it: by its own id, or by the request id that it carried.

/** An id of either kind. */
export const ID = /^[A-Za-z0-9._-]{1,128}$/;

const EVERY_MS = 3000;

/** Whether polling can stop: the id is unknown, or all its calls have ended. */
const ends = ({ data, failure }) =>
  failure ? failure.status === 404 : data.calls.every(({ state }) => state === "done");

/** The path that the console asks for an id; nothing for a text that is no id. */
export const find = (id) =>
  ID.test(id ?? "") ? { call: { path: `admin/v1/calls/${id}`, every: EVERY_MS, ends } } : {};

/** The console's address of the calls with this id. */
export const linkTo = (id) => `#call/${id}`;
