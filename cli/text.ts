/** Words of reports for people. */

/** A label and a text in each line; a text may have several lines. */
export function rows(lines: readonly (readonly [label: string, text: string])[]): string {
  return lines
    .map(([label, text]) => `  ${label.padEnd(11)}${text.replaceAll('\n', `\n${' '.repeat(13)}`)}`)
    .join('\n');
}

export function isoMs(ms: number): string {
  return new Date(ms).toISOString();
}

export function isoUs(us: number): string {
  return isoMs(us / 1000);
}

export function bytesText(bytes: number): string {
  if (bytes < 10_000) return `${bytes} bytes`;
  return bytes < 10_000_000 ? `${Math.round(bytes / 1000)} kB` : `${Math.round(bytes / 1_000_000)} MB`;
}

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** In two units at most: `1 h 3 min`, `4.2 s`. */
export function spanText(ms: number): string {
  const at = units.findIndex(([, size]) => ms >= size);
  if (at < 0) return `${Math.round(ms)} ms`;
  const [unit, size] = units[at]!;
  const below = units[at + 1];
  if (below === undefined) return `${Math.round(ms / 100) / 10} s`;
  const rest = Math.floor((ms % size) / below[1]);
  return `${Math.floor(ms / size)} ${unit}${rest === 0 ? '' : ` ${rest} ${below[0]}`}`;
}

export function ago(ms: number, nowMs: number): string {
  return `${isoMs(ms)}, ${spanText(Math.max(0, nowMs - ms))} ago`;
}
