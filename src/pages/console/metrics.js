// Metrics of the gateway that no page of the API has: parses a scrape into samples.

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };
const plain = (text) => text.replace(/\\[n"\\]/g, (pair) => ESCAPED[pair]);

/**
 * The families that are parsed: a gateway with many teams has tens of thousands of other samples.
 */
const WANTED = ["moongate_refusals_total", "moongate_build_info"];

/** The samples of the families that the console shows, by name: `{ labels, value }`. */
export function read(text) {
  const found = Object.fromEntries(WANTED.map((name) => [name, []]));
  for (const line of text.split("\n")) {
    if (!line.startsWith("moongate_")) continue;
    const [, name, labels = "", value] = SAMPLE.exec(line) ?? [];
    if (!Object.hasOwn(found, name ?? "")) continue;
    const named = [...labels.matchAll(LABEL)].map(([, label, content]) => [label, plain(content)]);
    found[name].push({ labels: Object.fromEntries(named), value: Number(value) });
  }
  return found;
}

/** Refusals by reason, most frequent first; of one team if it is named. */
export function refusals(samples, team = null) {
  const sums = new Map();
  for (const { labels, value } of samples.moongate_refusals_total) {
    if (value === 0 || (team !== null && labels.team !== team)) continue;
    const known = sums.get(labels.reason) ?? { reason: labels.reason, source: labels.source, value: 0 };
    sums.set(labels.reason, { ...known, value: known.value + value });
  }
  return [...sums.values()].sort((one, other) => other.value - one.value);
}
