/**
 * The store in one SQLite file (WAL, fsync at each commit): a thread that writes, one that reads. Several processes may
 * share the file.
 */
import type { Clock } from '../core/clock.ts';
import { messageOf, StoreUnavailableError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { PointRow, ReaderCalls, WriterCalls } from './embedded/calls.ts';
import { seriesKey } from './embedded/series-key.ts';
import { StoreThread } from './embedded/thread.ts';
import type {
  HistoryPoint,
  HistoryQuery,
  NewestReading,
  Point,
  Refusal,
  RollupEvery,
  RollupPoint,
  Series,
  Store,
  StoredReading,
  StoredWindow,
  WindowsQuery,
} from './port.ts';
import { type Fault, PointValidator } from './validity.ts';

export interface EmbeddedStoreOptions {
  /** Path of the database; its folder exists. */
  readonly file: string;
  /** Age at which points go; `null` = never. */
  readonly retention: { readonly rawMs: number | null; readonly rollupMs: number | null };
  readonly clock: Clock;
  readonly log: Logger;
}

const sweepEveryMs = 300_000;

export class EmbeddedStore implements Store {
  readonly kind = 'embedded';
  readonly #options: EmbeddedStoreOptions;
  readonly #writer: StoreThread<WriterCalls>;
  readonly #reader: StoreThread<ReaderCalls>;
  readonly #validator = new PointValidator();
  readonly #keys = new WeakMap<Series, string>();
  readonly #writesUnderWay = new Set<Promise<unknown>>();
  #starting: Promise<void> | null = null;
  #closing: Promise<void> | null = null;
  #sweeping: Promise<void> | null = null;
  #stopSweeping = () => {};

  constructor(options: EmbeddedStoreOptions) {
    this.#options = options;
    this.#writer = new StoreThread('writer', options.file);
    this.#reader = new StoreThread('reader', options.file);
  }

  start(): Promise<void> {
    this.#starting ??= this.#open();
    return this.#starting;
  }

  close(): Promise<void> {
    this.#closing ??= this.#shut();
    return this.#closing;
  }

  ping(): Promise<void> {
    return this.#writer.call('ping');
  }

  /** The file and its tables come with the first call. */
  async setup(): Promise<string[]> {
    return [];
  }

  async write(points: readonly Point[]): Promise<readonly Refusal[]> {
    if (this.#closing !== null) throw new StoreUnavailableError('the store is closed');
    const writing = this.#write(points);
    this.#writesUnderWay.add(writing);
    try {
      return await writing;
    } finally {
      this.#writesUnderWay.delete(writing);
    }
  }

  history(query: HistoryQuery): Promise<HistoryPoint[]> {
    return this.#reader.call('history', query);
  }

  rollups(query: HistoryQuery, every: RollupEvery): Promise<RollupPoint[]> {
    return this.#reader.call('rollups', query, every);
  }

  newest(sinceMs: number, limit: number): Promise<NewestReading[]> {
    return this.#reader.call('newest', sinceMs, limit);
  }

  readings(site: string, device: string, fromMs: number, toMs: number): Promise<StoredReading[]> {
    return this.#reader.call('readings', site, device, fromMs, toMs);
  }

  windows(query: WindowsQuery): Promise<StoredWindow[]> {
    return this.#reader.call('windows', query);
  }

  async #open(): Promise<void> {
    try {
      await this.#writer.call('ping');
    } catch (error) {
      this.#starting = null;
      throw error;
    }
    this.#stopSweeping = this.#options.clock.every(sweepEveryMs, () => this.#sweep());
  }

  async #shut(): Promise<void> {
    this.#stopSweeping();
    await Promise.allSettled([...this.#writesUnderWay, this.#sweeping]);
    await Promise.allSettled([this.#reader.close(), this.#writer.close()]);
  }

  async #write(points: readonly Point[]): Promise<Refusal[]> {
    const refusals: Refusal[] = [];
    const rows: PointRow[] = [];
    /** Of each row: its index among the points of the write. */
    const indexes: number[] = [];
    const oldestUs = this.#oldestUs();
    points.forEach((point, index) => {
      const fault = this.#validator.fault(point) ?? tooOld(point, oldestUs[point.series.bucket]);
      if (fault !== null) {
        refusals.push({ index, ...fault });
        return;
      }
      rows.push({ key: this.#key(point.series), fields: point.fields, timeUs: point.timeUs, k: point.k });
      indexes.push(index);
    });
    if (rows.length > 0) {
      const refused = await this.#writer.call('write', rows);
      for (const refusal of refused) refusals.push({ ...refusal, index: indexes[refusal.index]! });
    }
    return refusals.sort((a, b) => a.index - b.index);
  }

  #key(series: Series): string {
    let key = this.#keys.get(series);
    if (key === undefined) {
      key = seriesKey(series);
      this.#keys.set(series, key);
    }
    return key;
  }

  /** Points before these times are beyond retention. */
  #oldestUs(): { raw: number | null; rollup: number | null } {
    const { clock, retention } = this.#options;
    const before = (keepMs: number | null) => (keepMs === null ? null : (clock.nowMs() - keepMs) * 1000);
    return { raw: before(retention.rawMs), rollup: before(retention.rollupMs) };
  }

  #sweep(): void {
    this.#sweeping ??= this.#writer
      .call('sweep', this.#oldestUs())
      .then((deleted) => {
        if (deleted > 0) this.#options.log.debug({ deleted }, 'deleted points beyond retention');
      })
      .catch((error) => {
        this.#options.log.warn({ error: messageOf(error) }, 'retention could not delete; it tries again');
      })
      .finally(() => {
        this.#sweeping = null;
      });
  }
}

function tooOld(point: Point, oldestUs: number | null): Fault | null {
  if (oldestUs === null || point.timeUs >= oldestUs) return null;
  return { reason: 'beyond_retention', message: `time ${point.timeUs} µs is before ${oldestUs} µs, the oldest kept` };
}
