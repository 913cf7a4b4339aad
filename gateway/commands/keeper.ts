/**
 * Gives every command exactly one end. The gateways share the partitions of the commands topic as a consumer group; the
 * keeper of a partition reads its log, says when the time of a command is over — also that is a record, so the log
 * decides — and publishes the results. Committed is what comes before the oldest command without an end: its next keeper
 * reads from there, and finds in the results topic which ends were told.
 */
import type { Batch, Bus, Consumption, NewRecord } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import type { CommandEnd, CommandResult } from '../../core/commands.ts';
import { isSluiceError, messageOf, RecordsRefusedError, SluiceError } from '../../core/errors.ts';
import { type ByReason, count } from '../../core/ledger.ts';
import type { Logger } from '../../core/log.ts';
import { headers, type TopicNames } from '../../core/topics.ts';
import { Retry } from '../ingest/retry.ts';
import { type Command, entryOf, nameOf, outcomeRecord, resultRecord } from './entries.ts';
import { maxEnded, PendingCommands } from './pending.ts';

/** The partitions of a gateway that was killed have a new keeper after so long. */
const sessionTimeoutMs = 10_000;
const maxBatchRecords = 500;
const sweepEveryMs = 250;
/** Longer than what the courier allows itself for what it has sent. */
const graceMs = 1000;
const pauseMs = 500;
const rejoinAfterMs = 5000;

export interface KeeperContext {
  readonly bus: Bus;
  readonly topics: TopicNames;
  /** Unique per run of the gateway. */
  readonly instance: string;
  /** Says it on the commands topic. */
  readonly say: (outcome: NewRecord) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is in memory for a partition while it is ours. */
interface Kept {
  readonly pending: PendingCommands;
  /** Commands whose time we said is over. */
  readonly over: WeakSet<Command>;
  /** Offset after the last record read. */
  position: number;
  committed: number | null;
}

export class Keeper {
  /** In this run. */
  readonly ended: ByReason<CommandEnd> = {};
  readonly #context: KeeperContext;
  readonly #closing = new AbortController();
  readonly #retry: Retry;
  readonly #kept = new Map<number, Kept>();
  #consumption: Consumption | null = null;
  #running: Promise<void> | null = null;

  constructor(context: KeeperContext) {
    const { clock, log } = context;
    this.#context = context;
    this.#retry = new Retry({ clock, log, givingUp: this.#closing.signal }, 'joining those who decide on commands');
  }

  /** Waits for nothing: what does not succeed is tried again until the close. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  /** What is wrong, in words; empty = nothing. */
  problems(): string[] {
    const { problem } = this.#retry;
    return problem === null ? [] : [`their ends are not decided here: ${problem}`];
  }

  /** Commands without an end in the partitions that are ours. */
  get pending(): number {
    return this.#ours().reduce((sum, { pending }) => sum + pending.count, 0);
  }

  async #run(): Promise<void> {
    const { bus, topics, clock, log } = this.#context;
    const { signal } = this.#closing;
    const stopSweep = clock.every(sweepEveryMs, () => this.#sweep());
    const closing = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    const options = { sessionTimeoutMs, maxBatchRecords };
    while (!signal.aborted) {
      // Each installation on one Kafka has its own.
      const group = `${topics.commands}.keepers`;
      this.#consumption = await this.#retry.until(() =>
        bus.consume(topics.commands, group, (batch) => this.#handle(batch), options),
      );
      if (this.#consumption === null) break;
      const failed = this.#consumption.failed.catch((error: unknown) => {
        log.error({ error: messageOf(error) }, 'deciding on commands failed; it begins again');
        return clock.sleep(rejoinAfterMs, signal);
      });
      await Promise.race([failed, closing]);
      await this.#consumption.close();
    }
    stopSweep();
  }

