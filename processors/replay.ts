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
import type { ProcessingOptions } from './options.ts';
import type { Outputs } from './outputs.ts';
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

/** Lines out for lines in. Throws CONFIG_INVALID with the line's number when one is not as `docs/processing.md` says. */
export async function* replay(
  lines: AsyncIterable<string> | Iterable<string>,
  options: ProcessingOptions,
  rules: readonly Rule[],
  { flush }: { readonly flush: boolean },
): AsyncGenerator<string> {
  const topology = new Topology(options, rules, 0);
  topology.outputs.duplicates = [];
  let number = 0;
  let offset = 0;
  for await (const line of lines) {
    number++;
    if (line.trim() === '') continue;
    topology.process(recordOf(line, number, offset++));
    yield* drain(topology.outputs);
  }
  if (!flush) return;
  topology.finish();
  yield* drain(topology.outputs);
}

function recordOf(line: string, number: number, offset: number): BusRecord {
  let content: unknown;
  try {
    content = JSON.parse(line);
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `line ${number} of the input is not JSON: ${(error as Error).message}`);
  }
  const parsed = lineSchema.safeParse(content);
  if (!parsed.success) {
    throw new SluiceError('CONFIG_INVALID', `line ${number} of the input: ${parsed.error.issues[0]!.message}`);
  }
  const input = parsed.data;
  const base = { partition: 0, offset, timestampMs: input.receivedAtMs };
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

function* drain(outputs: Outputs): Generator<string> {
  for (const reading of outputs.duplicates ?? [])
    yield JSON.stringify({ kind: 'duplicate', ...readingFields(reading) });
  for (const { point } of outputs.raw) {
    const { timeUs, k, fields } = point;
    yield JSON.stringify({ kind: 'reading', ...point.series.tags, timeUs, k, fields });
  }
  for (const { series, timeUs, fields } of outputs.rollups) {
    yield JSON.stringify({ kind: 'rollup', every: '1m', ...series.tags, windowStart: isoTime(timeUs), ...fields });
  }
  for (const { reading, lateByMs, windowStartMs } of outputs.late) {
    yield JSON.stringify({
      kind: 'late',
      ...readingFields(reading),
      lateByMs,
      windowStart: isoTime(windowStartMs * 1000),
    });
  }
  for (const { source, reason, error, index } of outputs.deadLetters) {
    yield JSON.stringify({ kind: 'deadLetter', offset: source.offset, index, reason, error });
  }
  for (const { alert } of outputs.alerts) yield JSON.stringify({ kind: 'alert', ...alert });
  outputs.clear();
}

function readingFields({ site, device, timeUs, seq, fields }: Reading): object {
  return { site, device, timeUs, seq, fields };
}

function isoTime(timeUs: number): string {
  return new Date(timeUs / 1000).toISOString();
}
