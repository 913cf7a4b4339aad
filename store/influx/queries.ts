/** The port's queries, each as InfluxQL and back. */
import { nanosecondText } from '../line-protocol.ts';
import type {
  HistoryPoint,
  HistoryQuery,
  NewestReading,
  RollupEvery,
  RollupPoint,
  StoredReading,
  StoredWindow,
  WindowsQuery,
} from '../port.ts';
import { pointTimeMs } from '../time.ts';
import { fieldsOf, identifier, parseTime, type ResultSeries, tagEquals, timeLiteral } from './influxql.ts';

/** Runs InfluxQL against a bucket; resolves to the series of each statement. */
export type RunQuery = (bucket: 'raw' | 'rollup', influxql: string) => Promise<ResultSeries[][]>;

/** Rows of one answer: the client joins its chunks by copying, so answers are kept to a few megabytes. */
const pageRows = 10_000;
/** The same for each series, where there are as many as a device has fields. */
const pageWindows = 1440;

export async function queryHistory(run: RunQuery, query: HistoryQuery): Promise<HistoryPoint[]> {
  const where = `${deviceIs(query.site, query.device)} AND ${within(query)}`;
  const [series] = await run(
    'raw',
    `SELECT ${identifier(query.field)}::field FROM "telemetry" WHERE ${where} ORDER BY time DESC LIMIT ${query.limit}`,
  );
  const rows = series?.[0]?.rows ?? [];
  return rows.map(([time, value]) => ({ timeMs: timeMsOf(time), value: value! })).reverse();
}

export async function queryRollups(run: RunQuery, query: HistoryQuery, every: RollupEvery): Promise<RollupPoint[]> {
  const where = `${deviceIs(query.site, query.device)} AND ${tagEquals('field', query.field)} AND ${within(query)}`;
  const [series] = await run(
    'rollup',
    `SELECT *::field FROM ${identifier(`rollup_${every}`)} WHERE ${where} ORDER BY time DESC LIMIT ${query.limit}`,
  );
  const { columns = [], rows = [] } = series?.[0] ?? {};
  return rows.map((row) => ({ timeMs: timeMsOf(row[0]), fields: fieldsOf(columns, row) })).reverse();
}

/**
 * Two statements: `last()` gives each field's newest value but not when, the newest row gives when but not every field.
 */
export async function queryNewest(run: RunQuery, sinceMs: number, limit: number): Promise<NewestReading[]> {
  const perDevice = `FROM "telemetry" WHERE time >= ${timeLiteral(sinceMs)} GROUP BY "site"::tag, "device"::tag`;
  const [values = [], newestRows = []] = await run(
    'raw',
    `SELECT last(*::field) ${perDevice}; SELECT *::field ${perDevice} ORDER BY time DESC LIMIT 1`,
  );
  const timeMs = new Map(newestRows.map(({ tags, rows }) => [deviceOf(tags), timeMsOf(rows[0]?.[0])]));
  return values
    .flatMap(({ tags, columns, rows }) => {
      const at = timeMs.get(deviceOf(tags));
      // A device whose first reading came between the two statements is in the next answer.
      if (at === undefined) return [];
      const fields = fieldsOf(columns, rows[0] ?? [], 'last_');
      return [{ site: tags.site ?? '', device: tags.device ?? '', timeMs: at, fields }];
    })
    .sort((a, b) => b.timeMs - a.timeMs)
    .slice(0, limit);
}

export async function queryReadings(
  run: RunQuery,
  site: string,
  device: string,
  fromMs: number,
  toMs: number,
): Promise<StoredReading[]> {
  const readings: StoredReading[] = [];
  let from = `time >= ${timeLiteral(fromMs)}`;
  for (;;) {
    const where = `${deviceIs(site, device)} AND ${from} AND time < ${timeLiteral(toMs)}`;
    const [series] = await run(
      'raw',
      `SELECT *::field FROM "telemetry" WHERE ${where} ORDER BY time LIMIT ${pageRows}`,
    );
    const { columns = [], rows = [] } = series?.[0] ?? {};
    for (const row of rows) readings.push({ ...parseTime(String(row[0])), fields: fieldsOf(columns, row) });
    const last = readings.at(-1);
    if (rows.length < pageRows || last === undefined) return readings;
    from = `time > ${nanosecondText(last.timeUs, last.k)}`;
  }
}

export async function queryWindows(run: RunQuery, query: WindowsQuery): Promise<StoredWindow[]> {
  const { measurement, site, device, field, limit = Number.POSITIVE_INFINITY } = query;
  const fieldIs = field === undefined ? '' : ` AND ${tagEquals('field', field)}`;
  const where = `${deviceIs(site, device)}${fieldIs} AND ${within(query)}`;
  const windows: StoredWindow[] = [];
  for (let offset = 0; offset < limit; offset += pageWindows) {
    const page = `LIMIT ${pageWindows} OFFSET ${offset}`;
    const [series = []] = await run(
      'rollup',
      `SELECT *::field FROM ${identifier(measurement)} WHERE ${where} GROUP BY * ORDER BY time DESC ${page}`,
    );
    for (const { tags, columns, rows } of series) {
      for (const row of rows) {
        windows.push({ tags, timeUs: parseTime(String(row[0])).timeUs, fields: fieldsOf(columns, row) });
      }
    }
    if (series.every(({ rows }) => rows.length < pageWindows)) break;
  }
  // Newest first for the limit, of all series together.
  return windows
    .sort((a, b) => b.timeUs - a.timeUs)
    .slice(0, limit)
    .reverse();
}

function deviceIs(site: string, device: string): string {
  return `${tagEquals('site', site)} AND ${tagEquals('device', device)}`;
}

function within({ fromMs, toMs }: { fromMs: number; toMs: number }): string {
  return `time >= ${timeLiteral(fromMs)} AND time < ${timeLiteral(toMs)}`;
}

function deviceOf(tags: Readonly<Record<string, string>>): string {
  return JSON.stringify([tags.site, tags.device]);
}

function timeMsOf(time: unknown): number {
  const { timeUs, k } = parseTime(String(time));
  return pointTimeMs(timeUs, k);
}
