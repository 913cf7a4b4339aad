import type { Fields } from '../../../core/reading.ts';
import type { Bucket, Point, RollupEvery, Series, Store } from '../../../store/port.ts';

export interface Retention {
  readonly rawMs: number | null;
  readonly rollupMs: number | null;
}

/** A store with its data, apart from all others. */
export interface StoreUnderTest {
  /** Started and set up. */
  readonly store: Store;
  /** Another store object on the same data, started. */
  reopen(): Promise<Store>;
  /** Closes every store object and removes the data where it can. */
  dispose(): Promise<void>;
}

export type MakeStore = (retention: Retention) => Promise<StoreUnderTest>;

export const forEver: Retention = { rawMs: null, rollupMs: null };

export const hourMs = 3_600_000;

/** A time in the past, microseconds. */
export const baseUs = 1_700_000_000_000_000;

/** The range that holds every time of the suite. */
export const always = { fromMs: -1e13, toMs: 1e13 };

export function telemetry(site: string, device: string): Series {
  return { bucket: 'raw', measurement: 'telemetry', tags: { site, device } };
}

export function rollup(every: RollupEvery, site: string, device: string, field: string): Series {
  return { bucket: 'rollup', measurement: `rollup_${every}`, tags: { site, device, field } };
}

export function series(bucket: Bucket, measurement: string, tags: Record<string, string>): Series {
  return { bucket, measurement, tags };
}

export function point(of: Series, timeUs: number, fields: Fields, k = 0): Point {
  return { series: of, timeUs, fields, k };
}

let counted = 0;

/** A site that no other test writes to. */
export function freshSite(): string {
  counted += 1;
  return `site${counted}`;
}

/** A field that no other test writes: a field has one type in all of its measurement. */
export function freshField(): string {
  counted += 1;
  return `field${counted}`;
}
