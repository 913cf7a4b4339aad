import { describe, expect, it } from 'vitest';
import { FrameReader, type FrameRun, splitRun } from '../../gateway/packets/frames.ts';
import { PacketCheck } from '../../gateway/packets/packets.ts';
import { defaults } from './harness.ts';
import { connectPacket, disconnect, frame, pingreq, publishPacket, pubrel } from './raw-client.ts';

function reader(maxPacketBytes = 1000) {
  const runs: FrameRun[] = [];
  const frames = new FrameReader(new PacketCheck({ ...defaults, maxPacketBytes }));
  return { frames, runs, read: (bytes: Buffer) => frames.read(bytes, runs), pings: () => frames.pings };
}

const bytesOf = (runs: readonly FrameRun[]) => Buffer.concat(runs.map(({ bytes }) => bytes));

describe('FrameReader', () => {
  const packets = [
    publishPacket({ payload: 'x'.repeat(300) }),
    publishPacket({ payload: '' }),
    pubrel(7),
    publishPacket({ qos: 2, id: 9 }),
  ];

  it('gives the same packets wherever the network cuts them', () => {
    const stream = Buffer.concat([connectPacket(), ...packets]);
    for (let cut = 1; cut < stream.length; cut++) {
      const { runs, read } = reader();
      read(stream.subarray(0, cut));
      read(stream.subarray(cut));
      expect(bytesOf(runs).equals(stream), `cut at ${cut}`).toBe(true);
    }
  });

  it('gives the same packets when every byte comes alone', () => {
    const stream = Buffer.concat([connectPacket(), ...packets]);
    const { runs, read } = reader();
    for (const byte of stream) read(Buffer.from([byte]));
    expect(bytesOf(runs).equals(stream)).toBe(true);
  });

  it('gives only whole packets', () => {
    const { runs, read } = reader();
    read(connectPacket());
    read(publishPacket({ payload: 'x'.repeat(200) }).subarray(0, 100));
    expect(runs).toHaveLength(1);
  });

  it('gives the first packet alone, so that nothing is handed on before the client is accepted', () => {
    const { runs, read } = reader();
    read(Buffer.concat([connectPacket(), packets[0]!]));
    expect(runs.map(({ bytes }) => bytes)).toEqual([connectPacket(), packets[0]]);
  });

  it('takes out every PINGREQ of an accepted client, wherever it is cut', () => {
    const stream = Buffer.concat([pingreq(), packets[0]!, pingreq(), pingreq(), packets[1]!, pingreq()]);
    for (let cut = 1; cut < stream.length; cut++) {
      const { frames, runs, read, pings } = reader();
      read(connectPacket());
      frames.answersPings = true;
      runs.length = 0;
      read(stream.subarray(0, cut));
      read(stream.subarray(cut));
      expect(pings()).toBe(4);
      expect(bytesOf(runs).equals(Buffer.concat([packets[0]!, packets[1]!])), `cut at ${cut}`).toBe(true);
    }
  });

  it('leaves a PINGREQ to the broker before the client is accepted', () => {
    const { runs, read, pings } = reader();
    read(Buffer.concat([connectPacket(), pingreq()]));
    expect(pings()).toBe(0);
    expect(bytesOf(runs).equals(Buffer.concat([connectPacket(), pingreq()]))).toBe(true);
  });

  it('begins a run with each PUBREL and names its packet id', () => {
    const { runs, read } = reader();
    read(Buffer.concat([connectPacket(), packets[0]!, pubrel(7), packets[1]!, pubrel(513)]));
    expect(runs.map(({ pubrel: id }) => id)).toEqual([null, null, 7, 513]);
  });

  it('remembers that the client said goodbye', () => {
    const { frames, read } = reader();
    read(Buffer.concat([connectPacket(), disconnect()]));
    expect(frames.sawDisconnect).toBe(true);
  });

  it('takes a packet of exactly the limit and refuses one byte more at its header', () => {
    const { runs, read } = reader(130);
    const fits = publishPacket({ qos: 0, topic: 'a', payload: 'x'.repeat(124) });
    const larger = publishPacket({ qos: 0, topic: 'a', payload: 'x'.repeat(125) });
    expect([fits.length, larger.length]).toEqual([129, 131]);
    read(connectPacket());
    expect(() => read(fits)).not.toThrow();
    expect(runs).toHaveLength(2);
    expect(() => read(larger.subarray(0, 3))).toThrow(/131 bytes is over the limit of 130/);
  });

  it('refuses a remaining length of more than four bytes', () => {
    const { read } = reader();
    expect(() => read(Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff]))).toThrow(/more than four bytes/);
  });

  it('refuses a PINGREQ with a body', () => {
    const { frames, read } = reader();
    read(connectPacket());
    frames.answersPings = true;
    expect(() => read(frame(0xc0, Buffer.from([1])))).toThrow(/type 12/);
  });

  it('keeps of a packet that drips in about what has come of it, and nothing once it is whole', () => {
    const { frames, read } = reader(100_000);
    read(connectPacket());
    const large = publishPacket({ payload: 'x'.repeat(50_000) });
    for (let i = 0; i < large.length - 1; i++) {
      read(large.subarray(i, i + 1));
      expect(frames.partBytes).toBeLessThanOrEqual(Math.max(64, 2 * (i + 1)));
    }
    expect(frames.partBytes).toBeLessThanOrEqual(large.length);
    read(large.subarray(-1));
    expect(frames.partBytes).toBe(0);
  });

  it('lets a small packet keep no more than itself of all that was read with it', () => {
    const { frames, runs, read } = reader();
    read(connectPacket());
    frames.answersPings = true;
    runs.length = 0;
    read(Buffer.concat([publishPacket(), ...Array.from({ length: 500 }, pingreq)]));
    expect(runs[0]!.bytes).toEqual(publishPacket());
    expect(runs[0]!.bytes.buffer.byteLength).toBeLessThan(16_384);
  });
});

describe('splitRun', () => {
  const packets = [publishPacket({ id: 1 }), pubrel(3), publishPacket({ id: 2, payload: 'x'.repeat(300) })];
  const run: FrameRun = { bytes: Buffer.concat(packets), messages: 2, pubrel: null };

  it('cuts before the first packet that may not pass', () => {
    const [passed, rest] = splitRun(run, (_first, bytes) => bytes < 300);
    expect(passed).toEqual({ bytes: Buffer.concat(packets.slice(0, 2)), messages: 1, pubrel: null });
    expect(rest).toEqual({ bytes: packets[2], messages: 1, pubrel: null });
  });

  it('gives all or nothing where nothing has to be cut', () => {
    expect(splitRun(run, () => true)).toEqual([run, null]);
    expect(splitRun(run, () => false)).toEqual([null, run]);
  });

  it('tells the first byte and the size of each packet', () => {
    const seen: number[][] = [];
    splitRun(run, (firstByte, bytes) => seen.push([firstByte, bytes]) > 0);
    expect(seen).toEqual(packets.map((packet) => [packet[0], packet.length]));
  });
});
