// Credits as whole millionths: money is never a float.

const UNIT = 1_000_000n;

/**
 * The millionths of an amount as the gateway writes it: `0.025` is 25000n. A number's own text is
 * exact up to 15 digits.
 */
export function micros(amount) {
  const parts = /^(-?)(\d+)(?:\.(\d{1,6})\d*)?$/.exec(plain(amount));
  if (!parts) return 0n;
  const [, sign, whole, rest = ""] = parts;
  const value = BigInt(whole) * UNIT + BigInt(rest.padEnd(6, "0"));
  return sign ? -value : value;
}

/** A number's text without an exponent. */
function plain(amount) {
  const text = String(amount ?? 0);
  return text.includes("e-") ? "0" : text;
}

/** The number of decimal places that these amounts need to line up in a column: 2 to 6. */
export function places(values) {
  const needed = (value) =>
    (value % UNIT).toString().replace("-", "").padStart(6, "0").replace(/0+$/, "").length;
  return values.reduce((most, value) => Math.max(most, needed(value)), 2);
}

/** The amount for people: `1,234.50`, with this many places or as many as it needs. */
export function credits(value, decimals = places([value])) {
  const size = value < 0n ? -value : value;
  const whole = (size / UNIT).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  const rest = (size % UNIT).toString().padStart(6, "0").slice(0, decimals);
  return `${value < 0n ? "−" : ""}${whole}.${rest}`;
}

/** The share of a part in the whole, from 0 to 1: for bars and lines only. */
export function share(part, whole) {
  if (whole <= 0n) return 0;
  return Number((part * 10_000n) / whole) / 10_000;
}

/** An amount as a float, for the axis of a chart only. */
export const onAxis = (value) => Number(value) / Number(UNIT);

export const sum = (values) => values.reduce((total, value) => total + value, 0n);
