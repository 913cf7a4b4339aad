/** Commands from the bus to devices, over real MQTT and the embedded bus: each ends in exactly one result. */
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { silentLogger } from '../../core/log.ts';
import { topicSpecs } from '../../core/topics.ts';
import { Commands } from '../../gateway/commands/commands.ts';
import { Subscribers } from '../../gateway/subscribers.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import { openPlant, partitions, patience, topics } from './commands-fixture.ts';

/** One result for each command, and nothing more when all gateways have said everything. */
async function expectEnds(plant: Awaited<ReturnType<typeof openPlant>>, ends: Readonly<Record<string, string>>) {
  for (const id of Object.keys(ends)) await plant.endOf(id);
  await plant.closeAll();
  const results = await plant.results();
  expect(results.map(({ id, result }) => [id, result]).sort()).toEqual(Object.entries(ends).sort());
}

describe.concurrent('A command', { timeout: 90_000 }, () => {
  it('to a device that is connected is delivered when it acknowledges it', async ({ onTestFinished }) => {
    const plant = await openPlant(onTestFinished);
    const gateway = await plant.gateway();
    const device = await plant.device(gateway);
    await plant.send('a', { payload: '{"open":true}' });
    expect(await plant.endOf('a')).toMatchObject({ result: 'delivered', site: 'lab', device: 'd1', gateway: 'g1' });
    expect(device.got).toEqual(['{"open":true}']);
    expect(gateway.status().commands).toMatchObject({ pending: 0, sent: 1 });
    await expectEnds(plant, { a: 'delivered' });
  });

  it('to one that is not there expires, and is not sent when it comes later', async ({ onTestFinished }) => {
    const plant = await openPlant(onTestFinished);
    const gateway = await plant.gateway();
    await plant.send('a', { expiresInMs: 200 });
    await eventually(() => gateway.status().commands.pending === 1, patience);
    expect(await plant.endOf('a')).toMatchObject({ result: 'expired', reason: null });
    const device = await plant.device(gateway);
    await plant.send('b');
    await plant.endOf('b');
    expect(device.got).toEqual(['b']);
    await expectEnds(plant, { a: 'expired', b: 'delivered' });
  });

  it('waits for a device that comes in time, and those for one device come in order', async ({ onTestFinished }) => {
    const plant = await openPlant(onTestFinished);
    const ids = Array.from({ length: 20 }, (_, i) => `c${i}`);
    for (const id of ids) await plant.send(id);
    // Also one that was asked for before any gateway ran.
    const gateway = await plant.gateway();
    await plant.send('other', { key: 'lab/d2', expiresInMs: 300 });
    await plant.endOf('other');
    const device = await plant.device(gateway);
    await eventually(() => device.got.length === ids.length, patience);
    expect(device.got).toEqual(ids);
    await expectEnds(plant, Object.fromEntries([...ids.map((id) => [id, 'delivered']), ['other', 'expired']]));
  });

  it('to one that dies before its PUBACK is sent again when it is back', async ({ onTestFinished }) => {
    const plant = await openPlant(onTestFinished);
    const gateway = await plant.gateway();
    const dying = await plant.device(gateway, { acknowledges: false });
    await plant.send('a');
    await eventually(() => dying.got.length === 1, patience);
    dying.lose();
    const back = await plant.device(gateway);
    await plant.endOf('a');
    expect(back.got).toEqual(['a']);
    await expectEnds(plant, { a: 'delivered' });
  });

  it('to one that never acknowledges expires, and the next one is sent', async ({ onTestFinished }) => {
    const plant = await openPlant(onTestFinished);
    const gateway = await plant.gateway();
    const device = await plant.device(gateway, { acknowledges: false });
    await plant.send('a', { expiresInMs: 3000 });
    await plant.send('b');
    expect(await plant.endOf('a')).toMatchObject({ result: 'expired' });
    await eventually(() => device.got.length === 2, patience);
    expect(device.got).toEqual(['a', 'b']);
    await expectEnds(plant, { a: 'expired' });
  });

  it('follows its device to another gateway, also while the first takes it to be there still', async ({
    onTestFinished,
  }) => {
    const plant = await openPlant(onTestFinished);
    const [one, two] = [await plant.gateway(), await plant.gateway()];
    const before = await plant.device(one, { acknowledges: false });
    await plant.send('a');
    await eventually(() => before.got.length === 1, patience);
    const after = await plant.device(two);
    expect(await plant.endOf('a')).toMatchObject({ result: 'delivered', gateway: 'g2' });
    expect(after.got).toEqual(['a']);
    await plant.send('b');
    await plant.endOf('b');
    expect(after.got).toEqual(['a', 'b']);
    await expectEnds(plant, { a: 'delivered', b: 'delivered' });
  });

  it('now or never is offline without its device, and expired with one that does not answer', async ({
    onTestFinished,
  }) => {
    const plant = await openPlant(onTestFinished);
    const gateway = await plant.gateway();
    const device = await plant.device(gateway, { acknowledges: false });
    await plant.send('a', { isNow: true, expiresInMs: 3000 });
    await plant.send('b', { isNow: true, expiresInMs: 200, key: 'lab/d2' });
    await plant.endOf('a');
    expect(device.got).toEqual(['a']);
    await expectEnds(plant, { a: 'expired', b: 'offline' });
  });

  it('is there for a gateway that starts after another was closed', async ({ onTestFinished }) => {
    const plant = await openPlant(onTestFinished);
    const first = await plant.gateway();
    const dying = await plant.device(first, { acknowledges: false });
    await plant.send('a');
    await eventually(() => dying.got.length === 1, patience);
    await first.close(2000);
    const next = await plant.gateway();
    const device = await plant.device(next);
    await plant.endOf('a');
    expect(device.got).toEqual(['a']);
    await expectEnds(plant, { a: 'delivered' });
  });
});

