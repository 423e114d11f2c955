// Numbers and instants for people.

export function bytes(count) {
  if (count == null) return "–"; // of a process in another container nothing is known
  if (!count) return "0";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < 4) { count /= 1000; unit += 1; }
  return `${count < 10 && unit ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

export function count(number) {
  if (number < 1000) return number % 1 ? number.toFixed(1) : String(number);
  if (number < 1e5) return Math.round(number).toLocaleString("en-US").replaceAll(",", "\u202f");
  return number < 1e9 ? `${(number / 1e6).toFixed(2)} M` : `${(number / 1e9).toFixed(2)} G`;
}

/** A number of things: "1 message", "2 messages". */
export const things = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export const rate = (number) => `${count(number)}/s`;
export const percent = (number) => number == null ? "–" : `${number < 10 ? number.toFixed(1) : Math.round(number)} %`;

export function seconds(number) {
  if (number < 10) return `${Math.max(0, number).toFixed(1)} s`;
  if (number < 120) return `${Math.round(number)} s`;
  if (number < 7200) return `${Math.round(number / 60)} min`;
  if (number < 172800) return `${Math.round(number / 3600)} h`;
  return `${Math.round(number / 86400)} d`;
}

/** A short length of time, as of a handler: from microseconds on. */
export function span(number) {
  if (number == null) return "–";
  if (number < 1e-3) return `${Math.round(number * 1e6)} µs`;
  if (number < 1) return `${(number * 1e3).toPrecision(3)} ms`;
  return `${number.toPrecision(3)} s`;
}

/** An instant (seconds since the epoch, or ISO 8601) as the time of day; its date if not today. */
export function time(at) {
  const date = new Date(typeof at === "string" ? at : at * 1000);
  const clock = date.toLocaleTimeString("en-GB");
  return date.toDateString() === new Date().toDateString()
    ? clock
    : `${date.toLocaleDateString("sv-SE")} ${clock}`;
}
