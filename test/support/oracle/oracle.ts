/**
 * What must come out of a raw partition, the slow and obvious way: every reading that counts is kept in one array per
 * device, and whatever is told is found among all of them by sorting and filtering. Written from `docs/processing.md`
 * alone; imports nothing of the processor.
 */
import type { Fields } from '../../../core/reading.ts';
import { AlignedWindows, kindOfUser, levelKind } from './aligned.ts';
import type { CaseConfig } from './config.ts';
import { type Emission, Emissions } from './emissions.ts';
import type { Sent, StreamEvent } from './events.ts';
import { type AlertFacts, DeviceRules } from './rules.ts';
import { Sessions } from './sessions.ts';
import { States } from './states.ts';
import type { CountedReading, Windower } from './windower.ts';

const minuteUs = 60_000_000;
const oldestUs = Date.UTC(2000) * 1000;

/** A reading as it is stored raw. */
export interface Accepted {
  readonly device: string;
  readonly timeUs: number;
  readonly fields: Fields;
}

/** What one event leads to, each list in order. */
export interface Outcome {
  readonly accepted: Accepted[];
  readonly late: Accepted[];
  readonly duplicates: number;
  readonly deadLetters: string[];
  readonly emissions: Emission[];
  readonly alerts: AlertFacts[];
}

/** An outcome per event; with `flush` one more, of the end of the input. */
export function outcomesOf(events: readonly StreamEvent[], config: CaseConfig, flush: boolean): Outcome[] {
  const partition = new Partition(config);
  const outcomes = events.map((event) => partition.take(event));
  if (flush) outcomes.push(partition.end());
  return outcomes;
}

interface Device {
  readonly name: string;
  /** Readings that count, in order of arrival. */
  readonly counted: (CountedReading & { readonly seq: number | null; readonly hasTime: boolean })[];
  readonly windowers: readonly Windower[];
  readonly rules: DeviceRules;
  newestUs: number;
  lastSeenMs: number;
}

class Partition {
  readonly #config: CaseConfig;
  readonly #devices = new Map<string, Device>();
  /** Of the gateway's counter: one that is not above it was appended before. */
  #appended = -1;
  #clockMs = 0;
  #emissions: Emission[] = [];
  #alerts: AlertFacts[] = [];

  constructor(config: CaseConfig) {
    this.#config = config;
  }

  take(event: StreamEvent): Outcome {
    const outcome = this.#outcome();
    this.#moveClock(event.atMs);
    if (event.kind === 'tick' || event.appended <= this.#appended) return outcome;
    this.#appended = event.appended;
    if (event.kind === 'garbage') return { ...outcome, deadLetters: ['not_json'] };
    return this.#reading(event, outcome);
  }

  end(): Outcome {
    const outcome = this.#outcome();
    for (const device of this.#devices.values()) this.#closeAll(device);
    return outcome;
  }

  #outcome(): Outcome {
    this.#emissions = [];
    this.#alerts = [];
    const lists = { emissions: this.#emissions, alerts: this.#alerts };
    return { accepted: [], late: [], duplicates: 0, deadLetters: [], ...lists };
  }

  #reading(event: Sent, outcome: Outcome): Outcome {
    const { atMs, seq, fields } = event;
    const timeUs = event.timeUs ?? atMs * 1000;
    if (timeUs > (atMs + this.#config.maxFutureMs) * 1000) return { ...outcome, deadLetters: ['future'] };
    if (timeUs < oldestUs) return { ...outcome, deadLetters: ['too_old'] };
    const device = this.#deviceOf(event.device);
    device.lastSeenMs = this.#clockMs;
    const reading = { device: device.name, timeUs, fields };
    if (timeUs < this.#horizonUs(device)) return { ...outcome, accepted: [reading], late: [reading] };
    if (isDuplicate(device, event)) return { ...outcome, duplicates: 1 };
    device.counted.push({ timeUs, seq, fields, hasTime: event.timeUs !== null });
    this.#count(device, timeUs);
    return { ...outcome, accepted: [reading] };
  }

  #count(device: Device, timeUs: number): void {
    const { counted, windowers, rules } = device;
    for (const windower of windowers) windower.onReading(counted, this.#watermarkUs(device));
    rules.onReading(counted.at(-1)!);
    if (timeUs <= device.newestUs) return;
    device.newestUs = timeUs;
    for (const windower of windowers) windower.onWatermark(counted, this.#watermarkUs(device));
  }

  #watermarkUs({ newestUs }: Device): number {
    return newestUs - this.#config.outOfOrdernessMs * 1000;
  }

  /** What is before it is late. */
  #horizonUs(device: Device): number {
    return Math.floor((this.#watermarkUs(device) - this.#config.latenessMs * 1000) / minuteUs) * minuteUs;
  }

  /** The largest timestamp; each new second of it looks for silence. */
  #moveClock(timestampMs: number): void {
    if (timestampMs <= this.#clockMs) return;
    const isNewSecond = Math.floor(timestampMs / 1000) > Math.floor(this.#clockMs / 1000);
    this.#clockMs = timestampMs;
    if (!isNewSecond) return;
    const { idleAfterMs, forgetAfterMs, outOfOrdernessMs } = this.#config;
    for (const device of [...this.#devices.values()]) {
      const silentMs = this.#clockMs - device.lastSeenMs;
      if (silentMs >= forgetAfterMs) {
        this.#closeAll(device);
        device.rules.onForgotten(this.#clockMs);
        this.#devices.delete(device.name);
      } else if (silentMs >= idleAfterMs) {
        const untilUs = (this.#clockMs - outOfOrdernessMs) * 1000;
        for (const windower of device.windowers) windower.onSilence(device.counted, untilUs);
      }
    }
  }

  #closeAll({ windowers, counted }: Device): void {
    for (const windower of windowers) windower.onEnd(counted);
  }

  #deviceOf(name: string): Device {
    const known = this.#devices.get(name);
    if (known !== undefined) return known;
    const emissions = new Emissions((emission) => this.#emissions.push(emission));
    const rules = new DeviceRules(this.#config.rules, name, (alert) => this.#alerts.push(alert));
    const windowers = windowersOf(this.#config, name, emissions);
    const device = { name, counted: [], windowers, rules, newestUs: Number.NEGATIVE_INFINITY, lastSeenMs: 0 };
    this.#devices.set(name, device);
    return device;
  }
}

/** Known by time, seq and content; one without a time of its own by seq and content, if it has a seq. */
function isDuplicate({ counted }: Device, { timeUs, seq, fields }: Sent): boolean {
  return counted.some((known) => {
    const mayBe = timeUs === null ? seq !== null && !known.hasTime : known.timeUs === timeUs;
    return mayBe && known.seq === seq && contentOf(known.fields) === contentOf(fields);
  });
}

function contentOf(fields: Fields): string {
  return JSON.stringify(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function windowersOf(config: CaseConfig, device: string, emissions: Emissions): Windower[] {
  const { rollups, timeZone, states, windows } = config;
  return [
    ...rollups.map((level) => new AlignedWindows(levelKind(level, timeZone), device, emissions)),
    ...windows.map((window) =>
      window.type === 'session'
        ? new Sessions(window, device, emissions)
        : new AlignedWindows(kindOfUser(window, config), device, emissions),
    ),
    ...(states ? [new States(device, emissions)] : []),
  ];
}
