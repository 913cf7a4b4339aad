/**
 * A stream drawn from a seed: devices that do everything that devices do wrong, around a change of the clocks, at a pace
 * at which seconds, minutes, hours or days pass between the first event and the last.
 */
import { type Random, randomStream } from '../../../simulator/random.ts';
import { type CaseConfig, drawConfig, pick } from './config.ts';
import type { Sent, StreamEvent } from './events.ts';
import { drawSignals, type Signals } from './signals.ts';
import { zones } from './zones.ts';

export interface Case {
  readonly seed: number;
  readonly config: CaseConfig;
  readonly events: readonly StreamEvent[];
}

/** What is not given is drawn. */
export interface Size {
  readonly devices?: number;
  readonly steps?: number;
  /** Between two events. */
  readonly paceMs?: number;
}

export function drawCase(seed: number, size: Size = {}): Case {
  const config = drawConfig(seed);
  return { seed, config, events: new Stream(seed, config, size).draw() };
}

/** With a rule that its readings break often. */
export function withAlerts(drawn: Case): Case {
  const rule = { direction: 'above', threshold: 20, clear: 18, forMs: 0, device: '*' } as const;
  const fields = drawn.events.flatMap((event) => (event.kind === 'sent' ? Object.entries(event.fields) : []));
  const [field = 'temperature'] = fields.find(([, value]) => typeof value === 'number') ?? [];
  return { ...drawn, config: { ...drawn.config, rules: [...drawn.config.rules, { ...rule, name: 'often', field }] } };
}

interface Device {
  readonly name: string;
  readonly signals: Signals;
  /** Its clock against that of the gateway. */
  readonly skewMs: number;
  readonly hasSeq: boolean;
  newestUs: number;
  /** Cut off until then; what it reads is sent afterwards. */
  offlineUntilMs: number;
  buffer: Omit<Sent, 'atMs' | 'appended'>[];
}

class Stream {
  readonly #random: Random;
  readonly #config: CaseConfig;
  readonly #events: StreamEvent[] = [];
  readonly #devices: Device[];
  readonly #paceMs: number;
  readonly #steps: number;
  #nowMs: number;
  #appended = 0;
  #seq = 0;

  constructor(seed: number, config: CaseConfig, size: Size) {
    const random = randomStream('oracle', seed, 'stream');
    this.#random = random;
    this.#config = config;
    const gapsMs = gapsOf(config);
    const pacesMs = [200, 1000, 4000, 15_000, 60_000, 600_000, 2_400_000];
    // Now and then one at which the readings of a device make sessions of many and of few.
    const paceMs = gapsMs.length > 0 && random() < 0.4 ? pick(random, gapsMs) / 6 : pick(random, pacesMs);
    this.#paceMs = size.paceMs ?? paceMs;
    this.#steps = size.steps ?? 60 + Math.floor(random() * 300);
    const around = Date.parse(pick(random, zones[config.timeZone]!));
    this.#nowMs = around + Math.floor(random() * 3 * 3_600_000);
    const count = size.devices ?? (random() < 0.1 ? 40 : 1 + Math.floor(random() * 4));
    const signals = drawSignals(random);
    this.#devices = Array.from({ length: count }, (_, n) => this.#drawDevice(`d${n}`, signals));
  }

  draw(): StreamEvent[] {
    const denseAt = this.#random() < 0.05 ? Math.floor(this.#random() * this.#steps) : -1;
    for (let step = 0; step < this.#steps; step++) {
      if (step === denseAt) this.#denseMinute();
      this.#step();
    }
    for (const device of this.#devices) this.#comeBack(device);
    if (this.#random() < 0.7) this.#silence(this.#config.idleAfterMs + this.#config.outOfOrdernessMs + 120_000);
    return this.#events;
  }

  #drawDevice(name: string, signals: Signals): Device {
    const random = this.#random;
    const skewMs = random() < 0.7 ? 0 : pick(random, [-3_600_000, -300_000, -2000, 20_000, 7_200_000]);
    const hasSeq = random() < 0.7;
    const unseen = { newestUs: this.#nowMs * 1000, offlineUntilMs: 0, buffer: [] };
    return { name, signals, skewMs, hasSeq, ...unseen };
  }

  #step(): void {
    const random = this.#random;
    this.#nowMs += Math.ceil(-Math.log(1 - random()) * this.#paceMs);
    const device = this.#devices[Math.floor(random() * random() * this.#devices.length)]!;
    const what = random();
    if (what < 0.06) this.#events.push({ kind: 'tick', atMs: this.#nowMs });
    else if (what < 0.08) this.#garbage(device);
    else if (what < 0.16) this.#repeat();
    else if (what < 0.175) this.#silence(pick(random, this.#silencesMs()));
    else if (what < 0.185) device.offlineUntilMs = this.#nowMs + pick(random, this.#silencesMs());
    else this.#read(device);
  }

  #silencesMs(): number[] {
    const { idleAfterMs, latenessMs, forgetAfterMs } = this.#config;
    return [idleAfterMs * 2, 600_000, 3_600_000, latenessMs + 120_000, this.#random() < 0.2 ? forgetAfterMs : 90_000];
  }

  /** No device is heard of, but time passes. */
  #silence(forMs: number): void {
    const ticks = 1 + Math.floor(this.#random() * 5);
    for (let tick = 0; tick < ticks; tick++) {
      this.#nowMs += Math.ceil(forMs / ticks);
      this.#events.push({ kind: 'tick', atMs: this.#nowMs });
    }
  }

  #garbage({ name }: Device): void {
    this.#events.push({ kind: 'garbage', atMs: this.#nowMs, device: name, appended: this.#appended++ });
  }

