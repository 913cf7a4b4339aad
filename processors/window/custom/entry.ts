/** What an entry of `windows:` is for all devices. */
import type { Series } from '../../../store/port.ts';
import type { FieldFilter } from './field-filter.ts';
import type { Grid } from './grid.ts';
import type { Plan } from './totals.ts';

export interface Entry {
  /** The measurement. */
  readonly name: string;
  readonly filter: FieldFilter;
  readonly plan: Plan;
}

export interface SlicedEntry extends Entry {
  /** Of slices. */
  readonly grid: Grid;
  /** From the start of a window to the start of its last slice: 0 for tumbling windows. */
  readonly spanUs: number;
}

export interface SessionEntry extends Entry {
  readonly gapUs: number;
}

/** At the bound further fields of a device are in no window of the entry, until others are gone from them. */
export const maxFieldsPerDevice = 1024;

export function customSeries(name: string, site: string, device: string, field: string): Series {
  return { bucket: 'rollup', measurement: name, tags: { site, device, field } };
}
