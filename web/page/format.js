/** Numbers and times as text, in the reader's locale. */

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumSignificantDigits: 3 });
const fine = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });
const tiny = new Intl.NumberFormat(undefined, { notation: 'scientific', maximumSignificantDigits: 4 });
const tenth = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });
/** @type {Intl.DateTimeFormatOptions} */
const hourAndMinute = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
const toTheMinute = new Intl.DateTimeFormat(undefined, hourAndMinute);
const toTheSecond = new Intl.DateTimeFormat(undefined, { ...hourAndMinute, second: '2-digit' });

/** @param {number} value */
export const integer = (value) => whole.format(value);

/** Three digits and a magnitude. @param {number} value */
export const compact = (value) => (Math.abs(value) < 10_000 ? whole.format(value) : short.format(value));

/** `null`, not known yet, is a dash. @param {number | null} perTime */
export function rate(perTime) {
  if (perTime === null) return '–';
  return perTime > 0 && perTime < 9.95 ? tenth.format(perTime) : compact(perTime);
}

/** What a device reported. @param {number | boolean | string} value */
export function fieldValue(value) {
  if (typeof value !== 'number') return String(value);
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e9) ? tiny.format(value) : fine.format(value);
}

/** @type {readonly (readonly [string, number])[]} */
const units = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
];

/** A span of time in its largest unit: `4 s`, `3 min`. @param {number} spanMs */
export function duration(spanMs) {
  const seconds = Math.max(0, Math.round(spanMs / 1000));
  const [unit, size] = units.find(([, size]) => seconds >= size) ?? ['s', 1];
  return `${whole.format(Math.floor(seconds / size))} ${unit}`;
}

/** A short span, as of acknowledgements. @param {number} spanMs */
export const milliseconds = (spanMs) => `${spanMs < 9.95 ? tenth.format(spanMs) : whole.format(spanMs)} ms`;

/** @param {number} timeMs */
export const exactTime = (timeMs) => dateTime.format(timeMs);

/** @param {number} timeMs */
export const timeOfDay = (timeMs) => toTheSecond.format(timeMs);

/** @param {number} timeMs */
export const minuteOfDay = (timeMs) => toTheMinute.format(timeMs);
