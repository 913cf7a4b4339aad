/** Drives the windowers of one device as the device does: its own readings move watermark and horizon. */
import type { Fields } from '../../core/reading.ts';
import { windowsSchema } from '../../core/windows-config.ts';
import { StateReader, StateWriter } from '../../processors/codec.ts';
import { windowersOf } from '../../processors/window/custom/windowers.ts';
import { stateMinutes } from '../../processors/window/states.ts';
import type { Windower, WindowerKind } from '../../processors/window/windower.ts';
import type { Point } from '../../store/port.ts';
import { startMs } from './records.ts';

/** The windower of one entry of `windows:`. */
export function windowOf(entry: object, timeZone = 'UTC'): WindowerKind {
  return windowersOf(windowsSchema.parse([{ name: 'w', ...entry }]), timeZone, false)[0]!;
}

export const states = stateMinutes;

export interface Told {
  /** Start of the window, seconds since `startMs`. */
  readonly at: number;
  readonly field: string;
  readonly state?: string;
  readonly fields: Fields;
}

export class Driver {
  readonly #kind: WindowerKind;
  readonly #outOfOrdernessUs: number;
  readonly #latenessUs: number;
  #windower: Windower;
  #newestUs = Number.NEGATIVE_INFINITY;
  #horizonUs = Number.NEGATIVE_INFINITY;
  #told: Told[] = [];

  constructor(kind: WindowerKind, { outOfOrderness = 5, lateness = 600 } = {}) {
    this.#kind = kind;
    this.#outOfOrdernessUs = outOfOrderness * 1e6;
    this.#latenessUs = lateness * 1e6;
    this.#windower = this.#make();
  }

  /** Seconds since `startMs`; `false` when it is late. */
  read(at: number, fields: Fields): boolean {
    const timeUs = startMs * 1000 + Math.round(at * 1e6);
    if (timeUs < this.#horizonUs) return false;
    const reading = {
      site: 'lab',
      device: 's1',
      timeUs,
      seq: null,
      fields,
      receivedAtMs: startMs,
      clock: 'device' as const,
    };
    this.#windower.add(reading, this.#newestUs - this.#outOfOrdernessUs);
    if (timeUs > this.#newestUs) {
      this.#newestUs = timeUs;
      const watermarkUs = timeUs - this.#outOfOrdernessUs;
      this.#horizonUs = Math.floor((watermarkUs - this.#latenessUs) / 60e6) * 60e6;
      this.#windower.advance(watermarkUs, this.#horizonUs);
    }
    return true;
  }

  /** Nothing was heard until then. */
  silence(at: number): void {
    this.#windower.closeProvisionally(startMs * 1000 + at * 1e6);
  }

  finish(): void {
    this.#windower.finalise();
  }

  /** What was put out since the last call. */
  told(): Told[] {
    const told = this.#told;
    this.#told = [];
    return told;
  }

  /** Goes on from its own snapshot. */
  restart(): void {
    const bytes = this.save();
    this.#windower = this.#make();
    this.#windower.load(new StateReader(bytes));
  }

  /** Its entry is new, and the device is not. */
  startAnew(): void {
    this.#windower = this.#make();
  }

  save(): Buffer {
    const to = new StateWriter();
    this.#windower.save(to);
    return to.finish();
  }

  #make(): Windower {
    return this.#kind.make('lab', 's1', (point) => this.#told.push(toldOf(point)));
  }
}

function toldOf({ series, timeUs, fields }: Point): Told {
  const { field, state } = series.tags;
  return { at: (timeUs - startMs * 1000) / 1e6, field: field!, ...(state === undefined ? {} : { state }), fields };
}
