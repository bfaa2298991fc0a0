// A call as the console finds it: by its own id, or by the request id that it carried.

/** An id of either kind. */
export const ID = /^[A-Za-z0-9._-]{1,128}$/;

const EVERY_MS = 3000;

/** Nothing new comes of what is nowhere, nor of calls that have all ended. */
const ends = ({ data, failure }) =>
  failure ? failure.status === 404 : data.calls.every(({ state }) => state === "done");

/** What the console asks to find it; nothing for what is no id. */
export const find = (id) =>
  ID.test(id ?? "") ? { call: { path: `admin/v1/calls/${id}`, every: EVERY_MS, ends } } : {};

/** Where the console shows what has this id. */
export const linkTo = (id) => `#call/${id}`;
