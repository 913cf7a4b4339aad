/**
 * What cuts the readings of one device into windows and puts out their points. A device has a list of them, made once
 * from the configuration; every one hears of every reading that is not late, and of every move of the watermark.
 */
import type { Reading } from '../../core/reading.ts';
import type { Point } from '../../store/port.ts';
import type { StateReader, StateWriter } from '../codec.ts';

export interface Windower {
  /** A reading that is not late; `watermarkUs` is that before it. */
  add(reading: Reading, watermarkUs: number): void;
  /** The watermark has moved: closes what it passed, drops what ends by `horizonUs` and so is settled. */
  advance(watermarkUs: number, horizonUs: number): void;
  /** The device is silent: closes what has been over by `untilUs`, but may still go on. */
  closeProvisionally(untilUs: number): void;
  /** Nothing more will come: closes everything for good. */
  finalise(): void;
  save(to: StateWriter): void;
  load(from: StateReader): void;
}

export type Emit = (point: Point) => void;

/** One entry of the configuration: the same for all devices. */
export interface WindowerKind {
  /** Names what the saved state means: state saved under another fingerprint is dropped, and this one starts anew. */
  readonly fingerprint: string;
  make(site: string, device: string, emit: Emit): Windower;
}
