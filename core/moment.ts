/** Moments as people write them. */

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export const momentForms = 'milliseconds since the epoch, RFC 3339, now, or -15m, -1h, -7d';

/** Milliseconds since the epoch, `null` when the text has none of `momentForms`. */
export function momentMs(text: string, nowMs: number): number | null {
  if (text === 'now') return nowMs;
  const ago = /^-(\d{1,9})([smhd])$/.exec(text);
  if (ago !== null) return nowMs - Number(ago[1]) * unitMs[ago[2] as keyof typeof unitMs];
  if (/^\d{1,15}$/.test(text)) return Number(text);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text)) return null;
  const timeMs = Date.parse(text);
  return Number.isNaN(timeMs) ? null : timeMs;
}
