/** When a device's connection is broken on purpose, and what is done to it then. */
import type { Schedule } from '../schedule.ts';
import type { Timeline } from '../timeline.ts';
import type { ConnectionFault } from './network.ts';

export interface Interruptible {
  cut(): void;
  goOffline(): void;
  goOnline(): void;
  stall(): void;
  abandon(): void;
}

export class Interruptions {
  readonly #connection: Interruptible;
  readonly #schedule: Schedule;
  readonly #timeline: Timeline;
  readonly #around: (act: () => void) => void;
  readonly #running = new Set<ConnectionFault>();
  #isEnded = false;

  /** `around` is called with each act upon the connection, and calls it. */
  constructor(
    faults: readonly ConnectionFault[],
    connection: Interruptible,
    schedule: Schedule,
    timeline: Timeline,
    around: (act: () => void) => void,
  ) {
    this.#connection = connection;
    this.#schedule = schedule;
    this.#timeline = timeline;
    this.#around = around;
    for (const spec of faults) this.#plan(spec, timeline.startMs + spec.at);
  }

  /** The connection works again, and goes on doing so. */
  end(): void {
    this.#isEnded = true;
    for (const spec of [...this.#running]) this.#stop(spec);
  }

  /** In event time; what is past by then has not been. */
  #plan(spec: ConnectionFault, atMs: number): void {
    const { every } = spec;
    this.#schedule.add(this.#timeline.wallMsOf(atMs), () => {
      if (this.#isEnded) return;
      if (every !== undefined) this.#plan(spec, atMs + every);
      if (!this.#timeline.isPast(atMs)) this.#start(spec, atMs);
    });
  }

  #start(spec: ConnectionFault, atMs: number): void {
    this.#around(() => {
      if (spec.fault === 'network.dropout') this.#connection.goOffline();
      else if (spec.fault === 'network.half_open') this.#connection.stall();
      else this.#connection.cut();
    });
    if (spec.fault === 'network.reconnect_storm') return;
    this.#running.add(spec);
    this.#schedule.add(this.#timeline.wallMsOf(atMs + spec.for), () => this.#stop(spec));
  }

  #stop(spec: ConnectionFault): void {
    if (!this.#running.delete(spec)) return;
    if ([...this.#running].some(({ fault }) => fault === spec.fault)) return;
    this.#around(() => {
      if (spec.fault === 'network.dropout') this.#connection.goOnline();
      else this.#connection.abandon();
    });
  }
}
