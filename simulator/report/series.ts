/** A run second by second: what it did in each, for a line while it runs and for plots. */
import type { Histogram } from '../histogram.ts';
import type { Latencies, SimulatorStats } from '../tally.ts';

export interface Second {
  /** Since the start, when it ended. */
  readonly atSeconds: number;
  readonly connected: number;
  readonly sentPerSecond: number;
  readonly acknowledgedPerSecond: number;
  /** Held by the devices at its end. */
  readonly outstanding: number;
  readonly errors: number;
  /** Latencies of what came to its end in it; `null`: nothing did. */
  readonly connectP99Ms: number | null;
  readonly lagP99Ms: number | null;
  readonly ackP50Ms: number | null;
  readonly ackP99Ms: number | null;
}

const shortestSeconds = 0.5;

export class Series {
  readonly #latencies: Latencies;
  readonly #maxSeconds: number;
  #before: Copies;
  #stats: SimulatorStats | null = null;
  #atSeconds = 0;
  #seconds: Second[] = [];
  /** Kept is one second of so many. */
  #every = 1;
  #number = 0;

  /** Keeps at most `maxSeconds` of the seconds. */
  constructor(latencies: Latencies, maxSeconds = 1800) {
    this.#maxSeconds = maxSeconds;
    this.#latencies = latencies;
    this.#before = copyOf(latencies);
  }

  /** To be called once a second. Returns what the time since the last call was like. */
  add(atSeconds: number, stats: SimulatorStats): Second {
    const second = this.#since(atSeconds, stats);
    this.#atSeconds = atSeconds;
    this.#stats = stats;
    this.#before = copyOf(this.#latencies);
    if (this.#number++ % this.#every === 0) this.#keep(second);
    return second;
  }

  /** Adds what is left of the last second, if it is not too short to tell a rate. */
  end(atSeconds: number, stats: SimulatorStats): void {
    if (atSeconds - this.#atSeconds >= shortestSeconds) this.add(atSeconds, stats);
  }

  /** Of a run of more seconds than are kept: every second, fourth, eighth … of them. */
  seconds(): readonly Second[] {
    return this.#seconds;
  }

  #keep(second: Second): void {
    this.#seconds.push(second);
    if (this.#seconds.length <= this.#maxSeconds) return;
    this.#seconds = this.#seconds.filter((_, n) => n % 2 === 0);
    this.#every *= 2;
  }

  #since(atSeconds: number, stats: SimulatorStats): Second {
    const passed = atSeconds - this.#atSeconds;
    const perSecond = (now: number, before = 0) => (passed <= 0 ? 0 : Math.round((now - before) / passed));
    const { connectMs, sendLagMs, ackMs } = this.#latencies;
    const ofAcks = ackMs.since(this.#before.ackMs);
    return {
      atSeconds: Math.round(atSeconds * 1000) / 1000,
      connected: stats.connected,
      sentPerSecond: perSecond(stats.sent, this.#stats?.sent),
      acknowledgedPerSecond: perSecond(stats.acknowledged, this.#stats?.acknowledged),
      outstanding: stats.unacknowledged,
      errors: stats.errors - (this.#stats?.errors ?? 0),
      connectP99Ms: connectMs.since(this.#before.connectMs).quantile(0.99),
      lagP99Ms: sendLagMs.since(this.#before.sendLagMs).quantile(0.99),
      ackP50Ms: ofAcks.quantile(0.5),
      ackP99Ms: ofAcks.quantile(0.99),
    };
  }
}

type Copies = Readonly<Record<keyof Latencies, Histogram>>;

function copyOf({ connectMs, sendLagMs, ackMs }: Latencies): Copies {
  return { connectMs: connectMs.copy(), sendLagMs: sendLagMs.copy(), ackMs: ackMs.copy() };
}

/** One line while it runs. */
export function progressLine(second: Second, stats: SimulatorStats): string {
  const { ackP50Ms, ackP99Ms } = second;
  return [
    `t=${Math.round(second.atSeconds)}s`,
    `connected ${stats.connected}/${stats.devices}`,
    `sent ${stats.sent} (${second.sentPerSecond}/s)`,
    `acknowledged ${stats.acknowledged}`,
    `outstanding ${stats.unacknowledged}`,
    `skipped ${stats.skipped}`,
    `errors ${stats.errors}`,
    ...(ackP50Ms === null ? [] : [`p50 ${ackP50Ms} ms`, `p99 ${ackP99Ms} ms`]),
  ].join('  ');
}
