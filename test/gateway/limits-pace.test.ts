import { describe, expect, it } from 'vitest';
import { Pace } from '../../gateway/connection/pace.ts';
import { TokenBucket } from '../../gateway/token-bucket.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { openGateway, raw } from './harness.ts';
import { publishPacket, type } from './raw-client.ts';

describe('TokenBucket', () => {
  it('lets a burst of one second pass, and says how long more has to wait', () => {
    const bucket = new TokenBucket(100, 0);
    bucket.take(100, 0);
    expect(bucket.waitMs(0)).toBe(0);
    bucket.take(50, 0);
    expect(bucket.waitMs(0)).toBe(500);
    expect(bucket.waitMs(200)).toBeCloseTo(300);
    expect(bucket.waitMs(500)).toBe(0);
  });

  it('saves up no more than that burst', () => {
    const bucket = new TokenBucket(100, 0);
    bucket.take(200, 3_600_000);
    expect(bucket.waitMs(3_600_000)).toBe(1000);
  });

  it('waits no longer when the clock is set back', () => {
    const bucket = new TokenBucket(100, 3_600_000);
    bucket.take(200, 3_600_000);
    expect(bucket.waitMs(0)).toBe(1000);
    expect(bucket.waitMs(1000)).toBe(0);
  });
});

describe('Pace', () => {
  it('is that of messages or of bytes, whichever is slower', () => {
    const limits = { maxMessagesPerSecond: 10, maxBytesPerSecond: 1000 };
    expect(new Pace(limits, 0).took(10, 1000, 0)).toBe(0);
    expect(new Pace(limits, 0).took(20, 1000, 0)).toBe(1000);
    expect(new Pace(limits, 0).took(10, 3000, 0)).toBe(2000);
  });
});

describe('A client that sends faster than it may', () => {
  const messages = (count: number) => Array.from({ length: count }, (_, i) => publishPacket({ id: i + 1 }));

  it('is not read for as long as it was too fast, and loses nothing', async () => {
    const clock = new ManualClock();
    const { connect, gateway, received } = await openGateway({ maxMessagesPerSecond: 10, lingerMs: 0 }, { clock });
    const fast = await connect({ clientId: 'fast' });
    const other = await connect({ clientId: 'other' });
    fast.send(...messages(20));
    await received(20);
    expect(gateway.status().slowed).toBe(1);
    fast.send(publishPacket({ id: 21 }));
    other.send(publishPacket({ id: 1 }));
    await received(21);
    expect(await other.received(type.puback)).toEqual([1]);
    // One for the CONNECT, twenty messages, ten of them in the burst.
    clock.advance(1000);
    await other.ping();
    expect(gateway.status().ledger.received).toBe(21);
    clock.advance(200);
    await received(22);
    expect(await fast.received(type.puback, 21)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
  });

  it('waits for both, its rate and room for its messages, whichever comes first', async () => {
    for (const isRateFirst of [true, false]) {
      const clock = new ManualClock();
      const limits = { maxMessagesPerSecond: 10, maxHeldMessagesPerClient: 5, lingerMs: 0 };
      const { bus, connect, gateway, received } = await openGateway(limits, { clock });
      const hold = bus.hold(raw);
      const client = await connect();
      client.send(...messages(20));
      await received(5);
      client.send(publishPacket({ id: 21 }));
      await eventually(() => gateway.status().slowed === 1);
      if (isRateFirst) {
        clock.advance(1200);
        expect(gateway.status().ledger.received).toBe(5);
        hold.release();
      } else {
        hold.release();
        await received(20);
        expect(gateway.status().ledger.received).toBe(20);
        clock.advance(1200);
      }
      expect(await client.received(type.puback, 21)).toHaveLength(21);
    }
  });

  it('is slowed by bytes too', async () => {
    const clock = new ManualClock();
    const { connect, gateway, received } = await openGateway({ maxBytesPerSecond: 10_000 }, { clock });
    const client = await connect();
    client.send(publishPacket({ payload: 'x'.repeat(30_000), qos: 0 }));
    await received(1);
    expect(gateway.status().slowed).toBeGreaterThan(0);
  });

  it('is not taken for silent meanwhile', async () => {
    const clock = new ManualClock();
    const limits = { maxMessagesPerSecond: 1, lingerMs: 0 };
    const { connect, received } = await openGateway(limits, { clock });
    const other = await connect({ clientId: 'other' });
    const client = await connect({ keepaliveSeconds: 2 });
    client.send(...messages(20));
    await received(20);
    client.send(publishPacket({ id: 21 }));
    // When this one is answered, that one has come.
    await other.ping();
    clock.advance(15_000);
    expect(client.isClosed).toBe(false);
    clock.advance(10_000);
    await received(21);
  });
});
