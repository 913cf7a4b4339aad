/** The truth of a simulated fleet, read line by line: strictly, because a proof that skips what it cannot read proves nothing. */
import { z } from 'zod';
import { SluiceError } from '../core/errors.ts';
import { deviceKey, type Fields } from '../core/reading.ts';
import { deadLetterReasons, rejectedReasons } from '../core/reasons.ts';
import { type Expectation, type TruthLine, type TruthMessage, type TruthRun, truthVersion } from '../core/truth.ts';

/** What is kept of a message: a million of them must fit into memory. */
export type Message = Omit<TruthMessage, 'kind' | 'site' | 'device'>;

export interface DeviceTruth {
  readonly site: string;
  readonly device: string;
  /** `site/device`. */
  readonly key: string;
  /** By rising `n`. */
  readonly messages: readonly Message[];
}

export interface Truth {
  readonly run: TruthRun;
  readonly devices: readonly DeviceTruth[];
}

const timeMs = z.number().min(0);
const name = z.string().min(1);
const fields = z.custom<Fields>(isFields, 'expected an object of numbers, texts and booleans');

const run: z.ZodType<TruthRun> = z.strictObject({
  kind: z.literal('run'),
  truthVersion: z.literal(truthVersion),
  version: z.string(),
  run: name,
  scenario: z.string(),
  seed: z.number(),
  startedAtMs: timeMs,
  broker: z.string(),
  qos: z.union([z.literal(0), z.literal(1), z.literal(2)]),
});

const wholeReasons = [...Object.keys(deadLetterReasons), ...Object.keys(rejectedReasons)] as (
  | keyof typeof deadLetterReasons
  | keyof typeof rejectedReasons
)[];

const expectation: z.ZodType<Expectation> = z.discriminatedUnion('as', [
  z.strictObject({ as: z.literal('stored') }),
  z.strictObject({
    as: z.literal('dead_letter'),
    reason: z.union([z.enum(wholeReasons), z.templateLiteral(['refused_', z.string()])]),
  }),
  z.strictObject({ as: z.literal('refused_by_broker') }),
  z.strictObject({ as: z.literal('not_sent') }),
]);

const messageShape = z.strictObject({
  kind: z.literal('message'),
  site: name,
  device: name,
  n: z.number().int().min(0),
  topic: z.string(),
  digest: z.string().regex(/^[\w-]{43}$/, 'expected a SHA-256 as base64url, 43 characters'),
  reading: z
    .strictObject({ timeMs: z.number().nullable(), seq: z.number().int().min(0).nullable(), fields })
    .nullable(),
  intendedMs: timeMs,
  sentMs: timeMs.nullable(),
  acknowledgedMs: timeMs.nullable(),
  copies: z.number().int().min(0),
  faults: z.array(z.string()),
  expect: expectation,
});
const message: z.ZodType<TruthMessage> = messageShape.refine(
  ({ reading, expect }) => reading !== null || expect.as !== 'stored',
  {
    error: 'expected what a decoder should make of a message that is to be stored',
    path: ['reading'],
  },
);

/** Throws CONFIG_INVALID, with the number of the line, on the first thing that is not as `core/truth.ts` says. */
export async function readTruth(lines: AsyncIterable<string> | Iterable<string>, fileName: string): Promise<Truth> {
  const devices = new Map<string, { site: string; device: string; key: string; messages: Message[] }>();
  const kept = new Interned();
  let header: TruthRun | null = null;
  let number = 0;
  for await (const text of lines) {
    number++;
    if (text === '') continue;
    const line = parseLine(text, header, `${fileName}:${number}`);
    if (line.kind === 'run') {
      header = line;
      continue;
    }
    const key = deviceKey(line.site, line.device);
    let device = devices.get(key);
    if (device === undefined) {
      device = { site: line.site, device: line.device, key, messages: [] };
      devices.set(key, device);
    }
    device.messages.push(kept.message(line));
  }
  if (header === null) throw bad(fileName, 'is empty: expected the run in the first line');
  for (const { key, messages } of devices.values()) inOrder(messages, key, fileName);
  return { run: header, devices: [...devices.values()] };
}

function parseLine(text: string, header: TruthRun | null, where: string): TruthLine {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw bad(where, `is not JSON: ${(error as Error).message}. Was the simulator ended before it had written all?`);
  }
  const { kind, truthVersion: written } = (content ?? {}) as Record<string, unknown>;
  if (header === null && kind !== 'run') throw bad(where, 'expected the run in the first line, {"kind":"run", …}');
  if (header !== null && kind !== 'message') throw bad(where, 'expected {"kind":"message", …}');
  if (kind === 'run' && written !== truthVersion) {
    throw bad(where, `has truthVersion ${JSON.stringify(written)}, this program reads version ${truthVersion}`);
  }
  const parsed = kind === 'run' ? run.safeParse(content) : message.safeParse(content);
  if (parsed.success) return parsed.data;
  const { path, message: what } = parsed.error.issues[0]!;
  throw bad(where, path.length === 0 ? what : `${path.join('.')}: ${what}`);
}

function inOrder(messages: Message[], key: string, fileName: string): void {
  messages.sort((a, b) => a.n - b.n);
  for (let i = 1; i < messages.length; i++) {
    const { n } = messages[i]!;
    if (n === messages[i - 1]!.n) throw bad(fileName, `tells of ${key} n ${n} twice`);
  }
}

function isFields(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const types = ['number', 'string', 'boolean'];
  return Object.values(value).every((field) => types.includes(typeof field));
}

function bad(where: string, what: string): SluiceError {
  return new SluiceError('CONFIG_INVALID', `${where} ${what}`);
}

/** Texts and lists that come again and again are kept once. */
class Interned {
  readonly #topics = new Map<string, string>();
  readonly #faults = new Map<string, readonly string[]>();
  readonly #expectations = new Map<string, Expectation>();

  message(line: TruthMessage): Message {
    const { n, topic, digest, reading, intendedMs, sentMs, acknowledgedMs, copies, faults, expect } = line;
    const { as } = expect;
    return {
      n,
      topic: once(this.#topics, topic, topic),
      digest,
      reading,
      intendedMs,
      sentMs,
      acknowledgedMs,
      copies,
      faults: once(this.#faults, faults.join('\n'), faults),
      expect: once(this.#expectations, as === 'dead_letter' ? expect.reason : as, expect),
    };
  }
}

function once<T>(known: Map<string, T>, key: string, value: T): T {
  const first = known.get(key);
  if (first !== undefined) return first;
  known.set(key, value);
  return value;
}
