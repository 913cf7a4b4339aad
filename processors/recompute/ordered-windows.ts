/**
 * The windows of one device over readings in the order of their time: the ones of the processor, but none of them waits
 * for a reading that is late. A window is closed for good, and let go of, when the next minute begins.
 */
import type { Reading } from '../../core/reading.ts';
import type { Point, StoredReading } from '../../store/port.ts';
import type { ProcessingOptions } from '../options.ts';
import { windowersOf } from '../window/custom/windowers.ts';
import { levelsOf } from '../window/levels.ts';
import { minuteStartUs } from '../window/minute.ts';
import { DeviceRollups } from '../window/rollups.ts';
import type { Windower } from '../window/windower.ts';

export class OrderedWindows {
  readonly #site: string;
  readonly #device: string;
  readonly #rollups: DeviceRollups;
  readonly #windowers: readonly Windower[];
  #points: Point[] = [];
  #minuteUs = Number.NEGATIVE_INFINITY;

  constructor(site: string, device: string, options: ProcessingOptions) {
    const emit = (point: Point) => this.#points.push(point);
    this.#site = site;
    this.#device = device;
    this.#rollups = new DeviceRollups(site, device, levelsOf(options), emit);
    this.#windowers = windowersOf(options.windows ?? [], options.timeZone, options.states).map((kind) =>
      kind.make(site, device, emit),
    );
  }

  /** Takes the next reading. */
  add({ timeUs, fields }: StoredReading): void {
    const startUs = minuteStartUs(timeUs);
    if (startUs > this.#minuteUs) this.#advance(startUs);
    const [site, device] = [this.#site, this.#device];
    const reading: Reading = { site, device, timeUs, seq: null, fields, receivedAtMs: 0, clock: 'device' };
    if (this.#rollups.add(reading, startUs) === 'too_many_fields') return;
    for (const windower of this.#windowers) windower.add(reading, startUs);
  }

  finish(): void {
    this.#rollups.finalise();
    for (const windower of this.#windowers) windower.finalise();
  }

  /** The points of windows that were closed since the last call. */
  take(): Point[] {
    const points = this.#points;
    this.#points = [];
    return points;
  }

  #advance(minuteStartUs: number): void {
    this.#minuteUs = minuteStartUs;
    this.#rollups.advance(minuteStartUs, minuteStartUs);
    for (const windower of this.#windowers) windower.advance(minuteStartUs, minuteStartUs);
  }
}
