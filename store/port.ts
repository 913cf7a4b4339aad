/**
 * The time-series store: idempotent points. Writing the same point twice equals writing it once. Adapters: `embedded`
 * (SQLite) and `influx`. The comments are the contract; `test/contracts/store.ts` holds every adapter to it.
 */
import type { Fields, FieldValue } from '../core/reading.ts';

/** Raw readings and rollups are kept apart, because they are kept for different times. Alerts are beside the raw ones. */
export type Bucket = 'raw' | 'rollup';

/**
 * Where points belong. Keep one object per series and reuse it: adapters cache by its identity. Tags are bounded and
 * nothing volatile (process, offset) is a tag, so that a redelivery overwrites its own point.
 */
export interface Series {
  readonly bucket: Bucket;
  readonly measurement: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** Identity: series and time. The time in nanoseconds is `timeUs * 1000 + k`. */
export interface Point {
  readonly series: Series;
  /** Always all fields of its measurement where it has a fixed set; at least one. Numbers are floats. */
  readonly fields: Fields;
  /** Integer microseconds since the epoch. */
  readonly timeUs: number;
  /** 0..999: tells different readings of one device at one time apart. */
  readonly k: number;
}

/** Why a point can never be stored: a closed list. */
export const refusalReasons = ['type_conflict', 'beyond_retention', 'too_large', 'invalid_point'] as const;
export type RefusalReason = (typeof refusalReasons)[number];

export interface Refusal {
  /** Index into the points of the write. */
  readonly index: number;
  readonly reason: RefusalReason;
  /** What the store said. */
  readonly message: string;
}

export interface HistoryQuery {
  readonly site: string;
  readonly device: string;
  readonly field: string;
  /** Inclusive, ms. */
  readonly fromMs: number;
  /** Exclusive, ms. */
  readonly toMs: number;
  /** The newest `limit` points of the range are returned, oldest first. */
  readonly limit: number;
}

export interface HistoryPoint {
  /** Milliseconds, fractional where the point is finer. */
  readonly timeMs: number;
  readonly value: FieldValue;
}

export interface RollupPoint {
  /** Start of the window, ms. */
  readonly timeMs: number;
  readonly fields: Fields;
}

/** Name of a rollup's measurement is `rollup_` + this. */
export type RollupEvery = '1m' | '1h' | '1d';

export interface NewestReading {
  readonly site: string;
  readonly device: string;
  /** Time of the newest reading, ms. */
  readonly timeMs: number;
  /** The newest value of each field. */
  readonly fields: Fields;
}

export interface WindowsQuery {
  /** Of the rollup bucket. */
  readonly measurement: string;
  readonly site: string;
  readonly device: string;
  /** Of this field alone; without it of all. */
  readonly field?: string;
  /** Of the starts of windows; inclusive, ms. */
  readonly fromMs: number;
  /** Exclusive, ms. */
  readonly toMs: number;
  /** The newest so many of the range; without it all. */
  readonly limit?: number;
}

/** The point of a window as it is stored. */
export interface StoredWindow {
  readonly tags: Readonly<Record<string, string>>;
  /** Its start, integer microseconds. */
  readonly timeUs: number;
  readonly fields: Fields;
}

/** A raw point as it is stored. */
export interface StoredReading {
  /** Integer microseconds. */
  readonly timeUs: number;
  readonly k: number;
  readonly fields: Fields;
}

export interface Store {
  readonly kind: 'embedded' | 'influx';

  /** Connects; rejects with STORE_UNAVAILABLE when it cannot within `startTimeoutMs` (adapter option). Idempotent. */
  start(): Promise<void>;
  /** Idempotent; waits for writes under way. */
  close(): Promise<void>;
  /** Resolves when the store answers now, rejects with what is wrong: for readiness. */
  ping(): Promise<void>;
  /** Creates what is missing (buckets with their retention); returns what it created, in words. */
  setup(): Promise<string[]>;

  /**
   * Resolves when every point is stored, but for those it names: they can never be, each with a reason. Rejects with
   * StoreUnavailableError on anything that is not the points' fault: write the same points again. The adapter does
   * not retry. There is no timeout for the answer while the connection lives: an abandoned request could land after
   * its successor and undo it; so keep one write per partition outstanding.
   */
  write(points: readonly Point[]): Promise<readonly Refusal[]>;

  /** Raw values of one field of one device. */
  history(query: HistoryQuery): Promise<HistoryPoint[]>;
  /** Rollups of one field of one device. */
  rollups(query: HistoryQuery, every: RollupEvery): Promise<RollupPoint[]>;
  /** The newest reading of each device heard of since `sinceMs`, at most `limit` devices, newest first. */
  newest(sinceMs: number, limit: number): Promise<NewestReading[]>;
  /** Every stored reading of one device in the range, oldest first: for proofs and for recomputing, not for pages. */
  readings(site: string, device: string, fromMs: number, toMs: number): Promise<StoredReading[]>;
  /** What is stored of the windows of one device, oldest first. Without a limit for explaining and for recomputing, not for pages. */
  windows(query: WindowsQuery): Promise<StoredWindow[]>;
}
