/**
 * What is written of windows under a configuration: the measurements, and where the windows of each lie in time. For who
 * asks from outside of them: in which windows a reading would have been that came too late, and which ones a range of
 * time has to do with.
 */
import type { FieldValue, Reading } from '../../core/reading.ts';
import type { WindowSpec } from '../../core/windows-config.ts';
import type { RollupEvery } from '../../store/port.ts';
import type { ProcessingOptions } from '../options.ts';
import { FieldFilter } from './custom/field-filter.ts';
import { dayUs, type Grid, gridOf } from './custom/grid.ts';
import { minuteUs } from './minute.ts';

/** Windows whose borders are those of the clock. Each is of the pieces of `grid` that begin within `spanUs` of its start. */
export interface Aligned {
  readonly grid: Grid;
  readonly spanUs: number;
}

/** Windows whose borders are those of the readings. */
export interface Sessions {
  readonly gapUs: number;
}

export interface Measurement {
  readonly name: string;
  /** `null`: no level of rollups. */
  readonly every: RollupEvery | null;
  readonly windows: Aligned | Sessions;
  /** Whether a field with such a value is in its windows. */
  readonly isFor: (field: string, value: FieldValue) => boolean;
}

/** Windows of one measurement that hold a moment, one after the other. */
export interface WindowRun {
  readonly measurement: Measurement;
  /** Of the first of them. */
  readonly startUs: number;
  /** Of the last of them, exclusive. */
  readonly endUs: number;
  readonly count: number;
}

export const stateMeasurement = 'state_1m';
const levelLengthsUs: Readonly<Record<RollupEvery, number>> = { '1m': minuteUs, '1h': 60 * minuteUs, '1d': dayUs };

/** All that are written, levels first. */
export function measurementsOf(options: ProcessingOptions): readonly Measurement[] {
  const { rollups, timeZone, states, windows = [] } = options;
  const everies = (['1m', '1h', '1d'] as const).filter((every) => rollups.includes(every));
  return [
    ...everies.map((every) => ({
      name: `rollup_${every}`,
      every,
      windows: { grid: gridOf(levelLengthsUs[every], timeZone), spanUs: 0 },
      isFor: isNumber,
    })),
    ...(states
      ? [
          {
            name: stateMeasurement,
            every: null,
            windows: { grid: gridOf(minuteUs, timeZone), spanUs: 0 },
            isFor: (field: string, value: FieldValue) => !isNumber(field, value),
          },
        ]
      : []),
    ...windows.map((spec) => {
      const filter = new FieldFilter(spec.fields);
      return {
        name: spec.name,
        every: null,
        windows: spec.type === 'session' ? { gapUs: spec.gap * 1000 } : alignedOf(spec, timeZone),
        isFor: (field: string, value: FieldValue) => isNumber(field, value) && filter.matches(field),
      };
    }),
  ];
}

/** The windows that a reading is in, or would be; of sessions the one that it would be by itself. */
export function windowsOf({ timeUs, fields }: Reading, measurements: readonly Measurement[]): WindowRun[] {
  const entries = Object.entries(fields);
  return measurements
    .filter(({ isFor }) => entries.some(([field, value]) => isFor(field, value)))
    .map((measurement) => ({ measurement, ...runAt(timeUs, measurement) }));
}

function runAt(timeUs: number, { windows }: Measurement): Omit<WindowRun, 'measurement'> {
  if ('gapUs' in windows) return { startUs: timeUs, endUs: timeUs + windows.gapUs, count: 1 };
  const { grid, spanUs } = windows;
  const lastUs = grid.startUs(timeUs);
  const pieceUs = grid.endUs(lastUs) - lastUs;
  return { startUs: lastUs - spanUs, endUs: grid.endUs(lastUs + spanUs), count: spanUs / pieceUs + 1 };
}

function alignedOf(spec: Exclude<WindowSpec, { type: 'session' }>, timeZone: string): Aligned {
  const sizeUs = spec.size * 1000;
  const pieceUs = spec.type === 'hopping' ? spec.advance * 1000 : sizeUs;
  return { grid: gridOf(pieceUs, timeZone), spanUs: sizeUs - pieceUs };
}

function isNumber(_field: string, value: FieldValue): boolean {
  return typeof value === 'number';
}
