/**
 * Writes the truth of a run: one line per message, once it is known what became of it. `core/truth.ts` is the format,
 * `sluice verify` reads it.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { messageOf, SluiceError } from '../core/errors.ts';
import { routeOf } from '../core/route.ts';
import { type Expectation, type TruthMessage, type TruthRun, truthVersion } from '../core/truth.ts';
import type { Message } from './device.ts';

export interface TruthSettings {
  /** An existing file is written over. */
  readonly file: string;
  /** Of the program. */
  readonly version: string;
  /** Unique per run. */
  readonly run: string;
  readonly scenario: string;
  readonly broker: string;
  readonly qos: 0 | 1 | 2;
  readonly seed: number;
  readonly startedAtMs: number;
}

/** A message on its way. */
interface Pending {
  readonly topic: string;
  sentMs: number | null;
}

/** Lines are written together: a file system call for each would cost more than the message. */
const flushAtBytes = 64 * 1024;

export class TruthWriter {
  readonly #settings: TruthSettings;
  /** Bounded by what the devices hold. */
  readonly #pending = new Map<Message, Pending>();
  #descriptor: number | null = null;
  #lines: string[] = [];
  #bytes = 0;

  constructor(settings: TruthSettings) {
    this.#settings = settings;
  }

  /** Rejects with CONFIG_INVALID when the file cannot be written. */
  open(): void {
    const { file, version, run, scenario, broker, qos, seed, startedAtMs } = this.#settings;
    try {
      this.#descriptor = openSync(file, 'w');
    } catch (error) {
      throw new SluiceError('CONFIG_INVALID', `--truth: ${file} cannot be written: ${messageOf(error)}`);
    }
    this.#line({ kind: 'run', truthVersion, version, run, scenario, seed, startedAtMs, broker, qos });
  }

  made(topic: string, message: Message): void {
    this.#pending.set(message, { topic, sentMs: null });
  }

  /** The first time. At QoS 0 nothing more is heard of it. */
  sent(message: Message, nowMs: number): void {
    const pending = this.#pending.get(message);
    if (pending === undefined) return;
    pending.sentMs = nowMs;
    if (this.#settings.qos === 0) this.#write(message, pending, null);
  }

  acknowledged(message: Message, nowMs: number): void {
    const pending = this.#pending.get(message);
    if (pending !== undefined) this.#write(message, pending, nowMs);
  }

  /** Never to be sent. */
  skipped(message: Message): void {
    const pending = this.#pending.get(message);
    if (pending !== undefined) this.#write(message, pending, null);
  }

  /** Writes what is still on its way, unacknowledged. Idempotent. */
  close(): void {
    if (this.#descriptor === null) return;
    for (const [message, pending] of this.#pending) this.#write(message, pending, null);
    this.#flush();
    closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  #write(message: Message, { topic, sentMs }: Pending, acknowledgedMs: number | null): void {
    this.#pending.delete(message);
    // Checked at the start: verify finds a device by the record key, which the route gives.
    const { site, device } = routeOf(topic)!;
    const { seq, timeMs, fields, payload } = message;
    this.#line({
      kind: 'message',
      site,
      device,
      n: seq,
      topic,
      digest: createHash('sha256').update(payload).digest('base64url'),
      reading: { timeMs, seq, fields },
      intendedMs: timeMs,
      sentMs,
      acknowledgedMs,
      copies: sentMs === null ? 0 : 1,
      faults: [],
      expect: { as: sentMs === null ? 'not_sent' : 'stored' } satisfies Expectation,
    } satisfies TruthMessage);
  }

  #line(content: TruthRun | TruthMessage): void {
    const line = `${JSON.stringify(content)}\n`;
    this.#lines.push(line);
    this.#bytes += line.length;
    if (this.#bytes >= flushAtBytes) this.#flush();
  }

  #flush(): void {
    writeSync(this.#descriptor!, this.#lines.join(''));
    this.#lines = [];
    this.#bytes = 0;
  }
}