  /** Appended again by the gateway, or sent again by the device. */
  #repeat(): void {
    const recent = this.#random() < 0.7 ? this.#events.slice(-20) : this.#events;
    const sent = recent.filter((event) => event.kind === 'sent');
    if (sent.length === 0) return;
    const event = pick(this.#random, sent);
    this.#events.push({
      ...event,
      atMs: this.#nowMs,
      appended: this.#random() < 0.4 ? event.appended : this.#appended++,
    });
  }

  #read(device: Device): void {
    const { name, signals, hasSeq } = device;
    const timeUs = this.#random() < 0.03 ? null : this.#drawTimeUs(device);
    if (timeUs !== null) device.newestUs = timeUs;
    const seq = hasSeq && this.#random() < 0.95 ? this.#seq++ : null;
    const reading = { kind: 'sent', device: name, timeUs, seq, fields: signals.draw(this.#random) } as const;
    if (device.offlineUntilMs > this.#nowMs && timeUs !== null) {
      device.buffer.push(reading);
      return;
    }
    this.#comeBack(device);
    // The clocks of gateways differ, and so do the times their appends take.
    const atMs = this.#random() < 0.1 ? this.#nowMs - Math.floor(this.#random() * 3000) : this.#nowMs;
    this.#events.push({ ...reading, atMs, appended: this.#appended++ });
  }

  /** Sends what it has read while it was cut off. */
  #comeBack(device: Device): void {
    const { buffer } = device;
    device.buffer = [];
    device.offlineUntilMs = 0;
    if (this.#random() < 0.3) buffer.sort(() => this.#random() - 0.5);
    for (const reading of buffer) this.#events.push({ ...reading, atMs: this.#nowMs, appended: this.#appended++ });
  }

  #drawTimeUs({ skewMs, newestUs }: Device): number {
    const random = this.#random;
    const { outOfOrdernessMs, latenessMs, maxFutureMs } = this.#config;
    const what = random();
    if (what < 0.06) return newestUs;
    if (what < 0.065) return 1_000_000;
    const behindMs =
      what < 0.25
        ? random() * (outOfOrdernessMs + this.#paceMs * 3)
        : what < 0.35
          ? random() * (outOfOrdernessMs + latenessMs + 60_000)
          : what < 0.38
            ? random() * 3 * (outOfOrdernessMs + latenessMs + 60_000)
            : what < 0.4
              ? -random() * 2 * maxFutureMs
              : 0;
    const timeUs = Math.floor(this.#nowMs + skewMs - behindMs) * 1000;
    if (what < 0.9) return timeUs;
    // At, or just before, where windows begin and end.
    const gapsMs = gapsOf(this.#config);
    if (gapsMs.length > 0 && random() < 0.5) return newestUs + pick(random, gapsMs) * 1000 - (random() < 0.5 ? 1 : 0);
    const borderUs = pick(random, [1_000_000, 5_000_000, 60_000_000, 3_600_000_000]);
    return Math.floor(timeUs / borderUs) * borderUs - (random() < 0.3 ? 1 : 0);
  }

  /** More values than percentiles are exact for, out of order. */
  #denseMinute(): void {
    const [device] = this.#devices as [Device];
    const count = 500 + Math.floor(this.#random() * 250);
    const startUs = Math.floor(this.#nowMs / 60_000) * 60_000_000;
    for (let n = 0; n < count; n++) {
      const timeUs = startUs + Math.floor((n / count) * 59_000) * 1000 + Math.floor(this.#random() * 500_000);
      const fields = device.signals.draw(this.#random);
      const atMs = Math.max(this.#nowMs, Math.ceil(timeUs / 1000));
      const seq = this.#seq++;
      this.#events.push({ kind: 'sent', device: device.name, timeUs, seq, fields, atMs, appended: this.#appended++ });
    }
    this.#nowMs = startUs / 1000 + 60_000;
  }
}

function gapsOf({ windows }: CaseConfig): number[] {
  return windows.flatMap((window) => (window.type === 'session' ? [window.gapMs] : []));
}
