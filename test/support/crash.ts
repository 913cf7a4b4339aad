/**
 * A crash at one chosen step, by wrapping the ports: from that moment on nothing that the part calls happens any more,
 * as if its process had been killed between two instructions. The product knows nothing of it.
 */
import type { Batch, Bus } from '../../bus/port.ts';
import type { Store } from '../../store/port.ts';

export class Crash extends Error {
  constructor() {
    super('crashed on purpose');
    this.name = 'Crash';
  }
}

/** Which call is the last one, and whether it still takes effect. */
export interface CrashStep {
  /** `append TOPIC`, `write` or `commit`. */
  readonly call: string;
  /** `before`: the call never happens. `after`: it happens, but its caller never hears of it. */
  readonly when: 'before' | 'after';
  /** 1 = the first such call. */
  readonly nth: number;
}

export class CrashPoint {
  readonly #step: CrashStep;
  #calls = 0;
  #crashed = false;
  #announce!: () => void;
  /** Resolves when it has happened. */
  readonly happened: Promise<void>;

  constructor(step: CrashStep) {
    this.#step = step;
    this.happened = new Promise((resolve) => {
      this.#announce = resolve;
    });
  }

  async around<T>(call: string, run: () => Promise<T>): Promise<T> {
    if (this.#crashed) throw new Crash();
    const last = call === this.#step.call && ++this.#calls === this.#step.nth;
    if (last && this.#step.when === 'before') this.#crash();
    const result = await run();
    if (this.#crashed) throw new Crash();
    if (last) this.#crash();
    return result;
  }

  #crash(): never {
    this.#crashed = true;
    this.#announce();
    throw new Crash();
  }
}

export function crashingBus(bus: Bus, point: CrashPoint): Bus {
  return {
    kind: bus.kind,
    lanes: bus.lanes,
    start: () => bus.start(),
    close: () => bus.close(),
    ping: () => bus.ping(),
    createTopics: (specs) => bus.createTopics(specs),
    partitionCount: (topic) => bus.partitionCount(topic),
    append: (topic, records) => point.around(`append ${topic}`, () => bus.append(topic, records)),
    consume: (topic, group, handler, options) =>
      bus.consume(topic, group, (batch) => handler(crashingBatch(batch, point)), options),
    read: (...args) => bus.read(...args),
    follow: (...args) => bus.follow(...args),
    lag: (...args) => bus.lag(...args),
  };
}

function crashingBatch(batch: Batch, point: CrashPoint): Batch {
  return {
    topic: batch.topic,
    partition: batch.partition,
    assignment: batch.assignment,
    records: batch.records,
    endOffset: batch.endOffset,
    closing: batch.closing,
    heartbeat: () => batch.heartbeat(),
    lastHeartbeatAtMs: () => batch.lastHeartbeatAtMs(),
    commit: (offset, metadata) => point.around('commit', () => batch.commit(offset, metadata)),
    seek: (offset) => batch.seek(offset),
  };
}

export function crashingStore(store: Store, point: CrashPoint): Store {
  return {
    kind: store.kind,
    start: () => store.start(),
    close: () => store.close(),
    ping: () => store.ping(),
    setup: () => store.setup(),
    write: (points) => point.around('write', () => store.write(points)),
    history: (query) => store.history(query),
    rollups: (query, every) => store.rollups(query, every),
    newest: (sinceMs, limit) => store.newest(sinceMs, limit),
    readings: (...args) => store.readings(...args),
  };
}
