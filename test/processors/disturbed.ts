/**
 * A partition's life with everything that can happen to it, from one seed: batches of any size, crashes at every step of
 * the commit order, rebalances that rewind, owners that lose it in the middle of a batch and get it back later. The bus
 * and the store are the embedded ones; only who is given which records when is up to the script.
 */
import type { Batch, BatchHandler, BusRecord, Committed } from '../../bus/port.ts';
import { isSluiceError, SluiceError } from '../../core/errors.ts';
import type { Fields } from '../../core/reading.ts';
import type { ProcessorOptions } from '../../processors/options.ts';
import { pointKey } from '../../processors/points.ts';
import type { Rule } from '../../processors/rules/file.ts';
import type { Processor } from '../../processors/runner.ts';
import type { Random } from '../../simulator/random.ts';
import type { Point, Store } from '../../store/port.ts';
import { Crash, CrashPoint, type CrashStep, crashingBus, crashingStore } from '../support/crash.ts';
import { withMethods } from '../support/with-methods.ts';
import { type Rig, topics } from './rig.ts';

/** The steps of the commit order, in order. */
export const commitOrder = [
  'write',
  `append ${topics.alerts}`,
  `append ${topics.alertsState}`,
  `append ${topics.late}`,
  `append ${topics.dlq}`,
  `append ${topics.processorState}`,
  'commit',
] as const;

const mostDisturbances = 30;

export interface Disturbances {
  readonly random: Random;
  /** Of the first owners, one after the other; all else is drawn. None: nobody ever crashes or loses anything. */
  readonly crashes: readonly CrashStep[];
}

/** Points as they were stored, the newest of each place. */
export class StoredPoints {
  readonly byPlace = new Map<string, { readonly point: Point; readonly fields: Fields }>();

  /** The store, and what is written to it. */
  watch(store: Store): Store {
    return withMethods(store, {
      write: async (points) => {
        const refusals = await store.write(points);
        const refused = new Set(refusals.map(({ index }) => index));
        for (const [i, point] of points.entries()) {
          if (!refused.has(i)) this.byPlace.set(pointKey(point), { point, fields: point.fields });
        }
        return refusals;
      },
    });
  }
}

interface Member {
  readonly processor: Processor;
  readonly handle: BatchHandler;
}

export class PartitionLife {
  readonly #rig: Rig;
  readonly #store: Store;
  readonly #log: readonly BusRecord[];
  readonly #settings: { options: Partial<ProcessorOptions>; rules: readonly Rule[] };
  readonly #random: Random;
  /** Disturbances that may still come; without an end some lives would have none. */
  #disturbancesLeft: number;
  readonly #isCalm: boolean;
  /** Crashes that must still come. */
  readonly #planned: CrashStep[];
  readonly #plannedCrashes: number;
  /** What the broker knows. */
  #committed: Committed | null = null;
  #members: Member[] = [];
  #owner!: Member;
  #isNewOwner = true;
  /** Where the owner goes on reading. */
  #next = 0;
  /** Steps at which somebody crashed. */
  readonly crashes: string[] = [];

  constructor(
    rig: Rig,
    stored: StoredPoints,
    log: readonly BusRecord[],
    settings: { options: Partial<ProcessorOptions>; rules: readonly Rule[] },
    { random, crashes }: Disturbances,
  ) {
    this.#rig = rig;
    this.#store = stored.watch(rig.store);
    this.#log = log;
    this.#settings = settings;
    this.#random = random;
    this.#isCalm = crashes.length === 0;
    this.#planned = [...crashes];
    this.#plannedCrashes = crashes.length;
    this.#disturbancesLeft = this.#isCalm ? 0 : mostDisturbances;
  }

