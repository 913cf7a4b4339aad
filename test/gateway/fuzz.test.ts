/**
 * Random and mutated packets against the gateway: none of them brings it down, keeps a connection, or stops others. The
 * seed is fixed; `SLUICE_FUZZ_PACKETS` says how many (200000 is the long form), `SLUICE_FUZZ_SEED` from which one.
 */
import { parser } from 'mqtt-packet';
import { describe, expect, it, onTestFinished } from 'vitest';
import { silentLogger } from '../../core/log.ts';
import { FrameReader, type FrameRun } from '../../gateway/packets/frames.ts';
import { PacketCheck } from '../../gateway/packets/packets.ts';
import { Violation } from '../../gateway/packets/violation.ts';
import { randomStream } from '../../simulator/random.ts';
import { eventually } from '../support/eventually.ts';
import { expectMemoryBack, expectNobodyLeft, expectServed, ForgetfulBus, usedBytes } from './aftermath.ts';
import { defaults, openGateway } from './harness.ts';
import { RandomPackets } from './random-packets.ts';
import { connectPacket, pingreq, RawClient, type } from './raw-client.ts';

const packets = Number(process.env.SLUICE_FUZZ_PACKETS ?? 10_000);
const seed = process.env.SLUICE_FUZZ_SEED ?? 'sluice';
const atOnce = 40;
const longestSequence = 16;

/** Everything that nobody caught while the test ran. */
function uncaught(): Error[] {
  const errors: Error[] = [];
  const keep = (error: Error) => void errors.push(error);
  process.on('uncaughtException', keep);
  process.on('unhandledRejection', keep);
  onTestFinished(() => {
    process.off('uncaughtException', keep);
    process.off('unhandledRejection', keep);
  });
  return errors;
}

describe(`${packets} random packets`, () => {
  it('whatever passes the check, the parser of the broker takes', () => {
    const random = new RandomPackets(randomStream(seed, 'parser'), 0.5);
    let passed = 0;
    let refused = 0;
    for (let i = 0; i < packets; i++) {
      const frames = new FrameReader(new PacketCheck(defaults));
      const runs: FrameRun[] = [];
      const bytes = random.chance(0.1) ? random.next() : Buffer.concat([connectPacket(), random.next(), random.next()]);
      try {
        frames.read(bytes, runs);
      } catch (error) {
        if (!(error instanceof Violation)) throw error;
        refused++;
      }
      const broker = parser({ protocolVersion: 4 });
      broker.on('packet', () => passed++);
      broker.on('error', (error) => {
        throw new Error(`the parser does not take ${bytes.toString('hex')}`, { cause: error });
      });
      for (const run of runs) expect(broker.parse(run.bytes), 'bytes that are left over').toBe(0);
    }
    expect(passed, 'many are good').toBeGreaterThan(packets / 2);
    expect(refused, 'many are bad').toBeGreaterThan(packets / 4);
  }, 600_000);

  it('bring no crash, keep no connection and no memory, and stop nobody', async () => {
    const errors = uncaught();
    const stream = randomStream(seed, 'sockets');
    const kinds = [0.02, 0.1, 0.4].map((wildness) => new RandomPackets(stream, wildness));
    const faults = new Set<string>();
    const debug = (fields: object) => void faults.add('error' in fields ? String(fields.error) : '');
    const log = { ...silentLogger, debug, child: () => log };
    const limits = { maxConnectsPerSecond: 1_000_000, maxHeldMessagesPerClient: 10 };
    const opened = await openGateway(limits, { log, bus: new ForgetfulBus() });
    let sent = 0;
    let connections = 0;
    /** One connection and what it does: most of it as a client that was accepted. */
    const one = async (n: number) => {
      const random = kinds[n % kinds.length]!;
      // One address has not enough ports for the long form.
      const client = await RawClient.open(opened.port, packets > 10_000 ? `127.0.1.${(n % 200) + 1}` : undefined);
      const first = random.chance(0.9) ? [random.connect(`fuzz${n % 100}`)] : [];
      const sequence = [...first, ...Array.from({ length: 1 + random.below(longestSequence) }, () => random.next())];
      sent += sequence.length;
      connections++;
      const cutAt = random.below(sequence.length);
      client.send(...sequence.slice(0, cutAt));
      await new Promise((resolve) => setImmediate(resolve));
      client.send(...sequence.slice(cutAt), pingreq());
      // It is closed, or it is answered, or it waits for the rest of a packet: then nothing comes.
      const isDone = () => client.isClosed || client.ids(type.pingresp).length > 0;
      await eventually(isDone, { withinMs: 60, everyMs: 5 }).catch(() => {});
      if (random.chance(0.5)) client.socket.destroy();
      else client.socket.end();
      await client.closed();
    };
    const until = async (count: number) => {
      while (sent < count) {
        await Promise.all(Array.from({ length: atOnce }, (_, i) => one(connections + i)));
        if (Math.floor(connections / atOnce) % 10 === 0) await expectServed(opened);
      }
      await expectNobodyLeft(opened);
    };
    // The first half fills what is remembered on purpose: ids of QoS 2 sessions, places of topics.
    await until(packets / 2);
    const before = usedBytes();
    await until(packets);
    await expectServed(opened);
    await expectNobodyLeft(opened);
    expect(errors).toEqual([]);
    await expectMemoryBack(before, 8);
    const { closed, ledger } = opened.gateway.status();
    process.stderr.write(`fuzz: ${sent} packets, ${connections} connections, ${JSON.stringify({ closed, ledger })}\n`);
    // Wildcards of filters where they may not be: what the check leaves to the broker.
    const known = /SUBSCRIBE|between \/|last position|connection closed|ECONNRESET|EPIPE/;
    expect([...faults].filter((fault) => !known.test(fault))).toEqual([]);
  }, 3_600_000);
});
