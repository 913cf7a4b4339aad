/**
 * A crash at one chosen step, by wrapping the ports: from that moment on nothing that the part calls happens any more,
 * as if its process had been killed between two instructions. The product knows nothing of it.
 */
import type { Batch, Bus, DiskBus } from '../../bus/port.ts';
import type { Store } from '../../store/port.ts';
import { withMethods } from './with-methods.ts';

export class Crash extends Error {
  constructor() {
    super('crashed on purpose');
    this.name = 'Crash';
  }
}

/** Which call is the last one, and whether it still takes effect. */
export interface CrashStep {
  /** `append TOPIC`, `write` or `commit`; on a disk bus `spool`, `read` or `trim`. */
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
  return withMethods(bus, {
    append: (topic, records) => point.around(`append ${topic}`, () => bus.append(topic, records)),
    consume: (topic, group, handler, options) =>
      bus.consume(topic, group, (batch) => handler(crashingBatch(batch, point)), options),
  });
}

export function crashingDisk(disk: DiskBus, point: CrashPoint): DiskBus {
  return withMethods(disk, {
    append: (topic, records) => point.around('spool', () => disk.append(topic, records)),
    read: (topic, partition, from, count) => point.around('read', () => disk.read(topic, partition, from, count)),
    trim: (topic, partition, offset) => point.around('trim', () => disk.trim(topic, partition, offset)),
  });
}

function crashingBatch(batch: Batch, point: CrashPoint): Batch {
  return withMethods(batch, {
    commit: (offset, metadata) => point.around('commit', () => batch.commit(offset, metadata)),
  });
}

export function crashingStore(store: Store, point: CrashPoint): Store {
  return withMethods(store, { write: (points) => point.around('write', () => store.write(points)) });
}
