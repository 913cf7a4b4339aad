/** The windows of the user and the states, in the order in which a device has them. */
import type { WindowSpec } from '../../../core/windows-config.ts';
import { stateMinutes } from '../states.ts';
import type { WindowerKind } from '../windower.ts';
import { FieldFilter } from './field-filter.ts';
import { gridOf } from './grid.ts';
import { SessionWindows } from './sessions.ts';
import { SlicedWindows } from './sliced.ts';
import { Plan } from './totals.ts';

export function windowersOf(specs: readonly WindowSpec[], timeZone: string, states: boolean): readonly WindowerKind[] {
  return [...(states ? [stateMinutes] : []), ...specs.map((spec) => kindOf(spec, timeZone))];
}

function kindOf(spec: WindowSpec, timeZone: string): WindowerKind {
  const { name } = spec;
  const filter = new FieldFilter(spec.fields);
  const plan = new Plan(spec.aggregates);
  if (spec.type === 'session') {
    const entry = { name, filter, plan, gapUs: spec.gap * 1000 };
    return {
      fingerprint: JSON.stringify(spec),
      make: (site, device, emit) => new SessionWindows(entry, site, device, emit),
    };
  }
  const sizeUs = spec.size * 1000;
  const sliceUs = spec.type === 'hopping' ? spec.advance * 1000 : sizeUs;
  const entry = { name, filter, plan, grid: gridOf(sliceUs, timeZone), spanUs: sizeUs - sliceUs };
  return {
    fingerprint: JSON.stringify([spec, timeZone]),
    make: (site, device, emit) => new SlicedWindows(entry, site, device, emit),
  };
}