  /** Resolves with the ledger of the last owner, once all is processed and committed. */
  async run() {
    this.#members = [await this.#join(null), await this.#join(this.#planned.shift() ?? null)];
    this.#assign(this.#members[1]!);
    do {
      while (this.#next < this.#log.length || this.#isNewOwner) {
        if (this.#happens(0.15)) this.#assign(this.#members[this.#random() < 0.4 ? 0 : 1]!);
        await this.#give(this.#drawBatch());
      }
      // Where the last commit fails, a successor reads on from the one before.
    } while (!(await this.#give([], true)));
    return this.#owner.processor.status().partitions['0']!.ledger;
  }

  #drawBatch(): readonly BusRecord[] {
    const size = this.#isCalm ? this.#log.length : Math.ceil(10_000 ** (this.#random() * this.#random()));
    return this.#log.slice(this.#next, this.#next + size);
  }

  /** `false`: the owner crashed or lost the partition. */
  async #give(records: readonly BusRecord[], closing = false): Promise<boolean> {
    const owner = this.#owner;
    const assignment = this.#isNewOwner ? { committed: this.#committed } : null;
    this.#isNewOwner = false;
    let next = this.#next + records.length;
    try {
      await owner.handle(this.#batch(owner, records, assignment, closing, (offset) => (next = offset)));
      this.#next = next;
      return true;
    } catch (error) {
      if (error instanceof Crash) await this.#replace(owner);
      else if (!isSluiceError(error, 'BUS_ASSIGNMENT_LOST')) throw error;
      else this.#assign(this.#members.find((member) => member !== owner)!);
      return false;
    }
  }

  #batch(
    owner: Member,
    records: readonly BusRecord[],
    assignment: Batch['assignment'],
    closing: boolean,
    seek: (offset: number) => void,
  ): Batch {
    // Another may be given the partition at any heartbeat.
    let beats = this.#happens(0.1) ? Math.floor(this.#random() * 8) : Number.POSITIVE_INFINITY;
    const stillOwns = () => {
      if (this.#owner !== owner || beats <= 0) throw new SluiceError('BUS_ASSIGNMENT_LOST', 'given to another');
    };
    return {
      topic: topics.raw,
      partition: 0,
      assignment,
      records,
      endOffset: this.#log.length,
      closing,
      heartbeat: async () => {
        beats--;
        stillOwns();
      },
      lastHeartbeatAtMs: () => Date.now(),
      commit: async (offset, metadata) => {
        stillOwns();
        this.#committed = { offset, metadata };
      },
      seek,
    };
  }

  /** Every assignment rewinds to the commit, also that to the one who had it. */
  #assign(member: Member): void {
    this.#owner = member;
    this.#isNewOwner = true;
    this.#next = this.#committed?.offset ?? 0;
  }

  async #replace(dead: Member): Promise<void> {
    const planned = this.#planned.shift();
    const successor = await this.#join(planned ?? this.#drawStep());
    this.#members = [...this.#members.filter((member) => member !== dead), successor];
    this.#assign(planned !== undefined || this.#random() < 0.5 ? successor : this.#members[0]!);
  }

  #drawStep(): CrashStep | null {
    if (!this.#happens(0.6)) return null;
    const call = commitOrder[Math.floor(this.#random() * commitOrder.length)]!;
    return { call, when: this.#random() < 0.5 ? 'before' : 'after', nth: 1 + Math.floor(this.#random() * 5) };
  }

  #happens(probability: number): boolean {
    // What is planned comes first, unless its step never comes.
    if (this.crashes.length < this.#plannedCrashes && this.#next < this.#log.length / 2) return false;
    if (this.#disturbancesLeft === 0 || this.#random() >= probability) return false;
    this.#disturbancesLeft--;
    return true;
  }

  async #join(step: CrashStep | null): Promise<Member> {
    let handle: BatchHandler = async () => {};
    const scripted = withMethods(this.#rig.bus, {
      consume: async (_topic, _group, handler) => {
        handle = handler;
        return { assigned: () => [0], failed: new Promise<void>(() => {}), close: async () => {} };
      },
    });
    const point = new CrashPoint(step ?? { call: 'nothing', when: 'before', nth: 1 });
    void point.happened.then(() => this.crashes.push(`${step!.when} ${step!.call}`));
    const ports = { bus: crashingBus(scripted, point), store: crashingStore(this.#store, point) };
    const { options, rules } = this.#settings;
    const processor = this.#rig.processor(options, ports, rules);
    await processor.start();
    return { processor, handle };
  }
}
