/** The example as its reader runs it: a process of its own, on real Kafka. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connectAsync } from 'mqtt';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { NewRecord } from '../../bus/port.ts';
import { type Backend, isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { startRole } from '../support/role-process.ts';

const program = join(import.meta.dirname, '../../examples/alert-consumer.ts');
const first = '2026-03-01T10:00:00.000Z';
/** Later, by microseconds. */
const second = '2026-03-01T10:00:00.000250Z';

function event(fingerprint: string, startsAt: string, seq: number, status: string): NewRecord {
  const summary = `${fingerprint} episode ${startsAt} seq ${seq}`;
  return record(fingerprint, JSON.stringify({ fingerprint, startsAt, seq, status, severity: 'warning', summary }));
}

function record(key: string, value: string): NewRecord {
  return { key, value: Buffer.from(value), headers: {}, timestampMs: 1_772_000_000_000 };
}

function startConsumer(backend: Backend) {
  const env = { KAFKA_BROKERS: backend.env.KAFKA_BROKERS!, TOPIC: backend.topics.alerts, GROUP: backend.topics.alerts };
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const errors: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    }
    return child.exitCode;
  };
  onTestFinished(() => void end('SIGKILL'));
  const printed = (line: string) =>
    eventually(() => lines.includes(line), { withinMs: 30_000, what: `the line ${line}` });
  return { lines, errors, end, printed };
}

describe.skipIf(!isAvailable('Kafka + InfluxDB'))('examples/alert-consumer.ts', () => {
  test('prints each event once, skips what is no alert, and goes on where it was stopped', async () => {
    const backend = await openBackend('Kafka + InfluxDB');
    onTestFinished(() => backend.close());
    const bus = await backend.bus();
    await bus.append(backend.topics.alerts, [
      event('a', first, 1, 'pending'),
      event('a', first, 2, 'firing'),
      event('a', first, 1, 'pending'),
      record('a', '{"fingerprint": "a", '),
      record('a', 'null'),
      record('a', '{"temperature": 21.5}'),
      event('a', first, 2, 'firing'),
      event('a', first, 3, 'resolved'),
      event('a', second, 1, 'firing'),
      event('a', first, 3, 'resolved'),
      event('a', second, 2, 'resolved'),
    ]);
    const consumer = startConsumer(backend);
    await consumer.printed(`${second} warning resolved: a episode ${second} seq 2`);
    expect(consumer.lines).toEqual([
      `${first} warning pending: a episode ${first} seq 1`,
      `${first} warning firing: a episode ${first} seq 2`,
      `${first} warning resolved: a episode ${first} seq 3`,
      `${second} warning firing: a episode ${second} seq 1`,
      `${second} warning resolved: a episode ${second} seq 2`,
    ]);
    expect(consumer.errors.filter((line) => line.startsWith('skipped '))).toHaveLength(3);
    expect(await consumer.end('SIGTERM')).toBe(0);

    await bus.append(backend.topics.alerts, [event('b', first, 1, 'firing')]);
    const again = startConsumer(backend);
    await again.printed(`${first} warning firing: b episode ${first} seq 1`);
    expect(again.lines).toHaveLength(1);
    expect(await again.end('SIGINT')).toBe(0);
  });

  test('a reading over the limit of a rule is a line', async () => {
    const backend = await openBackend('Kafka + InfluxDB');
    onTestFinished(() => backend.close());
    const rules = join(backend.env.SLUICE_DATA_DIR!, 'rules.yaml');
    await writeFile(
      rules,
      '[{name: hot, severity: critical, field: temperature, when: {above: 30, clear: 28}, summary: "{device} at {value}"}]',
    );
    const sluice = await startRole(['start'], {
      ...backend.env,
      SLUICE_RULES: rules,
      SLUICE_MQTT_PORT: '0',
      SLUICE_HTTP_PORT: '0',
    });
    onTestFinished(() => sluice.kill());
    const consumer = startConsumer(backend);
    const device = await connectAsync(`mqtt://127.0.0.1:${sluice.mqttPort}`);
    const publish = (ts: string, temperature: number) =>
      device.publishAsync('iot/lab/s1/telemetry', JSON.stringify({ ts: Date.parse(ts), temperature }), { qos: 1 });
    await publish('2026-03-01T10:00:00Z', 31.5);
    await publish('2026-03-01T10:00:01Z', 20);
    await device.endAsync();
    await consumer.printed('2026-03-01T10:00:00.000Z critical resolved: s1 at 20');
    expect(consumer.lines).toEqual([
      '2026-03-01T10:00:00.000Z critical firing: s1 at 31.5',
      '2026-03-01T10:00:00.000Z critical resolved: s1 at 20',
    ]);
  });
});
