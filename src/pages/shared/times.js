// Times for people: in the reader's own zone, with the team's beside them where that differs.

export const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

const written = new Map();

function format(date, zone, options) {
  const key = `${zone} ${JSON.stringify(options)}`;
  if (!written.has(key))
    written.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options }));
  return written.get(key).format(date);
}

const MINUTE = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
const SECOND = { ...MINUTE, second: "2-digit" };

/** `29 Nov, 14:05`. */
export const moment = (date, zone = ownZone()) => format(new Date(date), zone, MINUTE);
/** `29 Nov, 14:05:09`. */
export const exact = (date, zone = ownZone()) => format(new Date(date), zone, SECOND);
/** `14:05`. */
export const clock = (date, zone = ownZone()) =>
  format(new Date(date), zone, { hour: "2-digit", minute: "2-digit" });
/** `Sunday 29 November 2026`. */
export const day = (date, zone = ownZone()) =>
  format(new Date(date), zone, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
/** `29 Nov`. */
export const shortDay = (date, zone = ownZone()) =>
  format(new Date(date), zone, { day: "numeric", month: "short" });
/** `November 2026`, of a calendar day such as `2026-11-01`. */
export const monthOf = (civil) =>
  format(new Date(`${civil}T12:00:00Z`), "UTC", { month: "long", year: "numeric" });

/**
 * The moment by the team's clock, such as `00:00 New York`; nothing if the reader's clock shows the
 * same.
 */
export function beside(date, teamZone) {
  if (!teamZone || moment(date, teamZone) === moment(date)) return null;
  const isSameDay = shortDay(date, teamZone) === shortDay(date);
  const place = teamZone.split("/").at(-1).replaceAll("_", " ");
  return `${isSameDay ? clock(date, teamZone) : moment(date, teamZone)} ${place}`;
}

/** `3 d 4 h`, `2 h 5 min`, `12 s`: the two largest parts. */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([number]) => number > 0);
  if (first < 0) return "0 s";
  const shown = parts.slice(first, first + (first === 3 ? 1 : 2)).filter(([number]) => number > 0);
  return shown.map(([number, unit]) => `${number} ${unit}`).join(" ");
}

/** Seconds of a call: `850 ms`, `2.4 s`, `1 min 5 s`. */
export function duration(seconds) {
  if (seconds < 0.0005) return "< 1 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : span(seconds * 1000);
}

/** The offset of a zone from UTC at a moment, in milliseconds. */
function ahead(date, zone) {
  const options = {
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  };
  const parts = new Intl.DateTimeFormat("en-US", { timeZone: zone, ...options }).formatToParts(
    date,
  );
  const part = (type) => Number(parts.find((found) => found.type === type).value);
  const shown = Date.UTC(
    part("year"),
    part("month") - 1,
    part("day"),
    part("hour"),
    part("minute"),
    part("second"),
  );
  return shown - Math.floor(date.getTime() / 1000) * 1000;
}

/** The start of a calendar day such as `2026-11-01` in a zone. */
export function midnight(civil, zone) {
  const utc = Date.parse(`${civil}T00:00:00Z`);
  const guess = new Date(utc - ahead(new Date(utc), zone));
  return new Date(utc - ahead(guess, zone));
}

/** The calendar day in a zone: `2026-11-29`. */
export function civil(date, zone) {
  return new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
  }).format(date);
}
