/** What must be true again after something hostile: others are served, no connection is left, memory is given back. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import type { Opened } from './harness.ts';
import { connectPacket, publishPacket, RawClient, type } from './raw-client.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const ackWithinMs = 500;
/** Of one machine that runs other suites meanwhile: one of so many. */
const tries = 5;
const MiB = 1024 * 1024;

/** A bus that keeps nothing, so that memory tells of the gateway alone. */
export class ForgetfulBus extends MemoryBus {
  /** Records that were appended. */
  appended = 0;

  override async append(topic: string, records: Parameters<MemoryBus['append']>[1]): Promise<void> {
    if (topic.includes('telemetry')) this.appended += records.length;
  }
}

/** A client that has nothing to do with it connects, publishes and has its PUBACK within 500 ms. `from`: its address. */
export async function expectServed({ port }: Pick<Opened, 'port'>, from?: string): Promise<void> {
  const took: number[] = [];
  for (let i = 0; i < tries && Math.min(...took) > ackWithinMs; i++) {
    const client = await RawClient.open(port, from);
    client.send(connectPacket({ clientId: 'healthy' }));
    await client.received(type.connack);
    const sentAtMs = performance.now();
    client.send(publishPacket({ id: 77, topic: 'iot/lab/healthy/telemetry' }));
    await client.received(type.puback);
    took.push(performance.now() - sentAtMs);
    client.socket.destroy();
    await client.closed();
  }
  expect(Math.min(...took), `PUBACK of a healthy client, ms: ${took}`).toBeLessThan(ackWithinMs);
}

/** No connection is left, and nothing that one had brought. */
export async function expectNobodyLeft({ gateway }: Pick<Opened, 'gateway'>): Promise<void> {
  const nothing = { connections: 0, clients: 0, heldBytes: 0, readAheadBytes: 0 };
  await eventually(() => {
    expect(gateway.status()).toMatchObject(nothing);
    expect(gateway.status().ledger.held).toBe(0);
    return true;
  });
}

/** What `attack` does leaves nothing behind: the second time takes no more memory than the first has left. */
export async function expectNoTrace(opened: Opened, attack: () => Promise<void>): Promise<void> {
  await attack();
  await expectNobodyLeft(opened);
  const before = usedBytes();
  await attack();
  await expectServed(opened);
  await expectNobodyLeft(opened);
  await expectMemoryBack(before);
}

/** Bytes in use once garbage is collected. */
export function usedBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers, external } = process.memoryUsage();
  return heapUsed + Math.max(arrayBuffers, external);
}

/** What was in use before comes back, but for `slackMiB`: code that was compiled meanwhile. */
export async function expectMemoryBack(beforeBytes: number, slackMiB = 4): Promise<void> {
  await eventually(
    () => {
      const grownMiB = (usedBytes() - beforeBytes) / MiB;
      expect(grownMiB, 'MiB more than before').toBeLessThan(slackMiB);
      return true;
    },
    { everyMs: 200 },
  );
}
