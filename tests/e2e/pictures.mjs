// What a caller looks at: pictures as bytes, and answers that must hold no secret.

import assert from "node:assert/strict";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** Width and height of a PNG; fails when the bytes are none. */
export function pngSize(bytes) {
  assert.deepEqual([...bytes.slice(0, 8)], SIGNATURE, "the bytes of a PNG");
  const header = new DataView(bytes.buffer, bytes.byteOffset + 16, 8);
  assert.deepEqual([...bytes.slice(-8, -4)], [...Buffer.from("IEND")], "a whole PNG");
  return [header.getUint32(0), header.getUint32(4)];
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
