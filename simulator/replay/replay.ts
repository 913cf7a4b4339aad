/**
 * Sends a recording as its devices would: each row when its time has come, by the same connections, with the same truth,
 * as a simulated fleet. Rows are read a little ahead of their time and no further, however long the file.
 */
import { SluiceError } from '../../core/errors.ts';
import type { Measurement, MeasurementSource } from '../device.ts';
import type { DeviceIdentity } from '../fleet.ts';
import type { Simulator } from '../simulator.ts';
import type { Latencies, SimulatorStats } from '../tally.ts';
import type { Recording } from './recording.ts';
import type { Row } from './rows.ts';

export interface ReplayOptions {
  /** When the replay starts, by the clock. */
  readonly startMs: number;
  /** Time of the recording per time of the clock. */
  readonly speed: number;
  /** `ts` is the time that was recorded; else it is when the row is sent. */
  readonly keepsTimes: boolean;
}

/** Rows that are read and not yet sent. */
const maxAhead = 1000;
/** Each has a connection. */
const maxDevices = 10_000;

export class Replay {
  readonly #simulator: Simulator;
  readonly #recording: Recording;
  readonly #options: ReplayOptions;
  readonly #sources = new Map<string, ReplaySource>();
  readonly #finished = Promise.withResolvers<void>();
  #reading: Promise<void> | null = null;
  #isStopped = false;
  #ahead = 0;
  #changed = Promise.withResolvers<void>();

  constructor(recording: Recording, simulator: Simulator, options: ReplayOptions) {
    this.#recording = recording;
    this.#simulator = simulator;
    this.#options = options;
  }

  /** Resolves when all rows have been sent for the first time, or it is stopped; rejects when the file can't be read on. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  get latencies(): Latencies {
    return this.#simulator.latencies;
  }

  start(): void {
    if (this.#reading !== null) return;
    this.#simulator.start();
    this.#reading = this.#read().then(this.#finished.resolve, this.#finished.reject);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#changed.resolve();
    await this.#reading;
    await this.#simulator.stop();
  }

  stats(): SimulatorStats {
    return this.#simulator.stats();
  }

  problems(): readonly string[] {
    return this.#recording.problems();
  }

  async #read(): Promise<void> {
    for await (const row of this.#recording.rows()) {
      await this.#until(() => this.#ahead < maxAhead);
      if (this.#isStopped) return;
      this.#take(row);
    }
    await this.#until(() => this.#ahead === 0);
  }

  #take({ site, device, timeMs, fields }: Row): void {
    const key = `${site}/${device}`;
    let source = this.#sources.get(key);
    if (source === undefined) {
      if (this.#sources.size >= maxDevices) {
        this.#recording.reject(`${key}: more than ${maxDevices} devices`);
        return;
      }
      const joined = this.#join({ fleet: 'replay', site, device, index: this.#sources.size });
      if (joined === null) return;
      source = joined;
      this.#sources.set(key, source);
    }
    this.#ahead++;
    source.add(this.#eventTimeOf(timeMs), timeMs - this.#recording.firstMs, fields);
  }

  /** `null`: it has no user to connect as, and none of its rows can be sent. */
  #join(device: DeviceIdentity): ReplaySource | null {
    const source = new ReplaySource(() => this.#sent());
    try {
      source.wake = this.#simulator.join(device, source);
      return source;
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.#recording.reject(error.message);
      return null;
    }
  }

  #eventTimeOf(timeMs: number): number {
    const { startMs, speed, keepsTimes } = this.#options;
    return keepsTimes ? timeMs : Math.floor(startMs + (timeMs - this.#recording.firstMs) / speed);
  }

  #sent(): void {
    this.#ahead--;
    this.#changed.resolve();
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!this.#isStopped && !isSo()) {
      this.#changed = Promise.withResolvers();
      await this.#changed.promise;
    }
  }
}

/** The rows of one device that are still to be sent, in the order of the file. */
class ReplaySource implements MeasurementSource {
  wake: () => void = () => {};
  readonly #queue: Measurement[] = [];
  readonly #onSent: () => void;
  #seq = 0;

  constructor(onSent: () => void) {
    this.#onSent = onSent;
  }

  get nextAtMs(): number {
    return this.#queue[0]?.timeMs ?? Number.POSITIVE_INFINITY;
  }

  add(timeMs: number, elapsedMs: number, fields: Measurement['fields']): void {
    this.#queue.push({ seq: this.#seq++, timeMs, elapsedMs, fields });
    if (this.#queue.length === 1) this.wake();
  }

  next(): Measurement {
    const measurement = this.#queue.shift()!;
    this.#onSent();
    return measurement;
  }
}