describe.concurrent('A dead letter', { timeout: 90_000 }, () => {
  const errors = 'iot/lab/d1/errors';
  const letter = (over: Record<string, string> = {}, key = 'lab/d1', payload = 'not {json') => ({
    key,
    value: Buffer.from(payload),
    headers: {
      'ingest.id': 'run-7',
      'mqtt.topic': `iot/${key}/telemetry`,
      'dlq.reason': 'not_json',
      'dlq.error': 'Unexpected token',
      'source.offset': '7',
      ...over,
    },
    timestampMs: 1_700_000_000_000,
  });

  it('comes back to a device that listens on its errors, and to no other', async ({ onTestFinished }) => {
    const plant = await openPlant(onTestFinished);
    const gateway = await plant.gateway();
    const device = await plant.device(gateway, { topic: errors });
    const other = await plant.device(gateway, { clientId: 'd2', topic: 'iot/lab/d2/errors' });
    const long = 'x'.repeat(1000);
    // A follower begins at the end: what was appended before it began is not for it.
    await eventually(async () => {
      await plant.bus.append(topics.dlq, [letter({ 'source.index': '2' }), letter({ 'mqtt.topic': 'a/b' })]);
      return device.got.length > 0;
    }, patience);
    expect(JSON.parse(device.got[0]!)).toEqual({
      reason: 'not_json',
      error: 'Unexpected token',
      receivedAtMs: 1_700_000_000_000,
      ingestId: 'run-7',
      topic: 'iot/lab/d1/telemetry',
      index: 2,
      payload: 'not {json',
      payloadBytes: 9,
    });
    await plant.bus.append(topics.dlq, [letter({}, 'lab/d2', long)]);
    await eventually(() => other.got.length === 1, patience);
    expect(JSON.parse(other.got[0]!)).toMatchObject({ index: null, payload: 'x'.repeat(256), payloadBytes: 1000 });
    await eventually(() => gateway.status().commands.errorsTold === device.got.length + 1, patience);
  });

  it('is not told to one that has left twenty unacknowledged, and counted', async ({ onTestFinished }) => {
    const plant = await openPlant(onTestFinished);
    const gateway = await plant.gateway();
    const device = await plant.device(gateway, { topic: errors, acknowledges: false });
    await eventually(async () => {
      await plant.bus.append(topics.dlq, [letter()]);
      return device.got.length > 0;
    }, patience);
    await plant.bus.append(
      topics.dlq,
      Array.from({ length: 30 }, () => letter()),
    );
    await eventually(() => (gateway.status().commands.errorsUntold.too_many_waiting ?? 0) > 10, patience);
    device.lose();
    await eventually(() => gateway.status().commands.errorsUntold.not_acknowledged === 20, patience);
  });
});

test('Without the topics of commands a gateway says so, and goes on by itself when they are made', async () => {
  const clock = new ManualClock();
  const bus = new MemoryBus({ clock });
  const subscribers = new Subscribers();
  const commands = new Commands({ bus, topics, instance: 'g', subscribers, clock, log: silentLogger });
  commands.start();
  onTestFinished(() => commands.close(0));
  await eventually(() => commands.warnings().length === 3);
  for (const warning of commands.warnings()) expect(warning).toMatch(/^commands to devices: .* does not exist/);
  await bus.createTopics(topicSpecs({ prefix: 'iot.', partitions, rawRetentionMs: null, rawRetentionBytes: null }));
  await eventually(() => {
    clock.advance(500);
    return commands.warnings().length === 0;
  });
});
