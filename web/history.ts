/** `GET /api/history`: its query parsed, with every fault at once, and the points of one series. */
import { z } from 'zod';
import { momentForms, momentMs } from '../core/moment.ts';
import type { HistoryQuery, RollupEvery, Store, StoredWindow } from '../store/port.ts';
import type { History } from './api.ts';
import { HttpFailure } from './failure.ts';

const maxPoints = 10_000;

const name = z.string({ error: 'is missing, or given twice' }).min(1, 'is empty').max(1024, 'is longer than 1,024');
const time = z.string({ error: 'is given twice' });

const schema = z.strictObject({
  site: name,
  device: name,
  field: name,
  from: time.default('-1h'),
  to: time.default('now'),
  every: z.enum(['1m', '1h', '1d'], { error: 'is none of 1m, 1h, 1d' }).optional(),
  /** Measurement of windows of the user, or of states. */
  name: z
    .string({ error: 'is given twice' })
    .regex(/^[a-z][a-z0-9_]{0,63}$/, 'is no name of windows')
    .optional(),
  limit: z.coerce
    .number({ error: 'is not a number' })
    .int('is not a whole number')
    .min(1, 'is less than 1')
    .max(maxPoints, `is more than ${maxPoints}`)
    .default(maxPoints),
});

export interface HistoryRequest {
  readonly query: HistoryQuery;
  /** Without it and a name: the readings themselves. */
  readonly every: RollupEvery | null;
  readonly name: string | null;
}

/** Throws a 400 that lists everything that is wrong with it. */
export function parseHistoryRequest(parameters: unknown, nowMs: number): HistoryRequest {
  const { data, error } = schema.safeParse(parameters);
  const problems = (error?.issues ?? []).map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `there is no parameter ${issue.keys.join(', ')}`
      : `${issue.path.join('.')} ${issue.message}`,
  );
  const given = parameters as Readonly<Record<string, unknown>>;
  const fromMs = parseTime('from', given.from ?? '-1h', nowMs, problems);
  const toMs = parseTime('to', given.to ?? 'now', nowMs, problems);
  if (problems.length === 0 && fromMs >= toMs) problems.push('from is not before to');
  if (data?.every !== undefined && data.name !== undefined) problems.push('every and name exclude each other');
  if (data === undefined || problems.length > 0) {
    throw new HttpFailure(400, 'INVALID_QUERY', problems.join('; '));
  }
  const { site, device, field, limit, every = null, name = null } = data;
  return { query: { site, device, field, fromMs, toMs, limit }, every, name };
}

/** The newest points of the range, oldest first. */
export async function readHistory(store: Store, { query, every, name }: HistoryRequest): Promise<History> {
  if (name !== null) return { points: (await store.windows({ ...query, measurement: name })).map(windowPoint) };
  if (every === null) return { points: (await store.history(query)).map(({ timeMs, value }) => ({ timeMs, value })) };
  const points = await store.rollups(query, every);
  return { points: points.map(({ timeMs, fields }) => ({ ...fields, timeMs })) };
}

/** Of states one for each, which says of which. */
function windowPoint({ tags: { state }, timeUs, fields }: StoredWindow): History['points'][number] {
  return { ...(state === undefined ? {} : { state }), ...fields, timeMs: timeUs / 1000 };
}

function parseTime(parameter: string, value: unknown, nowMs: number, problems: string[]): number {
  if (typeof value !== 'string') return Number.NaN;
  const timeMs = momentMs(value, nowMs);
  if (timeMs === null) problems.push(`${parameter} is not a time: give ${momentForms}`);
  return timeMs ?? Number.NaN;
}
