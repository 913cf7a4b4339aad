/**
 * Writes the truth of a run: one line per message, once it is known what became of it. `core/truth.ts` is the format,
 * `sluice verify` reads it.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { messageOf, SluiceError } from '../core/errors.ts';
import { type Expectation, type TruthMessage, type TruthRun, truthVersion } from '../core/truth.ts';
import type { Message } from './message.ts';

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

/** A device as the pipeline knows it. */
export interface KnownDevice {
  readonly site: string;
  readonly device: string;
}

/** A message on its way. */
interface Pending {
  readonly from: KnownDevice;
  readonly n: number;
  readonly dueMs: number;
  sentMs: number | null;
  /** Times it was sent on purpose. */
  copies: number;
  acknowledgedMs: number | null;
  /** Times it is still to be sent, or to be acknowledged. */
  outstanding: number;
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

  /** It is to be sent, `n`th of its device. `dueMs`: when. */
  handed(from: KnownDevice, n: number, message: Message, dueMs: number): void {
    const { copies } = message;
    const pending = { from, n, dueMs, sentMs: null, copies: 0, acknowledgedMs: null, outstanding: copies };
    this.#pending.set(message, pending);
  }

  /** Never to be sent. */
  never(from: KnownDevice, n: number, message: Message, dueMs: number): void {
    this.handed(from, n, message, dueMs);
    this.#write(message, this.#pending.get(message)!);
  }

  /** A copy of it, for the first time. At QoS 0 nothing more is heard of it. */
  sent(message: Message, nowMs: number): void {
    const pending = this.#pending.get(message);
    if (pending === undefined) return;
    pending.sentMs ??= nowMs;
    pending.copies++;
    if (this.#settings.qos === 0) this.#settle(message, pending);
  }

  /** A copy of it. */
  acknowledged(message: Message, nowMs: number): void {
    const pending = this.#pending.get(message);
    if (pending === undefined) return;
    pending.acknowledgedMs ??= nowMs;
    this.#settle(message, pending);
  }

  /** A copy of it is not sent again, nor for the first time. */
  givenUp(message: Message): void {
    const pending = this.#pending.get(message);
    if (pending !== undefined) this.#settle(message, pending);
  }

  /** Writes what is still on its way, unacknowledged. Idempotent. */
  close(): void {
    if (this.#descriptor === null) return;
    for (const [message, pending] of this.#pending) this.#write(message, pending);
    this.#flush();
    closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  #settle(message: Message, pending: Pending): void {
    pending.outstanding--;
    if (pending.outstanding === 0) this.#write(message, pending);
  }

  #write(message: Message, { from, n, dueMs, sentMs, copies, acknowledgedMs }: Pending): void {
    this.#pending.delete(message);
    const { site, device } = from;
    const { topic, payload, reading, faults } = message;
    this.#line({
      kind: 'message',
      site,
      device,
      n,
      topic,
      digest: createHash('sha256').update(payload).digest('base64url'),
      reading,
      intendedMs: dueMs,
      sentMs,
      acknowledgedMs,
      copies,
      faults,
      expect: expectationOf(message, sentMs !== null),
    });
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

/** What was never sent must not be there, whatever it should have ended as; what the broker refuses need not be sent. */
function expectationOf({ expect }: Message, isSent: boolean): Expectation {
  return isSent || expect.as === 'refused_by_broker' ? expect : { as: 'not_sent' };
}
