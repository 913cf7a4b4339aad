/**
 * What the processes of the pipeline say of themselves, and whether they have done with what was there when we came:
 * every record processed, and the windows of devices that are silent now closed.
 */
import { z } from 'zod';
import type { Bus, BusRecord, Following } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { addLedgers, gatewayImbalances, imbalances, type LedgerTotals } from '../core/ledger.ts';
import { gatewayLedgerSchema, partitionLedgerSchema } from '../core/ledger-schema.ts';
import type { TopicNames } from '../core/topics.ts';
import { parsed } from './evidence.ts';

export interface WatchOptions {
  readonly group: string;
  readonly outOfOrdernessMs: number;
  readonly idleAfterMs: number;
}

export interface LedgerFindings {
  /** `null`: no processor has told of its partitions. */
  readonly totals: LedgerTotals | null;
  /** In words; empty when all of it balances. */
  readonly imbalances: readonly string[];
}

const counter = z.number().min(0);
const partitionStatus = z.object({
  position: counter,
  endOffset: counter,
  clockMs: z.number(),
  ledger: partitionLedgerSchema,
});
const status = z.discriminatedUnion('role', [
  z.object({ role: z.literal('gateway'), instance: z.string(), atMs: z.number(), ledger: gatewayLedgerSchema }),
  z.object({ role: z.literal('processor'), atMs: z.number(), partitions: z.record(z.string(), partitionStatus) }),
  z.object({ role: z.literal('web') }),
]);
type PartitionStatus = z.output<typeof partitionStatus>;
type GatewayStatus = Extract<z.output<typeof status>, { role: 'gateway' }>;

/** A gateway that has said nothing for so long is gone, and without one no time passes. */
const goneAfterMs = 10_000;
const pollMs = 200;
/** The clock is looked at when it enters a new second. */
const clockStepMs = 1000;

interface Partition {
  /** Offset after the last record that was there when we came. */
  readonly end: number;
  newest: PartitionStatus | null;
  /** Partition clock when all of it was done: no device of ours was heard of later. */
  doneAtClockMs: number | null;
  /** Partition clock up to which silence has closed windows, and that their rollups are written. */
  settledClockMs: number | null;
  /** A clock that is settled once the position is there. */
  pending: { readonly clockMs: number; readonly endOffset: number } | null;
}

export class PipelineWatch {
  readonly #bus: Bus;
  readonly #topics: TopicNames;
  readonly #options: WatchOptions;
  readonly #clock: Clock;
  readonly #partitions: Partition[] = [];
  readonly #gateways = new Map<string, GatewayStatus>();
  #following: Following | null = null;

  constructor(bus: Bus, topics: TopicNames, options: WatchOptions, clock: Clock) {
    this.#bus = bus;
    this.#topics = topics;
    this.#options = options;
    this.#clock = clock;
  }

