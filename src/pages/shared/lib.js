// The libraries, by one name for all pages: elements are written as html`<p>${text}</p>`, and
// values in them are escaped.

import { h } from "../vendor/preact-11.2.0.js";
import htm from "../vendor/htm-3.1.1.js";

export { render } from "../vendor/preact-11.2.0.js";
export { useEffect, useMemo, useReducer, useRef, useState } from "../vendor/preact-hooks-11.2.0.js";
export const html = htm.bind(h);
