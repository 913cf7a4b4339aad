/**
 * The whole flow of one raw partition, on one screen:
 *
 *   record ▸ clock ▸ tick? ▸ redelivery ▸ decode ▸ for each reading: plausible time ▸ duplicate ▸ lateness ▸ raw point
 *          ▸ window ▸ rules ▸ watermark (closes windows); and each new second of the clock: silence
 *
 * Synchronous and pure: what comes out depends on the records and their order alone, not on batches, restarts, the
 * machine's clock or chance. Nothing here does I/O; the runner carries records in and outputs out.
 */
import type { BusRecord } from '../bus/port.ts';
import { count, emptyPartitionLedger, type PartitionLedger } from '../core/ledger.ts';
import type { Reading } from '../core/reading.ts';
import type { DeadLetterReason, RejectedReason } from '../core/reasons.ts';
import { headers } from '../core/topics.ts';
import { DecodeError, type Decoder, decoderFor } from './decode/decode.ts';
import { Device, type DeviceSnapshot } from './device.ts';
import type { ProcessingOptions } from './options.ts';
import { Outputs } from './outputs.ts';
import { Redelivery } from './redelivery.ts';
import type { Rule } from './rules/file.ts';
import type { EmitAlert } from './rules/threshold.ts';
import { type EmitRollup, windowUs } from './window/tumbling.ts';

/** 2000-01-01: a device that says an earlier time has a clock that was never set. */
const oldestUs = 946_684_800_000_000;

/** Everything that must survive a restart, as plain values. */
export interface TopologyState {
  readonly clockMs: number;
  readonly secondsSeen: number;
  readonly ledger: PartitionLedger;
  readonly runs: ReturnType<Redelivery['state']>;
  readonly devices: DeviceSnapshot[];
}

export class Topology {
  readonly outputs = new Outputs();
  readonly ledger: PartitionLedger;
  /** Partition clock: the largest timestamp seen, ticks included. It only moves when records come. */
  clockMs = 0;
  readonly #options: ProcessingOptions;
  readonly #rules: readonly Rule[];
  readonly #redelivery: Redelivery;
  /** By record key, in order of first sight: what is done for all devices is done in this order. */
  readonly #devices = new Map<string, Device>();
  #secondsSeen = 0;
  #source!: BusRecord;
  #device!: Device;

  constructor(options: ProcessingOptions, rules: readonly Rule[], firstOffset: number) {
    this.#options = options;
    this.#rules = rules;
    this.#redelivery = new Redelivery(options.forgetAfterMs);
    this.ledger = emptyPartitionLedger(firstOffset);
  }

  get deviceCount(): number {
    return this.#devices.size;
  }

  process(record: BusRecord): void {
    this.#source = record;
    const { ledger } = this;
    ledger.nextOffset = record.offset + 1;
    this.#moveClock(record.timestampMs);
    if (record.headers[headers.tick] !== undefined) {
      ledger.ticks++;
    } else if (this.#redelivery.isRepeated(record.headers[headers.ingestId], this.clockMs)) {
      ledger.redelivered++;
    } else {
      ledger.messages++;
      this.#message(record);
    }
  }

