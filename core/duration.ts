/** Durations as people write them. */
import { z } from 'zod';

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds as a number, or text with a unit: `500ms`, `5s`, `10m`, `1h`, `7d`. */
export const durationMs = z
  .union([z.number(), z.string()], { error: 'expected milliseconds or a text such as 500ms, 5s, 10m, 1h, 7d' })
  .transform((value, context) => {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(String(value));
    if (match === null) {
      context.addIssue(`expected milliseconds or a text such as 500ms, 5s, 10m, 1h, 7d; got ${JSON.stringify(value)}`);
      return z.NEVER;
    }
    return Number(match[1]) * unitMs[(match[2] ?? 'ms') as keyof typeof unitMs];
  });
