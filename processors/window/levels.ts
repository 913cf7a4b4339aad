/** The levels of rollups: 1m → 1h → 1d, each made from the one below. Windows are told in whole minutes since the epoch. */
import type { RollupEvery } from '../../store/port.ts';
import type { ProcessingOptions } from '../options.ts';
import { minuteUs } from './minute.ts';
import { daysIn } from './time-zone.ts';
import type { WindowHead } from './window.ts';

export interface Level {
  readonly every: RollupEvery;
  /** Whether its rollups are put out; else it only serves the level above. */
  readonly isWritten: boolean;
  /** Start of the window that a minute is in. */
  startOf(minute: number): number;
  /** End of the window that a minute is in, exclusive. */
  endOf(minute: number): number;
}

export const [minutes, hours, days] = [0, 1, 2] as const;

/** From minutes up to the highest that is written. */
export function levelsOf({ rollups, timeZone }: Pick<ProcessingOptions, 'rollups' | 'timeZone'>): readonly Level[] {
  const local = daysIn(timeZone);
  const level = (every: RollupEvery, startOf: Level['startOf'], endOf: Level['endOf']): Level => ({
    every,
    isWritten: rollups.includes(every),
    startOf,
    endOf,
  });
  const all = [
    level(
      '1m',
      (minute) => minute,
      (minute) => minute + 1,
    ),
    level('1h', startOfHour, (minute) => startOfHour(minute) + 60),
    level(
      '1d',
      (minute) => local.startUs(minute * minuteUs) / minuteUs,
      (minute) => local.endUs(minute * minuteUs) / minuteUs,
    ),
  ];
  return all.slice(0, all.findLastIndex(({ isWritten }) => isWritten) + 1);
}

/**
 * Of which level the parts of a window are. A day is made from its hours, but where it begins or ends within an hour,
 * because the offset of its zone is not a whole number of them, from its minutes.
 */
export function partsLevel({ level, start, end }: Omit<WindowHead, 'state'>): number {
  if (level === days && (start % 60 !== 0 || end % 60 !== 0)) return minutes;
  return level - 1;
}

function startOfHour(minute: number): number {
  return minute - (minute % 60);
}
