/** What is told of the devices that are connected, on the device status topic (key `site/device`): who tells, and what readers make of it. */
import { z } from 'zod';
import { deviceKey } from './reading.ts';

const schema = z.object({
  site: z.string(),
  device: z.string(),
  status: z.enum(['online', 'offline']),
  /** When it came or went, ms since the epoch. */
  sinceMs: z.number(),
  /** `docs/gateway.md`, "Presence". */
  reason: z.string(),
  /** `null` where who tells does not know it. */
  clientId: z.string().nullable().default(null),
  /** How its connection showed who it is: `identity.ts`. */
  identity: z.string().nullable().default(null),
  /** The run of the gateway at which it is or was, whoever tells. Older versions did not say it. */
  instance: z.string().default(''),
});

export type DevicePresence = z.output<typeof schema>;

/** Nobody but another process says it of a gateway: it has fallen silent. */
export const gatewayLost = 'gateway_lost';

/** As it is appended. */
export interface PresenceRecord {
  readonly key: string;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  readonly timestampMs: number;
}

export function presenceRecord(presence: DevicePresence): PresenceRecord {
  const { site, device, sinceMs } = presence;
  return {
    key: deviceKey(site, device),
    value: Buffer.from(JSON.stringify(presence)),
    headers: {},
    timestampMs: sinceMs,
  };
}

/** `null`: not a record of the kind. */
export function parsePresence(value: Buffer | null): DevicePresence | null {
  if (value === null) return null;
  try {
    return schema.safeParse(JSON.parse(value.toString())).data ?? null;
  } catch {
    return null;
  }
}
