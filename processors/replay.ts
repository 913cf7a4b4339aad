/**
 * `sluice process`: the stages of the pipeline over a file, without bus, store or network. Lines in, lines out, the same
 * bytes every time: for golden cases, for trying a rule, and for users' own CI.
 */
import { z } from 'zod';
import type { BusRecord } from '../bus/port.ts';
import { SluiceError } from '../core/errors.ts';
import { deviceKey, type Reading } from '../core/reading.ts';
import { routeOf } from '../core/route.ts';
import { headers } from '../core/topics.ts';
import type { Point } from '../store/port.ts';
import type { ProcessingOptions } from './options.ts';
import type { Outputs } from './outputs.ts';
import { missedWindows } from './records.ts';
import { rfc3339 } from './rfc3339.ts';
import type { Rule } from './rules/file.ts';
import { Topology } from './topology.ts';

const receivedAtMs = z.number().int().min(0);
const lineSchema = z.union(
  [
    z.strictObject({ tick: z.literal(true), receivedAtMs }),
    z.strictObject({ topic: z.string(), receivedAtMs, payload: z.json() }),
    z.strictObject({ topic: z.string(), receivedAtMs, payloadText: z.string() }),
    z.strictObject({ topic: z.string(), receivedAtMs, payloadBase64: z.base64() }),
  ],
  'expected {"topic", "receivedAtMs", "payload" | "payloadText" | "payloadBase64"} or {"tick": true, "receivedAtMs"}',
);

/** Lines out for lines in, as one partition: in the order of the input. Throws CONFIG_INVALID with the line's number when one is not as `docs/processing.md` says. */
export async function* replay(
  lines: AsyncIterable<string> | Iterable<string>,
  options: ProcessingOptions,
  rules: readonly Rule[],
  { flush }: { readonly flush: boolean },
): AsyncGenerator<string> {
  const topology = new Topology(options, rules, 0);
  topology.outputs.duplicates = [];
  let number = 0;
  for await (const text of lines) {
    number++;
    if (text.trim() === '') continue;
    topology.process(recordOf(text, number));
    yield* drain(topology.outputs);
  }
  if (!flush) return;
  topology.finish();
  yield* drain(topology.outputs);
}

/** The record of a line; its offset is the number of the line. */
function recordOf(text: string, number: number): BusRecord {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `line ${number} of the input is not JSON: ${(error as Error).message}`);
  }
  const parsed = lineSchema.safeParse(content);
  if (!parsed.success) {
    throw new SluiceError('CONFIG_INVALID', `line ${number} of the input: ${parsed.error.issues[0]!.message}`);
  }
  const input = parsed.data;
  const base = { partition: 0, offset: number, timestampMs: input.receivedAtMs };
  if ('tick' in input) return { ...base, key: '', value: null, headers: { [headers.tick]: '1' } };
  const route = routeOf(input.topic);
  const key = route === null ? input.topic : deviceKey(route.site, route.device);
  return { ...base, key, value: payloadOf(input), headers: { [headers.mqttTopic]: input.topic } };
}

function payloadOf(input: { payload: unknown } | { payloadText: string } | { payloadBase64: string }): Buffer {
  if ('payloadText' in input) return Buffer.from(input.payloadText);
  if ('payloadBase64' in input) return Buffer.from(input.payloadBase64, 'base64');
  return Buffer.from(JSON.stringify(input.payload));
}

/** Outputs of one record: what became of its readings first, then what followed from them. */
function* drain(outputs: Outputs): Generator<string> {
  for (const reading of outputs.duplicates ?? []) yield line('duplicate', readingFields(reading));
  for (const { point } of outputs.raw) {
    const { series, timeUs, k, fields } = point;
    yield line('reading', { ...series.tags, time: rfc3339(timeUs), k, fields });
  }
  for (const { reading, lateByMs, windowStartMs, windowEndMs, windows } of outputs.late) {
    const window = { windowStart: rfc3339(windowStartMs * 1000), windowEnd: rfc3339(windowEndMs * 1000) };
    yield line('late', { ...readingFields(reading), lateByMs, ...window, windows: windows.map(missedWindows) });
  }
  for (const { source, reason, error, index } of outputs.deadLetters) {
    yield line('deadLetter', { line: source.offset, index, reason, error });
  }
  for (const point of outputs.rollups) yield windowLine(point);
  for (const { alert } of outputs.alerts) yield line('alert', alert);
  outputs.clear();
}

/** A rollup, or a window of the user or of states: those have names. */
function windowLine({ series, timeUs, fields }: Point): string {
  const { measurement, tags } = series;
  const content = { ...tags, windowStart: rfc3339(timeUs), ...fields };
  const every = /^rollup_(.*)$/.exec(measurement)?.[1];
  return every === undefined
    ? line('window', { name: measurement, ...content })
    : line('rollup', { every, ...content });
}

function line(kind: string, content: object): string {
  return JSON.stringify({ kind, ...content });
}

function readingFields({ site, device, timeUs, seq, fields }: Reading): object {
  return { site, device, time: rfc3339(timeUs), seq, fields };
}
