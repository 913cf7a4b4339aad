/** A gateway on the in-memory bus, closed with the test that opened it. */
import { expect, onTestFinished } from 'vitest';
import type { BusRecord, NewRecord } from '../../bus/port.ts';
import { type Clock, systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import { gatewayImbalances } from '../../core/ledger.ts';
import { type Logger, silentLogger } from '../../core/log.ts';
import { headers, topicNames, topicSpecs } from '../../core/topics.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { type GatewayOptions, gatewayOptions } from '../../gateway/options.ts';
import type { SpoolSettings } from '../../gateway/spool/spool.ts';
import { eventually } from '../support/eventually.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import { type ConnectOptions, connectPacket, RawClient, type } from './raw-client.ts';

export const topics = topicNames();
export const defaults = gatewayOptions(resolveConfig({ env: {}, flags: {}, readText: () => '' }));

export interface Opened {
  readonly gateway: Gateway;
  readonly bus: MemoryBus;
  readonly port: number;
  /** Connects and waits for the CONNACK. */
  connect(options?: ConnectOptions): Promise<RawClient>;
  /** The messages in the raw topic, without ticks. */
  messages(): BusRecord[];
  /** Waits until so many messages are in the raw topic. */
  appended(count: number): Promise<BusRecord[]>;
  /** Waits until so many messages were taken. */
  received(count: number): Promise<void>;
}

interface Surroundings {
  readonly lanes?: number;
  readonly partitions?: number;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** One that another gateway used before. */
  readonly bus?: MemoryBus;
  readonly spool?: SpoolSettings;
  readonly instance?: string;
}

export async function openGateway(
  options: Partial<GatewayOptions> = {},
  surroundings: Surroundings = {},
): Promise<Opened> {
  const { lanes = 1, partitions = 4, clock = systemClock, log = silentLogger } = surroundings;
  const { bus = new MemoryBus({ lanes }), spool = null, instance = 'run1' } = surroundings;
  await bus.createTopics(topicSpecs({ prefix: 'iot.', partitions, rawRetentionMs: null, rawRetentionBytes: null }));
  // No ticks unless a test asks for them.
  const own = { ...defaults, port: 0, lingerMs: 1, tickAfterMs: 3_600_000, ...options };
  const gateway = new Gateway({ bus, topics, options: own, spool, instance, version: '0.0.0', clock, log });
  await gateway.start();
  const { port } = gateway.address();
  const clients: RawClient[] = [];
  onTestFinished(async () => {
    await gateway.close(200).catch(() => {});
    for (const { socket } of clients) socket.destroy();
    expect(gatewayImbalances(gateway.status().ledger), 'the ledger balances').toEqual([]);
    const isShared = surroundings.bus !== undefined;
    if (!isShared) expect(bus.mostInFlight, 'one append under way per lane').toBeLessThanOrEqual(1);
  });
  const messages = () => bus.records(topics.raw).filter((record) => record.value !== null);
  return {
    gateway,
    bus,
    port,
    messages,
    connect: async (connectOptions) => {
      const client = await RawClient.open(port);
      clients.push(client);
      client.send(connectPacket(connectOptions));
      expect(await client.received(type.connack)).toEqual([0]);
      return client;
    },
    appended: (count) =>
      eventually(() => (messages().length >= count ? messages() : undefined), { what: `${count} messages appended` }),
    received: async (count) => {
      await eventually(() => gateway.status().ledger.received >= count, { what: `${count} messages taken` });
    },
  };
}

/** Appends of telemetry, without those of device status. */
export const raw = (topic: string) => topic === topics.raw;

/** The counters in `ingest.id`. */
export function counters(records: readonly (BusRecord | NewRecord)[]): number[] {
  return records.map((record) => Number(record.headers[headers.ingestId]!.split('-').at(-1)));
}

export function payloads(records: readonly BusRecord[]): string[] {
  return records.map((record) => String(record.value));
}