  async start(): Promise<void> {
    const { raw, pipelineStatus } = this.#topics;
    const count = await this.#bus.partitionCount(raw);
    for (let partition = 0; partition < count; partition++) {
      const { endOffset } = await this.#bus.read(raw, partition, 0, 1);
      this.#partitions.push({ end: endOffset, newest: null, doneAtClockMs: null, settledClockMs: null, pending: null });
    }
    this.#following = await this.#bus.follow(pipelineStatus, 'beginning', (records) => {
      for (const record of records) this.#take(record);
    });
  }

  async close(): Promise<void> {
    await this.#following?.close();
  }

  get partitionCount(): number {
    return this.#partitions.length;
  }

  /**
   * Resolves when every record is processed and the windows of the given partitions (number → end of the last window, ms)
   * are closed, or when `waitMs` is over. Returns how many records are not processed yet.
   */
  async settle(lastWindowEndMs: ReadonlyMap<number, number>, waitMs: number, progress: (text: string) => void) {
    const giveUpAtMs = this.#clock.nowMs() + waitMs;
    for (let saidAtMs = 0; ; ) {
      const behind = await this.#behind();
      const open = behind > 0 ? 0 : this.#openPartitions(lastWindowEndMs);
      const nowMs = this.#clock.nowMs();
      if ((behind === 0 && open === 0) || nowMs >= giveUpAtMs) return behind;
      if (nowMs - saidAtMs >= 1000) {
        saidAtMs = nowMs;
        const what =
          behind > 0 ? `${behind} records to be processed` : `${open} partitions to close their last windows`;
        progress(`waiting for ${what}, ${Math.ceil((giveUpAtMs - nowMs) / 1000)} s left`);
      }
      await this.#clock.sleep(Math.min(pollMs, giveUpAtMs - nowMs));
    }
  }

  /** Windows of a partition's devices that end by then are closed, microseconds. */
  closedBySilenceUs(partition: number): number {
    const clockMs = this.#partitions[partition]?.settledClockMs ?? null;
    return clockMs === null ? Number.NEGATIVE_INFINITY : (clockMs - this.#options.outOfOrdernessMs) * 1000;
  }

  ledger(): LedgerFindings {
    const told = [...this.#partitions.entries()].flatMap(([partition, { newest }]) =>
      newest === null ? [] : [{ partition, ledger: newest.ledger }],
    );
    const found = told.flatMap(({ partition, ledger }) =>
      imbalances(ledger).map((text) => `partition ${partition}: ${text}`),
    );
    for (const { instance, ledger } of this.#gateways.values()) {
      found.push(...gatewayImbalances(ledger).map((text) => `gateway ${instance}: ${text}`));
    }
    if (told.length === 0) return { totals: null, imbalances: found };
    const totals = addLedgers(told.map(({ ledger }) => ledger));
    return { totals, imbalances: found };
  }

  #take(record: BusRecord): void {
    const told = parsed(status, record);
    if (told?.role === 'gateway') this.#gateways.set(told.instance, told);
    if (told?.role !== 'processor') return;
    for (const [number, own] of Object.entries(told.partitions)) {
      const partition = this.#partitions[Number(number)];
      if (partition === undefined || (partition.newest !== null && own.position < partition.newest.position)) continue;
      partition.newest = own;
      this.#notice(partition, own);
    }
  }

  #notice(partition: Partition, { position, endOffset, clockMs }: PartitionStatus): void {
    if (partition.end > position) return;
    partition.doneAtClockMs ??= clockMs;
    if (partition.pending !== null && position >= partition.pending.endOffset) {
      partition.settledClockMs = partition.pending.clockMs;
      partition.pending = null;
    }
    const enteredMs = Math.floor(clockMs / clockStepMs) * clockStepMs;
    if (enteredMs - partition.doneAtClockMs < this.#options.idleAfterMs) return;
    // The clock is ahead of what is written by one batch at most.
    if (position >= endOffset) partition.settledClockMs = Math.max(partition.settledClockMs ?? 0, enteredMs);
    else partition.pending ??= { clockMs: enteredMs, endOffset };
  }

  /** Records that were there when we came and are not processed, by what processors say or what their group committed. */
  async #behind(): Promise<number> {
    let behind = 0;
    for (const { end, newest } of this.#partitions) behind += Math.max(0, end - (newest?.position ?? 0));
    if (behind === 0) return 0;
    const { records } = await this.#bus.lag(this.#topics.raw, this.#options.group);
    return Math.min(behind, records);
  }

  /** None when no gateway lives: then nothing will close them. */
  #openPartitions(lastWindowEndMs: ReadonlyMap<number, number>): number {
    const nowMs = this.#clock.nowMs();
    if (![...this.#gateways.values()].some(({ atMs }) => nowMs - atMs < goneAfterMs)) return 0;
    let open = 0;
    for (const [partition, endMs] of lastWindowEndMs) {
      if (this.closedBySilenceUs(partition) < endMs * 1000) open++;
    }
    return open;
  }
}
