/** A way from a device to the broker: what it has to send, and the connection on which that goes out. */
import { Connection, type ConnectionEvents, type ConnectionSettings, type ConnectionTimer } from './connection.ts';
import type { DialOf } from './endpoint.ts';
import type { DeviceIdentity } from './fleet.ts';
import type { Credentials, SimulatorOptions } from './options.ts';
import { Outbox, type Transmission } from './outbox.ts';
import { randomStream } from './random.ts';

export interface Way {
  readonly outbox: Outbox;
  readonly connection: Connection;
}

export interface WayContext {
  readonly options: SimulatorOptions;
  /** Part of the client ids. */
  readonly run: string;
  readonly dialOf: DialOf;
  /** The schedule, for connections. */
  readonly timer: ConnectionTimer;
}

/** `suffix`: of its client id, so that two ways of one device do not throw each other out. */
export function openWay(
  identity: DeviceIdentity,
  { suffix, ...own }: Pick<ConnectionSettings, 'credentials' | 'isReopened'> & { readonly suffix: string },
  { options, run, dialOf, timer }: WayContext,
  events: ConnectionEvents,
  onGivenUp: (transmission: Transmission) => void,
): Way {
  const { seed, maxInFlight, maxHeld, will } = options;
  const fillIn = (template: string) => filledIn(template, identity, run);
  // Not all of the options: devices are many.
  const settings = {
    ...own,
    dial: dialOf(identity),
    qos: options.qos,
    clean: options.clean,
    keepaliveSeconds: options.keepaliveSeconds,
    connectTimeoutMs: options.connectTimeoutMs,
    reconnectMs: options.reconnectMs,
    maxReconnectMs: options.maxReconnectMs,
    clientId: `${fillIn(options.clientId)}${suffix}`,
    will: will && { ...will, topic: fillIn(will.topic), payload: fillIn(will.payload) },
  };
  const outbox = new Outbox(maxInFlight, maxHeld, onGivenUp);
  const random = randomStream(seed, identity.device, `reconnect${suffix}`);
  return { outbox, connection: new Connection(settings, outbox, events, timer, random) };
}

/** Not the ones that anybody has. */
export function wrong(credentials: Credentials | null): Credentials {
  return { username: credentials?.username ?? 'intruder', password: `${credentials?.password ?? ''}-wrong` };
}

/** Puts a device's names into a topic or a client id. */
export function filledIn(template: string, { site, device }: DeviceIdentity, run: string): string {
  return template.replaceAll('{site}', site).replaceAll('{device}', device).replaceAll('{run}', run);
}
