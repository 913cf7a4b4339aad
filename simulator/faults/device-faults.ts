/**
 * The faults of one device: measurement → message. Each has a random stream of its own, from seed, device and its place
 * in the list, and draws whether a message is sent or not: the same seed gives the same faults.
 *
 *   clock ▸ sensor ▸ encode ▸ payload ▸ security ▸ network
 *
 * Of clock, payload and security faults one message has one at most, the first in the list that hits. What it should end
 * as follows the pipeline: what stops it first there is set last here.
 */
import type { Fields, FieldValue } from '../../core/reading.ts';
import type { Measurement } from '../device.ts';
import type { DeviceIdentity } from '../fleet.ts';
import { encode, type Format } from '../format.ts';
import type { Message } from '../message.ts';
import { type Random, randomStream } from '../random.ts';
import { isSelected } from '../scenario/select.ts';
import { type ClockFault, clockEffect } from './clock.ts';
import { Draft, type Effect, onSince } from './draft.ts';
import { type ConnectionFault, isConnectionFault, networkEffect } from './network.ts';
import { type PayloadFault, payloadEffect } from './payload.ts';
import { type SecurityFault, securityEffect } from './security.ts';
import { dayOf, type SensorFault, sensorEffect } from './sensor.ts';
import type { Fault, FaultName, FaultSpec } from './spec.ts';

export interface DeviceFaultsSettings {
  readonly identity: DeviceIdentity;
  readonly seed: number;
  readonly format: Format;
  /** The device's own. */
  readonly topic: string;
  /** The broker knows it as itself alone. */
  readonly speaksForItself: boolean;
  /** Puts the device's names into a topic. */
  readonly fillIn: (template: string) => string;
}

/** A fault of this device. `Does` is what it does to a message. */
interface Armed<Does> {
  readonly spec: FaultSpec;
  readonly random: Random;
  readonly does: Does;
}

export class DeviceFaults {
  /** Dropouts, half-open connections and storms; the labels of their messages are set here. */
  readonly ofConnection: readonly ConnectionFault[];
  readonly #settings: DeviceFaultsSettings;
  readonly #isHealthy: boolean;
  readonly #clock: readonly Armed<Effect>[];
  readonly #sensor: readonly Armed<Effect>[];
  readonly #payload: readonly Armed<ReturnType<typeof payloadEffect>>[];
  readonly #security: readonly Armed<Effect>[];
  readonly #network: readonly Armed<Effect>[];
  /** The last day (UTC) on which a message went out as it should: stores know the types of its fields on that day. */
  #plainOnDay: number | null = null;

  constructor(specs: readonly FaultSpec[], settings: DeviceFaultsSettings) {
    const { identity, seed, fillIn, speaksForItself } = settings;
    const own = specs
      .map((spec, i) => ({ spec, random: randomStream(seed, identity.device, 'fault', i, spec.fault) }))
      .filter(({ spec }) => (spec.fleet ?? identity.fleet) === identity.fleet && isSelected(spec.devices, identity));
    const ofClass = <Spec extends FaultSpec, Does>(prefix: string, arm: (spec: Spec, random: Random) => Does) =>
      own
        .filter(({ spec }) => spec.fault.startsWith(prefix))
        .map(({ spec, random }) => ({ spec, random, does: arm(spec as Spec, random) }));
    this.#settings = settings;
    this.#isHealthy = own.length === 0;
    this.#clock = ofClass('clock.', (spec: ClockFault) => clockEffect(spec));
    this.#sensor = ofClass('sensor.', (spec: SensorFault, random) =>
      sensorEffect(spec, random, () => this.#plainOnDay),
    );
    this.#payload = ofClass('payload.', (spec: PayloadFault, random) => payloadEffect(spec, random));
    this.#security = ofClass('security.', (spec: SecurityFault) => securityEffect(spec, speaksForItself, fillIn));
    this.#network = ofClass('network.', (spec: Fault<Extract<FaultName, `network.${string}`>>) => networkEffect(spec));
    this.ofConnection = own.map(({ spec }) => spec).filter(isConnectionFault);
  }

  /** `isPast`: it is sent long after its time, so faults of the connection have not touched it. */
  apply(measured: Measurement, isPast: boolean): Message {
    const { format, topic } = this.#settings;
    const { seq, timeMs } = measured;
    // Load without faults is what most runs are for: it pays for none.
    if (this.#isHealthy) return untouched(measured, topic, encode(format, timeMs, seq, measured.fields));
    const draft = new Draft(measured);
    hitFirst(this.#clock, draft);
    hitAll(this.#sensor, draft);
    const fields = withoutNulls(draft.fields);
    if (Object.keys(fields).length === 0) {
      draft.isReadable = false;
      draft.expect = { as: 'dead_letter', reason: 'no_fields' };
    }
    let payload: string | Buffer = encode(format, draft.ts, seq, draft.fields);
    for (const { does, ...armed } of this.#payload) {
      if (!isHit(armed, draft)) continue;
      payload = does(draft, payload as string);
      draft.faults.push(armed.spec.fault);
      break;
    }
    hitFirst(this.#security, draft);
    hitAll(isPast ? this.#network.filter(({ spec }) => !isConnectionFault(spec)) : this.#network, draft);
    // Lost is lost, whatever else would have become of it.
    if (draft.copies === 0) draft.expect = { as: 'not_sent' };
    if (draft.faults.length === 0) this.#plainOnDay = dayOf(timeMs);
    return {
      seq,
      timeMs,
      topic: draft.topic ?? topic,
      payload,
      reading: draft.isReadable ? { timeMs: draft.ts, seq, fields } : null,
      faults: draft.faults,
      expect: draft.expect,
      copies: draft.copies,
      delayMs: draft.delayMs,
      isHeldBack: draft.isHeldBack,
      isByIntruder: draft.isByIntruder,
    };
  }
}

function untouched({ seq, timeMs, fields }: Measurement, topic: string, payload: string): Message {
  const reading = { timeMs, seq, fields };
  const sent = { copies: 1, delayMs: 0, isHeldBack: false, isByIntruder: false };
  return { seq, timeMs, topic, payload, reading, faults: [], expect: { as: 'stored' }, ...sent };
}

function hitAll(faults: readonly Armed<Effect>[], draft: Draft): void {
  for (const armed of faults) hit(armed, draft);
}

function hitFirst(faults: readonly Armed<Effect>[], draft: Draft): void {
  for (const armed of faults) if (hit(armed, draft)) return;
}

function hit(armed: Armed<Effect>, draft: Draft): boolean {
  if (!isHit(armed, draft)) return false;
  const { fault } = armed.spec;
  if (!armed.does(draft, onSince(armed.spec, draft.measured.elapsedMs)!)) return false;
  if (!draft.faults.includes(fault)) draft.faults.push(fault);
  return true;
}

function isHit({ spec, random }: Omit<Armed<unknown>, 'does'>, { measured }: Draft): boolean {
  if (onSince(spec, measured.elapsedMs) === null) return false;
  return !('probability' in spec) || random() < spec.probability;
}

function withoutNulls(fields: Readonly<Record<string, FieldValue | null>>): Fields {
  const kept: Record<string, FieldValue> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== null) kept[name] = value;
  return kept;
}