  async #handle(batch: Batch): Promise<void> {
    if (batch.closing && !this.#kept.has(batch.partition)) return;
    try {
      const kept = await this.#keptOf(batch);
      const results = batch.records.flatMap((record) => {
        const entry = entryOf(record);
        kept.position = record.offset + 1;
        return (entry === null ? null : kept.pending.apply(entry)) ?? [];
      });
      if (results.length > 0) await this.#publish(batch, results);
      await this.#commit(batch, kept);
    } catch (error) {
      this.#kept.delete(batch.partition);
      throw error;
    }
  }

  async #keptOf(batch: Batch): Promise<Kept> {
    const known = this.#kept.get(batch.partition);
    if (known !== undefined && batch.assignment === null) return known;
    if (batch.assignment === null) throw new SluiceError('BUS_ASSIGNMENT_LOST', 'a batch of an assignment given up');
    const ended = await this.#until(batch, () => this.#endedBefore(batch.partition));
    const committed = batch.assignment.committed?.offset ?? null;
    const kept = { pending: new PendingCommands(ended), over: new WeakSet<Command>(), position: 0, committed };
    this.#kept.set(batch.partition, kept);
    return kept;
  }

  /** Names of the commands whose end was told last. */
  async #endedBefore(partition: number): Promise<string[]> {
    const { bus, topics } = this.#context;
    const { endOffset } = await bus.read(topics.commandResults, partition, 0, 0);
    if (endOffset === 0) return [];
    const from = Math.max(0, endOffset - maxEnded);
    const { records } = await bus.read(topics.commandResults, partition, from, maxEnded);
    return records.map(({ key, headers: given }) => nameOf({ key, id: given[headers.commandId] ?? '' }));
  }

  async #publish(batch: Batch, results: readonly CommandResult[]): Promise<void> {
    const { bus, topics, log } = this.#context;
    const records = results.map((result) => resultRecord(result, batch.partition));
    await this.#until(batch, async () => {
      try {
        await bus.append(topics.commandResults, records);
      } catch (error) {
        if (!(error instanceof RecordsRefusedError)) throw error;
        log.error({ error: error.message }, 'the bus refuses results of commands');
      }
    });
    for (const { result } of results) count(this.ended, result);
  }

  /** A commit that fails in an outage is made good by the next one. */
  async #commit(batch: Batch, kept: Kept): Promise<void> {
    const offset = kept.pending.firstOffset ?? kept.position;
    if (offset === kept.committed) return;
    try {
      await batch.commit(offset, '');
      kept.committed = offset;
    } catch (error) {
      if (!isSluiceError(error, 'BUS_UNAVAILABLE')) throw error;
      this.#context.log.debug({ error: messageOf(error) }, 'what was decided on commands could not be committed yet');
    }
  }

  /** Until it succeeds, as long as the partition is ours and we are not closing. */
  async #until<T>(batch: Batch, attempt: () => Promise<T>): Promise<T> {
    const { clock, log } = this.#context;
    for (;;) {
      await batch.heartbeat();
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof SluiceError) || !error.retriable) throw error;
        log.debug({ partition: batch.partition, error: error.message }, 'deciding on commands waits for the bus');
      }
      if (this.#closing.signal.aborted) throw new SluiceError('BUS_ASSIGNMENT_LOST', 'closing during an outage');
      await clock.sleep(pauseMs, this.#closing.signal);
    }
  }

  #ours(): Kept[] {
    return (this.#consumption?.assigned() ?? []).flatMap((partition) => this.#kept.get(partition) ?? []);
  }

  #sweep(): void {
    const { say, instance, clock } = this.#context;
    const nowMs = clock.nowMs();
    for (const { pending, over } of this.#ours()) {
      for (const command of pending.all()) {
        if (over.has(command) || nowMs < command.expiresAtMs + graceMs) continue;
        over.add(command);
        say(outcomeRecord(command, command.isNow ? 'offline' : 'expired', instance, nowMs));
      }
    }
  }
}
