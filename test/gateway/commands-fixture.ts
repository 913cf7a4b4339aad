/** Gateways on one embedded bus, as processes of their own would share it, and devices that are spoken to. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type IPublishPacket, parser } from 'mqtt-packet';
import { EmbeddedBus } from '../../bus/embedded.ts';
import { systemClock } from '../../core/clock.ts';
import type { CommandResult } from '../../core/commands.ts';
import { silentLogger } from '../../core/log.ts';
import { topicNames, topicSpecs } from '../../core/topics.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { eventually } from '../support/eventually.ts';
import { type CommandOver, commandRecord } from './commands-records.ts';
import { defaults } from './harness.ts';
import { connectPacket, disconnect, frame, RawClient, subscribe, type } from './raw-client.ts';

export const topics = topicNames();
export const partitions = 2;
/** Many gateways at once, on a machine that does other things too. */
export const patience = { withinMs: 30_000 };
export const commandsTopic = 'iot/lab/d1/commands';

/** Of the context of a test: tests that run at the same time have no other. */
type OnTestFinished = (end: () => Promise<void> | void) => void;

export interface Device {
  /** Payloads, in the order in which they came. */
  readonly got: string[];
  /** Ends the connection without a word. */
  lose(): void;
  leave(): Promise<void>;
}

interface DeviceOptions {
  readonly clientId?: string;
  readonly topic?: string;
  /** Whether it sends a PUBACK for what it is sent. */
  readonly acknowledges?: boolean;
}

/** Connects and subscribes. */
export async function openDevice(port: number, options: DeviceOptions = {}): Promise<Device> {
  const { clientId = 'd1', topic = commandsTopic, acknowledges = true } = options;
  const client = await RawClient.open(port);
  const got: string[] = [];
  const packets = parser();
  packets.on('packet', (packet) => {
    if (packet.cmd !== 'publish') return;
    const { payload, messageId } = packet as IPublishPacket;
    got.push(String(payload));
    if (acknowledges) client.send(frame(0x40, Buffer.from([messageId! >> 8, messageId! & 0xff])));
  });
  client.socket.on('data', (chunk) => packets.parse(chunk));
  client.send(connectPacket({ clientId }));
  await client.received(type.connack);
  client.send(subscribe(1, topic));
  await client.received(type.suback);
  return {
    got,
    lose: () => client.socket.destroy(),
    leave: () => {
      client.send(disconnect());
      return client.closed();
    },
  };
}

export async function openPlant(onTestFinished: OnTestFinished) {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-commands-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  /** As each process has one of its own. */
  const openBus = async () => {
    const bus = new EmbeddedBus({ file: join(folder, 'bus.sqlite'), clock: systemClock, log: silentLogger });
    onTestFinished(() => bus.close());
    await bus.start();
    return bus;
  };
  const outside = await openBus();
  await outside.createTopics(topicSpecs({ prefix: 'iot.', partitions, rawRetentionMs: null, rawRetentionBytes: null }));
  const gateways: Gateway[] = [];

  async function gateway(): Promise<Gateway> {
    const made = new Gateway({
      bus: await openBus(),
      topics,
      instance: `g${gateways.length + 1}`,
      options: { ...defaults, port: 0, lingerMs: 1, tickAfterMs: 3_600_000 },
      version: '0.0.0',
      clock: systemClock,
      log: silentLogger,
    });
    onTestFinished(() => made.close(2000));
    await made.start();
    gateways.push(made);
    return made;
  }

  async function results(): Promise<CommandResult[]> {
    const all = Array.from({ length: partitions }, (_, partition) =>
      outside.read(topics.commandResults, partition, 0, 1000),
    );
    return (await Promise.all(all)).flatMap(({ records }) => records.map(({ value }) => JSON.parse(String(value))));
  }

  return {
    bus: outside,
    gateway,
    device: async (at: Gateway, options: DeviceOptions = {}) => {
      const device = await openDevice(at.address().port, options);
      onTestFinished(() => device.lose());
      return device;
    },
    /** `expiresInMs` counts from now. */
    send: (id: string, over: CommandOver = {}) =>
      outside.append(topics.commands, [commandRecord(id, { atMs: Date.now(), expiresInMs: 90_000, ...over })]),
    results,
    /** Waits for the end of a command. */
    endOf: (id: string) =>
      eventually(async () => (await results()).find((result) => result.id === id), {
        ...patience,
        what: `the end of ${id}`,
      }),
    /** Closes the gateways; then nothing more can come. */
    closeAll: () => Promise.all(gateways.map((each) => each.close(2000))),
  };
}
