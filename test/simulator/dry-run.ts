/** What a scenario's devices measure, run through the stages of the processor: no broker, no bus, no waiting. */
import type { Alert } from '../../core/alert.ts';
import { resolveConfig } from '../../core/config.ts';
import { deviceKey } from '../../core/reading.ts';
import { headers } from '../../core/topics.ts';
import type { Rule } from '../../processors/rules/file.ts';
import { Topology } from '../../processors/topology.ts';
import { Device, type Measurement } from '../../simulator/device.ts';
import { type DeviceIdentity, type Fleet, identities } from '../../simulator/fleet.ts';
import { encode } from '../../simulator/format.ts';

export const startMs = 1_760_000_000_000;

export interface Measured extends Measurement {
  readonly identity: DeviceIdentity;
}

/** Everything that all devices measure in that time, by time. */
export function measured(fleets: readonly Fleet[], lastsMs: number, seed = 1): Measured[] {
  const all = fleets.flatMap((fleet) =>
    identities(fleet).flatMap((identity) => {
      const device = new Device(identity, { fleet, seed, startMs, firstMs: startMs });
      const own: Measured[] = [];
      while (device.nextAtMs < startMs + lastsMs) own.push({ ...device.next(), identity });
      return own;
    }),
  );
  return all.sort((a, b) => a.timeMs - b.timeMs);
}

export interface Raised {
  readonly alert: Alert;
  /** Event time since the start, seconds. */
  readonly second: number;
}

export function alertsOf(measurements: readonly Measured[], rules: readonly Rule[]): Raised[] {
  const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });
  const topology = new Topology(processing, rules, 0);
  for (const [offset, { identity, timeMs, seq, fields }] of measurements.entries()) {
    const { site, device } = identity;
    topology.process({
      key: deviceKey(site, device),
      value: Buffer.from(encode('json', timeMs, seq, fields)),
      headers: { [headers.mqttTopic]: `iot/${site}/${device}/telemetry` },
      timestampMs: timeMs,
      partition: 0,
      offset,
    });
  }
  return topology.outputs.alerts.map(({ alert, timeUs }) => ({ alert, second: (timeUs / 1000 - startMs) / 1000 }));
}
