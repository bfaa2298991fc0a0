// What a caller looks at: pictures as bytes, and answers that must hold no secret.

import assert from "node:assert/strict";

/** Width and height of a JPEG; fails when the bytes are none. */
export function jpegSize(bytes) {
  assert.deepEqual([...bytes.slice(0, 2)], [0xff, 0xd8], "the bytes of a JPEG");
  assert.deepEqual([...bytes.slice(-2)], [0xff, 0xd9], "a whole JPEG");
  const file = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Segments follow one another until the one that says the size: a marker, then its own length.
  let at = 2;
  while (file.getUint16(at) !== 0xffc0) at += 2 + file.getUint16(at + 2);
  return [file.getUint16(at + 7), file.getUint16(at + 5)];
}

/** A `fetch` that keeps every answer of `origin` as text, so that a test can search all of them. */
export function recording(origin) {
  const answers = [];
  const recorded = async (url, options) => {
    const answer = await fetch(url, options);
    if (`${url}`.startsWith(origin)) {
      const text = await answer.clone().text();
      answers.push({ status: answer.status, headers: Object.fromEntries(answer.headers), text });
    }
    return answer;
  };
  return { fetch: recorded, answers };
}
