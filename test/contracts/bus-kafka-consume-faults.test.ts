/** What only Kafka can do to consumptions: a broker that dies, cut connections, a topic that goes away; and a password. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import type { Batch } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import { silentLogger } from '../../core/log.ts';
import { setUp } from '../../pipeline.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { startRole } from '../support/role-process.ts';
import { joinGroupRequest, syncGroupRequest } from '../support/tcp-proxy.ts';
import { FaultyKafka, list, perCall, seeded } from './bus/faulty-kafka.ts';
import { groupDeadline, Recorder, run } from './bus/harness.ts';

const user = { name: 'sluice', password: 'only-for-tests' };

describe.skipIf(inject('kafkaBrokers') === null)('consumptions of Kafka', () => {
  let securedPort: number;
  const kafka = new FaultyKafka(async () => {
    securedPort = await freePort();
    return { secured: { port: securedPort, user: user.name, password: user.password } };
  });

  test('a consumption goes on after the broker was killed and was away for longer than the client retries', async () => {
    const bus = await kafka.openBus();
    await kafka.appendAll(bus, 20);
    const recorder = new Recorder(async (batch) => {
      const last = batch.records.at(-1);
      if (last !== undefined) await batch.commit(last.offset + 1, '').catch(() => {});
    });
    const consumption = await recorder.join(bus, kafka.topic, 'group');
    await eventually(() => recorder.records.length >= 20 * perCall, groupDeadline);
    await kafka.server.kill();
    await systemClock.sleep(10_000);
    await kafka.server.restart();
    await Promise.all(Array.from({ length: 20 }, (_, i) => bus.append(kafka.topic, list(20 + i))));
    const distinct = () => new Set(recorder.records.map(({ partition, offset }) => `${partition}/${offset}`)).size;
    await eventually(() => distinct() === 40 * perCall, groupDeadline);
    expectOrder(recorder.batches);
    await consumption.close();
    await consumption.failed;
  });

  test('a consumption goes on through connections that are cut again and again', async () => {
    const bus = await kafka.openBus();
    const random = seeded();
    const recorder = new Recorder();
    const consumption = await recorder.join(bus, kafka.topic, 'group');
    const writer = await kafka.openBus({ lanes: 4 });
    const ended = consumption.failed.then(
      () => null,
      (error: unknown) => error,
    );
    for (let call = 0; call < 20; call++) {
      await writer.append(kafka.topic, list(call));
      await systemClock.sleep(random() * 300);
      kafka.proxy.cutAll();
    }
    const distinct = () => new Set(recorder.records.map(({ partition, offset }) => `${partition}/${offset}`)).size;
    await eventually(() => distinct() === 20 * perCall, groupDeadline);
    expectOrder(recorder.batches);
    await consumption.close();
    expect(await ended).toBeNull();
  });

  test('a consumption that is closed while it joins ends soon, and comes not back into the group', async () => {
    let [cuts, joins] = [1, 0];
    kafka.proxy.ofAnswer = (kind) => (kind === syncGroupRequest && cuts-- > 0 ? 'cut' : 'pass');
    kafka.proxy.ofRequest = (kind) => {
      if (kind === joinGroupRequest) joins++;
      return 'pass';
    };
    const bus = await kafka.openBus({ clientId: 'leaving' });
    const joining = new Recorder().join(bus, kafka.topic, 'left').catch(() => {});
    // It joins again by itself, and the broker lets it wait until the session of its first try is over.
    await eventually(() => joins === 2, groupDeadline);
    const startedAtMs = performance.now();
    await bus.close();
    expect(performance.now() - startedAtMs).toBeLessThan(5000);
    const staying = await kafka.openBus({ clientId: 'staying' });
    const recorder = new Recorder();
    await recorder.join(staying, kafka.topic, 'left');
    await kafka.appendAll(staying, 1);
    await eventually(() => recorder.records.length === perCall, groupDeadline);
    const admin = new Kafka({ brokers: [kafka.server.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    onTestFinished(() => admin.disconnect());
    const members = async () => (await admin.describeGroups(['left'])).groups[0]!.members;
    // The one that left has a session to run out, if it could not say so.
    await eventually(async () => (await members()).every(({ clientId }) => clientId === 'staying'), groupDeadline);
    await joining;
  });

  test('a processor that is told to end while Kafka is away ends, and comes not back into the group', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
    const settings = join(folder, 'sluice.yaml');
    await writeFile(settings, 'drainTimeoutMs: 500ms\n');
    const env = {
      KAFKA_BROKERS: kafka.brokers,
      SLUICE_TOPIC_PREFIX: 'ending.',
      SLUICE_DATA_DIR: folder,
      SLUICE_HTTP_PORT: '0',
    };
    await setUp(resolveConfig({ env, flags: {}, readText: () => '' }), silentLogger);
    const processor = await startRole(['processor', '--config', settings], env);
    onTestFinished(async () => {
      await processor.kill();
      await rm(folder, { recursive: true });
    });
    // A partition in use has a last snapshot to be written.
    await (await kafka.openBus()).append('ending.telemetry.raw.v1', run(1, 0));
    const metrics = async () => (await fetch(`${processor.http}/metrics`)).text();
    await eventually(async () => /^sluice_processor_records_total\{.*\} 1$/m.test(await metrics()), groupDeadline);
    kafka.proxy.ofRequest = () => 'cut';
    kafka.proxy.cutAll();
    expect(await Promise.race([processor.stop(), systemClock.sleep(20_000).then(() => 'still there')])).toBe(1);
  });

  test('a consumption whose topic goes away fails loudly', async () => {
    const bus = await kafka.openBus();
    await kafka.appendAll(bus, 1);
    const recorder = new Recorder();
    const consumption = await recorder.join(bus, kafka.topic, 'group');
    await eventually(() => recorder.records.length === perCall, groupDeadline);
    const admin = new Kafka({ brokers: [kafka.server.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.deleteTopics({ topics: [kafka.topic] });
    await admin.disconnect();
    await expect(consumption.failed).rejects.toThrow(kafka.topic);
  });

  describe('with TLS and a password', () => {
    test.each(['plain', 'scram-sha-256', 'scram-sha-512'])('%s: appends, consumes and commits', async (mechanism) => {
      expect(await secured(mechanism, user.password)).toBe('over TLS');
    });

    test('a wrong password is said to be one', async () => {
      expect(await secured('scram-sha-512', 'wrong')).toMatch(/authentication/i);
    });

    test('a certificate that nobody vouches for is refused', async () => {
      expect(await secured('plain', user.password, {})).toMatch(/certificate/i);
    });

    async function secured(
      mechanism: string,
      password: string,
      env: Record<string, string> = { NODE_EXTRA_CA_CERTS: join(kafka.server.folder, 'certificate.pem') },
    ): Promise<string> {
      const program = join(import.meta.dirname, 'bus/secured-process.ts');
      const args = [program, `127.0.0.1:${securedPort}`, mechanism, user.name, password];
      const child = spawn(process.execPath, args, {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      return (await text(child.stdout)).trim();
    }
  });
});

/** Within a partition offsets only go back to where an assignment starts from. */
function expectOrder(batches: readonly Batch[]): void {
  const next = new Map<number, number>();
  for (const { partition, records, assignment } of batches) {
    for (const [i, { offset }] of records.entries()) {
      const isFirst = i === 0 && (assignment !== null || !next.has(partition));
      if (!isFirst) expect(offset).toBe(next.get(partition));
      next.set(partition, offset + 1);
    }
  }
}
