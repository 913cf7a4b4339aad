/** What the windows of all entries have in common. */
import type { Series } from '../../../store/port.ts';

/** At the bound further fields of a device are in no window of the entry. */
export const maxFieldsPerWindow = 1024;

export function customSeries(name: string, site: string, device: string, field: string): Series {
  return { bucket: 'rollup', measurement: name, tags: { site, device, field } };
}
