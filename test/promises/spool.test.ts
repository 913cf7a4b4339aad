/**
 * P1 and P2 over a stall of Kafka that the gateway does not survive: Kafka is stopped under load, messages go to the
 * spool, the gateway is killed, the next one starts without Kafka and is told to end, a third one goes on, and Kafka comes
 * back. What was acknowledged is in the raw topic, in order per device, stored and counted once.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Bus } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import { silentLogger } from '../../core/log.ts';
import { topicNames } from '../../core/topics.ts';
import { openBus, openStore, setUp } from '../../pipeline.ts';
import { Processor } from '../../processors/runner.ts';
import { isAvailable } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { startOwnKafka } from '../support/kafka-server.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';
import { sendInOrder } from '../support/send-in-order.ts';
import { type AcknowledgedReading, countDifferences, differences } from '../support/truth.ts';

const devices = ['s1', 's2', 's3', 's4', 's5', 's6', 's7', 's8'];
const firstMs = Math.floor(Date.now() / 60_000) * 60_000 - 3_600_000;

test.skipIf(!isAvailable('Kafka + InfluxDB'))(
  'Kafka stopped, the gateway killed meanwhile: nothing acknowledged is lost, reordered or stored twice',
  { timeout: 180_000 },
  async () => {
    const kafka = await startOwnKafka();
    if ('skip' in kafka) throw new Error(kafka.skip);
    onTestFinished(() => kafka.close());
    const folder = await mkdtemp(join(tmpdir(), 'sluice-spool-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const settings = join(folder, 'sluice.yaml');
    await writeFile(settings, 'gateway:\n  spool: true\n  spoolAfterMs: 1s\n');
    const mqttPort = await freePort();
    const env = { KAFKA_BROKERS: kafka.brokers, SLUICE_DATA_DIR: join(folder, 'data') };
    const own = { ...env, SLUICE_MQTT_PORT: String(mqttPort), SLUICE_HTTP_PORT: '0' };
    const config = resolveConfig({ env, flags: {}, readText: () => '' });
    await setUp(config, silentLogger);
    const startGateway = () => startRole(['gateway', '--config', settings], own);

    let gateway = await startGateway();
    onTestFinished(() => gateway.kill());
    let isOver = false;
    const acknowledged = devices.map((): AcknowledgedReading[] => []);
    const count = () => acknowledged.reduce((sum, { length }) => sum + length, 0);
    const more = (readings: number) => {
      const until = count() + readings;
      return eventually(() => count() >= until, { withinMs: 20_000, what: `${readings} more are acknowledged` });
    };
    const fleet = devices.map((device, d) =>
      sendInOrder({
        port: () => mqttPort,
        next: (seq) => {
          const { timeMs, fields } = readingOf(device, seq);
          const payload = JSON.stringify({ ts: timeMs, seq, ...fields });
          return isOver ? null : { topic: `iot/spool/${device}/telemetry`, payload };
        },
        onAcknowledged: (seq) => acknowledged[d]!.push(readingOf(device, seq)),
      }),
    );
    await more(500);

    process.kill(kafka.pid!, 'SIGSTOP');
    await more(1000);
    const before = await spooled(gateway);
    expect(before, 'messages in the spool').toBeGreaterThan(500);
    await gateway.kill();
    gateway = await startGateway();
    expect(await spooled(gateway)).toBeGreaterThanOrEqual(before);
    await more(1000);
    expect(await isReady(gateway), 'ready without Kafka').toBe(true);
    expect(await gateway.stop(), 'exit code without Kafka').toBe(0);
    gateway = await startGateway();
    await more(200);
    process.kill(kafka.pid!, 'SIGCONT');

    await eventually(async () => (await spooled(gateway)) === 0, { withinMs: 20_000, everyMs: 100, what: 'drained' });
    await more(200);
    isOver = true;
    await Promise.all(fleet);
    expect(await gateway.stop(), 'exit code').toBe(0);

    const bus = openBus(config, systemClock, silentLogger);
    const store = openStore(config, systemClock, silentLogger);
    onTestFinished(() => Promise.all([bus.close(), store.close()]).then(() => {}));
    await bus.start();
    await store.start();
    const topics = topicNames();
    expect(await seqsInLog(bus, topics.raw)).toEqual(acknowledged.map((own) => own.map(({ seq }) => seq)));

    const processor = new Processor({
      ...{ bus, store, topics, group: 'spool', rules: [], options: config.processing },
      ...{ instance: 'processor', version: 'test', clock: systemClock, log: silentLogger },
    });
    processor.failed.catch(() => {});
    onTestFinished(() => processor.close(5000));
    await processor.start();
    const ledgers = () => Object.values(processor.status().partitions).map(({ ledger }) => ledger);
    const accepted = () => ledgers().reduce((sum, ledger) => sum + ledger.accepted, 0);
    await eventually(() => accepted() >= count(), { withinMs: 20_000, what: 'all is processed' });
    expect(accepted(), 'each counted once').toBe(count());
    const found = await eventually(async () => {
      const now = await differences(acknowledged.flat(), store);
      return now.lost.length + now.doubled.length + now.altered.length === 0 ? now : undefined;
    }).catch(() => differences(acknowledged.flat(), store));
    // The newest windows are still open: nobody's time passes any more.
    expect(countDifferences({ ...found, rollups: [] }), JSON.stringify(found)).toBe(0);
  },
);

/** Messages in the spool of a gateway. */
async function spooled({ http }: RoleProcess): Promise<number> {
  const text = await (await fetch(`${http}/metrics`)).text();
  return Number(/^sluice_gateway_spool_messages (\d+)/m.exec(text)?.[1]);
}

async function isReady({ http }: RoleProcess): Promise<boolean> {
  return (await fetch(`${http}/readyz`)).ok;
}

/** Of each device, in the order in which they first come in the log. */
async function seqsInLog(bus: Bus, topic: string): Promise<number[][]> {
  const seqs = new Map(devices.map((device): [string, Set<number>] => [`spool/${device}`, new Set()]));
  const following = await bus.follow(topic, 'beginning', (records) => {
    for (const { key, value } of records) {
      if (value !== null) seqs.get(key)!.add(JSON.parse(String(value)).seq);
    }
  });
  await following.close();
  return [...seqs.values()].map((own) => [...own]);
}

function readingOf(device: string, seq: number): AcknowledgedReading {
  return { site: 'spool', device, seq, timeMs: firstMs + seq * 100, fields: { temperature: 20 + (seq % 70) / 10 } };
}
