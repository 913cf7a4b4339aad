/** What is asked of the two threads of the embedded store. */
import type { Fields } from '../../core/reading.ts';
import type {
  HistoryPoint,
  HistoryQuery,
  NewestReading,
  Refusal,
  RollupEvery,
  RollupPoint,
  StoredReading,
  StoredWindow,
  WindowsQuery,
} from '../port.ts';

/** A point as it crosses to the writer: its series as text. */
export interface PointRow {
  readonly key: string;
  readonly fields: Fields;
  readonly timeUs: number;
  readonly k: number;
}

/** Points older than these go; `null` = none do. Microseconds. */
export interface Cutoffs {
  readonly raw: number | null;
  readonly rollup: number | null;
}

export interface WriterCalls {
  write(rows: readonly PointRow[]): Refusal[];
  /** Deletes what is older; returns how many points. */
  sweep(cutoffs: Cutoffs): number;
  ping(): void;
}

export interface ReaderCalls {
  history(query: HistoryQuery): HistoryPoint[];
  rollups(query: HistoryQuery, every: RollupEvery): RollupPoint[];
  newest(sinceMs: number, limit: number): NewestReading[];
  readings(site: string, device: string, fromMs: number, toMs: number): StoredReading[];
  windows(query: WindowsQuery): StoredWindow[];
}
