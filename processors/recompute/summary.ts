/** What a run of `sluice recompute` did, by measurement. */

/** Why a point is left as it is, or not there. */
export const skippedReasons = {
  unsettled: 'a processor still has the window: it can correct it by itself',
  readings_gone: 'the window began before the oldest reading that the store keeps',
  more_was_counted: 'the stored point counts more readings than there are now',
  start_unknown: 'where the session begins is not known: there is no gap in what was read before it',
  cut_off: 'the window began before the oldest record that the bus still holds',
  refused: 'the store refuses the point',
} as const;
export type SkippedReason = keyof typeof skippedReasons;

/** Points of one measurement. */
export interface Counts {
  /** There was none before. */
  added: number;
  changed: number;
  unchanged: number;
  readonly skipped: Partial<Record<SkippedReason, number>>;
}

export interface Summary {
  readonly devices: number;
  /** Read from the store, or taken from the bus. */
  readonly readings: number;
  readonly measurements: Readonly<Record<string, Counts>>;
}

export class Tally {
  devices = 0;
  readings = 0;
  readonly #measurements = new Map<string, Counts>();

  of(measurement: string): Counts {
    let counts = this.#measurements.get(measurement);
    if (counts === undefined) {
      counts = { added: 0, changed: 0, unchanged: 0, skipped: {} };
      this.#measurements.set(measurement, counts);
    }
    return counts;
  }

  skip(measurement: string, reason: SkippedReason): void {
    const { skipped } = this.of(measurement);
    skipped[reason] = (skipped[reason] ?? 0) + 1;
  }

  summary(): Summary {
    const { devices, readings } = this;
    return { devices, readings, measurements: Object.fromEntries(this.#measurements) };
  }
}
