/**
 * The whole flow of one raw partition, on one screen:
 *
 *   record ▸ clock ▸ tick? ▸ redelivery ▸ decode ▸ for each reading: plausible time ▸ lateness ▸ duplicate ▸ raw point
 *          ▸ window ▸ rules ▸ watermark (closes windows); and each new second of the clock: silence
 *
 * Synchronous and pure: what comes out depends on the records and their order alone, not on batches, restarts, the
 * machine's clock or chance. Nothing here does I/O; the runner carries records in and outputs out.
 */
import type { BusRecord } from '../bus/port.ts';
import type { Alert } from '../core/alert.ts';
import { count, emptyPartitionLedger, type PartitionLedger } from '../core/ledger.ts';
import { deviceKey, type Reading } from '../core/reading.ts';
import { type DeadLetterReason, type RejectedReason, rejectedReasons } from '../core/reasons.ts';
import { headers } from '../core/topics.ts';
import { StateReader, StateWriter } from './codec.ts';
import { Decoder, Ignored } from './decode/decoder.ts';
import { Undecodable } from './decode/undecodable.ts';
import { DUPLICATE, placeOfLate, TIME_FULL } from './dedup.ts';
import { Device, type DeviceContext, type SavedWindows } from './device.ts';
import { identityHash } from './identity.ts';
import type { ProcessingOptions } from './options.ts';
import { Outputs } from './outputs.ts';
import { Redelivery } from './redelivery.ts';
import { rfc3339 } from './rfc3339.ts';
import { endedAlert } from './rules/alerts.ts';
import type { Rule } from './rules/file.ts';
import { Silence } from './silence.ts';
import { type DeviceClock, SkewedClocks } from './skew.ts';
import { windowersOf } from './window/custom/windowers.ts';
import { days, levelsOf } from './window/levels.ts';
import { type Measurement, measurementsOf, windowsOf } from './window/measurements.ts';
import { minuteStartUs, minuteUs } from './window/minute.ts';

/** 2000-01-01: a device that says an earlier time has a clock that was never set. */
const oldestUs = 946_684_800_000_000;
/** At the bound the quietest tenth is finalised and forgotten, as after a long silence. */
export const maxDevices = 50_000;

export class Topology {
  readonly outputs = new Outputs();
  readonly ledger: PartitionLedger;
  /** Partition clock: the largest timestamp seen, ticks included. It only moves when records come. */
  clockMs = 0;
  readonly #options: ProcessingOptions;
  readonly #context: DeviceContext;
  readonly #measurements: readonly Measurement[];
  readonly #decoder = new Decoder();
  readonly #redelivery: Redelivery;
  readonly #silence: Silence;
  /** By record key, in order of first sight: what is done for all devices is done in this order. */
  readonly #devices = new Map<string, Device>();
  /** Which device clocks are off. Told to people; nothing that is put out depends on it. */
  readonly clocks = new SkewedClocks();
  /** Open alerts of rules that are not there any more; they end with the next second of the clock. */
  #orphans: Alert[] = [];
  #source!: BusRecord;

