/**
 * P1, P2 and P3 at every single step: the gateway's ack path and the processor's commit order are cut before and after
 * each call, once, and somebody else goes on. What was acknowledged is stored and counted once, what was no reading is
 * dead-lettered, and the alerts are those that the raw log tells.
 */
import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Bus, BusRecord } from '../../bus/port.ts';
import type { Alert } from '../../core/alert.ts';
import { systemClock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import { imbalances } from '../../core/ledger.ts';
import { silentLogger } from '../../core/log.ts';
import { headers } from '../../core/topics.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { gatewayOptions } from '../../gateway/options.ts';
import { parseRules } from '../../processors/rules/file.ts';
import { Processor } from '../../processors/runner.ts';
import { Topology } from '../../processors/topology.ts';
import type { Store } from '../../store/port.ts';
import { type Backend, backendNames, isAvailable, openBackend } from '../support/backends.ts';
import { CrashPoint, type CrashStep, crashingBus, crashingStore } from '../support/crash.ts';
import { eventually } from '../support/eventually.ts';
import { publish } from '../support/send-in-order.ts';
import { type AcknowledgedReading, countDifferences, differences } from '../support/truth.ts';
import { withMethods } from '../support/with-methods.ts';

const site = 'lab';
const devices = ['s1', 's2', 's3'];
/** Of each device: at least so many in all, and so many after the cut. */
const leastReadings = 50;
const readingsAfterCut = 20;
const garbage = 'no reading at all';
const rules = parseRules(
  '[{name: warm, severity: warning, field: temperature, when: {above: 30, clear: 25}}]',
  'rules',
);

/** Short silences and many snapshots, so that every step comes often within seconds. With `snapshotEveryRecords: 1` each batch is committed. */
const quick = { idleAfterMs: 700, snapshotEveryMs: 100, snapshotEveryRecords: 20, sessionTimeoutMs: 6000 };

describe.each(backendNames)('on %s', (name) => {
  if (!isAvailable(name)) {
    test.skip('needs the real services', () => {});
    return;
  }
  let backend: Backend;
  let bus: Bus;
  let store: Store;
  let runs = 0;

  // A fresh one for each step: what an earlier one wrote could hide what this one lost.
  beforeEach(async () => {
    backend = await openBackend(name);
    bus = await backend.bus();
    store = await backend.store();
  });
  afterEach(() => backend.close());

  const common = () => ({ topics: backend.topics, version: 'test', clock: systemClock, log: silentLogger });

  async function startGateway(onBus: Bus): Promise<Gateway> {
    const options = { ...gatewayOptions(backend.config), port: 0, tickAfterMs: 200 };
    const gateway = new Gateway({ ...common(), bus: onBus, options, instance: `gateway${++runs}` });
    await gateway.start();
    return gateway;
  }

  async function startProcessor(onBus: Bus, onStore: Store, over = {}): Promise<Processor> {
    const options = { ...backend.config.processing, ...quick, ...over };
    const ports = { bus: onBus, store: onStore };
    const processor = new Processor({
      ...common(),
      ...ports,
      group: 'crash',
      rules,
      options,
      instance: `processor${++runs}`,
    });
    processor.failed.catch(() => {});
    await processor.start();
    return processor;
  }

  /** One step cut while a fleet of three publishes; `cut` says which part dies, and another one takes its place. */
  async function survives(step: CrashStep, cut: 'gateway' | 'processor', over = {}): Promise<void> {
    const point = new CrashPoint(step);
    const cutBus = crashingBus(bus, point);
    let gateway = await startGateway(cut === 'gateway' ? cutBus : bus);
    let processor =
      cut === 'processor'
        ? await startProcessor(cutBus, crashingStore(store, point), over)
        : await startProcessor(bus, store);

    let isReplaced = false;
    const replace = async () => {
      await point.happened;
      if (cut === 'gateway') {
        const dead = gateway;
        gateway = await startGateway(bus);
        // What it holds it can neither append nor acknowledge any more, and says so.
        await dead.close(50).catch(() => {});
      } else {
        await processor.close(1000);
        processor = await startProcessor(bus, store);
      }
      isReplaced = true;
    };
    const fleet = publishAll(
      () => gateway.address().port,
      () => isReplaced,
    );
    const [acknowledged] = await Promise.all([fleet, replace()]);
    await isAccountedFor(acknowledged, processor);
    await gateway.close(2000);
    await processor.close(5000);
  }

  /** Stored and counted once, dead-lettered once, alerted as the raw log tells. */
  async function isAccountedFor(acknowledged: readonly AcknowledgedReading[], processor: Processor): Promise<void> {
    const found = await eventually(
      async () => {
        const now = await differences(acknowledged, store);
        return countDifferences(now) === 0 ? now : undefined;
      },
      { withinMs: 20_000, everyMs: 100, what: 'everything acknowledged is stored' },
    ).catch(() => differences(acknowledged, store));
    expect(found).toEqual({ lost: [], doubled: [], altered: [], rollups: [] });
    await hasInItsLedgers(processor, acknowledged.length);
    const raw = await all(bus, backend.topics.raw);
    const expected = alertsOfReplay(raw);
    expect(idsByDevice(await alertsOf())).toEqual(idsByDevice(expected));
    expect(await openAlerts()).toEqual(stillOpen(expected));
    expect(await deadLettersOf()).toEqual(garbageOf(raw));
  }

  /** They balance, and have every reading that was acknowledged once. */
  async function hasInItsLedgers(processor: Processor, readings: number): Promise<void> {
    const ledgers = () => Object.values(processor.status().partitions).map(({ ledger }) => ledger);
    const accepted = () => ledgers().reduce((sum, ledger) => sum + ledger.accepted, 0);
    await eventually(() => accepted() >= readings, { what: 'every reading in a ledger' });
    expect(accepted()).toBe(readings);
    expect(ledgers().flatMap(imbalances)).toEqual([]);
  }

  async function alertsOf(): Promise<Alert[]> {
    return (await all(bus, backend.topics.alerts)).map(({ value }) => JSON.parse(value!.toString()) as Alert);
  }

  /** Ids of the alerts that the state topic holds, tombstones applied. */
  async function openAlerts(): Promise<string[]> {
    const open = new Map<string, string>();
    for (const { key, value } of await all(bus, backend.topics.alertsState)) {
      if (value === null) open.delete(key);
      else open.set(key, (JSON.parse(value.toString()) as Alert).id);
    }
    return [...open.values()].sort();
  }

  /** What the raw log alone tells, by stages that never crashed. */
  function alertsOfReplay(raw: readonly BusRecord[]): Alert[] {
    const alerts: Alert[] = [];
    for (const records of Map.groupBy(raw, ({ partition }) => partition).values()) {
      const topology = new Topology({ ...backend.config.processing, ...quick }, rules, 0);
      for (const record of records) topology.process(record);
      alerts.push(...topology.outputs.alerts.map(({ alert }) => alert));
    }
    expect(alerts.length).toBeGreaterThan(devices.length);
    return alerts;
  }

  /** Places in the raw log of the dead letters. */
  async function deadLettersOf(): Promise<string[]> {
    const letters = await all(bus, backend.topics.dlq);
    const placed = letters.map(({ headers: of }) => `${of[headers.sourcePartition]}/${of[headers.sourceOffset]}`);
    return [...new Set(placed)].sort();
  }

  test.each(beforeAndAfter('append', 20))('the gateway, $when its append', { timeout: 60_000 }, ({ when, nth }) =>
    survives({ call: `append ${backend.topics.raw}`, when, nth }, 'gateway'),
  );

  test('the gateway, when it never hears that its append took effect', { timeout: 60_000 }, async () => {
    let isLost = false;
    const gateway = await startGateway(
      losingAnswer(bus, backend.topics.raw, 20, () => {
        isLost = true;
      }),
    );
    const processor = await startProcessor(bus, store);
    const acknowledged = await publishAll(
      () => gateway.address().port,
      () => isLost,
    );
    await isAccountedFor(acknowledged, processor);
    const redelivered = Object.values(processor.status().partitions).map(({ ledger }) => ledger.redelivered);
    await gateway.close(2000);
    await processor.close(5000);
    expect(Math.max(...redelivered), 'records that are in the raw log twice and known as such').toBeGreaterThan(0);
  });

  test.each(beforeAndAfter('write', 2))('the processor, $when its write', { timeout: 60_000 }, (step) =>
    survives(step, 'processor', { snapshotEveryRecords: 1 }),
  );

  const topics = ['alerts', 'alertsState', 'dlq', 'processorState'] as const;
  test.each(topics.flatMap((topic) => beforeAndAfter(topic, 2)))(
    'the processor, $when its append to $call',
    { timeout: 60_000 },
    ({ call, when, nth }) =>
      survives({ call: `append ${backend.topics[call as (typeof topics)[number]]}`, when, nth }, 'processor', {
        snapshotEveryRecords: 1,
      }),
  );

  test.each(beforeAndAfter('commit', 2))('the processor, $when its commit', { timeout: 60_000 }, (step) =>
    survives(step, 'processor'),
  );
});

function beforeAndAfter(call: string, nth: number): CrashStep[] {
  return [
    { call, when: 'before', nth },
    { call, when: 'after', nth },
  ];
}

/** A fleet that sends each reading until it is acknowledged, to whichever gateway there is, until some time after the cut. */
async function publishAll(port: () => number, isOver: () => boolean): Promise<AcknowledgedReading[]> {
  const firstMs = Math.floor(Date.now() / 60_000) * 60_000 - 3_600_000;
  const lists = await Promise.all(
    devices.map((device, d) => {
      let leftAfterCut = readingsAfterCut;
      const next = (seq: number): AcknowledgedReading | null => {
        if (seq >= leastReadings && isOver() && leftAfterCut-- <= 0) return null;
        // Over the limit in three of ten: many alerts.
        const fields = { temperature: seq % 10 < 3 ? 31 + d : 20 + (seq % 7) / 2, humidity: 40 + d };
        return { site, device, seq, timeMs: firstMs + seq * 1500 + d, fields };
      };
      return publishInOrder(next, port);
    }),
  );
  return lists.flat();
}

async function publishInOrder(
  next: (seq: number) => AcknowledgedReading | null,
  port: () => number,
): Promise<AcknowledgedReading[]> {
  const acknowledged: AcknowledgedReading[] = [];
  let client: MqttClient | null = null;
  for (let reading = next(0); reading !== null; reading = next(acknowledged.length)) {
    const { site, device, seq, timeMs, fields } = reading;
    const topic = `iot/${site}/${device}/telemetry`;
    try {
      client ??= await connectAsync(`mqtt://127.0.0.1:${port()}`, { reconnectPeriod: 0, connectTimeout: 2000 });
      if (seq % 20 === 5) await publish(client, topic, garbage);
      await publish(client, topic, JSON.stringify({ ts: timeMs, seq, ...fields }));
      acknowledged.push(reading);
    } catch {
      client?.end(true);
      client = null;
    }
  }
  await client?.endAsync();
  return acknowledged;
}

/** In order, each once: repeating is allowed, inventing is not. */
function idsByDevice(alerts: readonly Alert[]): Record<string, string[]> {
  const byDevice = Object.groupBy(alerts, ({ device }) => device);
  return Object.fromEntries(
    devices.map((device) => [device, [...new Set(byDevice[device]?.map(({ id }) => id))]] as const),
  );
}

function stillOpen(alerts: readonly Alert[]): string[] {
  const newest = new Map(alerts.map((alert) => [alert.fingerprint, alert]));
  return [...newest.values()]
    .filter(({ status }) => status !== 'resolved')
    .map(({ id }) => id)
    .sort();
}

/** Places in the raw log of what is no reading; of what was appended twice, the first. */
function garbageOf(raw: readonly BusRecord[]): string[] {
  const own = raw.filter(({ value }) => value?.toString() === garbage);
  const taken = Map.groupBy(own, (record) => record.headers[headers.ingestId]);
  expect(taken.size).toBeGreaterThan(devices.length);
  return [...taken.values()].map(([first]) => `${first!.partition}/${first!.offset}`).sort();
}

/** The bus, but for one append to the topic: it takes effect, and its caller is told that nobody knows. */
function losingAnswer(bus: Bus, topic: string, nth: number, onLost: () => void): Bus {
  let appends = 0;
  return withMethods(bus, {
    append: async (to, records) => {
      await bus.append(to, records);
      if (to !== topic || ++appends !== nth) return;
      onLost();
      throw new SluiceError('BUS_UNAVAILABLE', 'the answer was lost on purpose');
    },
  });
}

async function all(bus: Bus, topic: string): Promise<BusRecord[]> {
  const records: BusRecord[] = [];
  const following = await bus.follow(topic, 'beginning', (batch) => records.push(...batch));
  await following.close();
  return records;
}