  #message(record: BusRecord): void {
    const { ledger } = this;
    const decoder = decoderFor(record);
    if (decoder === null) {
      this.#deadLetter('no_route', `no route matches ${record.headers[headers.mqttTopic]}`);
      return;
    }
    if (isEmpty(record) && record.headers[headers.mqttRetain] !== undefined) {
      count(ledger.ignored, 'retained_clear');
      return;
    }
    const readings = this.#decode(record, decoder);
    if (readings === null) return;
    ledger.decoded++;
    this.#device = this.#deviceOf(record, decoder);
    this.#device.lastSeenMs = Math.max(this.#device.lastSeenMs, record.timestampMs);
    for (let index = 0; index < readings.length; index++) this.#reading(readings[index]!, index);
  }

  /** `null` when the message went to the DLQ instead. */
  #decode(record: BusRecord, decoder: Decoder): Reading[] | null {
    try {
      return decoder.decode(record);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#deadLetter(error.reason, error.message);
      return null;
    }
  }

  #reading(reading: Reading, index: number): void {
    const { ledger, outputs } = this;
    const device = this.#device;
    ledger.readings++;
    const implausible = this.#implausible(reading);
    if (implausible !== null) {
      this.#reject(implausible, reading, index);
      return;
    }
    const isLate = device.isLate(reading.timeUs, this.#options);
    const k = device.remember(reading, this.#source.offset);
    if (k < 0) {
      ledger.duplicates++;
      outputs.duplicates?.push(reading);
      return;
    }
    ledger.accepted++;
    const point = { series: device.series.raw, fields: reading.fields, timeUs: reading.timeUs, k };
    outputs.raw.push({ point, source: this.#source, index });
    if (isLate) this.#late(reading, index);
    else this.#count(reading);
  }

  /** A reading in time: windows, rules, watermark. */
  #count(reading: Reading): void {
    const { ledger } = this;
    const device = this.#device;
    if (device.windows.add(reading.timeUs, reading.fields, this.#emitRollup) > 0) ledger.windowed++;
    else count(ledger.notWindowed, 'no_number');
    device.rules.evaluate(reading.timeUs, reading.fields, this.#emitAlert);
    device.moveOn(reading.timeUs, this.#options);
    device.windows.advance(device.watermarkUs(this.#options), this.#options.latenessMs * 1000, this.#emitRollup);
  }

  #implausible(reading: Reading): RejectedReason | null {
    if (reading.timeUs > (reading.receivedAtMs + this.#options.maxFutureMs) * 1000) return 'future';
    return reading.timeUs < oldestUs ? 'too_old' : null;
  }

  /** Moves the partition clock; each new second looks for silence. */
  #moveClock(timestampMs: number): void {
    if (timestampMs <= this.clockMs) return;
    this.clockMs = timestampMs;
    const seconds = Math.floor(timestampMs / 1000);
    if (seconds === this.#secondsSeen) return;
    this.#secondsSeen = seconds;
    for (const [key, device] of this.#devices) this.#lookForSilence(key, device);
    if (seconds % 3600 === 0) this.#redelivery.forget(this.clockMs);
  }

  #lookForSilence(key: string, device: Device): void {
    this.#device = device;
    device.rules.endOrphans(this.clockMs * 1000, this.#emitAlert);
    const silentMs = this.clockMs - device.lastSeenMs;
    if (silentMs < this.#options.idleAfterMs) return;
    if (device.windows.hasOpen) {
      const untilUs = (this.clockMs - this.#options.outOfOrdernessMs) * 1000;
      device.windows.closeProvisionally(untilUs, this.#emitRollup);
    }
    if (silentMs < this.#options.forgetAfterMs) return;
    device.windows.finish(this.#emitRollup);
    device.rules.endAll(this.clockMs * 1000, this.#emitAlert);
    this.#devices.delete(key);
  }

  /** Closes every open window: the input has ended and nothing more will come (`sluice process`). */
  finish(): void {
    for (const device of this.#devices.values()) {
      this.#device = device;
      device.windows.finish(this.#emitRollup);
    }
  }

  #deviceOf(record: BusRecord, { site, device: name }: Decoder): Device {
    let device = this.#devices.get(record.key);
    if (device === undefined) {
      device = new Device(site, name, this.#rules);
      this.#devices.set(record.key, device);
    }
    return device;
  }

  #deadLetter(reason: DeadLetterReason, error: string): void {
    count(this.ledger.deadLettered, reason);
    this.outputs.deadLetters.push({ source: this.#source, reason, error, index: null });
  }

  #reject(reason: RejectedReason, reading: Reading, index: number): void {
    count(this.ledger.rejected, reason);
    const error = `its time is ${new Date(reading.timeUs / 1000).toISOString()}, it was received at ${new Date(reading.receivedAtMs).toISOString()}`;
    this.outputs.deadLetters.push({ source: this.#source, reason, error, index });
  }

  #late(reading: Reading, index: number): void {
    this.ledger.late++;
    const startUs = Math.floor(reading.timeUs / windowUs) * windowUs;
    const closedUs = this.#device.watermarkUs(this.#options) - this.#options.latenessMs * 1000;
    this.outputs.late.push({
      source: this.#source,
      reading,
      index,
      lateByMs: Math.max(0, closedUs - (startUs + windowUs)) / 1000,
      windowStartMs: startUs / 1000,
      windowEndMs: (startUs + windowUs) / 1000,
    });
  }

  readonly #emitRollup: EmitRollup = (field, startUs, fold, revision, final) => {
    this.outputs.rollups.push(this.#device.series.rollup(field, startUs, fold.aggregates(), revision, final));
  };

  readonly #emitAlert: EmitAlert = (alert, timeUs) => {
    this.outputs.alerts.push({ alert, timeUs, sourceTimestampMs: this.#source.timestampMs });
  };

  state(): TopologyState {
    return {
      clockMs: this.clockMs,
      secondsSeen: this.#secondsSeen,
      ledger: structuredClone(this.ledger),
      runs: this.#redelivery.state(),
      devices: [...this.#devices.values()].map((device) => device.snapshot()),
    };
  }

  restore(state: TopologyState): void {
    this.clockMs = state.clockMs;
    this.#secondsSeen = state.secondsSeen;
    Object.assign(this.ledger, structuredClone(state.ledger));
    this.#redelivery.restore(state.runs);
    for (const snapshot of state.devices) {
      this.#devices.set(`${snapshot.site}/${snapshot.device}`, Device.restore(snapshot, this.#rules));
    }
  }
}

function isEmpty({ value }: BusRecord): boolean {
  return value === null || value.length === 0;
}