  constructor(options: ProcessingOptions, rules: readonly Rule[], firstOffset: number) {
    this.#options = options;
    this.#measurements = measurementsOf(options);
    this.#redelivery = new Redelivery(options.forgetAfterMs);
    this.#silence = new Silence(options.idleAfterMs);
    this.ledger = emptyPartitionLedger(firstOffset);
    this.#context = {
      options,
      rules,
      levels: levelsOf(options),
      windowers: windowersOf(options.windows ?? [], options.timeZone, options.states),
      emit: (rollup) => this.outputs.rollups.push(rollup),
      raise: (alert, timeUs) =>
        this.outputs.alerts.push({ alert, timeUs, sourceTimestampMs: this.#source.timestampMs }),
    };
  }

  get deviceCount(): number {
    return this.#devices.size;
  }

  /** By record key. To be looked at. */
  get devices(): ReadonlyMap<string, Device> {
    return this.#devices;
  }

  openAlerts(): Alert[] {
    return [...this.#orphans, ...this.#devices.values().flatMap(({ rules }) => rules.open())];
  }

  process(record: BusRecord): void {
    this.#source = record;
    const { ledger } = this;
    ledger.nextOffset = record.offset + 1;
    this.#moveClock(record.timestampMs);
    if (record.headers[headers.tick] !== undefined) ledger.ticks++;
    else if (this.#redelivery.isRepeat(record.headers[headers.ingestId] ?? '', this.clockMs)) ledger.redelivered++;
    else this.#message(record);
  }

  #message(record: BusRecord): void {
    const { ledger } = this;
    ledger.messages++;
    const decoded = this.#decoder.decode(record);
    if (decoded instanceof Undecodable) {
      this.#deadLetter(decoded.reason, decoded.error);
    } else if (decoded instanceof Ignored) {
      count(ledger.ignored, decoded.reason);
    } else {
      ledger.decoded++;
      for (let index = 0; index < decoded.length; index++) this.#reading(decoded[index]!, index);
    }
  }

  #reading(reading: Reading, index: number): void {
    this.ledger.readings++;
    const implausible = this.#implausible(reading);
    if (implausible !== null) {
      this.#watchClock(reading, this.#devices.get(this.#source.key)?.clock ?? null);
      this.#reject(implausible, reading, index);
      return;
    }
    const device = this.#deviceOf(reading);
    device.lastSeenMs = this.clockMs;
    this.#watchClock(reading, device.clock);
    const hash = identityHash(reading);
    const late = device.isLate(reading.timeUs);
    const k = late ? placeOfLate(hash) : device.seen.place(reading, hash);
    if (k === DUPLICATE) {
      this.ledger.duplicates++;
      this.outputs.duplicates?.push(reading);
    } else if (k === TIME_FULL) {
      this.#reject('same_time', reading, index);
    } else {
      this.ledger.accepted++;
      const point = { series: device.series, fields: reading.fields, timeUs: reading.timeUs, k };
      this.outputs.raw.push({ reading, late, point, source: this.#source, index });
      if (late) this.#late(reading, index, device.watermarkUs);
      else this.#count(reading, device);
    }
  }

  #count(reading: Reading, device: Device): void {
    const windowed = device.count(reading);
    if (windowed === 'windowed') this.ledger.windowed++;
    else count(this.ledger.notWindowed, windowed);
  }

  /** `known`: that of the device, `null` for a stranger. */
  #watchClock(reading: Reading, known: DeviceClock | null): void {
    if (reading.clock !== 'device') return;
    const { key } = this.#source;
    const clock = known ?? this.clocks.ofStranger(key, reading, this.clockMs);
    const offsetMs = reading.timeUs / 1000 - reading.receivedAtMs;
    if (!clock.saw(offsetMs, this.clockMs, this.#options.maxSkewMs)) return;
    this.clocks.changed(key, reading, clock);
    const { site, device } = reading;
    if (clock.skewMs !== 0) this.outputs.skewed.push({ site, device, skewMs: clock.skewMs });
  }

  #implausible({ timeUs, receivedAtMs }: Reading): RejectedReason | null {
    if (timeUs > (receivedAtMs + this.#options.maxFutureMs) * 1000) return 'future';
    return timeUs < oldestUs ? 'too_old' : null;
  }

  /** Moves the partition clock; each new second looks for silence. */
  #moveClock(timestampMs: number): void {
    if (timestampMs <= this.clockMs) return;
    const entered = Math.floor(timestampMs / 1000) > Math.floor(this.clockMs / 1000);
    this.clockMs = timestampMs;
    if (!entered) return;
    for (const alert of this.#orphans) this.#endAlert(alert, 'rule_removed');
    this.#orphans = [];
    for (const device of this.#silence.at(timestampMs, this.#devices.values())) this.#onSilence(device);
    this.clocks.forgetSilentSince(timestampMs - this.#options.forgetAfterMs);
  }

  #onSilence(device: Device): void {
    if (this.clockMs - device.lastSeenMs >= this.#options.forgetAfterMs) this.#forget(device);
    else device.closeProvisionally((this.clockMs - this.#options.outOfOrdernessMs) * 1000);
  }

  #forget(device: Device): void {
    device.finalise();
    for (const alert of device.rules.open()) this.#endAlert(alert, 'device_forgotten');
    const key = deviceKey(device.site, device.device);
    this.#devices.delete(key);
    this.#silence.forget();
    this.clocks.forget(key);
  }

  #endAlert(open: Alert, reason: 'rule_removed' | 'device_forgotten'): void {
    const timeUs = this.clockMs * 1000;
    this.#context.raise(endedAlert(open, reason, timeUs), timeUs);
  }

  /** Closes every open window: the input has ended and nothing more will come (`sluice process`). */
  finish(): void {
    for (const device of this.#devices.values()) device.finalise();
  }

  #deviceOf({ site, device: name }: Reading): Device {
    const { key } = this.#source;
    let device = this.#devices.get(key);
    if (device === undefined) {
      if (this.#devices.size >= maxDevices) this.#forgetQuietest();
      device = new Device(site, name, this.#context);
      device.clock = this.clocks.ofNewcomer(key);
      this.#devices.set(key, device);
    }
    return device;
  }

  #forgetQuietest(): void {
    const quietest = [...this.#devices.values()].sort((a, b) => a.lastSeenMs - b.lastSeenMs);
    for (const device of quietest.slice(0, maxDevices / 10)) this.#forget(device);
  }

  #deadLetter(reason: DeadLetterReason, error: string): void {
    count(this.ledger.deadLettered, reason);
    this.outputs.deadLetters.push({ source: this.#source, reason, error, index: null });
  }

  #reject(reason: RejectedReason, { timeUs, receivedAtMs }: Reading, index: number): void {
    count(this.ledger.rejected, reason);
    const why = rejectedReasons[reason].text;
    const error = `${why}: its time is ${rfc3339(timeUs)}, it was received at ${rfc3339(receivedAtMs * 1000)}`;
    this.outputs.deadLetters.push({ source: this.#source, reason, error, index });
  }

  #late(reading: Reading, index: number, watermarkUs: number): void {
    this.ledger.late++;
    const startUs = minuteStartUs(reading.timeUs);
    const endUs = startUs + minuteUs;
    this.outputs.late.push({
      source: this.#source,
      reading,
      index,
      lateByMs: Math.max(0, watermarkUs - endUs) / 1000,
      windowStartMs: startUs / 1000,
      windowEndMs: endUs / 1000,
      windows: windowsOf(reading, this.#measurements),
    });
  }

  /** Everything that must survive a restart, in the bytes of `to`. */
  snapshot(to = new StateWriter()): Buffer {
    to.clear();
    this.save(to).forEach(() => {});
    return to.finish();
  }

  /** The same, device by device, for who writes it in slices: nothing may be processed before its end. */
  *save(to: StateWriter): Generator<void> {
    to.json(this.ledger);
    to.double(this.clockMs);
    to.json(this.#orphans);
    this.#redelivery.save(to);
    this.clocks.save(to);
    to.json(this.#windowsHead());
    to.uint(this.#devices.size);
    for (const device of this.#devices.values()) yield device.save(to);
  }

  /** Takes over what `snapshot` gave; only before the first record. */
  restore(snapshot: Buffer): void {
    const from = new StateReader(snapshot);
    Object.assign(this.ledger, from.json<PartitionLedger>());
    this.clockMs = from.double();
    this.#orphans = from.json<Alert[]>();
    this.#redelivery.load(from);
    this.clocks.load(from);
    const saved = this.#savedWindows(from.json<WindowsHead>());
    for (let left = from.uint(); left > 0; left--) {
      const { device, orphans } = Device.load(from, this.#context, saved);
      const key = deviceKey(device.site, device.device);
      this.#devices.set(key, device);
      this.clocks.changed(key, device, device.clock);
      this.#orphans.push(...orphans);
    }
  }

  #windowsHead(): WindowsHead {
    const { levels, windowers } = this.#context;
    return {
      levels: levels.length,
      timeZone: this.#options.timeZone,
      windowers: windowers.map(({ fingerprint }) => fingerprint),
    };
  }

  #savedWindows({ levels, timeZone, windowers }: WindowsHead): SavedWindows {
    const known = this.#context.levels.length;
    const isSameZone = timeZone === this.#options.timeZone;
    return {
      isKept: (level) => level < levels && level < known && (level !== days || isSameZone),
      windowers: windowers.map((saved) =>
        this.#context.windowers.findIndex(({ fingerprint }) => fingerprint === saved),
      ),
    };
  }
}

/** Tells of a snapshot which windows are in it. */
interface WindowsHead {
  /** How many levels of rollups. */
  readonly levels: number;
  readonly timeZone: string;
  /** Fingerprints of all other windowers. */
  readonly windowers: readonly string[];
}
